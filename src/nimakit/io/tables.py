"""Read tables of ratings row by row: CSV, TSV and JSON Lines; every bad row is reported by its line."""

import codecs
import csv
import difflib
import json
import math
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

from nimakit.errors import LabelError, first_few
from nimakit.io.delimited import column_name, decimal_point, read_header, rows_of, unescape_formula
from nimakit.io.rules import described

SUFFIXES = (".csv", ".tsv", ".jsonl")
_MAX_LISTED = 20
_MAX_NUMBER = 1e12


class BadRows:
    """Collects the problems of bad rows, which are then skipped or refused all together.

    Args:
        skip: Whether to skip bad rows rather than refuse them.
        remedy: A sentence for the error message that says how to skip them.
        naming: A sentence for the error message of a missing column.

    Attributes:
        problems: A line for each bad row: file, line number and problem.
    """

    def __init__(
        self,
        *,
        skip: bool = False,
        remedy: str = "--skip-bad leaves them out.",
        naming: str = "Rename one, or say which column it is.",
    ) -> None:
        self.skip = skip
        self.remedy = remedy
        self.naming = naming
        self.problems: list[str] = []

    def add(self, path: Path, line: int, problem: str) -> None:
        """Add a bad row.

        Args:
            path: Its file.
            line: Its line in the file, from 1.
            problem: The rule and what was received: "rating must be a number; received 'x'".
        """
        self.problems.append(f"{path}, line {line}: {problem}")

    def refuse(self) -> None:
        """Raise an error if there are bad rows, unless they are to be skipped.

        Raises:
            LabelError: There are bad rows; up to twenty are listed.
        """
        if self.problems and not self.skip:
            raise LabelError("\n  ".join([f"{self._count()}:", *self.listed(), self.remedy]))

    def listed(self) -> list[str]:
        """The first twenty problems, and how many more there are."""
        return first_few(self.problems, _MAX_LISTED)

    def _count(self) -> str:
        count = len(self.problems)
        return f"{count} bad row{'' if count == 1 else 's'}"

    def __str__(self) -> str:
        return "\n  ".join([f"{self._count()} left out:", *self.listed()])


class Row(NamedTuple):
    """A row of a table.

    Attributes:
        line: Line of the file that it begins in, from 1.
        values: Text of the required columns, in the order requested, stripped and not empty.
        others: Text of the optional columns; None for a column that the table does not have.
    """

    line: int
    values: tuple[str, ...]
    others: tuple[str | None, ...]


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Read the lines of a text file that are not empty.

    Args:
        path: Text in UTF-8, or in UTF-16 with a byte-order mark.

    Yields:
        Line number, from 1, and text without surrounding space.

    Raises:
        LabelError: No such file, or text in another encoding.
    """
    with _opened(path) as stream:
        for number, line in enumerate(stream, start=1):
            if text := line.strip():
                yield number, text


@contextmanager
def _opened(path: Path) -> Iterator[IO[str]]:
    try:
        with path.open("rb") as stream:
            mark = stream.read(2)
        encoding = "utf-16" if mark in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
        with path.open(encoding=encoding, newline="") as stream:
            yield stream
    except OSError as error:
        raise LabelError(
            f"A file of ratings must be readable. Received: {path} ({error.strerror})"
        ) from error
    except UnicodeDecodeError as error:
        raise LabelError(
            f"A file of ratings must be saved as UTF-8. Received: {path} ({error}); in Excel, save it as"
            ' "CSV UTF-8"'
        ) from error


def read_rows(
    path: Path,
    columns: Sequence[str],
    rows: BadRows,
    *,
    optional: Sequence[str] = (),
    numbers: Collection[str] = (),
) -> Iterator[Row]:
    """Read the rows of a table one at a time, without its empty lines.

    Rows are read by Python's csv and json rather than into a data frame, so that every bad row is reported by
    its line and memory does not grow with the table.

    Args:
        path: .csv, .tsv, or .jsonl (an object per line), in UTF-8, or in UTF-16 with a byte-order mark. A
            .csv or .tsv begins with a header, from which the delimiter is inferred, or with a line "sep=;".
        columns: Names of the required columns.
        rows: Collects rows that are malformed or lack a value.
        optional: Names of columns that may be missing.
        numbers: Names of the columns of numbers: 7,5 becomes 7.5 in them, unless commas separate the values.

    Yields:
        The good rows, in order.

    Raises:
        LabelError: No such file, another suffix or encoding, an empty file, a column that is missing or there
            twice, or a quotation mark that is not closed.
    """
    read = _json_rows if _suffix(path) == ".jsonl" else _csv_rows
    with _opened(path) as stream:
        yield from read(path, stream, _Wanted(columns, optional, numbers), rows)


def read_column_names(path: Path, wanted: Collection[str]) -> list[str]:
    """Read only the column names of a table; for a .jsonl, the keys of its first object.

    Args:
        path: As for `read_rows`.
        wanted: Column names to expect, for inferring the delimiter.

    Raises:
        LabelError: No such file, or another suffix or encoding.
    """
    suffix = _suffix(path)
    with _opened(path) as stream:
        if suffix != ".jsonl":
            return read_header(stream, suffix, wanted).names
        try:
            record = json.loads(next(filter(str.strip, stream), ""))
        except (ValueError, RecursionError):
            return []  # `read_rows` reports it
        return list(record) if isinstance(record, dict) else []


def _suffix(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise LabelError(
            f'A table ends in {", ".join(SUFFIXES)}. Received: {path}; in Excel, save it as "CSV UTF-8", and'
            " rename text with tabs (.txt) to .tsv"
        )
    return suffix


class _Wanted(NamedTuple):
    """Names of the columns to read, as in `read_rows`."""

    columns: Sequence[str]
    optional: Sequence[str]
    numbers: Collection[str]


def _csv_rows(path: Path, stream: IO[str], wanted: _Wanted, rows: BadRows) -> Iterator[Row]:
    names = [column_name(name) for name in (*wanted.columns, *wanted.optional)]
    header, delimiter, skipped = read_header(stream, path.suffix.lower(), names)
    places = [_place(path, header, name, rows) for name in wanted.columns]
    others = [
        _place(path, header, name, rows) if column_name(name) in header else None for name in wanted.optional
    ]
    numeric = [header.index(name) for name in map(column_name, wanted.numbers) if name in header]
    reader = rows_of(stream, delimiter)
    while True:
        line = skipped + reader.line_num + 1
        try:
            fields = [unescape_formula(field.strip()) for field in next(reader)]
        except StopIteration:
            return
        except csv.Error as error:
            # An open quotation mark swallows the rows after it: skipping only "one row" would lose them all.
            if skipped + reader.line_num > line or "unexpected end" in str(error):
                raise LabelError(
                    f"Every quotation mark in a table must be closed. Received: {path}, where the row that"
                    f" begins in line {line} has an open one ({error})"
                ) from error
            rows.add(path, line, f"it is not a row of a table: {error}")
            continue
        if not any(fields):
            continue
        while len(fields) > len(header) and not fields[-1]:
            fields.pop()
        if len(fields) != len(header):
            rows.add(path, line, f"it has {len(fields)} values, the header {len(header)}")
            continue
        for place in numeric:
            fields[place] = decimal_point(fields[place], delimiter)
        row = Row(
            line, tuple(fields[i] for i in places), tuple(None if i is None else fields[i] for i in others)
        )
        if _complete(path, row, wanted.columns, rows):
            yield row


def _place(path: Path, header: Sequence[str], wanted: str, rows: BadRows) -> int:
    name = column_name(wanted)
    if header.count(name) == 1:
        return header.index(name)
    near = [] if name in header else difflib.get_close_matches(name, header, n=1)
    raise LabelError(
        f"The table needs one column {name!r}. Received: {path}, with"
        f" {', '.join(map(repr, header)) if header else 'no header'}"
        + (f" (nearest: {near[0]!r})" if near else "")
        + (f". {rows.naming}" if header else ".")
    )


def _json_rows(path: Path, stream: IO[str], wanted: _Wanted, rows: BadRows) -> Iterator[Row]:
    columns, optional, _ = wanted
    empty = True
    for line, text in enumerate(stream, start=1):
        if not text.strip():
            continue
        empty = False
        try:
            record = json.loads(text)
        except (ValueError, RecursionError) as error:
            rows.add(path, line, f"it is not JSON: {error}")
            continue
        if not isinstance(record, dict):
            rows.add(path, line, f"it must be a JSON object; received {described(record)}")
            continue
        wrong = [name for name in columns if name in record and not _is_plain(record[name])]
        wrong += [name for name in optional if record.get(name) is not None and not _is_plain(record[name])]
        if wrong:
            received = " and ".join(described(record[name]) for name in wrong)
            rows.add(path, line, f"{' and '.join(wrong)} must be text or a number; received {received}")
            continue
        row = Row(
            line,
            tuple(_text(record.get(name)) for name in columns),
            tuple(_text(record[name]) if name in record else None for name in optional),
        )
        if _complete(path, row, columns, rows):
            yield row
    if empty:
        raise LabelError(f"A table has at least one row. Received: {path}, which is empty")


def _is_plain(value: Any) -> bool:
    """Whether a JSON value could also be in a .csv."""
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def _text(value: str | float | None) -> str:
    """A JSON value as the text that a .csv would have."""
    return "" if value is None else str(value).strip()


def _complete(path: Path, row: Row, columns: Sequence[str], rows: BadRows) -> bool:
    missing = [name for name, value in zip(columns, row.values, strict=True) if not value]
    if missing:
        rows.add(path, row.line, f"{' and '.join(missing)} must not be empty")
        return False
    if any("\0" in value for value in row.values):  # a crash can leave a file of zeros
        rows.add(path, row.line, "it contains a zero byte")
        return False
    return True


def number(text: str, low: float = -math.inf, high: float = math.inf, *, name: str = "it") -> float:
    """Parse a number of a row.

    Args:
        text: Its text.
        low: Lowest number allowed.
        high: Highest number allowed.
        name: Name of its column, for the message.

    Returns:
        A finite number of at most 1e12 in size.

    Raises:
        ValueError: It is not a number, or out of range.

    >>> number("7.5", 1, 10)
    7.5
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if "_" in text or not (abs(value) <= _MAX_NUMBER and low <= value <= high):
        span = "" if math.isinf(low) and math.isinf(high) else f" from {low:g} to {high:g}"
        raise ValueError(f"{name} must be a number{span}; received {text!r}")
    return value
