"""nimakit.commands.data.split: `nimakit data split`."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from made_photos import COPIES, made_photo, save
from nimakit.errors import OutputError
from nimakit.labels.label_file import read_labels, write_labels
from terminal import Command

NAMES = [f"{place} {number}" for place in ("lake", "sea", "moor", "fen") for number in range(10)]


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """Forty images of four places, rated from 1 to 5."""
    counts = np.random.default_rng(0).integers(1, 30, (40, 5))
    write_labels(tmp_path / "labels.json", NAMES, counts)
    return tmp_path / "labels.json"


def _parts(folder: Path, *names: str) -> list[set[str]]:
    return [set(read_labels(folder / f"labels_{name}.json").image_ids) for name in names]


def test_splits_nine_to_one_beside_the_label_file(nimakit: Command, labels: Path) -> None:
    """Every image is in one part, with the counts it had."""
    result = nimakit("data", "split", labels)
    assert result.code == 0, result.err
    train, test = _parts(labels.parent, "train", "test")
    assert (len(train), len(test), train | test) == (36, 4, set(NAMES))
    summary = json.loads(result.out)
    files = {str(labels.parent / "labels_train.json"): 36, str(labels.parent / "labels_test.json"): 4}
    assert (summary["images"], summary["files"], summary["bad_rows"]) == (40, files, [])
    before, after = read_labels(labels), read_labels(labels.parent / "labels_test.json")
    assert before.counts is not None
    assert after.counts is not None
    for name, counts in zip(after.image_ids, after.counts, strict=True):
        assert counts.tolist() == before.counts[NAMES.index(name)].tolist()


def test_splits_in_as_many_parts_as_are_named(nimakit: Command, labels: Path, tmp_path: Path) -> None:
    """By share, by number, and what is left; into a folder that is made."""
    parts = ("--part", "a=0.5", "--part", "b=7", "--part", "c=rest")
    assert nimakit("data", "split", labels, *parts, "--output-dir", tmp_path / "new" / "x").code == 0
    assert [len(part) for part in _parts(tmp_path / "new" / "x", "a", "b", "c")] == [20, 7, 13]


def test_the_seed_decides(nimakit: Command, labels: Path) -> None:
    """Equal seeds give equal files."""
    found = []
    for seed in (1, 1, 2):
        nimakit("data", "split", labels, "--seed", seed)
        found.append((labels.parent / "labels_test.json").read_bytes())
    assert found[0] == found[1] != found[2]


def test_stratified_parts_have_about_the_same_mean(nimakit: Command, labels: Path) -> None:
    """The summary says the mean rating of each part."""
    result = nimakit("data", "split", labels, "--stratify", "--part", "train=0.5", "--part", "test=0.5")
    means = json.loads(result.out)["mean_ratings"]
    assert abs(means["train"] - means["test"]) < 0.1


def test_groups_by_pattern_stay_together(nimakit: Command, labels: Path) -> None:
    """All images of a place are in one part."""
    result = nimakit(
        "data",
        "split",
        labels,
        "--group-pattern",
        r"^(\w+) \d+$",
        "--part",
        "train=rest",
        "--part",
        "test=10",
    )
    assert json.loads(result.out)["groups"] == 4
    train, test = _parts(labels.parent, "train", "test")
    assert not {name.split()[0] for name in train} & {name.split()[0] for name in test}


def test_groups_and_times_come_from_a_table(nimakit: Command, labels: Path, tmp_path: Path) -> None:
    """By file name too; test has the newest."""
    table = tmp_path / "photos.csv"
    rows = [f"{name}.jpg,{number % 4},2020-01-01T00:{number:02}:00" for number, name in enumerate(NAMES)]
    table.write_text("\n".join(["file,by,taken", *rows]), encoding="utf-8")
    given = ("data", "split", labels, "--table", table, "--image-column", "file", "--part", "train=rest")
    assert nimakit(*given, "--part", "test=0.25", "--time-column", "taken").code == 0
    assert _parts(labels.parent, "test") == [set(NAMES[30:])]
    assert nimakit(*given, "--part", "test=0.25", "--group-column", "by").code == 0
    (test,) = _parts(labels.parent, "test")
    assert len(test) == 10
    assert len({NAMES.index(name) % 4 for name in test}) == 1


def test_what_a_check_found_to_be_one_picture_stays_together(
    nimakit: Command, labels: Path, tmp_path: Path
) -> None:
    """Whatever the seed."""
    images = [{"file": str(labels), "image_id": name} for name in ("lake 1", "sea 1", "fen 1")]
    found: dict[str, Any] = {
        "files": {str(labels): 40},
        "leaks": [],
        "duplicates": [{"images": images}],
        "drop": {},
    }
    (tmp_path / "check.json").write_text(json.dumps(found), encoding="utf-8")
    for seed in range(6):
        nimakit(
            "data",
            "split",
            labels,
            "--keep-together",
            tmp_path / "check.json",
            "--seed",
            seed,
            "--part",
            "train=20",
            "--part",
            "test=20",
        )
        (test,) = _parts(labels.parent, "test")
        assert len({"lake 1", "sea 1", "fen 1"} & test) in (0, 3)


@pytest.mark.usefixtures("empty_cache")
def test_a_check_of_the_parts_finds_no_picture_in_both(nimakit: Command, tmp_path: Path) -> None:
    """With --image-dir copies stay with their originals; without it stderr says what was not done."""
    for number, name in enumerate("abcdef"):
        save(made_photo(number), tmp_path / "photos" / f"{name}.bmp")
    for number, (name, copy) in enumerate(zip("xyz", ("resized", "re-encoded", "mirrored"), strict=True)):
        save(COPIES[copy](made_photo(number)), tmp_path / "photos" / f"{name}.bmp")
    write_labels(tmp_path / "l.json", list("abcdefxyz"), np.full((9, 5), 6))
    images = ("--image-dir", tmp_path / "photos")
    for seed in range(3):
        split = nimakit(
            "data",
            "split",
            tmp_path / "l.json",
            *images,
            "--part",
            "train=rest",
            "--part",
            "test=0.4",
            "--seed",
            seed,
        )
        assert split.code == 0, split.err
        assert json.loads(split.out)["groups"] == 6
        assert "the same picture more than once, kept together (3):" in split.err
        parts = [tmp_path / f"l_{name}.json" for name in ("train", "test")]
        found = json.loads(nimakit("data", "check", *parts, *images, "--min-raters", 0).out)
        assert (found["leaks"], len(found["duplicates"])) == ([], 3)
    split = nimakit("data", "split", tmp_path / "l.json")
    assert "pictures were not compared" in split.err


def test_images_that_cannot_be_compared_are_listed(nimakit: Command, labels: Path, tmp_path: Path) -> None:
    """They are split all the same."""
    save(made_photo(0), tmp_path / "photos" / "lake 0.bmp")
    result = nimakit("data", "split", labels, "--image-dir", tmp_path / "photos")
    assert result.code == 0
    assert "missing or unreadable, and were not compared (39):" in result.err


def test_names_alone_are_split_too(nimakit: Command, tmp_path: Path) -> None:
    """A label file without labels gives parts without labels."""
    write_labels(tmp_path / "labels.json", list("abcdefghij"), None)
    result = nimakit("data", "split", tmp_path / "labels.json")
    assert (result.code, "mean_ratings" in json.loads(result.out)) == (0, False)
    assert read_labels(tmp_path / "labels_test.json").counts is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--part", "train=0.5", "--part", "test=0.4"), "add up to all images"),
        (("--part", "train"), "--part must be NAME=SHARE"),
        (("--stratify", "--time-column", "t", "--table", "t.csv"), "either --stratify or --time-column"),
        (("--group-column", "g"), "--table goes with"),
        (("--table", "t.csv"), "--table goes with"),
        (("--group-column", "g", "--group-pattern", "x", "--table", "t.csv"), "Received: both"),
        (("--group-pattern", "("), "a regular expression"),
        (("--time-column", "t", "--table", "t.csv"), "A file of ratings must be readable"),
        (("--keep-together", "x.json"), "must be a readable file"),
        (("--keep-together", "x.json", "--image-dir", "."), "Received: both"),
    ],
)
def test_refuses_what_cannot_be_done_and_writes_nothing(
    nimakit: Command, labels: Path, arguments: tuple[str, ...], message: str
) -> None:
    """A sentence, exit code 1, and no file."""
    result = nimakit("data", "split", labels, *arguments)
    assert (result.code, result.out) == (1, "")
    assert message in result.err
    assert list(labels.parent.iterdir()) == [labels]


def test_does_not_overwrite_an_input(nimakit: Command, labels: Path) -> None:
    """A table of the name of an output stays as it is."""
    table = labels.rename(labels.parent / "labels_test.csv")
    write_labels(labels, NAMES, None)
    (labels.parent / "labels_test.json").symlink_to(table)
    before = table.read_bytes()
    result = nimakit("data", "split", labels, "--table", table, "--group-column", "x")
    assert "must not be an input" in result.err
    assert table.read_bytes() == before


def test_a_split_that_fails_leaves_the_older_files_together(
    nimakit: Command, labels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new train file beside an older test file would share images with it."""
    assert nimakit("data", "split", labels).code == 0
    before = {path: path.read_bytes() for path in labels.parent.iterdir()}
    written = []

    def fail_at_the_second(path: Path, *_: object) -> None:
        written.append(path)
        if len(written) == 2:
            raise OutputError("the disk is full")
        path.write_text("[]", encoding="utf-8")

    monkeypatch.setattr("nimakit.labels.label_file.write_labels", fail_at_the_second)
    assert nimakit("data", "split", labels, "--seed", 1).code == 1
    assert {path: path.read_bytes() for path in labels.parent.iterdir()} == before
