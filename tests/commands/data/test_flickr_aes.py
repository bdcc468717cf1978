"""nimakit.commands.data.flickr_aes: `nimakit data flickr-aes`."""

import csv
import json
from pathlib import Path

import pytest

from nimakit.labels.label_file import read_labels
from terminal import Command, Result

REAL = Path(__file__).parents[4] / "shared" / "data" / "flickr_aes"
WORKERS = (
    "worker, imagePair, score\n"
    "W1,a.jpg,5\nW1,b.jpg,4\n"
    "W2,a.jpg,1\nW2,c.jpg,2\n"
    "W3,c.jpg,3\nW3,d.jpg,3\n"
)  # fmt: skip


@pytest.fixture
def imported(nimakit: Command, tmp_path: Path) -> Command:
    """Imports six ratings; W1 is the test worker."""

    def run(*arguments: object) -> Result:
        (tmp_path / "workers.csv").write_text(WORKERS, encoding="utf-8")
        (tmp_path / "test.txt").write_text("W1\n", encoding="utf-8")
        given = ("--workers-file", tmp_path / "workers.csv", "--output-dir", tmp_path)
        return nimakit("data", "flickr-aes", *given, "--test-workers", tmp_path / "test.txt", *arguments)

    return run


def _rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.reader(stream))[1:]


def test_splits_by_workers(imported: Command, tmp_path: Path) -> None:
    """Label files have every rating of an image; rating files have what is trained and tested with."""
    result = imported()
    assert result.code == 0, result.err
    test, train = (read_labels(tmp_path / f"flickr_aes_labels_{part}.json") for part in ("test", "train"))
    assert test.counts is not None
    assert dict(zip(test.image_ids, test.counts.tolist(), strict=True)) == {
        "a": [1, 0, 0, 0, 1],
        "b": [0, 0, 0, 1, 0],
    }
    assert train.image_ids == ("c", "d")
    mine = [["a", "W1", "5"], ["b", "W1", "4"]]
    assert _rows(tmp_path / "flickr_aes_ratings_test.csv") == mine
    assert _rows(tmp_path / "users" / "W1.csv") == mine
    assert _rows(tmp_path / "flickr_aes_ratings_train.csv") == [
        ["c", "W2", "2"],
        ["c", "W3", "3"],
        ["d", "W3", "3"],
    ]
    summary = json.loads(result.out)
    assert (summary["images"], summary["ratings"], summary["workers"], summary["test_workers"]) == (
        4,
        6,
        3,
        1,
    )
    assert summary["bins"] == [1, 2, 3, 4, 5]
    assert sorted(Path(name).name for name in summary["files"]) == [
        "W1.csv",
        *sorted(path.name for path in tmp_path.glob("flickr_*")),
    ]


def test_writes_z_scores_where_asked_for(imported: Command, tmp_path: Path) -> None:
    """--scale z gives the published values; label files stay on the scale from 1 to 5."""
    assert imported("--scale", "z").code == 0
    [first, _] = _rows(tmp_path / "users" / "W1.csv")
    assert float(first[2]) == pytest.approx(1.8012271867396417)
    assert read_labels(tmp_path / "flickr_aes_labels_test.json").image_ids == ("a", "b")


def test_needs_to_know_the_test_workers(nimakit: Command, imported: Command, tmp_path: Path) -> None:
    """In an excerpt the standard ones cannot be told; a list must name known workers."""
    imported()
    result = nimakit(
        "data", "flickr-aes", "--workers-file", tmp_path / "workers.csv", "--output-dir", tmp_path
    )
    assert result.code == 1
    assert "Received: 0 such workers. Name them with --test-workers" in result.err
    (tmp_path / "others.txt").write_text("W8\nW9\n", encoding="utf-8")
    result = imported("--test-workers", tmp_path / "others.txt")
    assert result.code == 1
    assert "2 of the 2 test workers gave no rating: W8, W9" in result.err
    assert "with none that are" in result.err


def test_refuses_to_leave_files_of_another_split(imported: Command, tmp_path: Path) -> None:
    """Ratings of a worker who is no test worker any more are not left among those who are."""
    imported()
    (tmp_path / "two.txt").write_text("W2\n", encoding="utf-8")
    result = imported("--test-workers", tmp_path / "two.txt")
    assert result.code == 1
    assert str(tmp_path / "users" / "W1.csv") in result.err
    assert _rows(tmp_path / "flickr_aes_ratings_test.csv")[0] == ["a", "W1", "5"]


def test_ends_with_1_on_a_usage_error(nimakit: Command, imported: Command, tmp_path: Path) -> None:
    """No input, a missing file and a bad line are refused, with what to do."""
    for arguments, message in (
        ([], "--workers-file, --means-file, or both. Received: neither"),
        (["--means-file", tmp_path / "none.csv"], "must be readable"),
        (["--means-file", tmp_path / "bad.csv"], "bad.csv, line 2: the last value must be a number"),
    ):
        (tmp_path / "bad.csv").write_text("a.jpg 3.2\nb.jpg x\n", encoding="utf-8")
        result = nimakit("data", "flickr-aes", "--output-dir", tmp_path, *arguments)
        assert (result.code, result.out) == (1, "")
        assert message in result.err
    assert list(tmp_path.glob("*.json")) == []


@pytest.mark.skipif(not REAL.is_dir(), reason="../shared/data/flickr_aes is not here")
def test_imports_the_published_files(nimakit: Command, tmp_path: Path) -> None:
    """Means to train with, ratings of test workers to test with, and nothing left over."""
    workers = REAL / "test_workers.csv"
    result = nimakit(
        *("data", "flickr-aes", "--output-dir", tmp_path, "--workers-file", workers),
        *("--means-file", REAL / "train_means.csv", "--test-workers", workers),
    )
    assert result.code == 0, result.err
    summary = json.loads(result.out)
    assert [*summary["files"].values()] == [299, 599, 599, 180, 118, 119, 180, 2]
    assert summary["bad_rows"] == []
