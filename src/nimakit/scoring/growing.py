"""Outputs that grow as a run goes, so that a later run can resume it: lines of a file, or Parquet parts."""

import csv
import io
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Protocol

from nimakit.errors import OutputError, UsageError
from nimakit.io import atomic
from nimakit.io.atomic import output_errors
from nimakit.io.delimited import unescape_formula
from nimakit.models.score import Record
from nimakit.scoring import parquet
from nimakit.scoring.outputs import GROUP_ROWS, Layout, Output, is_parts
from nimakit.scoring.records import RecordWriter
from nimakit.scoring.shards import Shard
from nimakit.sources.places import is_stored, reason, store_of

Finish = Callable[[Iterable[str]], None]
_SECONDS = 15.0
"""A part is written after this time even if it has fewer rows."""
_PART = re.compile(r"part-(?:(\d+)-of-(\d+)-)?(\d+)\.parquet")


@contextmanager
def open_growing(
    place: str, layout: Layout, shard: Shard, *, resume: bool, finish: Finish
) -> Iterator[Output]:
    """An output that has every record soon after it is written, and that a later run can resume.

    Args:
        place: A .jsonl or .csv file of this machine, or a folder of Parquet parts.
        layout: What the records contain.
        shard: The shard of the run; several may write their parts into one folder.
        resume: Whether the output may exist.
        finish: Called with the ids of the rows that it has already.

    Raises:
        UsageError: The output exists, or was begun with another model or other settings.
        OutputError: It could not be written.
    """
    output = _Parts(place, layout, shard) if is_parts(place) else _Lines(Path(place), layout)
    if output.exists and not resume:
        raise UsageError(
            f"The output must not exist. Received: {place}. Add --resume to go on with it, or remove it."
        )
    output.begin(finish)
    try:
        yield output
    finally:
        output.close()


class _Lines:
    """A .jsonl or .csv file to which rows are added; what it was begun with is in a file next to it."""

    def __init__(self, path: Path, layout: Layout) -> None:
        self._path = path
        self._layout = layout
        self._suffix = path.suffix.lower()
        self._identity = path.with_name(f"{path.name}.run.json")
        self._complete = 0
        self.exists = path.exists() and path.stat().st_size > 0

    def begin(self, finish: Finish) -> None:
        """Read the rows that are there, cut off what a killed run left of its last row, and open the file."""
        if self.exists:
            _check_identity(str(self._path), _text_of(self._identity), self._layout)
            with self._path.open("rb") as stream:
                finish(self._rows(stream))
        else:
            atomic.atomic_bytes(f"{self._layout.metadata}\n".encode(), self._identity)
        with output_errors(str(self._path)):
            self._stream = self._path.open("a", encoding="utf-8", errors=atomic.ESCAPE, newline="")
            self._stream.truncate(self._complete)
        self._writer = RecordWriter(
            self._stream,
            str(self._path),
            self._suffix,
            columns=self._layout.columns,
            continued=self._complete > 0,
        )

    def write(self, record: Record) -> None:
        """Write a record, and pass it to the system, which keeps it if this process is killed."""
        self._writer.write(record)
        with output_errors(str(self._path)):
            self._stream.flush()

    def close(self) -> None:
        """Close the file."""
        with output_errors(str(self._path)):
            self._stream.close()

    def _rows(self, stream: IO[bytes]) -> Iterator[str]:
        """The ids of the complete rows."""
        columns = list(self._layout.columns)
        for content in _complete_rows(stream, quoted=self._suffix == ".csv"):
            text = content.decode("utf-8", "replace")
            if self._suffix == ".jsonl":
                try:
                    record = json.loads(text)
                    key = record.get("image", record["image_id"])
                except (ValueError, KeyError, AttributeError):  # a crash can leave a file of zeros
                    return
            else:
                cells = next(csv.reader(io.StringIO(text, newline="")))
                if len(cells) != len(columns):
                    return
                if self._complete == 0:
                    self._check_header(cells)
                key = unescape_formula(cells[1] or cells[0]) if self._complete else None
            self._complete += len(content)
            if key is not None:
                yield key

    def _check_header(self, cells: list[str]) -> None:
        if cells != list(self._layout.columns):
            raise UsageError(f"A .csv to resume must be one that this command began. Received: {self._path}")


def _complete_rows(stream: IO[bytes], *, quoted: bool) -> Iterator[bytes]:
    """The rows that end in a line break; one within quotation marks ends none."""
    waiting = b""
    for line in stream:
        waiting += line
        if waiting.endswith(b"\n") and not (quoted and waiting.count(b'"') % 2):
            yield waiting
            waiting = b""


class _Parts:
    """A folder of Parquet parts, here or in a store; a part appears once it is complete."""

    def __init__(self, place: str, layout: Layout, shard: Shard) -> None:
        self._place = place
        self._layout = layout
        self._shard = shard
        self._folder = _StoredFolder(place) if is_stored(place) else _LocalFolder(Path(place))
        self._rows = layout.rows()
        self._waiting: list[Record] = []
        self._names = sorted(name for name in self._folder.names() if self._is_own(name))
        self._next = max((int(_numbers(name)[2]) for name in self._names), default=-1) + 1
        self._written = time.monotonic()
        self.exists = bool(self._names)

    def begin(self, finish: Finish) -> None:
        """Read the parts that are there."""
        for name in self._names:
            with self._folder.open(name) as stream:
                _check_identity(self._place, parquet.read_metadata(stream), self._layout)
                stream.seek(0)
                finish(parquet.read_ids(stream))

    def write(self, record: Record) -> None:
        """Write a record with the next part."""
        self._waiting.append(record)
        if len(self._waiting) >= GROUP_ROWS or time.monotonic() - self._written > _SECONDS:
            self._write_part()

    def close(self) -> None:
        """Write the last part."""
        if self._waiting:
            self._write_part()

    def _write_part(self) -> None:
        of_shard = "" if self._shard.count == 1 else f"{self._shard.index:05}-of-{self._shard.count:05}-"
        self._folder.write(f"part-{of_shard}{self._next:06}.parquet", self._rows.encode(self._waiting))
        self._next += 1
        self._waiting = []
        self._written = time.monotonic()

    def _is_own(self, name: str) -> bool:
        """Whether a file is a part of this shard.

        Raises:
            UsageError: It is a part of a run with another number of shards, whose rows would come twice.
        """
        index, count, number = _numbers(name)
        if not number:
            return False
        if int(count or 1) != self._shard.count:
            raise UsageError(
                f"The shards of a run must be resumed as they were begun, as {int(count or 1)}. Received:"
                f" --shard {self._shard} and {self._place}{name}"
            )
        return int(index or 0) == self._shard.index


def _numbers(name: str) -> tuple[str, str, str]:
    """Shard, number of shards and number of a part; empty text for what its name does not have."""
    found = _PART.fullmatch(name)
    return (found[1] or "", found[2] or "", found[3]) if found else ("", "", "")


class _Folder(Protocol):
    def names(self) -> list[str]: ...
    def open(self, name: str) -> IO[bytes]: ...
    def write(self, name: str, content: bytes) -> None: ...


class _LocalFolder:
    def __init__(self, path: Path) -> None:
        atomic.make_folder(path)
        self._path = path

    def names(self) -> list[str]:
        return [path.name for path in self._path.iterdir()]

    def open(self, name: str) -> IO[bytes]:
        return (self._path / name).open("rb")

    def write(self, name: str, content: bytes) -> None:
        atomic.atomic_bytes(content, self._path / name)


class _StoredFolder:
    def __init__(self, place: str) -> None:
        self._place = place
        self._store, path = store_of(place)
        self._path = path.rstrip("/")

    def names(self) -> list[str]:
        try:
            self._store.invalidate_cache()
            return [name.rpartition("/")[2] for name in self._store.ls(self._path, detail=False)]
        except FileNotFoundError:
            return []
        except Exception as error:
            raise UsageError(
                f"The output folder must be readable. Received: {self._place} ({reason(error)})"
            ) from error

    def open(self, name: str) -> IO[bytes]:
        stream: IO[bytes] = self._store.open(f"{self._path}/{name}", "rb")
        return stream

    def write(self, name: str, content: bytes) -> None:
        try:
            self._store.pipe_file(f"{self._path}/{name}", content)
        except Exception as error:
            raise OutputError(f"{self._place}{name} could not be written: {reason(error)}.") from error


def _check_identity(place: str, text: str, layout: Layout) -> None:
    """Refuse to resume with another model or other settings."""
    try:
        earlier = json.loads(text)
    except ValueError:
        earlier = None
    if not isinstance(earlier, dict):
        raise UsageError(
            f"An output to resume must be one that this command began. Received: {place}. Name another file."
        )
    different = [key for key, value in layout.identity.items() if earlier.get(key) != value]
    if different:
        received = ", ".join(f"{key} {layout.identity[key]!r}, not {earlier.get(key)!r}" for key in different)
        raise UsageError(
            "A run must be resumed with the model and the settings it began with. Received:"
            f" {received}. Use those, or name another output than {place}."
        )


def _text_of(path: Path) -> str:
    with suppress(OSError):
        return path.read_text("utf-8", "replace")
    return ""
