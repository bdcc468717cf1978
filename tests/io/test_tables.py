"""nimakit.io.tables: tables row by row, and what is wrong with them."""

import json
from pathlib import Path

import pytest

from nimakit.errors import LabelError
from nimakit.io.tables import BadRows, Row, number, read_column_names, read_lines, read_rows

HEADER = "image_id,rating"


def _write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def _read(path: Path, *columns: str, optional: tuple[str, ...] = ()) -> tuple[list[Row], list[str]]:
    rows = BadRows()
    found = list(read_rows(path, columns or ("image_id", "rating"), rows, optional=optional))
    return found, [problem.removeprefix(f"{path}, ") for problem in rows.problems]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", "rating,image_id,more\n5,a b,x\n\n 6 , c ,y\n"),
        ("t.CSV", 'rating, image_id, more\r\n5, "a b", x\r\n\r\n6, "c", y\r\n'),
        ("t.csv", "rating;image_id;more\n5;a b;x,x\n\n6;c;y\n"),
        ("t.tsv", "rating\timage_id\tmore\n5\ta b\tx,x\n\n6\tc\ty\n"),
        ("t.csv", "\ufeffrating,image_id,more\n5,a b,x\n\n6,c,y"),
        ("t.jsonl", '{"rating": 5, "image_id": "a b"}\n\n{"image_id": " c", "rating": 6, "more": [1]}\n'),
        ("t.jsonl", '\ufeff{"rating": 5, "image_id": "a b"}\n\n{"image_id": " c", "rating": 6}\n'),
        ("t.csv", "rating\timage_id\tmore\n5\ta b\tx,x;x\n\n6\tc\ty\n"),
        ("t.csv", 'image_id;rating;"More, and more, and more"\na b;5;x\n\nc;6;y\n'),
        ("t.csv", "image_id;rating;more, and more, and more\na b;5;x\n\nc;6;y\n"),
        ("t.csv", "image_id\u00a0,\u00a0 rating,more\na b,5,x\n\nc,6,y\n"),
        ("t.csv", "image_id,rating,,\na b,5,,\n\nc,6,,\n"),
        ("t.csv", "image_id,rating\na b,5,,\n\nc,6,\n"),
        ("t.csv", "rating,image_id,more\r5,a b,x\r\r6,c,y\r"),
    ],
    ids=[
        "commas",
        "spaces and quotes",
        "semicolons",
        "tabs",
        "byte order mark",
        "json lines",
        "byte order mark of json lines",
        "tabs in a .csv",
        "commas within a quoted name",
        "commas within a name",
        "no-break spaces around names",
        "empty columns at the end",
        "empty values at the end",
        "carriage returns",
    ],
)
def test_reads_tables_of_each_kind(tmp_path: Path, name: str, text: str) -> None:
    """Values come in the order asked for, without the space around them, with the line they stand on."""
    rows, problems = _read(_write(tmp_path / name, text))
    start = 1 if name == "t.jsonl" else 2
    assert rows == [Row(start, ("a b", "5"), ()), Row(start + 2, ("c", "6"), ())]
    assert problems == []


def test_a_line_number_is_that_of_the_file(tmp_path: Path) -> None:
    """A quoted value may span lines; what follows is still found by its number."""
    path = _write(tmp_path / "t.csv", 'image_id,rating,text\na,1,"two\nlines"\nb,2,one\n')
    assert [row.line for row in _read(path)[0]] == [2, 4]


def test_a_name_in_the_header_may_span_lines(tmp_path: Path) -> None:
    """As forms export their questions; a space in a name may stand for the line break."""
    path = _write(
        tmp_path / "t.csv", '"Which photo?\r\n(file)","How nice?\n1 = bad, 7 = good"\r\na,6\r\nb,"2"\r\n'
    )
    for name in ("Which photo?\n(file)", "Which photo? (file)"):
        rows, _ = _read(path, name, "How nice?\n1 = bad, 7 = good")
        assert rows == [Row(4, ("a", "6"), ()), Row(5, ("b", "2"), ())]


@pytest.mark.parametrize("sep", ["sep=;\r\n", "SEP=;\n", '"sep=;"\n', "sep=;;;\r"])
def test_obeys_the_line_that_names_the_separator(tmp_path: Path, sep: str) -> None:
    """Excel reads it, and does not show it; lines are counted with it."""
    end = sep.lstrip('"sepSEP=;')
    text = sep + end.join(["image_id;rating;a,b,c,d", "x;5;", "y;6;z,z", ""])
    assert _read(_write(tmp_path / "t.csv", text))[0] == [Row(3, ("x", "5"), ()), Row(4, ("y", "6"), ())]
    other = text.replace(";", "^")
    assert len(_read(_write(tmp_path / "t.csv", other.replace("^^^", "^")))[0]) == 2


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("t.csv", "image_id;rating\n1,5;7,5\n", ("1,5", "7.5")),
        ("t.csv", "image_id;rating\n1,5;7,125\n", ("1,5", "7.125")),
        ("t.csv", "image_id;rating\n1,5;1.234,5\n", ("1,5", "1.234,5")),
        ("t.tsv", "image_id\trating\n1,5\t7,5\n", ("1,5", "7.5")),
        ("t.tsv", "image_id\trating\n1,5\t1,234\n", ("1,5", "1,234")),
        ("t.csv", 'image_id,rating\n"1,5","7,5"\n', ("1,5", "7,5")),
        ("t.csv", "image_id;rating\n1,5;7.5\n", ("1,5", "7.5")),
    ],
)
def test_a_comma_is_a_decimal_point_where_it_can_be_nothing_else(
    tmp_path: Path, name: str, text: str, expected: tuple[str, str]
) -> None:
    """In columns of numbers only; where it may separate thousands or values, the text stays as it is."""
    path = _write(tmp_path / name, text)
    [row] = read_rows(path, ("image_id", "rating"), BadRows(), numbers=["rating"])
    assert row.values == expected


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_reads_utf_16_with_a_byte_order_mark(tmp_path: Path, encoding: str) -> None:
    """As Excel saves "Unicode Text", and PowerShell everything."""
    mark = "" if encoding == "utf-16" else "\ufeff"
    path = _write(tmp_path / "t.tsv", f"{mark}image_id\trating\r\nstraße\t7\r\n", encoding)
    assert _read(path)[0] == [Row(2, ("straße", "7"), ())]
    assert read_column_names(path, ()) == ["image_id", "rating"]


def test_names_the_columns_of_a_table_without_reading_it(tmp_path: Path) -> None:
    """Of the header, or of the first object."""
    path = _write(tmp_path / "t.csv", 'sep=;\nphoto;"Rating,\n1 to 7"\n')
    assert read_column_names(path, ()) == ["photo", "Rating, 1 to 7"]
    path = _write(tmp_path / "t.jsonl", '\n{"photo": 1, "rating": 2}\n{')
    assert read_column_names(path, ()) == ["photo", "rating"]
    assert read_column_names(_write(tmp_path / "t.jsonl", "{\n"), ()) == []


def test_tells_a_missing_column_from_an_empty_value(tmp_path: Path) -> None:
    """An optional column is None where the table has none, and empty text where a row has no value."""
    path = _write(tmp_path / "t.csv", "image_id,rating,user\na,1,\n")
    assert _read(path, optional=("user", "time"))[0] == [Row(2, ("a", "1"), ("", None))]
    path = _write(tmp_path / "t.jsonl", '{"image_id": "a", "rating": 1, "user": null}\n')
    assert _read(path, optional=("user", "time"))[0] == [Row(1, ("a", "1"), ("", None))]


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("t.csv", f"{HEADER}\na,1\nb\n", "line 3: it has 1 values, the header 2"),
        ("t.csv", f"{HEADER}\na,1\nb,2,3\n", "line 3: it has 3 values, the header 2"),
        ("t.csv", f"{HEADER}\na,1\n,2\n", "line 3: image_id must not be empty"),
        ("t.csv", f"{HEADER}\na,1\n{'b' * 200_000},2\n", "line 3: it is not a row of a table: field larger"),
        ("t.csv", f"{HEADER}\na,1\n\0\0,2\n", "line 3: it contains a zero byte"),
        ("t.jsonl", '{"image_id": "a", "rating": 1}\n\n{"image_id"\n', "line 3: it is not JSON: "),
        (
            "t.jsonl",
            '{"image_id": "a", "rating": 1}\n[1]\n',
            "line 2: it must be a JSON object; received a list [1]",
        ),
        ("t.jsonl", '{"image_id": "a", "rating": 1}\n{"image_id": "b"}\n', "rating must not be empty"),
        (
            "t.jsonl",
            '{"image_id": "a", "rating": 1}\n{"image_id": "b", "rating": true}\n',
            "line 2: rating must be text or a number; received true",
        ),
        (
            "t.jsonl",
            '{"image_id": "a", "rating": 1}\n{"image_id": "b", "rating": null}\n',
            "line 2: rating must be text or a number; received null",
        ),
        (
            "t.jsonl",
            '{"image_id": "a", "rating": 1}\n{"image_id": {"name": "b"}, "rating": [1]}\n',
            'image_id and rating must be text or a number; received an object {"name": "b"} and a list [1]',
        ),
        ("t.jsonl", '{"image_id": "a", "rating": 1}\n' + "[" * 100_000 + "\n", "line 2: it is not JSON"),
    ],
)
def test_notes_a_bad_row_by_its_line_and_goes_on(tmp_path: Path, name: str, text: str, problem: str) -> None:
    """One row's fault is not the table's."""
    rows, problems = _read(_write(tmp_path / name, text))
    assert [row.values for row in rows] == [("a", "1")]
    assert len(problems) == 1
    assert problem in problems[0]


@pytest.mark.parametrize("rows", ["", "c,3\n", "c,3\n" * 30_000, 'c,3\nd,"4"\n'])
def test_refuses_a_quotation_mark_that_is_not_closed(tmp_path: Path, rows: str) -> None:
    """It could swallow all rows after it, so even skipping bad rows does not accept the table."""
    path = _write(tmp_path / "t.csv", f'{HEADER}\na,1\nb,"2\n{rows}')
    with pytest.raises(LabelError, match=r"must be closed.*begins in line 3 has an open one"):
        _read(path)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.xlsx", "", r"ends in \.csv, \.tsv, \.jsonl"),
        ("t.csv", "", "needs one column 'image_id'.*with no header"),
        ("t.jsonl", "\n", "is empty"),
        ("t.csv", "image,rating\n", r"with 'image', 'rating' \(nearest: 'image'\)\. Rename one, or say"),
        ("t.csv", "image_id,image_id,rating\n", "needs one column 'image_id'"),
        ("t.csv", 'image_id,"rating\na,1\n', "with no header"),
    ],
)
def test_refuses_what_is_no_such_table(tmp_path: Path, name: str, text: str, message: str) -> None:
    """Another suffix, no header, a column that is missing or there twice."""
    with pytest.raises(LabelError, match=message):
        _read(_write(tmp_path / name, text))


def test_refuses_what_cannot_be_read(tmp_path: Path) -> None:
    """A file that is missing, a folder, and one that is no UTF-8."""
    (tmp_path / "folder.csv").mkdir()
    latin = _write(tmp_path / "latin.csv", f"{HEADER}\ncaf\xe9,1\n", "latin-1")
    for path, message in (
        (tmp_path / "none.csv", "must be readable.*No such file"),
        (tmp_path / "folder.csv", "must be readable.*Is a directory"),
        (latin, 'saved as UTF-8.*save it as "CSV UTF-8"'),
    ):
        with pytest.raises(LabelError, match=message):
            _read(path)


def test_refuses_an_optional_column_that_is_there_twice(tmp_path: Path) -> None:
    """Else one of the two would be taken without a word."""
    path = _write(tmp_path / "t.csv", "image_id,rating,user,user\na,1,b,c\n")
    with pytest.raises(LabelError, match="needs one column 'user'"):
        _read(path, optional=("user",))


def test_reads_lines_with_their_numbers(tmp_path: Path) -> None:
    """Empty lines count, and are passed over."""
    assert list(read_lines(_write(tmp_path / "t.txt", " a b \n\r\nc"))) == [(1, "a b"), (3, "c")]


def test_bad_rows_are_refused_or_left_out() -> None:
    """Up to twenty are listed, with the remedy; where they are to be left out they are only counted."""
    rows, skipping = BadRows(), BadRows(skip=True)
    rows.refuse()
    for line in range(1, 31):
        rows.add(Path("t.csv"), line, "it is odd")
        skipping.add(Path("t.csv"), line, "it is odd")
    with pytest.raises(LabelError) as caught:
        rows.refuse()
    lines = str(caught.value).splitlines()
    assert (lines[0], lines[1]) == ("30 bad rows:", "  t.csv, line 1: it is odd")
    assert lines[20:] == ["  t.csv, line 20: it is odd", "  and 10 more", "  --skip-bad leaves them out."]
    skipping.refuse()
    assert len(skipping.problems) == 30
    assert str(skipping).startswith("30 bad rows left out:\n  t.csv, line 1: it is odd\n")


@pytest.mark.parametrize("text", ["x", "", "nan", "inf", "-inf", "0.5", "10.5", "1e999", "1_0", "7,5"])
def test_a_number_is_finite_and_in_range(text: str) -> None:
    """Whatever else float() takes is refused, with what was received."""
    with pytest.raises(ValueError, match="must be a number from 1 to 10; received "):
        number(text, 1, 10)


def test_numbers_of_json_keep_their_value(tmp_path: Path) -> None:
    """A number in JSON becomes text that reads back as the same number."""
    path = _write(tmp_path / "t.jsonl", json.dumps({"image_id": 231893, "rating": 0.1 + 0.2}))
    [row] = _read(path)[0]
    assert (row.values[0], float(row.values[1])) == ("231893", 0.1 + 0.2)
