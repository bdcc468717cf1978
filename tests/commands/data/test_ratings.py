"""nimakit.commands.data.ratings: `nimakit data ratings`."""

import json
from pathlib import Path

import numpy as np
import pytest

from nimakit.labels.label_file import read_labels
from nimakit.stats.histogram import mean
from terminal import Command

SHARED = Path(__file__).parents[4] / "shared" / "data"


def _table(path: Path, *rows: str, header: str = "image_id,user_id,rating") -> Path:
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def test_counts_ratings_into_a_label_file(nimakit: Command, tmp_path: Path) -> None:
    """Each image gets the histogram of its ratings; the inferred bins are said."""
    table = _table(tmp_path / "r.csv", "a.jpg,jo,5", "b.jpg,jo,1", "a.jpg,al,4", "a.jpg,bo,5")
    result = nimakit("data", "ratings", table, "--output", tmp_path / "labels.json")
    assert result.code == 0
    assert json.loads((tmp_path / "labels.json").read_text("utf-8")) == [
        {"image_id": "a", "label": [0, 0, 0, 1, 2]},
        {"image_id": "b", "label": [1, 0, 0, 0, 0]},
    ]
    assert json.loads(result.out) == {
        "images": 2,
        "people": 3,
        "ratings": 4,
        "repeats_left_out": 0,
        "bins": [1, 2, 3, 4, 5],
        "rating_of_score": "score",
        "files": {str(tmp_path / "labels.json"): 2},
        "bad_rows": [],
    }
    assert "bins inferred: 1, 2 ... 5, because the ratings run from 1 to 5" in result.err


def test_takes_bins_and_columns_as_given(nimakit: Command, tmp_path: Path) -> None:
    """Fractions are shared between bins, and what a score means is in the summary."""
    table = _table(tmp_path / "r.tsv", "a\t2.5", "a\t0", header="photo\tstars")
    arguments = ("--image-column", "photo", "--rating-column", "stars", "--bins", "0-5")
    result = nimakit("data", "ratings", table, "--output", tmp_path / "labels.json", *arguments)
    assert result.code == 0
    labels = read_labels(tmp_path / "labels.json")
    assert labels.counts is not None
    assert labels.counts.tolist() == [[1, 0, 0.5, 0.5, 0, 0]]
    assert json.loads(result.out)["rating_of_score"] == "score - 1"
    assert "each rating counts as a different rater's" in result.err
    assert "bins inferred" not in result.err


def test_a_person_counts_once_an_image(nimakit: Command, tmp_path: Path) -> None:
    """The latest rating, or all of them where asked for."""
    table = _table(tmp_path / "r.csv", "a,jo,1", "a,jo,3", "a,al,2")
    for repeats, counts, left_out in (("latest", [0, 1, 1], 1), ("all", [1, 1, 1], 0)):
        result = nimakit(
            *("data", "ratings", table, "--output", tmp_path / "l.json", "--bins", "1-3"),
            *("--repeats", repeats),
        )
        assert json.loads(result.out)["repeats_left_out"] == left_out
        labels = read_labels(tmp_path / "l.json")
        assert labels.counts is not None
        assert labels.counts.tolist() == [counts]


def test_lists_bad_rows_or_leaves_them_out(nimakit: Command, tmp_path: Path) -> None:
    """Without --skip-bad nothing is written; with it the summary lists what was left out."""
    table = _table(tmp_path / "r.csv", "a,jo,5", "a,al,eleven", "b,al,11")
    arguments = ("data", "ratings", table, "--output", tmp_path / "labels.json", "--bins", "1-10")
    result = nimakit(*arguments)
    assert (result.code, result.out) == (1, "")
    assert result.err.splitlines() == [
        "nimakit: error: 2 bad rows:",
        f"  {table}, line 3: rating must be a number from 1 to 10; received 'eleven'",
        f"  {table}, line 4: rating must be a number from 1 to 10; received '11'",
        "  --skip-bad leaves them out.",
    ]
    assert not (tmp_path / "labels.json").exists()
    result = nimakit(*arguments, "--skip-bad")
    assert result.code == 0
    assert len(json.loads(result.out)["bad_rows"]) == 2
    assert "2 bad rows left out" in result.err


def test_says_what_names_may_mean(nimakit: Command, tmp_path: Path) -> None:
    """On stderr, as everything that is said there."""
    table = _table(tmp_path / "r.csv", "my%20lake.jpg,jo,5", "/data/upload/1/0a1b2c3d-a.jpg,jo,1")
    result = nimakit("data", "ratings", table, "--output", tmp_path / "labels.json")
    assert result.code == 0
    assert f"\nnimakit: {table} has names of Label Studio" in f"\n{result.err}"
    assert f"\nnimakit: {table} has names with escapes as in URLs" in f"\n{result.err}"
    assert read_labels(tmp_path / "labels.json").image_ids == ("my%20lake", "a")


@pytest.mark.slow
def test_draws_a_report(nimakit: Command, tmp_path: Path) -> None:
    """--report is a page on the ratings that were counted."""
    rows = [f"{image},{person},{(image + person) % 5 + 1}" for image in range(6) for person in range(4)]
    result = nimakit(
        *("data", "ratings", _table(tmp_path / "r.csv", *rows)),
        *("--output", tmp_path / "labels.json", "--report", tmp_path / "report.html"),
    )
    assert result.code == 0, result.err
    assert "Ratings: r.csv" in (tmp_path / "report.html").read_text("utf-8")


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/data is not here")
def test_counts_real_ratings(nimakit: Command, tmp_path: Path) -> None:
    """114,439 ratings of 605 photographs give the published histograms; 808 of 8 rooms their means."""
    output = tmp_path / "labels.json"
    assert nimakit("data", "ratings", SHARED / "oasis" / "ratings.csv", "--output", output).code == 0
    found, published = read_labels(output), read_labels(SHARED / "oasis" / "labels.json")
    assert found.counts is not None
    assert published.counts is not None
    by_name = dict(zip(found.image_ids, found.counts.tolist(), strict=True))
    assert by_name == dict(zip(published.image_ids, published.counts.tolist(), strict=True))
    rooms = SHARED / "rooms" / "ratings.csv"
    assert nimakit("data", "ratings", rooms, "--image-column", "image", "--output", output).code == 0
    found = read_labels(output)
    assert found.histograms is not None
    lines = [line.split(",") for line in rooms.read_text("utf-8").splitlines()[1:]]
    for name, score in zip(found.image_ids, mean(found.histograms, np.arange(1, 10)), strict=True):
        values = [float(rating) for image, _, rating in lines if image.rsplit(".", 1)[0] == name]
        assert float(score) == pytest.approx(np.mean(values))
