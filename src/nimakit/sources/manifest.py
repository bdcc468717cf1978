"""Manifests: tables and lists of the paths or URLs of photographs."""

import posixpath
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from nimakit.errors import LabelError, UsageError, require_extra
from nimakit.io.tables import SUFFIXES as TABLES
from nimakit.io.tables import BadRows, read_lines, read_rows
from nimakit.sources.places import is_stored, local_copy, opened, reason
from nimakit.sources.reading import Entry

SUFFIXES = (".txt", *TABLES, ".parquet")
_PARQUET_ROWS = 4096


class Manifest:
    """A list of photographs; iterating reads it from its beginning.

    Args:
        place: Path or URL: .txt (one path or URL a line), .csv, .tsv, .jsonl or .parquet.
        image_column: Column of the path or URL. A relative path counts from the folder of the manifest.
        id_column: Column of the id, which records give as ``image_id``; without it the path or URL as the
            manifest has it.
        notify: Called with a sentence about rows that are left out.
    """

    def __init__(
        self, place: str, *, image_column: str, id_column: str | None, notify: Callable[[str], None]
    ) -> None:
        self._place = place
        self._columns = [image_column, *([id_column] if id_column else [])]
        self._folder = posixpath.dirname(place) if is_stored(place) else str(Path(place).parent)
        self._notify = notify

    def count(self) -> int:
        """The number of rows, a little too high where some are empty; without reading their values."""
        if self._suffix == ".parquet":
            with opened(self._place, "manifest") as stream:
                return int(_parquet(self._place, stream).metadata.num_rows)
        with opened(self._place, "manifest") as stream:
            lines = sum(1 for _ in stream)
        return max(lines - (self._suffix in (".csv", ".tsv")), 0)

    def __iter__(self) -> Iterator[Entry]:
        """Read the rows.

        Raises:
            UsageError: The manifest cannot be read, or lacks a column.
        """
        bad = BadRows(skip=True)
        for place, *others in self._rows(bad):
            yield Entry(image_id=others[0] if others else place, place=self._resolve(place))
        if bad.problems:
            self._notify(str(bad))

    @property
    def _suffix(self) -> str:
        return posixpath.splitext(self._place)[1].lower()

    def _resolve(self, place: str) -> str:
        if "://" in place or place.startswith("/"):
            return place
        return f"{self._folder}/{place}" if is_stored(self._folder) else str(Path(self._folder, place))

    def _rows(self, bad: BadRows) -> Iterator[tuple[str, ...]]:
        if self._suffix == ".parquet":
            yield from self._parquet_rows(bad)
            return
        with local_copy(self._place, "manifest") as path:
            try:
                if self._suffix == ".txt":
                    yield from ((line,) for _, line in read_lines(path))
                else:
                    yield from (row.values for row in read_rows(path, self._columns, bad))
            except LabelError as error:  # its rules are those of every table
                raise UsageError(str(error).replace(str(path), self._place)) from error

    def _parquet_rows(self, bad: BadRows) -> Iterator[tuple[str, ...]]:
        with opened(self._place, "manifest") as stream:
            file = _parquet(self._place, stream)
            names = file.schema_arrow.names
            missing = [column for column in self._columns if column not in names]
            if missing:
                raise UsageError(
                    f"The manifest needs the column {missing[0]!r}. Received: {self._place}, with"
                    f" {', '.join(map(repr, names))}. Say which it is with --image-column or --id-column."
                )
            row = 0
            for batch in file.iter_batches(_PARQUET_ROWS, columns=self._columns):
                columns = [batch.column(name).to_pylist() for name in self._columns]
                for values in zip(*columns, strict=True):
                    row += 1
                    texts = tuple("" if value is None else str(value).strip() for value in values)
                    if all(texts):
                        yield texts
                    else:
                        empty = self._columns[texts.index("")]
                        bad.add(Path(self._place), row, f"{empty} must not be empty")


def _parquet(place: str, stream: Any) -> Any:
    """A Parquet file (`pyarrow.parquet.ParquetFile`)."""
    require_extra("parquet", "Parquet files need pyarrow.", "pyarrow.parquet")
    from pyarrow import ArrowInvalid
    from pyarrow.parquet import ParquetFile

    try:
        return ParquetFile(stream)
    except (ArrowInvalid, OSError) as error:
        raise UsageError(
            f"The manifest must be a Parquet file. Received: {place} ({reason(error)})"
        ) from error
