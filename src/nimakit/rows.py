"""Tables of people's ratings, row by row: CSV, TSV and JSON Lines, with a note of every row that is wrong."""

import csv
import difflib
import json
import math
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple, Self

from nimakit.errors import LabelError

SUFFIXES = (".csv", ".tsv", ".jsonl")
_LISTED = 20
_LARGEST = 1e12


class BadRows:
    """Collects what is wrong with rows, and in the end refuses them or leaves them out.

    Args:
        skip: Whether bad rows are left out; else they are refused.

    Attributes:
        problems: A line for each bad row: file, line number, and what is wrong.
    """

    def __init__(self, *, skip: bool = False) -> None:
        self.skip = skip
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
            raise LabelError(
                "\n  ".join([f"{self._count()}:", *self.listed(), "--skip-bad leaves them out."])
            )

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
        path: Text in UTF-8.

    Yields:
        Number, from 1, and text without surrounding space.

    Raises:
        LabelError: No such file, or no UTF-8.
    """
    with _opened(path) as stream:
        for number, line in enumerate(stream, start=1):
            if text := line.strip():
                yield number, text


@contextmanager
def _opened(path: Path) -> Iterator[IO[str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            yield stream
    except OSError as error:
        raise LabelError(
            f"A file of ratings must be readable. Received: {path} ({error.strerror})"
        ) from error
    except UnicodeDecodeError as error:
        raise LabelError(f"A file of ratings must be saved as UTF-8. Received: {path} ({error})") from error


def read_rows(
    path: Path, columns: Sequence[str], rows: BadRows, *, optional: Sequence[str] = ()
) -> Iterator[Row]:
    """The rows of a table, whatever its size in little memory; empty lines are passed over.

    Args:
        path: .csv (with commas, or with semicolons where the header has those alone), .tsv, or .jsonl (an
            object a line), in UTF-8. A .csv and a .tsv begin with a header.
        columns: Names of the columns that must be there.
        rows: Takes note of each row that is broken or lacks a value.
        optional: Names of columns that may be missing.

    Yields:
        The good rows, in order.

    Raises:
        LabelError: No such file, another suffix, no UTF-8, an empty file, or a column that is missing.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise LabelError(f"A table ends in {', '.join(SUFFIXES)}. Received: {path}")
    read = _json_rows if path.suffix.lower() == ".jsonl" else _csv_rows
    with _opened(path) as stream:
        yield from read(path, stream, columns, optional, rows)


def _csv_rows(
    path: Path, stream: IO[str], columns: Sequence[str], optional: Sequence[str], rows: BadRows
) -> Iterator[Row]:
    first = stream.readline()
    delimiters = {".tsv": "\t", ".csv": ";" if ";" in first and "," not in first else ","}
    delimiter = delimiters[path.suffix.lower()]
    header = [name.strip() for name in next(csv.reader([first], delimiter=delimiter), [])]
    places = [_place(path, header, name) for name in columns]
    others = [header.index(name) if name in header else None for name in optional]
    lines = _Lines(stream, first=2)
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)
    while True:
        line = lines.begin_row()
        try:
            fields = [field.strip() for field in next(reader)]
        except StopIteration:
            return
        except csv.Error as error:
            unclosed = ", as a quotation mark is not closed" if lines.give_back() else ""
            rows.add(path, line, f"it is no row of a table: {error}{unclosed}")
            continue
        if not any(fields):
            continue
        if len(fields) != len(header):
            rows.add(path, line, f"it has {len(fields)} values, the header {len(header)}")
            continue
        row = Row(
            line, tuple(fields[i] for i in places), tuple(None if i is None else fields[i] for i in others)
        )
        if _complete(path, row, columns, rows):
            yield row


class _Lines:
    """Lines for a reader of rows, which may span several.

    A quotation mark that is not closed makes one row of all that follows: those lines are given back.
    """

    def __init__(self, stream: IO[str], *, first: int) -> None:
        self._stream = stream
        self._next = first
        self._row: list[str] = []
        self._waiting: deque[str] = deque()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        line = self._waiting.popleft() if self._waiting else next(self._stream)
        self._row.append(line)
        return line

    def begin_row(self) -> int:
        """The number of the line the next row begins with."""
        self._next += len(self._row)
        self._row.clear()
        return self._next

    def give_back(self) -> bool:
        """Take off the row all lines but its first, to be read as rows; whether there are any."""
        given = self._row[1:]
        self._waiting.extendleft(reversed(given))
        del self._row[1:]
        return bool(given)


def _place(path: Path, header: Sequence[str], name: str) -> int:
    if header.count(name) == 1:
        return header.index(name)
    near = [] if name in header else difflib.get_close_matches(name, header, n=1)
    raise LabelError(
        f"The table needs one column {name!r}. Received: {path}, with"
        f" {', '.join(map(repr, header)) if header else 'no header'}"
        + (f" (nearest: {near[0]!r})" if near else "")
        + (". Rename one, or say which column it is." if header else ".")
    )


def _json_rows(
    path: Path, stream: IO[str], columns: Sequence[str], optional: Sequence[str], rows: BadRows
) -> Iterator[Row]:
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
            rows.add(path, line, "it must be a JSON object")
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


def _text(value: Any) -> str:
    """A JSON value as a .csv would have it; what a .csv cannot have counts as missing."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return str(value).strip()


def _complete(path: Path, row: Row, columns: Sequence[str], rows: BadRows) -> bool:
    missing = [name for name, value in zip(columns, row.values, strict=True) if not value]
    if missing:
        rows.add(path, row.line, f"{' and '.join(missing)} must not be empty")
        return False
    if any("\0" in value for value in row.values):  # what a crash leaves of a file
        rows.add(path, row.line, "it holds a zero byte")
        return False
    return True


def number(text: str, low: float = -math.inf, high: float = math.inf) -> float:
    """A number of a row.

    Args:
        text: Its text.
        low: Lowest number that is allowed.
        high: Highest.

    Returns:
        A number whose size is no accident: 1e12 at most.

    Raises:
        ValueError: It is none, or out of range; the message follows the name of the column.

    >>> number("7.5", 1, 10)
    7.5
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (abs(value) <= _LARGEST and low <= value <= high):
        span = "" if math.isinf(low) and math.isinf(high) else f" from {low:g} to {high:g}"
        raise ValueError(f"must be a number{span}; received {text!r}")
    return value
