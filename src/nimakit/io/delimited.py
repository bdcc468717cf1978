"""Delimited text: read as spreadsheets and forms export it, and written so that no cell becomes a formula."""

import csv
import re
import unicodedata
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from typing import IO, NamedTuple, Self

_DELIMITERS = {".csv": ",;\t|", ".tsv": "\t,;|"}
_SEP_LINE = re.compile(r'"?sep=([^"\r\n])"?[,;\t|]*[\r\n]*', re.IGNORECASE)
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+")

_FORMULA = re.compile(r"'*[=+\-@\t\r\n]")
_NUMBER = re.compile(r"[+-]\d+(\.\d+)?([eE][+-]?\d+)?")


class TableWriter:
    """Writes a .csv, a row after the other; names in it come from strangers, and no cell becomes a formula.

    Args:
        stream: Text, opened with newline="".
    """

    def __init__(self, stream: IO[str]) -> None:
        self._csv = csv.writer(stream, lineterminator="\n")
        self._quoting = csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_ALL)

    def row(self, cells: Iterable[object]) -> None:
        """Write a row; text among the cells as `inert` has it."""
        texts = [
            "" if cell is None else inert(cell) if isinstance(cell, str) else str(cell) for cell in cells
        ]
        # Python puts no quotation marks around a carriage return, which ends a row for those who read it.
        writer = self._quoting if any("\r" in text for text in texts) else self._csv
        writer.writerow(texts)


def inert(text: str) -> str:
    """Text that a spreadsheet shows rather than runs: an apostrophe is put before what begins like a formula.

    Numbers stay as they are. What begins with apostrophes and then like a formula gets one more, so that
    `as_meant` gives every text back.

    >>> inert("=HYPERLINK(1)"), inert("'=1"), inert("-1.5"), inert("it's")
    ("'=HYPERLINK(1)", "''=1", '-1.5', "it's")
    """
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def as_meant(text: str) -> str:
    """What `inert` was given.

    >>> as_meant("'=HYPERLINK(1)"), as_meant("''=1"), as_meant("'a")
    ('=HYPERLINK(1)', "'=1", "'a")
    """
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


class Lines:
    """Lines for a reader of rows, which may span several.

    A quotation mark that is not closed makes one row of all that follows: those lines are given back.

    Args:
        lines: With their ends.
    """

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._next = 1
        self._row: list[str] = []
        self._waiting: deque[str] = deque()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        line = self._waiting.popleft() if self._waiting else next(self._lines)
        self._row.append(line)
        return line

    def begin_row(self) -> int:
        """The number of the line the next row begins with."""
        self._next += len(self._row)
        self._row.clear()
        return self._next

    def give_back(self, *, keep: int = 1) -> bool:
        """Take off the row all lines but its first, to be read as rows; whether there are any.

        Args:
            keep: How many lines stay with the row.
        """
        given = self._row[keep:]
        self._waiting.extendleft(reversed(given))
        del self._row[keep:]
        return bool(given)


class Header(NamedTuple):
    """What the beginning of a table says.

    Attributes:
        names: Of its columns, as `column_name` has them, without the empty ones at the end; none where its
            quotation marks do not match.
        delimiter: What separates the values.
    """

    names: list[str]
    delimiter: str


def column_name(text: str) -> str:
    r"""A column's name as names are compared: its space and line breaks as single spaces, in NFC.

    >>> column_name("\ufeffWhich photo?\n(file\u00a0name) ")
    'Which photo? (file name)'
    """
    return " ".join(unicodedata.normalize("NFC", text).replace("\ufeff", "").split())


def read_header(lines: Lines, suffix: str, wanted: Collection[str]) -> Header:
    """Read the header, and the line sep=; that Excel obeys, where there is one.

    Without such a line values are separated by the character that gives most of the wanted columns; then by
    the one that leaves no quotation mark within a name; then by the one that gives most columns.

    Args:
        lines: The table from its beginning; those of the header are read afterwards.
        suffix: .csv or .tsv: commas or tabs where nothing else decides.
        wanted: Names of columns, as `column_name` has them.
    """
    match = _SEP_LINE.fullmatch(next(lines, ""))
    if match:
        lines.begin_row()
        return Header(_names(lines, match[1]), match[1])
    lines.give_back(keep=0)
    found = []
    for delimiter in _DELIMITERS[suffix]:
        found.append(Header(_names(lines, delimiter), delimiter))
        lines.give_back(keep=0)

    def merit(header: Header) -> tuple[int, bool, int]:
        names = header.names
        return len(set(wanted) & set(names)), not any('"' in name for name in names), len(names)

    delimiter = max(found, key=merit).delimiter
    return Header(_names(lines, delimiter), delimiter)


def _names(lines: Lines, delimiter: str) -> list[str]:
    try:
        names = [column_name(name) for name in next(rows_of(lines, delimiter), [])]
    except csv.Error:
        return []
    while names and not names[-1]:
        names.pop()
    return names


def rows_of(lines: Lines, delimiter: str) -> Iterator[list[str]]:
    """A reader of rows; it raises csv.Error for a row that is none, and can go on."""
    return csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)


def decimal_point(text: str, delimiter: str) -> str:
    r"""A number whose decimal comma became a point, where a comma can be nothing else.

    In a table with commas it separates values. In one with semicolons it is Excel's decimal point. In one
    with tabs, 1,234 may be either and stays as it is.

    >>> decimal_point("7,5", ";"), decimal_point("7,5", ","), decimal_point("1,234", "\t")
    ('7.5', '7,5', '1,234')
    """
    is_decimal = delimiter != "," and _DECIMAL_COMMA.fullmatch(text)
    if not is_decimal or (delimiter != ";" and _THOUSANDS.fullmatch(text)):
        return text
    return text.replace(",", ".")
