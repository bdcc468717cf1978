"""Files of score records, here or in a store: written whole at the end, or as a run goes, to be resumed."""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from nimakit.errors import UsageError
from nimakit.io import atomic
from nimakit.io.atomic import output_errors
from nimakit.models.score import Record
from nimakit.scoring import parquet, records
from nimakit.scoring.records import RecordWriter
from nimakit.sources.places import is_stored, store_of

PARQUET = ".parquet"
SUFFIXES = (*records.FILE_SUFFIXES, PARQUET)
_GROWING = (".jsonl", ".csv")
GROUP_ROWS = 4096
"""Rows of a row group, or of a Parquet part."""


class Layout(Protocol):
    """What the records of a run contain."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """What must be the same when a run is resumed, such as the model and its hash."""

    @property
    def columns(self) -> Sequence[str]:
        """Columns of a .csv."""

    @property
    def metadata(self) -> str:
        """The identity as JSON."""

    def rows(self) -> parquet.Rows:
        """What makes Parquet of records."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreLayout:
    """The layout of score records.

    Attributes:
        models: Names of the models, or `nimakit.scoring.records.ONLY`.
        measures: Whether records have technical measures.
        identity: What must be the same when a run is resumed, such as the model and its hash.
        intervals: Whether records have intervals.
    """

    models: Sequence[str]
    measures: bool
    identity: Mapping[str, Any]
    intervals: bool = False

    @property
    def columns(self) -> Sequence[str]:
        """Columns of a .csv."""
        return records.csv_columns(self.models, measures=self.measures, intervals=self.intervals)

    @property
    def metadata(self) -> str:
        """The identity as JSON."""
        return json.dumps(self.identity, sort_keys=True)

    def rows(self) -> parquet.Rows:
        """What makes Parquet of records."""
        return parquet.ScoreRows(
            self.models, measures=self.measures, intervals=self.intervals, metadata=self.metadata
        )


class Output(Protocol):
    """Receives records one by one."""

    def write(self, record: Record) -> None:
        """Write a record.

        Raises:
            OutputError: It could not be written.
        """
        ...


def is_parts(place: str) -> bool:
    """Whether an output is a folder of Parquet parts: it ends in a slash."""
    return place.endswith("/")


def can_grow(place: str) -> bool:
    """Whether an output can be written as a run goes, and resumed."""
    return is_parts(place) or (Path(place).suffix.lower() in _GROWING and not is_stored(place))


def check(place: str, *, growing: bool, suffixes: Sequence[str] = SUFFIXES) -> None:
    """Refuse an output before the work begins.

    Args:
        place: Path or URL; a folder of Parquet parts ends in a slash.
        growing: Whether it must be possible to resume.
        suffixes: Those that a file may have, in lower case.

    Raises:
        UsageError: It cannot be written, or not as the run goes.
        MissingExtraError: The package for it is not installed.
    """
    suffix = Path(place).suffix.lower()
    if is_parts(place) or suffix == PARQUET:
        parquet.require()
    if is_stored(place):
        store_of(place)
        if not is_parts(place) and suffix not in suffixes:
            raise UsageError(f"The output file must end in {', '.join(suffixes)}. Received: {place}")
    elif is_parts(place):
        atomic.check_folder(Path(place))
    else:
        atomic.check_output(Path(place), suffixes)
    if growing and not can_grow(place):
        raise UsageError(
            "Only a .jsonl or .csv file of this machine, or a folder of Parquet parts (a path or URL that"
            f" ends in a slash), can be resumed. Received: {place}"
        )


@contextmanager
def open_whole(place: str, layout: Layout) -> Iterator[Output]:
    """A file that appears once it is complete, here or in a store.

    Raises:
        OutputError: It could not be written.
    """
    if is_stored(place):
        with tempfile.TemporaryDirectory(prefix="nimakit-") as folder:
            local = Path(folder, Path(place).name)
            with _open_whole_file(local, layout) as output:
                yield output
            store, path = store_of(place)
            with output_errors(place):
                store.put_file(str(local), path)
        return
    with _open_whole_file(Path(place), layout) as output:
        yield output


@contextmanager
def _open_whole_file(path: Path, layout: Layout) -> Iterator[Output]:
    suffix = path.suffix.lower()
    if suffix != PARQUET:
        with atomic.atomic_writer(path) as stream:
            writer = RecordWriter(stream, str(path), suffix, columns=layout.columns)
            yield writer
            writer.close()
        return
    with atomic.atomic_files([path]) as [partial], output_errors(str(path)):
        grouped = _Groups(layout, partial)
        yield grouped
        grouped.close()


class _Groups:
    """A Parquet file, a row group at a time."""

    def __init__(self, layout: Layout, path: Path) -> None:
        from pyarrow.parquet import ParquetWriter

        self._rows = layout.rows()
        self._file = ParquetWriter(path, self._rows.schema)
        self._waiting: list[Record] = []

    def write(self, record: Record) -> None:
        self._waiting.append(record)
        if len(self._waiting) == GROUP_ROWS:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._file.close()

    def _flush(self) -> None:
        if self._waiting:
            self._file.write_table(self._rows.table(self._waiting))
            self._waiting = []
