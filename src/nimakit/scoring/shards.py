"""Which rows of a large source a run works on: its shard, without those that are finished or repeated."""

import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from nimakit.errors import OutputError, UsageError
from nimakit.sources import Entry

_CACHE_KB = 64 * 1024
_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class Shard:
    """One of several equal parts of a source, divided by a hash of the id.

    Attributes:
        index: From 0 to count - 1.
        count: Number of parts.
    """

    index: int = 0
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Read ``3/64``.

        Raises:
            UsageError: It is not one of the parts.

        >>> Shard.parse("3/64")
        Shard(index=3, count=64)
        """
        index, _, count = text.partition("/")
        if not (index.isdecimal() and count.isdecimal() and int(index) < int(count)):
            raise UsageError(
                "A shard must be INDEX/COUNT, with the index from 0 to COUNT - 1, such as 3/64."
                f" Received: {text}"
            )
        return cls(int(index), int(count))

    def has(self, key: str) -> bool:
        """Whether a row belongs to this shard."""
        return self.count == 1 or int.from_bytes(_digest(key)[:8]) % self.count == self.index

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


class Rows:
    """Chooses the rows of a run, in memory that does not grow: what it met is in a temporary file.

    Args:
        shard: The part of the source to work on.
        table: From `open_rows`.

    Attributes:
        finished: Number of rows left out because an earlier run finished them.
        repeated: Number of rows left out because their id is that of an earlier row.
        examples: Some of those ids.
    """

    def __init__(self, shard: Shard, table: sqlite3.Connection) -> None:
        self._shard = shard
        self._table = table
        self.finished = 0
        self.repeated = 0
        self.examples: list[str] = []

    def finish(self, keys: Iterable[str]) -> None:
        """Leave out rows that an earlier run finished."""
        self._table.executemany(
            "INSERT OR IGNORE INTO row VALUES (?, 1, 0)", ((_digest(key),) for key in keys)
        )

    def choose(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """The rows to work on, in order."""
        for entry in entries:
            key = entry.key
            if not self._shard.has(key):
                continue
            [(is_finished, met)] = self._table.execute(
                "INSERT INTO row VALUES (?, 0, 1) ON CONFLICT DO UPDATE SET met = met + 1"
                " RETURNING finished, met",
                (_digest(key),),
            ).fetchall()
            if met > 1:
                self._repeat(key)
            elif is_finished:
                self.finished += 1
            else:
                yield entry

    def _repeat(self, key: str) -> None:
        self.repeated += 1
        if key not in self.examples and len(self.examples) < _MOST_NAMED:
            self.examples.append(key)


@contextmanager
def open_rows(shard: Shard) -> Iterator[Rows]:
    """Open `Rows`.

    Raises:
        OutputError: The folder for temporary files is full.
    """
    with tempfile.TemporaryDirectory(prefix="nimakit-") as folder:
        try:
            with closing(sqlite3.connect(Path(folder, "rows.sqlite"), isolation_level=None)) as table:
                for setting in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{_CACHE_KB}"):
                    table.execute(f"PRAGMA {setting}")
                table.execute("CREATE TABLE row (key BLOB PRIMARY KEY, finished INT, met INT) WITHOUT ROWID")
                table.execute("BEGIN")
                yield Rows(shard, table)
        except sqlite3.Error as error:
            raise OutputError(f"{folder} could not be written: {error}.") from error


def _digest(key: str) -> bytes:
    return blake2b(key.encode("utf-8", "surrogateescape"), digest_size=16).digest()
