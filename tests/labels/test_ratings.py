"""nimakit.labels.ratings: single ratings, and their histograms."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nimakit.errors import LabelError
from nimakit.images.files import plain_id
from nimakit.io.tables import BadRows
from nimakit.labels.ratings import Ratings, infer_bins, read_ratings, to_counts, to_seconds, write_ratings
from nimakit.stats.histogram import mean, normalise


def _ratings(*values: float) -> Ratings:
    """Ratings of one image by as many people."""
    count = len(values)
    people = np.arange(count)
    return Ratings(
        image_ids=("a",),
        user_ids=tuple(f"u{person}" for person in people),
        image=np.zeros(count, np.intp),
        user=people,
        rating=np.array(values, np.float64),
        time=np.full(count, np.nan),
    )


def _table(path: Path, *rows: str, header: str = "image_id,user_id,rating") -> Path:
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def test_reads_who_said_what_of_which_image(tmp_path: Path) -> None:
    """Images and people come once each, in the order of appearance, and ratings point at them."""
    path = _table(tmp_path / "r.csv", "b.jpg,jo,3", "shoot/a.b.png,al,4.5", "b.jpg,al,1")
    found = read_ratings(path, rows=BadRows())
    assert (found.image_ids, found.user_ids) == (("b", "a.b"), ("jo", "al"))
    assert found.image.tolist() == [0, 1, 0]
    assert found.user.tolist() == [0, 1, 1]
    assert found.rating.tolist() == [3, 4.5, 1]
    assert np.isnan(found.time).all()
    assert not found.anonymous
    assert len(found) == 3


def test_reads_columns_of_any_name(tmp_path: Path) -> None:
    """Columns are chosen by name; times are ISO 8601 with or without an offset, or seconds."""
    path = _table(
        tmp_path / "r.csv",
        "a,1,1970-01-02,jo",
        "a,2,1970-01-01T01:00:00+01:00,jo",
        "a,3,90.5,jo",
        "a,4,,jo",
        header="photo,stars,when,who",
    )
    found = read_ratings(
        path,
        image_column="photo",
        user_column="who",
        rating_column="stars",
        time_column="when",
        rows=BadRows(),
    )
    np.testing.assert_array_equal(found.time, [86400, 0, 90.5, np.nan])


@pytest.mark.parametrize("text", ["20230501T091230", "20230501T091230Z", "2023-05-01 09:12:30", "1682932350"])
def test_a_time_has_one_meaning(text: str) -> None:
    """The basic and the extended form of ISO 8601, and seconds."""
    assert to_seconds("when", text) == 1_682_932_350
    assert to_seconds("when", "20230501") == to_seconds("when", "2023-05-01") == 1_682_899_200


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("20231301", "which is ambiguous"),
        ("05062023", "which is ambiguous"),
        ("2023", "which is ambiguous"),
        ("202305", "which is ambiguous"),
        ("45047.38", "which is ambiguous"),
        ("2023050109", "which is ambiguous"),
        ("1682932350123", "which may be milliseconds"),
        ("05/06/2023", "; write 2023-05-31T09:12$"),
        ("1. Mai 2023", "; write 2023-05-31T09:12$"),
        ("202305010912", "which is ambiguous; write 2023-05-31T09:12$"),
        ("20230501091230", "which is ambiguous; write 2023-05-31T09:12$"),
    ],
)
def test_refuses_a_time_that_may_mean_something_else(text: str, hint: str) -> None:
    """Years, months, dates in another order, a spreadsheet's days, and hours are not seconds since 1970."""
    with pytest.raises(ValueError, match=f"when must be ISO 8601 .*; received '{text}'.*{hint}"):
        to_seconds("when", text)


def test_decimal_commas_beside_semicolons_are_ratings(tmp_path: Path) -> None:
    """As Excel saves them where commas separate decimals."""
    path = _table(tmp_path / "r.csv", "a;jo;7,5", "b;jo;3", header="image_id;user_id;rating")
    assert read_ratings(path, rows=BadRows()).rating.tolist() == [7.5, 3]


def test_without_people_each_rating_is_by_a_person_of_its_own(tmp_path: Path) -> None:
    """A table of images and ratings alone is taken, and says so."""
    found = read_ratings(_table(tmp_path / "r.csv", "a,1", "a,1", header="image_id,rating"), rows=BadRows())
    assert found.anonymous
    assert len(found.user_ids) == len(found.latest()) == 2


@pytest.mark.parametrize(("first_only", "expected"), [(True, [3, 5]), (False, [3, 9, 5])])
def test_what_was_shown_again_is_left_out_where_that_is_asked_for(
    tmp_path: Path, *, first_only: bool, expected: list[float]
) -> None:
    """By the column that the rating app writes."""
    table = _table(
        tmp_path / "r.csv", "a,u,3,0", "a,u,9,1", "b,u,5,", header="image_id,user_id,rating,repeat"
    )
    found = read_ratings(table, first_only=first_only, rows=BadRows())
    np.testing.assert_array_equal(found.rating, expected)


def test_a_repeat_is_0_or_1_as_spreadsheets_write_them(tmp_path: Path) -> None:
    """0.0 is no repeat; what is neither is a bad row, where repeats are left out."""
    header = "image_id,user_id,rating,repeat"
    table = _table(tmp_path / "r.csv", "a,u,3,0.0", "a,u,9,1.0", "b,u,5,yes", "c,u,2,2", header=header)
    rows = BadRows(skip=True)
    assert read_ratings(table, first_only=True, rows=rows).rating.tolist() == [3]
    assert rows.problems == [
        f"{table}, line {line}: repeat must be 0 or 1; received {text!r}"
        for line, text in ((4, "yes"), (5, "2"))
    ]
    assert len(read_ratings(table, rows=BadRows())) == 4


@pytest.mark.parametrize("name", ["user_column", "time_column"])
@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_column_that_is_named_must_be_there(tmp_path: Path, name: str, suffix: str) -> None:
    """A slip of the pen would count each rating as a person's only one, or an old one as the latest."""
    path = _table(tmp_path / "r.csv", "a,jo,1,5", "a,jo,2,4", header="image_id,user_id,rating,when")
    if suffix == ".jsonl":
        path = tmp_path / "r.jsonl"
        path.write_text('{"image_id": "a", "user_id": "jo", "rating": 1, "when": 5}\n', encoding="utf-8")
    named: dict[str, Any] = {"user_column": "user_id", "time_column": "when"}
    assert len(read_ratings(path, **named, rows=BadRows())) >= 1
    with pytest.raises(LabelError, match="wen"):
        read_ratings(path, **{**named, name: "wen"}, rows=BadRows())


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("a,jo,x", "line 3: rating must be a number; received 'x'"),
        ("a,jo,nan", "line 3: rating must be a number; received 'nan'"),
        ("a,,3", "line 3: user_id must not be empty"),
        ("b.png,jo,3", "line 3: 'b.png' and 'b.jpg' would both be the image_id 'b'"),
        ("b.jpg,jo,3,soon", "line 3: it has 4 values"),
    ],
)
def test_refuses_bad_rows_by_line_or_leaves_them_out(tmp_path: Path, row: str, problem: str) -> None:
    """The message has file, line and what is wrong; skipped ones are noted."""
    path = _table(tmp_path / "r.csv", "b.jpg,jo,3", row)
    with pytest.raises(LabelError, match="1 bad row:") as caught:
        read_ratings(path, rows=BadRows())
    assert f"{path}, {problem}" in str(caught.value)
    rows = BadRows(skip=True)
    assert len(read_ratings(path, rows=rows)) == 1
    assert rows.problems[0].startswith(f"{path}, {problem}")


def test_refuses_ratings_off_the_scale_and_odd_times(tmp_path: Path) -> None:
    """With bins given a rating outside is a bad row, and so is a time in milliseconds or words."""
    path = _table(
        tmp_path / "r.csv",
        "a,jo,11,1",
        "a,jo,10,1e12",
        "a,jo,10,soon",
        "a,jo,1,1",
        header="image_id,user_id,rating,t",
    )
    rows = BadRows(skip=True)
    assert len(read_ratings(path, time_column="t", bins=np.arange(1.0, 11), rows=rows)) == 1
    assert "rating must be a number from 1 to 10; received '11'" in rows.problems[0]
    assert "t must be ISO 8601 or seconds since 1970; received '1e12'" in rows.problems[1]
    assert "received 'soon'" in rows.problems[2]


def test_refuses_a_table_without_a_good_row(tmp_path: Path) -> None:
    """Leaving bad rows out must leave something."""
    with pytest.raises(LabelError, match="at least one good row"):
        read_ratings(_table(tmp_path / "r.csv", "a,jo,x"), rows=BadRows(skip=True))
    with pytest.raises(LabelError, match="at least one good row"):
        read_ratings(_table(tmp_path / "r.csv"), rows=BadRows())


def test_what_is_written_reads_back(tmp_path: Path) -> None:
    """Names with commas, fractions and times survive; whole ratings are written as such."""
    path = _table(
        tmp_path / "r.csv", '"a, b",jo,0.1,1970-01-02', "c,jo,3,", header="image_id,user_id,rating,time"
    )
    given = read_ratings(path, time_column="time", rows=BadRows())
    write_ratings(tmp_path / "w.csv", given)
    lines = (tmp_path / "w.csv").read_text("utf-8").splitlines()
    assert lines == ["image_id,user_id,rating,time", '"a, b",jo,0.1,1970-01-02T00:00:00+00:00', "c,jo,3,"]
    again = read_ratings(tmp_path / "w.csv", time_column="time", rows=BadRows())
    assert (again.image_ids, again.user_ids) == (given.image_ids, given.user_ids)
    np.testing.assert_array_equal(again.rating, given.rating)
    np.testing.assert_array_equal(again.time, given.time)


def test_the_latest_rating_counts(tmp_path: Path) -> None:
    """By time where it is known, else by place in the file."""
    path = _table(
        tmp_path / "r.csv",
        *("a,jo,1,30", "a,jo,2,10", "a,al,3,", "a,al,4,", "b,jo,5,"),
        header="image_id,user_id,rating,t",
    )
    latest = read_ratings(path, time_column="t", rows=BadRows()).latest()
    assert latest.rating.tolist() == [1, 4, 5]
    assert latest.image_ids == ("a", "b")


def test_a_part_keeps_only_its_images_and_people(tmp_path: Path) -> None:
    """Chosen by truth or by place, the rest is forgotten and the order kept."""
    given = read_ratings(_table(tmp_path / "r.csv", "a,jo,1", "b,al,2", "c,al,3"), rows=BadRows())
    for chosen in (given.rating > 1, [1, 2]):
        part = given.only(chosen)
        assert (part.image_ids, part.user_ids) == (("b", "c"), ("al",))
        assert (part.image.tolist(), part.user.tolist()) == ([0, 1], [0, 0])


def test_counts_people_by_bin() -> None:
    """A whole rating is one person in its bin."""
    assert to_counts(_ratings(1, 3, 3, 5), [1, 2, 3, 4, 5]).tolist() == [[1, 0, 2, 0, 1]]


@pytest.mark.parametrize("bins", [[1, 2, 3, 4, 5], [0, 2.5, 5, 7.5, 10], [1, 2, 4, 8]])
def test_a_rating_between_bins_keeps_its_value(bins: list[float]) -> None:
    """It is shared by its neighbours so that the mean of the histogram is the mean of the ratings."""
    values = np.random.default_rng(0).uniform(bins[0], bins[-1], 50)
    counts = to_counts(_ratings(*values, bins[0], bins[-1]), bins)
    assert counts.sum() == pytest.approx(52)
    expected = np.mean([*values, bins[0], bins[-1]])
    assert float(mean(normalise(counts), bins)[0]) == pytest.approx(expected)
    assert to_counts(_ratings((bins[1] + bins[2]) / 2), bins)[0, 1:3].tolist() == [0.5, 0.5]


@pytest.mark.parametrize("value", [0.9, 5.1])
def test_rejects_a_rating_outside_the_bins(value: float) -> None:
    """Nothing is squeezed into the end bins."""
    with pytest.raises(ValueError, match=r"from 1, the first bin, to 5, the last\."):
        to_counts(_ratings(value), [1, 2, 3, 4, 5])


@pytest.mark.parametrize(
    ("values", "first", "last", "count"),
    [
        ((2, 7), 1, 7, 7),
        ((0, 10), 0, 10, 11),
        ((1.5, 4.2), 1, 5, 5),
        ((-1.8, 1.8), -2, 2, 5),
        ((1, 1), 1, 2, 2),
        ((3, 87), 0, 100, 11),
        ((12.5, 100), 0, 100, 11),
        ((800, 1900), 1, 1900, 11),
    ],
)
def test_infers_the_scale_and_says_so(
    values: tuple[float, ...], first: float, last: float, count: int
) -> None:
    """From 1, or lower where ratings are; in steps of 1, or in ten steps where those are too many."""
    bins, sentence = infer_bins(_ratings(*values))
    assert (bins[0], bins[-1], len(bins)) == (first, last, count)
    assert to_counts(_ratings(*values), bins).sum() == len(values)
    assert f"because the ratings run from {min(values):g} to {max(values):g}" in sentence
    assert ("in whole numbers" in sentence) == all(value % 1 == 0 for value in values)


def test_every_spelling_of_a_name_is_one_image(tmp_path: Path) -> None:
    """Umlauts of a Mac and of other systems; a row that names no file is told by its line."""
    table = tmp_path / "r.csv"
    table.write_text("image_id,user_id,rating\nZ\u00fcrich.jpg,a,7\nZu\u0308rich.jpg,b,3\n", "utf-8")
    assert read_ratings(table, rows=BadRows()).image_ids == ("Z\u00fcrich",)
    table.write_text("image_id,user_id,rating\na.jpg,a,7\nhttps://example.org/?id=7,b,3\n", "utf-8")
    with pytest.raises(
        LabelError, match=r"line 3: a URL must end in .* received 'https://example\.org/\?id=7'"
    ):
        read_ratings(table, rows=BadRows())


def test_what_names_may_mean_is_told(tmp_path: Path) -> None:
    """Once for a table, and its ratings are of the images that are meant."""
    table = _table(tmp_path / "r.csv", "12.0,a,7", "12,b,3", "9.0,a,1", "12.0,c,2")
    said: list[str] = []
    found = read_ratings(table, rows=BadRows(), notify=said.append)
    assert found.image_ids == ("12", "9")
    assert found.image.tolist() == [0, 0, 1, 0]
    assert said == [f"{table} names images by numbers, from which .0 is removed: '12.0', '9.0'"]


@pytest.mark.parametrize(
    ("name", "expected"), [("a.jpg", "a"), ("s/a.b.PNG", "a.b"), ("a.b", "a.b"), ("a.txt", "a.txt")]
)
def test_an_image_id_has_no_suffix_of_an_image(name: str, expected: str) -> None:
    """Only a suffix of an image file is taken off: an image_id may hold dots."""
    assert plain_id(name) == expected
