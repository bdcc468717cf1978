"""nimakit.commands.data.report: `nimakit data report`."""

import json
from pathlib import Path
from typing import Any

import pytest

from nimakit.labels.ratings import write_ratings
from rating_samples import simulated
from samples import write_photo
from terminal import Command

SHARED = Path(__file__).parents[4] / "shared" / "data"
OASIS = SHARED / "oasis" / "ratings.csv"
with_oasis = pytest.mark.skipif(not OASIS.is_file(), reason="../shared/data/oasis/ratings.csv is not here")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Ratings of forty pictures by thirty people."""
    write_ratings(tmp_path / "ratings.csv", simulated())
    return tmp_path / "ratings.csv"


def _figures(out: str) -> dict[str, Any]:
    """Stdout as strict JSON."""

    def refuse(name: str) -> None:
        raise AssertionError(name)

    figures: dict[str, Any] = json.loads(out, parse_constant=refuse)
    return figures


def test_puts_the_figures_on_stdout(nimakit: Command, table: Path) -> None:
    """Without --output nothing is written; the inferred scale is said on stderr."""
    result = nimakit("data", "report", table)
    assert result.code == 0
    figures = _figures(result.out)
    assert (figures["images"], figures["people"], figures["scale"]) == (40, 30, [1, 7])
    assert figures["agreement"]["split_half"]["correlation"] > 0.8
    assert (figures["files"], figures["images_without_file"], figures["bad_rows"]) == ({}, None, [])
    assert "bins inferred: 1, 2 ... 7" in result.err
    assert [path.name for path in table.parent.iterdir()] == ["ratings.csv"]


def test_writes_a_report_with_pictures(nimakit: Command, table: Path) -> None:
    """Pictures are found by image_id, in sub-folders where asked for; those without a file are counted."""
    photos = table.parent / "photos"
    (photos / "sub").mkdir(parents=True)
    write_photo(photos / "p0.jpg")
    write_photo(photos / "sub" / "p1.png")
    output = table.parent / "report.html"
    result = nimakit("data", "report", table, "--image-dir", photos, "--output", output)
    assert (result.code, _figures(result.out)["images_without_file"]) == (0, 39)
    assert _figures(result.out)["files"] == {str(output): 40}
    assert f"nimakit: report: {output}\n" in result.err
    page = output.read_text("utf-8")
    assert "<title>Ratings: ratings.csv</title>" in page
    assert page.count("data:image/jpeg") == 1
    result = nimakit("data", "report", table, "--image-dir", photos, "--recursive")
    assert _figures(result.out)["images_without_file"] == 38


@pytest.mark.slow
def test_writes_a_picture_of_the_charts(nimakit: Command, table: Path) -> None:
    """The suffix decides."""
    result = nimakit("data", "report", table, "--output", table.with_suffix(".png"))
    assert result.code == 0
    assert table.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_reports_on_a_label_file(nimakit: Command, tmp_path: Path) -> None:
    """A .json is a label file; --bins says what its bins stand for."""
    labels = [{"image_id": "a", "label": [3, 1]}, {"image_id": "b", "label": [0, 2]}]
    (tmp_path / "labels.json").write_text(json.dumps(labels), encoding="utf-8")
    figures = _figures(nimakit("data", "report", tmp_path / "labels.json", "--bins", "0,100").out)
    assert (figures["ratings"], figures["people"]) == (6, None)
    assert (figures["mean_rating"]["min"], figures["mean_rating"]["max"]) == (25, 100)


def test_takes_columns_scale_and_goals(nimakit: Command, tmp_path: Path) -> None:
    """Column names, the scale and what the means should be like are as told."""
    rows = ["photo\tby\tstars\tat"]
    rows += [f"p{i}.jpg\tu{u}\t{1 + (3 * i + u) % 4}\t2024-01-0{u + 1}" for i in range(4) for u in range(3)]
    (tmp_path / "r.tsv").write_text("\n".join(rows), encoding="utf-8")
    columns = (
        "--image-column",
        "photo",
        "--user-column",
        "by",
        "--rating-column",
        "stars",
        "--time-column",
        "at",
    )
    goals = ("--reliability", "0.7", "--standard-error", "0.5", "--standard-error", "0.25")
    figures = _figures(nimakit("data", "report", tmp_path / "r.tsv", *columns, "--bins", "1-5", *goals).out)
    assert (figures["images"], figures["people"], figures["scale"]) == (4, 3, [1, 5])
    errors = [need["wanted"] for need in figures["needs"] if need["goal"] == "standard_error"]
    assert errors == [0.5, 0.25]


def test_refuses_bad_rows_or_leaves_them_out(nimakit: Command, table: Path) -> None:
    """They are named by file and line; --skip-bad counts and lists them."""
    with table.open("a", encoding="utf-8") as stream:
        stream.write("p0,u0,great\n")
    lines = len(table.read_text("utf-8").splitlines())
    problem = f"{table}, line {lines}: rating must be a number; received 'great'"
    output = table.with_suffix(".html")
    result = nimakit("data", "report", table, "--output", output)
    assert (result.code, result.out) == (1, "")
    assert problem in result.err
    assert not output.exists()
    result = nimakit("data", "report", table, "--skip-bad")
    assert (result.code, _figures(result.out)["bad_rows"]) == (0, [problem])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.csv"], "Received: none.csv (No such file or directory)"),
        (["none.json"], "Received: none.json (No such file or directory)"),
        (["photo.jpg"], "A table ends in .csv, .tsv, .jsonl"),
        (["{table}", "--output", "r.pdf"], "The output file must end in .html, .png. Received: r.pdf"),
        (["{table}", "--output", "none/r.html"], "folder of an output file must exist"),
        (["{table}", "--image-dir", "none"], "Directory 'none' does not exist"),
        (["{table}", "--rating-column", "stars"], "'stars'"),
        (["{table}", "--reliability", "1"], "'--reliability'"),
        (["{table}", "--reliability", "nan"], "'--reliability'"),
        (["{table}", "--standard-error", "0"], "'--standard-error'"),
        (["{table}", "--bins", "2-5"], "rating must be a number from 2 to 5"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_ends_with_1_on_a_usage_error(
    nimakit: Command, table: Path, arguments: list[str], message: str
) -> None:
    """Nothing is on stdout, and stderr says what is wrong."""
    result = nimakit("data", "report", *(argument.format(table=table) for argument in arguments))
    assert (result.code, result.out) == (1, "")
    assert message in result.err


def test_refuses_labels_with_other_bins(nimakit: Command, tmp_path: Path) -> None:
    """A value too many, and a file that only names images, are told apart."""
    path = tmp_path / "labels.json"
    path.write_text('[{"image_id": "a", "label": [3, 1]}]', encoding="utf-8")
    result = nimakit("data", "report", path, "--bins", "1-3")
    assert (result.code, "3 values, 2 bins" in result.err) == (1, True)
    path.write_text('[{"image_id": "a"}]', encoding="utf-8")
    result = nimakit("data", "report", path)
    assert (result.code, "only names images" in result.err) == (1, True)


@pytest.mark.slow
@with_oasis
def test_reports_on_oasis(nimakit: Command, tmp_path: Path) -> None:
    """The halves of 757 people agree by about 0.98, and the page says so."""
    output = tmp_path / "oasis.html"
    figures = _figures(nimakit("data", "report", OASIS, "--output", output).out)
    correlation = figures["agreement"]["split_half"]["correlation"]
    assert (figures["ratings"], correlation) == (114439, pytest.approx(0.98, abs=0.005))
    assert f'<td class="number">{correlation:.3f}</td>' in output.read_text("utf-8")
