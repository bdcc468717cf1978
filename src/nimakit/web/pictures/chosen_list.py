"""Imports a list of the pictures to rate, such as images.json."""

import reprlib
from pathlib import Path

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session

from nimakit.errors import LabelError, first_few
from nimakit.images.files import canonical
from nimakit.io.rules import read_json
from nimakit.web.db.database import Database
from nimakit.web.db.tables import LEFT_OUT, OK, Collection, Image
from nimakit.web.pictures.inventory import batches

_LISTED = 20


def choose_listed(
    database: Database, collection: Collection, path: Path, *, skip_bad: bool
) -> tuple[int, list[str]]:
    """Set the pictures to rate from a list; all others of the folder are left out.

    Args:
        database: The database.
        collection: The collection.
        path: A JSON list of names, or of objects with ``path`` or ``image_id``, such as a label file or the
            output of `nimakit data index`.
        skip_bad: Whether to skip entries that name no picture of the folder, rather than refuse the list.

    Returns:
        The number of pictures to rate, and the problems of the skipped entries.

    Raises:
        LabelError: The list is invalid, or names no picture, or names unknown pictures.
    """
    entries = read_json(path, LabelError, "A list of pictures")
    if not isinstance(entries, list) or not entries:
        raise LabelError(f"A list of pictures must be a JSON list with at least one entry. Received: {path}")
    problems: list[str] = []
    with database.write() as session:
        rows = session.execute(
            select(Image.id, Image.path, Image.image_id).where(Image.collection_id == collection.id)
        ).all()
        known = {canonical(name): key for key, *names in rows for name in reversed(names)}
        chosen: set[int] = set()
        for number, entry in enumerate(entries, start=1):
            names = [entry.get("path"), entry.get("image_id")] if isinstance(entry, dict) else [entry]
            paths = [canonical(name) for name in names if isinstance(name, str)]
            key = next((known[path] for path in paths if path in known), None)
            if key is None:
                name = next((name for name in names if name is not None), None)
                problems.append(f"entry {number}: no picture of the folder is {reprlib.repr(name)}")
            else:
                chosen.add(key)
        if not chosen:
            raise LabelError(
                f"A list of pictures must name pictures of the folder. Received: {path}, which names none"
            )
        if problems and not skip_bad:
            shown = "\n  ".join(first_few(problems, _LISTED))
            raise LabelError(f"{len(problems)} entries name no picture of the folder:\n  {shown}")
        # Missing or broken pictures are left out too, because they may return; chosen ones stay so.
        _set_state(
            session, {key for key, *_ in rows} - chosen, Image.state != LEFT_OUT, state=LEFT_OUT, problem=""
        )
        _set_state(session, chosen, Image.state == LEFT_OUT, state=OK)
    return len(chosen), problems


def _set_state(session: Session, images: set[int], condition: ColumnElement[bool], **values: str) -> None:
    """Update the pictures that meet a condition, in batches."""
    for keys in batches(sorted(images)):
        session.execute(update(Image).where(Image.id.in_(keys), condition).values(values))
