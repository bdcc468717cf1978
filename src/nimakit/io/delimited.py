"""Delimited text: read as spreadsheets and forms export it, and written so that no cell becomes a formula."""

import csv
import re
import unicodedata
from collections.abc import Collection, Iterable
from typing import IO, TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from _csv import Reader

_DELIMITERS = {".csv": ",;\t|", ".tsv": "\t,;|"}
_SEP_LINE = re.compile(r'"?sep=([^"\r\n])"?[,;\t|]*[\r\n]*', re.IGNORECASE)
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+")

_FORMULA = re.compile(r"'*[=+\-@\t\r\n]")
_NUMBER = re.compile(r"[+-]\d+(\.\d+)?([eE][+-]?\d+)?")


class TableWriter:
    """Writes a .csv row by row. Its text may come from strangers, so no cell becomes a formula.

    Args:
        stream: Text, opened with newline="".
    """

    def __init__(self, stream: IO[str]) -> None:
        self._csv = csv.writer(stream, lineterminator="\n")
        self._quoting = csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_ALL)

    def row(self, cells: Iterable[object]) -> None:
        """Write a row; cells of text are passed through `escape_formula`."""
        texts = [
            "" if cell is None else escape_formula(cell) if isinstance(cell, str) else str(cell)
            for cell in cells
        ]
        # Python does not quote a carriage return, which readers take for the end of a row.
        writer = self._quoting if any("\r" in text for text in texts) else self._csv
        writer.writerow(texts)


def escape_formula(text: str) -> str:
    """Put an apostrophe before text that begins like a formula, so that spreadsheets show it as text.

    Numbers are not changed. Text that begins with apostrophes and then like a formula gets one more, so that
    `unescape_formula` restores every text.

    >>> escape_formula("=HYPERLINK(1)"), escape_formula("'=1"), escape_formula("-1.5"), escape_formula("it's")
    ("'=HYPERLINK(1)", "''=1", '-1.5', "it's")
    """
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def unescape_formula(text: str) -> str:
    """Undo `escape_formula`.

    >>> unescape_formula("'=HYPERLINK(1)"), unescape_formula("''=1"), unescape_formula("'a")
    ('=HYPERLINK(1)', "'=1", "'a")
    """
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


class Header(NamedTuple):
    """The header of a table.

    Attributes:
        names: Column names, normalised by `column_name`, without empty ones at the end; empty if the header's
            quotation marks do not match.
        delimiter: The character between values.
        lines: Number of lines up to the end of the header.
    """

    names: list[str]
    delimiter: str
    lines: int


def column_name(text: str) -> str:
    r"""Normalise a column's name for comparison: white space as single spaces, in NFC.

    >>> column_name("\ufeffWhich photo?\n(file\u00a0name) ")
    'Which photo? (file name)'
    """
    return " ".join(unicodedata.normalize("NFC", text).replace("\ufeff", "").split())


def read_header(stream: IO[str], suffix: str, wanted: Collection[str]) -> Header:
    """Read the header, and the line "sep=;" before it that Excel understands, if there is one.

    Without such a line, the delimiter is the character that finds most of the wanted columns; if several do,
    one that leaves no quotation mark within a name, then the one that gives most columns.

    Args:
        stream: Seekable text, at its beginning; afterwards at the first row after the header.
        suffix: .csv or .tsv: prefer commas or tabs if nothing else decides.
        wanted: Column names, normalised by `column_name`.
    """
    match = _SEP_LINE.fullmatch(stream.readline())
    if match:
        header = _read_header(stream, match[1])
        return header._replace(lines=header.lines + 1)

    def merit(delimiter: str) -> tuple[int, bool, int]:
        stream.seek(0)
        names = _read_header(stream, delimiter).names
        return len(set(wanted) & set(names)), not any('"' in name for name in names), len(names)

    delimiter = max(_DELIMITERS[suffix], key=merit)
    stream.seek(0)
    return _read_header(stream, delimiter)


def _read_header(stream: IO[str], delimiter: str) -> Header:
    rows = rows_of(stream, delimiter)
    try:
        names = [column_name(name) for name in next(rows, [])]
    except csv.Error:
        names = []
    while names and not names[-1]:
        names.pop()
    return Header(names, delimiter, rows.line_num)


def rows_of(stream: IO[str], delimiter: str) -> "Reader":
    """A csv reader that raises csv.Error for a malformed row, and can continue after it."""
    return csv.reader(stream, delimiter=delimiter, skipinitialspace=True, strict=True)


def decimal_point(text: str, delimiter: str) -> str:
    r"""Replace the decimal comma of a number by a point, if the comma cannot mean anything else.

    In a table delimited by commas it separates values. In one with semicolons it is Excel's decimal point. In
    one with tabs, 1,234 is ambiguous and is not changed.

    >>> decimal_point("7,5", ";"), decimal_point("7,5", ","), decimal_point("1,234", "\t")
    ('7.5', '7,5', '1,234')
    """
    is_decimal = delimiter != "," and _DECIMAL_COMMA.fullmatch(text)
    if not is_decimal or (delimiter != ";" and _THOUSANDS.fullmatch(text)):
        return text
    return text.replace(",", ".")
