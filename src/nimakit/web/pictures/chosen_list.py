"""A list of the pictures of a folder that are to be rated: an images.json."""

import reprlib
from pathlib import Path

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from nimakit.errors import LabelError
from nimakit.images.files import canonical
from nimakit.io.rules import read_json
from nimakit.web.db.database import Database
from nimakit.web.db.tables import LEFT_OUT, OK, Collection, Image
from nimakit.web.pictures.inventory import batches

_LISTED = 20


def choose_listed(
    database: Database, collection: Collection, path: Path, *, skip_bad: bool
) -> tuple[int, list[str]]:
    """Say which pictures are to be rated; all others of the folder are left out.

    Args:
        database: Where to.
        collection: Whose pictures.
        path: A JSON list of names, or of objects with ``path`` or ``image_id``: what `nimakit data index`
            writes, or a label file.
        skip_bad: Whether entries that name no picture of the folder are left out; else they are refused.

    Returns:
        How many pictures are to be rated, and what is wrong with the other entries.

    Raises:
        LabelError: No such list, or none or not all of the pictures are in the folder.
    """
    entries = read_json(path, LabelError, "A list of pictures")
    if not isinstance(entries, list) or not entries:
        raise LabelError(f"A list of pictures is a JSON list with at least one. Received: {path}")
    problems: list[str] = []
    with database.write() as session:
        rows = session.execute(
            select(Image.id, Image.path, Image.image_id).where(Image.collection_id == collection.id)
        ).all()
        known = {canonical(name): key for key, *names in rows for name in reversed(names)}
        chosen: set[int] = set()
        for number, entry in enumerate(entries, start=1):
            names = [entry.get("path"), entry.get("image_id")] if isinstance(entry, dict) else [entry]
            spelt = [canonical(name) for name in names if isinstance(name, str)]
            key = next((known[name] for name in spelt if name in known), None)
            if key is None:
                name = next((name for name in names if name is not None), None)
                problems.append(f"entry {number}: no picture of the folder is {reprlib.repr(name)}")
            else:
                chosen.add(key)
        if not chosen:
            raise LabelError(f"A list names pictures of the folder. Received: {path}, with none of them")
        if problems and not skip_bad:
            more = f"\n  and {len(problems) - _LISTED} more" if len(problems) > _LISTED else ""
            raise LabelError(
                f"{len(problems)} entries name no picture of the folder:\n  "
                + "\n  ".join(problems[:_LISTED])
                + more
            )
        _leave_out(session, {key for key, *_ in rows} - chosen)
        _take_in(session, chosen)
    return len(chosen), problems


def _leave_out(session: Session, others: set[int]) -> None:
    """Leave pictures out, also those that are missing or broken now: they may come back."""
    for keys in batches(sorted(others)):
        session.execute(
            update(Image)
            .where(Image.id.in_(keys), Image.state != LEFT_OUT)
            .values(state=LEFT_OUT, problem="")
        )


def _take_in(session: Session, chosen: set[int]) -> None:
    """Have pictures rated; what is missing or broken stays what it is."""
    for keys in batches(sorted(chosen)):
        session.execute(update(Image).where(Image.id.in_(keys), Image.state == LEFT_OUT).values(state=OK))
