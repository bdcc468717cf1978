"""The store of features: one SQLite database in the cache folder, shared by all processes of a user.

SQLite rather than Parquet parts: several processes add rows of 1 to 16 KB in any order while others read, a
kill leaves no half-written part, rows are pruned without rewriting files, it reads through a memory map, and
it comes with Python, while pyarrow would be 150 MB in the serving image.

A row is found by the SHA-256 of the photograph's bytes and by `Encoder.identity` with the view. Path, size
and time of change of a file only save hashing it again.
"""

import math
import os
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nimakit.errors import ImageError, OutputError, UsageError
from nimakit.images.photo import decoding, open_photo
from nimakit.io.cache import sha256, writable_cache
from nimakit.io.threads import in_threads
from nimakit.progress import say_once
from nimakit.stats.histogram import Float32Array

Digest = bytes
"""SHA-256 of a file's content, 32 bytes."""

_FILE = "features-v1.sqlite"
"""Change the version whenever the tables change."""
_LIMIT_VARIABLE = "NIMAKIT_FEATURES_GB"
_DEFAULT_GB = 4.0
_KEPT_SHARE = 0.9
"""Share of the limit that pruning leaves, so that not every run has to prune."""

_SCHEMA = """
PRAGMA auto_vacuum = INCREMENTAL;
CREATE TABLE IF NOT EXISTS file (
  path BLOB PRIMARY KEY, size INTEGER, modified_ns INTEGER, content BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS block (id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL, used REAL NOT NULL);
CREATE TABLE IF NOT EXISTS feature (
  block INTEGER NOT NULL, content BLOB NOT NULL, vector BLOB NOT NULL, PRIMARY KEY (block, content)
);
"""
_say_once = say_once()
_MAPPED_BYTES = 2**31 - 2**16
"""SQLite maps at most this much of a file; it reads the rest."""
_LOCK_SECONDS = 30.0
_PER_QUERY = 500
"""Values in one query: SQLite refuses more than 999 before version 3.32."""
_PER_DELETION = 2000
_SECONDS_BETWEEN_USES = 3600.0
"""A use is recorded at most so often, because it is a write."""


@dataclass(frozen=True, slots=True)
class File:
    """A file at the time it was hashed.

    Attributes:
        path: The file.
        size: In bytes.
        modified_ns: Time of its last change, in nanoseconds.
        content: SHA-256 of its content.
    """

    path: Path
    size: int
    modified_ns: int
    content: Digest

    @property
    def is_unchanged(self) -> bool:
        """Whether size and time of change are still the same."""
        try:
            found = self.path.stat()
        except OSError:
            return False
        return (found.st_size, found.st_mtime_ns) == (self.size, self.modified_ns)


class Store:
    """Features by content, in the cache folder.

    Runs also work without it: whatever SQLite refuses is reported once, and nothing is kept then.

    Args:
        max_bytes: Most bytes it keeps, 0 for no store; by default NIMAKIT_FEATURES_GB gigabytes, or 4.

    Raises:
        UsageError: NIMAKIT_FEATURES_GB is not a number of gigabytes.
    """

    def __init__(self, max_bytes: int | None = None) -> None:
        self._max_bytes = _limit() if max_bytes is None else max_bytes
        self._database: sqlite3.Connection | None = None
        self._is_usable = self._max_bytes > 0

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        """Prune, and close."""
        self._run(self._prune)
        if self._database:
            self._database.close()
            self._database = None

    def identify(self, paths: Sequence[Path]) -> dict[Path, File | ImageError]:
        """Hash files, except those whose path, size and time of change are known.

        Args:
            paths: Image files.

        Returns:
            For each path its file, or the error that prevented reading it.
        """
        known = self._known_files(paths)

        def one(path: Path) -> File | ImageError:
            try:
                return _hashed(path, known.get(os.fsencode(path.absolute())))
            except ImageError as error:
                return error

        found = dict(zip(paths, in_threads(one, paths), strict=True))
        rows = {
            os.fsencode(path.absolute()): (file.size, file.modified_ns, file.content)
            for path, file in found.items()
            if isinstance(file, File)
        }
        new = [(path, *row) for path, row in rows.items() if known.get(path) != row]
        if new:
            statement = "INSERT OR REPLACE INTO file VALUES (?, ?, ?, ?)"
            self._run(lambda database: database.executemany(statement, new))
        return found

    def read(self, block: str, contents: Sequence[Digest]) -> dict[Digest, Float32Array]:
        """The vectors of a block that are in the store.

        Args:
            block: Identity of the encoder, and the view.
            contents: Hashes of files.

        Returns:
            Hash -> (D,) float32.
        """
        rows: dict[Digest, Float32Array] = {}

        def load(database: sqlite3.Connection) -> None:
            number = self._number(database, block)
            for some in _chunks(contents):
                marks = ", ".join("?" * len(some))
                query = f"SELECT content, vector FROM feature WHERE block = ? AND content IN ({marks})"  # noqa: S608
                for content, vector in database.execute(query, (number, *some)):
                    rows[content] = np.frombuffer(vector, "<f4")

        self._run(load)
        return rows

    def write(self, block: str, vectors: Mapping[Digest, Float32Array]) -> None:
        """Keep vectors of a block.

        Args:
            block: See `read`.
            vectors: Hash -> (D,) float32.
        """

        def add(database: sqlite3.Connection) -> None:
            number = self._number(database, block)
            rows = [(number, content, vector.astype("<f4").tobytes()) for content, vector in vectors.items()]
            database.executemany("INSERT OR REPLACE INTO feature VALUES (?, ?, ?)", rows)

        self._run(add)

    def _known_files(self, paths: Sequence[Path]) -> dict[bytes, tuple[int, int, Digest]]:
        rows: dict[bytes, tuple[int, int, Digest]] = {}

        def load(database: sqlite3.Connection) -> None:
            for some in _chunks([os.fsencode(path.absolute()) for path in paths]):
                query = f"SELECT * FROM file WHERE path IN ({', '.join('?' * len(some))})"  # noqa: S608
                for path, *row in database.execute(query, some):
                    rows[path] = (row[0], row[1], row[2])

        self._run(load)
        return rows

    def _number(self, database: sqlite3.Connection, block: str) -> int:
        """Number of a block, added if it is new; its use is recorded."""
        now = time.time()
        row = database.execute("SELECT id, used FROM block WHERE name = ?", (block,)).fetchone()
        if row is None or now - row[1] > _SECONDS_BETWEEN_USES:
            statement = (
                "INSERT INTO block (name, used) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET used = ?"
            )
            database.execute(statement, (block, now, now))
            row = database.execute("SELECT id, used FROM block WHERE name = ?", (block,)).fetchone()
        return int(row[0])

    def _prune(self, database: sqlite3.Connection) -> None:
        """Delete the oldest rows of the blocks that were used least recently, until the limit is kept."""
        if _bytes_used(database) <= self._max_bytes:
            return
        for (block,) in database.execute("SELECT id FROM block ORDER BY used").fetchall():
            count = _PER_DELETION
            while count == _PER_DELETION and _bytes_used(database) > _KEPT_SHARE * self._max_bytes:
                oldest = "SELECT rowid FROM feature WHERE block = ? ORDER BY rowid LIMIT ?"
                statement = f"DELETE FROM feature WHERE rowid IN ({oldest})"  # noqa: S608
                count = database.execute(statement, (block, _PER_DELETION)).rowcount
        database.execute("DELETE FROM file WHERE content NOT IN (SELECT content FROM feature)")
        database.execute("DELETE FROM block WHERE id NOT IN (SELECT block FROM feature)")
        database.commit()
        database.executescript("PRAGMA incremental_vacuum")  # which execute would run for one page only

    def _run(self, action: Callable[[sqlite3.Connection], object]) -> None:
        """Run one transaction, or none after one has failed."""
        if not self._is_usable:
            return
        try:
            self._database = self._database or _open()
            with self._database:
                action(self._database)
        except (sqlite3.Error, OutputError) as error:
            self._is_usable = False
            _say_once(f"features are not kept for the next run: {error}")


def _open() -> sqlite3.Connection:
    # One thread at a time uses it, but not always the one that opened it.
    database = sqlite3.connect(writable_cache() / _FILE, timeout=_LOCK_SECONDS, check_same_thread=False)
    database.executescript(_SCHEMA)
    database.execute(f"PRAGMA mmap_size = {_MAPPED_BYTES}")
    return database


def _hashed(path: Path, known: tuple[int, int, Digest] | None) -> File:
    """A file with the hash of its content, which is known if size and time of change are the same."""
    with decoding(path):
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            open_photo(path)  # raises the reason
        state = (found.st_size, found.st_mtime_ns)
        content = known[2] if known and known[:2] == state else bytes.fromhex(sha256(path))
        return File(path, *state, content)


def _chunks(values: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    for start in range(0, len(values), _PER_QUERY):
        yield values[start : start + _PER_QUERY]


def _bytes_used(database: sqlite3.Connection) -> int:
    names = ("page_count", "freelist_count", "page_size")
    pages, free, size = (database.execute(f"PRAGMA {name}").fetchone()[0] for name in names)
    return int((pages - free) * size)


def _limit() -> int:
    text = os.environ.get(_LIMIT_VARIABLE, "") or str(_DEFAULT_GB)
    try:
        gigabytes = float(text)
    except ValueError:
        gigabytes = math.nan
    if not 0 <= gigabytes < math.inf:
        raise UsageError(f"{_LIMIT_VARIABLE} must be a number of gigabytes, 0 or more. Received: {text}")
    return int(gigabytes * 1e9)
