"""Remove what deleted collections contained, in small steps, once they can no longer be brought back."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Table, delete, exists, func, select, tuple_, update
from sqlalchemy.orm import Session

from nimakit.progress import say
from nimakit.web.collections.lifecycle import UNDONE_WITHIN
from nimakit.web.db.database import Database
from nimakit.web.db.features import forget_pictures
from nimakit.web.db.tables import MISSING, Base, Collection, Event, Image, Membership, Rater, now

_AT_ONCE = 500
"""Rows deleted in a transaction, so that raters can write in between."""
_WITHOUT_DATA = (
    Rater.role == "rater",
    ~exists().where(Membership.rater_id == Rater.id),
    ~exists().where(Event.rater_id == Rater.id),
)
"""Conditions for a rater who has joined and rated nothing, as after their only collection is gone."""


class Remover:
    """Removes deleted collections; a chore of `nimakit.web.predictions.background.Background`.

    Args:
        database: The database.
        folders: Folders with a sub-folder per collection, named by its slug: taste files and learned models.
        uploads: The folder of uploaded pictures, whose sub-folders belong to collections; the pictures of any
            other folder are not the app's, and stay.
        forget: Called with each file of such a sub-folder before it is deleted.
    """

    def __init__(
        self, database: Database, folders: tuple[Path, ...], uploads: Path, forget: Callable[[Path], None]
    ) -> None:
        self._database = database
        self._folders = folders
        self._uploads = uploads
        self._forget = forget

    def advance(self) -> bool:
        """Remove a part of one collection; whether there may be more to remove.

        Raises:
            StorageError: The database cannot be used.
            OSError: A file cannot be deleted; it is tried again in the next round.
        """
        with self._database.read() as session:
            due = (Collection.deleted_at <= now() - UNDONE_WITHIN) & (Collection.slug.not_like("~%"))
            found = session.scalars(select(Collection).where(due).order_by(Collection.id).limit(1)).first()
        if found is None:
            return False
        if found.removed_at is None:
            with self._database.write() as session:
                # Only if nobody brought it back meanwhile.
                same = update(Collection).where(Collection.id == found.id, due)
                session.execute(same.values(removed_at=now(), is_open=False))
            return True
        with self._database.write() as session:
            if any(_delete_some(session, table, found.id) for table in _tables()):
                return True
        self._delete_files(found)
        with self._database.write() as session:
            # Its slug and folder can be used again.
            done = {"slug": f"~{found.id}", "name": "", "folder": "", "question": ""}
            session.execute(update(Collection).where(Collection.id == found.id).values(done))
            session.execute(delete(Rater).where(*_WITHOUT_DATA))
        say(f"{found.name}: removed, {UNDONE_WITHIN.days} days after it was deleted")
        return True

    def _delete_files(self, collection: Collection) -> None:
        """Delete the collection's files, except those that other collections use."""
        with self._database.read() as session:
            others = (Collection.id != collection.id) & Collection.removed_at.is_(None)
            rows = session.execute(
                select(Collection.model, Collection.encoder, Collection.folder).where(others)
            )
            used = {Path(value) for row in rows for value in row if value}
        for folder in (parent / collection.slug for parent in self._folders):
            _delete_tree(folder, used)
        own = Path(collection.folder)
        if own.parent == self._uploads and not any(path.is_relative_to(own) for path in used):
            for file in own.rglob("*"):
                self._forget(file)
            _delete_tree(own, set())


def _tables() -> list[Table]:
    """The tables whose rows are about a collection, those first that refer to others."""
    return [table for table in reversed(Base.metadata.sorted_tables) if "collection_id" in table.columns]


def _delete_some(session: Session, table: Table, collection_id: int) -> bool:
    """Delete some of a table's rows about a collection; whether there were any.

    The latest picture loses its name instead: SQLite would give its id to a picture of another collection,
    and browsers have kept the picture of that address.
    """
    key: Any = tuple_(*table.primary_key.columns)
    rows = select(*table.primary_key.columns).where(table.c.collection_id == collection_id)
    if table is Image.__table__:
        latest = session.scalar(select(func.max(Image.id)).where(Image.collection_id == collection_id))
        rows = rows.where(table.c.id != latest)
        forget_pictures(session, [] if latest is None else [latest])
        blank = {"path": "", "image_id": "", "problem": "", "state": MISSING, "count": 0}
        session.execute(update(Image).where(Image.id == latest, Image.path != "").values(**blank))
    return bool(session.execute(delete(table).where(key.in_(rows.limit(_AT_ONCE)))).rowcount)  # type: ignore[attr-defined]


def _delete_tree(folder: Path, used: set[Path]) -> None:
    """Delete a folder, except the files that are used."""
    if not folder.is_dir():
        return
    if not any(path.is_relative_to(folder) for path in used):
        shutil.rmtree(folder)
        return
    for file in folder.iterdir():
        if file not in used and file.is_file():
            file.unlink()
