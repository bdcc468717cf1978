"""Scans the folder of a collection, and updates its pictures in the database."""

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar

from sqlalchemy import select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from nimakit.errors import machine_fault
from nimakit.images.files import CONTROLS, Skipped, canonical, image_id
from nimakit.io.atomic import escaped
from nimakit.web.db.database import Database
from nimakit.web.db.features import forget_pictures
from nimakit.web.db.tables import BROKEN, LEFT_OUT, MISSING, OK, Collection, Image, now

Item = TypeVar("Item")

_BATCH = 1000
"""Most rows per transaction, so that raters can write in between."""


class Found(NamedTuple):
    """A picture file.

    Attributes:
        path: Below the folder, with forward slashes.
        size: Bytes.
        mtime_ns: Modification time.
    """

    path: str
    size: int
    mtime_ns: int


@dataclass(slots=True)
class FolderScan:
    """A scan of a folder tree.

    Attributes:
        root: The folder, links resolved.
        mtimes_ns: Path of each scanned folder -> its modification time, which changes when files are added or
            removed.
        refused: Problems of files that were skipped, such as links that lead out of the folder.
        left_out: Files of other kinds and linked folders, which the app does not show.
    """

    root: Path
    mtimes_ns: dict[str, int] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    left_out: Skipped = field(default_factory=Skipped)

    def files(self) -> Iterator[Found]:
        """Yield the pictures, by suffix, without hidden files and without entering linked folders.

        Raises:
            OSError: The root cannot be read, or this machine failed. Other unreadable folders are added to
                `refused`.
        """
        folders = [""]
        while folders:
            folder = folders.pop()
            try:
                with os.scandir(self.root / folder) as entries:
                    self.mtimes_ns[folder] = (self.root / folder).stat().st_mtime_ns
                    files = {}
                    for entry in sorted(entries, key=lambda entry: entry.name):
                        if entry.is_symlink() and not Path(entry).exists():
                            continue  # a link to itself would fail below
                        if not entry.is_dir():
                            files[entry.name] = entry
                        elif not entry.name.startswith("."):
                            path = f"{folder}/{entry.name}" if folder else entry.name
                            (self.left_out.links if entry.is_symlink() else folders).append(path)
                    for name in self.left_out.take(files):
                        yield from self._file(files[name], f"{folder}/{name}" if folder else name)
            except OSError as error:
                if not folder or machine_fault(error, error.filename):
                    raise
                self.refused.append(f"{escaped(folder)}: {error.strerror}")

    def changed(self) -> bool:
        """Whether files were added or removed since."""
        try:
            changed = [
                (self.root / path).stat().st_mtime_ns != mtime for path, mtime in self.mtimes_ns.items()
            ]
        except OSError:
            return True
        return any(changed) or not changed

    def _file(self, entry: os.DirEntry[str], path: str) -> Iterator[Found]:
        if CONTROLS.search(path):
            self.refused.append(f"{path!r}: its name must be text without control characters")
        elif entry.is_symlink() and not is_inside(self.root, path):
            self.refused.append(f"{path}: the link leads out of the folder")
        else:
            try:
                found = Found(path, (status := entry.stat()).st_size, status.st_mtime_ns)
            except OSError as error:
                if machine_fault(error, error.filename):
                    raise
                if not isinstance(error, FileNotFoundError):
                    self.refused.append(f"{escaped(path)}: {error.strerror}")
            else:
                if stat.S_ISREG(status.st_mode):
                    yield found


def is_inside(root: Path, path: str) -> bool:
    """Whether a path below a folder is still inside after resolving links.

    Args:
        root: The folder, links resolved.
        path: Path below it.
    """
    return Path(os.path.realpath(root / path)).is_relative_to(root)


class _Known(NamedTuple):
    """A picture in the database."""

    id: int
    size: int
    mtime_ns: int
    state: str


def synchronise(database: Database, collection: Collection, *, retry_broken: bool = False) -> FolderScan:
    """Update a collection's pictures from its folder. Pictures are never deleted from the database.

    Args:
        database: The database.
        collection: The collection.
        retry_broken: Whether to reset broken pictures to OK, until they are read again.

    Returns:
        The scan.

    Raises:
        OSError: The folder cannot be read. No picture is marked as missing then.
        StorageError: The database cannot be written.
    """
    scan = FolderScan(Path(os.path.realpath(collection.folder)))
    known = _known(database, collection.id)
    # After a list of pictures to rate was imported, new files are left out.
    state = LEFT_OUT if any(row.state == LEFT_OUT for row in known.values()) else OK
    revived = (MISSING, BROKEN) if retry_broken else (MISSING,)
    spellings = {canonical(path): path for path in known}
    seen: set[str] = set()
    for files in batches(scan.files()):
        seen.update(file.path for file in files)
        respelt = {file: old for file in files if (old := _old_spelling(scan.root, file, known, spellings))}
        known.update((file.path, known.pop(old)) for file, old in respelt.items())
        new = [file for file in files if file.path not in known]
        changed = [
            (known[file.path], file) for file in files if _has_changed(known.get(file.path), file, revived)
        ]
        if new or changed or respelt:
            with database.write() as session:
                for file in respelt:
                    key = known[file.path].id
                    session.execute(update(Image).where(Image.id == key).values(path=file.path))
                _add(session, collection.id, new, state)
                _refresh(session, changed)
    gone = [
        row.id for path, row in known.items() if path not in seen and row.state not in (MISSING, LEFT_OUT)
    ]
    for ids in batches(gone):
        with database.write() as session:
            session.execute(
                update(Image)
                .where(Image.id.in_(ids))
                .values(state=MISSING, problem="The file is no longer in the folder.")
            )
    with database.write() as session:
        session.execute(update(Collection).where(Collection.id == collection.id).values(scanned_at=now()))
    return scan


def _known(database: Database, collection_id: int) -> dict[str, _Known]:
    wanted = select(Image.path, Image.id, Image.size, Image.mtime_ns, Image.state)
    with database.read() as session:
        rows = session.execute(wanted.where(Image.collection_id == collection_id))
        return {path: _Known(key, size, mtime, state) for path, key, size, mtime, state in rows}


def _old_spelling(
    root: Path, file: Found, known: Mapping[str, _Known], spellings: Mapping[str, str]
) -> str | None:
    """The known path of a file whose name was normalised differently before, as on a Mac."""
    old = spellings.get(canonical(file.path), file.path)
    if file.path in known or old not in known:
        return None
    if (root / old).exists() and not (root / old).samefile(root / file.path):
        return None  # two files
    return old


def _has_changed(known: _Known | None, file: Found, revived: tuple[str, ...]) -> bool:
    return known is not None and (
        (known.size, known.mtime_ns) != (file.size, file.mtime_ns) or known.state in revived
    )


def _add(session: Session, collection_id: int, files: list[Found], state: str) -> None:
    files = _adopt(session, collection_id, files)
    if files:
        dialect = sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
        session.execute(
            # Another process of the app may have found them first.
            dialect.insert(Image).on_conflict_do_nothing(),
            [
                {
                    **file._asdict(),
                    "collection_id": collection_id,
                    "image_id": image_id(file.path),
                    "state": state,
                }
                for file in files
            ],
        )


def _adopt(session: Session, collection_id: int, files: list[Found]) -> list[Found]:
    """Assign files to pictures that an import named before the files arrived; return the other files."""
    names = {image_id(file.path): file for file in files}
    waiting = session.scalars(
        select(Image).where(
            Image.collection_id == collection_id, Image.path == Image.image_id, Image.path.in_(names)
        )
    )
    adopted = set()
    for image in waiting:
        file = names[image.image_id]
        image.path, image.size, image.mtime_ns = file
        image.state, image.problem = LEFT_OUT if image.state == LEFT_OUT else OK, ""
        adopted.add(file)
    session.flush()
    return [file for file in files if file not in adopted]


def _refresh(session: Session, changed: list[tuple[_Known, Found]]) -> None:
    """Update pictures whose files changed: scores and features are cleared, ratings stay."""
    for known, file in changed:
        session.execute(
            update(Image)
            .where(Image.id == known.id)
            .values(
                size=file.size,
                mtime_ns=file.mtime_ns,
                state=LEFT_OUT if known.state == LEFT_OUT else OK,
                problem="",
                position=None,
                spread=None,
            )
        )
    forget_pictures(session, [known.id for known, _ in changed])


def batches(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Split items into lists of at most `_BATCH`."""
    waiting = iter(items)
    while batch := list(islice(waiting, _BATCH)):
        yield batch
