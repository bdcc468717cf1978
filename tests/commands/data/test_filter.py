"""nimakit.commands.data.filter: `nimakit data filter`."""

import json
from pathlib import Path

import numpy as np
import pytest

from nimakit.labels.label_file import read_labels, write_labels
from terminal import Command


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """Images a, b, c and d with mean ratings 1, 2, 3 and 2."""
    counts = np.array([[9, 0, 0], [0, 2, 0], [0, 0, 9], [3, 3, 3]])
    write_labels(tmp_path / "labels.json", list("abcd"), counts)
    return tmp_path / "labels.json"


def _left(path: Path) -> str:
    return "".join(read_labels(path).image_ids)


def test_keeps_what_fulfils_every_condition_and_counts_the_rest(nimakit: Command, labels: Path) -> None:
    """By reason; an image with several is counted once."""
    output = labels.parent / "out.json"
    (labels.parent / "drop.txt").write_text("a.jpg\nz\n", encoding="utf-8")
    result = nimakit(
        "data",
        "filter",
        labels,
        "--output",
        output,
        "--min-raters",
        5,
        "--drop",
        labels.parent / "drop.txt",
        "--keep-ratings",
        "1:2.5",
    )
    assert result.code == 0, result.err
    assert json.loads(result.out) == {
        "images": 4,
        "dropped": {"in_drop": 1, "too_few_raters": 1, "not_in_keep_ratings": 1},
        "files": {str(output): 1},
        "bad_rows": [],
    }
    assert _left(output) == "d"
    assert "images of --drop that are not in" in result.err


def test_tags_come_from_a_table(nimakit: Command, labels: Path) -> None:
    """A row for each tag."""
    tags = labels.parent / "tags.csv"
    tags.write_text("image_id,tag\na,sky\nb,sky\nb,sea\nc,sea\n", encoding="utf-8")
    given = ("data", "filter", labels, "--output", labels.parent / "out.json", "--tags", tags)
    assert nimakit(*given, "--tag", "sky", "--without-tag", "sea").code == 0
    assert _left(labels.parent / "out.json") == "a"


def test_bins_say_what_ratings_are_in(nimakit: Command, labels: Path) -> None:
    """A scale from 0 to 2."""
    output = labels.parent / "out.json"
    assert (
        nimakit("data", "filter", labels, "--output", output, "--drop-ratings", "0:1", "--bins", "0-2").code
        == 0
    )
    assert _left(output) == "c"


def test_a_bad_row_is_refused_by_its_line_or_left_out(nimakit: Command, labels: Path) -> None:
    """As told."""
    (labels.parent / "keep.csv").write_text("image_id,x\na,1\n,2\n", encoding="utf-8")
    output = labels.parent / "out.json"
    given = ("data", "filter", labels, "--output", output, "--keep", labels.parent / "keep.csv")
    refused = nimakit(*given)
    assert (refused.code, output.exists()) == (1, False)
    assert "keep.csv, line 3: image_id must not be empty" in refused.err
    taken = nimakit(*given, "--skip-bad")
    assert (taken.code, len(json.loads(taken.out)["bad_rows"]), _left(output)) == (0, 1, "a")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "at least one condition"),
        (("--tag", "sky"), "--tags goes with"),
        (("--tags", "tags.csv"), "at least one condition"),
        (("--drop-ratings", "5"), "LOW:HIGH"),
        (("--keep-ratings", "9:"), "A filter must leave at least one image"),
        (("--keep-ratings", "1:2", "--bins", "1-5"), "Received: 5, and"),
        (("--drop", "gone.txt"), "gone.txt"),
    ],
)
def test_refuses_what_cannot_be_done_and_writes_nothing(
    nimakit: Command, labels: Path, arguments: tuple[str, ...], message: str
) -> None:
    """A sentence, exit code 1, and no file."""
    output = labels.parent / "out.json"
    result = nimakit("data", "filter", labels, "--output", output, *arguments)
    assert (result.code, result.out, output.exists()) == (1, "", False)
    assert message in result.err


def test_does_not_overwrite_its_input(nimakit: Command, labels: Path) -> None:
    """Not even under another spelling of the path."""
    before = labels.read_bytes()
    result = nimakit(
        "data", "filter", labels, "--output", labels.parent / "." / "labels.json", "--min-raters", 5
    )
    assert (result.code, labels.read_bytes()) == (1, before)
