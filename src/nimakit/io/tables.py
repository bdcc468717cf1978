"""Tables of people's ratings, row by row: CSV, TSV and JSON Lines, with a note of every row that is wrong."""

import codecs
import csv
import difflib
import json
import math
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

from nimakit.errors import LabelError
from nimakit.io.delimited import Lines, as_meant, column_name, decimal_point, read_header, rows_of
from nimakit.io.rules import described

SUFFIXES = (".csv", ".tsv", ".jsonl")
_LISTED = 20
_LARGEST = 1e12


class BadRows:
    """Collects what is wrong with rows, and in the end refuses them or leaves them out.

    Args:
        skip: Whether bad rows are left out; else they are refused.
        remedy: How whoever reads the refusal has them left out.

    Attributes:
        problems: A line for each bad row: file, line number, and what is wrong.
    """

    def __init__(self, *, skip: bool = False, remedy: str = "--skip-bad leaves them out.") -> None:
        self.skip = skip
        self.remedy = remedy
        self.problems: list[str] = []

    def add(self, path: Path, line: int, problem: str) -> None:
        """Take note of a bad row.

        Args:
            path: Its file.
            line: Its line in the file, from 1.
            problem: What is wrong, such as "rating must be a number; received 'x'".
        """
        self.problems.append(f"{path}, line {line}: {problem}")

    def refuse(self) -> None:
        """Raise for the rows noted so far, unless they are to be left out.

        Raises:
            LabelError: There are bad rows; up to twenty are listed.
        """
        if self.problems and not self.skip:
            raise LabelError("\n  ".join([f"{self._count()}:", *self.listed(), self.remedy]))

    def listed(self) -> list[str]:
        """The first twenty, and how many more there are."""
        more = len(self.problems) - _LISTED
        return [*self.problems[:_LISTED], *([f"and {more} more"] if more > 0 else [])]

    def _count(self) -> str:
        count = len(self.problems)
        return f"{count} bad row{'' if count == 1 else 's'}"

    def __str__(self) -> str:
        return "\n  ".join([f"{self._count()} left out:", *self.listed()])


class Row(NamedTuple):
    """One row of a table, its values in the order they were asked for.

    Attributes:
        line: Where it begins in the file, from 1.
        values: Of the required columns; text without surrounding space, never empty.
        others: Of the optional columns; None where the table has no such column.
    """

    line: int
    values: tuple[str, ...]
    others: tuple[str | None, ...]


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a text file that are not empty, each with its number.

    Args:
        path: Text in UTF-8, or in UTF-16 with a byte-order mark.

    Yields:
        Number, from 1, and text without surrounding space.

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
    """The rows of a table, whatever its size in little memory; empty lines are passed over.

    Args:
        path: .csv, .tsv, or .jsonl (an object a line), in UTF-8, or in UTF-16 with a byte-order mark. A .csv
            and a .tsv begin with a header, which also shows what separates the values, or with sep=; before
            the header.
        columns: Names of the columns that must be there.
        rows: Takes note of each row that is broken or lacks a value.
        optional: Names of columns that may be missing.
        numbers: Names of those columns whose values are numbers: 7,5 becomes 7.5 there, where values are not
            separated by commas.

    Yields:
        The good rows, in order.

    Raises:
        LabelError: No such file, another suffix or encoding, an empty file, or a column that is missing or
            there twice.
    """
    read = _json_rows if _suffix(path) == ".jsonl" else _csv_rows
    with _opened(path) as stream:
        yield from read(path, stream, _Wanted(columns, optional, numbers), rows)


def read_column_names(path: Path, wanted: Collection[str]) -> list[str]:
    """The columns of a table, without reading it; of a .jsonl the keys of its first object.

    Args:
        path: As for `read_rows`.
        wanted: Names that columns may have.

    Raises:
        LabelError: No such file, or another suffix or encoding.
    """
    suffix = _suffix(path)
    with _opened(path) as stream:
        if suffix != ".jsonl":
            return read_header(Lines(stream), suffix, wanted).names
        try:
            record = json.loads(next(filter(str.strip, stream), ""))
        except (ValueError, RecursionError):
            return []  # `read_rows` says so
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
    """Names of the columns that are read, as `read_rows` has them."""

    columns: Sequence[str]
    optional: Sequence[str]
    numbers: Collection[str]


def _csv_rows(path: Path, stream: IO[str], wanted: _Wanted, rows: BadRows) -> Iterator[Row]:
    lines = Lines(stream)
    names = [column_name(name) for name in (*wanted.columns, *wanted.optional)]
    header, delimiter = read_header(lines, path.suffix.lower(), names)
    places = [_place(path, header, name) for name in wanted.columns]
    others = [_place(path, header, name) if column_name(name) in header else None for name in wanted.optional]
    numeric = [header.index(name) for name in map(column_name, wanted.numbers) if name in header]
    reader = rows_of(lines, delimiter)
    while True:
        line = lines.begin_row()
        try:
            fields = [as_meant(field.strip()) for field in next(reader)]
        except StopIteration:
            return
        except csv.Error as error:
            is_unclosed = lines.give_back() or "unexpected end" in str(error)
            why = ", because a quotation mark is not closed" if is_unclosed else ""
            rows.add(path, line, f"it is no row of a table: {error}{why}")
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


def _place(path: Path, header: Sequence[str], wanted: str) -> int:
    name = column_name(wanted)
    if header.count(name) == 1:
        return header.index(name)
    near = [] if name in header else difflib.get_close_matches(name, header, n=1)
    raise LabelError(
        f"The table needs one column {name!r}. Received: {path}, with"
        f" {', '.join(map(repr, header)) if header else 'no header'}"
        + (f" (nearest: {near[0]!r})" if near else "")
        + (". Rename one, or say which column it is." if header else ".")
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
            rows.add(path, line, f"it is no JSON: {error}")
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
    """Whether a .csv could have a JSON value, too."""
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def _text(value: str | float | None) -> str:
    """A JSON value as a .csv would have it."""
    return "" if value is None else str(value).strip()


def _complete(path: Path, row: Row, columns: Sequence[str], rows: BadRows) -> bool:
    missing = [name for name, value in zip(columns, row.values, strict=True) if not value]
    if missing:
        rows.add(path, row.line, f"{' and '.join(missing)} must not be empty")
        return False
    if any("\0" in value for value in row.values):  # what a crash leaves of a file
        rows.add(path, row.line, "it holds a zero byte")
        return False
    return True


def number(text: str, low: float = -math.inf, high: float = math.inf, *, name: str = "it") -> float:
    """A number of a row.

    Args:
        text: Its text.
        low: Lowest number that is allowed.
        high: Highest.
        name: Of its column, for the message.

    Returns:
        A number whose size is no accident: 1e12 at most.

    Raises:
        ValueError: It is none, or out of range.

    >>> number("7.5", 1, 10)
    7.5
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if "_" in text or not (abs(value) <= _LARGEST and low <= value <= high):
        span = "" if math.isinf(low) and math.isinf(high) else f" from {low:g} to {high:g}"
        raise ValueError(f"{name} must be a number{span}; received {text!r}")
    return value
