"""nimakit.commands.data.balance: `nimakit data balance`."""

import json
from pathlib import Path

import numpy as np
import pytest

from nimakit.labels.label_file import read_labels, write_labels
from samples import write_photo
from terminal import Command


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """Six images of rating 1 and two of rating 3, of three bins, with their photos."""
    names = [f"i{number}" for number in range(8)]
    (tmp_path / "photos").mkdir()
    for number, name in enumerate(names):
        write_photo(tmp_path / "photos" / f"{name}.png", 20 * number)
    write_labels(tmp_path / "labels.json", names, np.repeat([[9, 0, 0], [0, 0, 9]], [6, 2], axis=0))
    return tmp_path / "labels.json"


def test_rare_ratings_are_there_as_often_as_common_ones(nimakit: Command, labels: Path) -> None:
    """Copies are links of their own name, with the label of the picture."""
    folder = labels.parent / "balanced"
    result = nimakit(
        "data", "balance", labels, "--image-dir", labels.parent / "photos", "--output-dir", folder
    )
    assert result.code == 0, result.err
    summary = json.loads(result.out)
    assert (summary["images_by_rating"][0], summary["images_by_rating"][-1]) == (6, 2)
    assert (summary["links_by_rating"][0], summary["links_by_rating"][-1]) == (6, 6)
    balanced = read_labels(folder / "labels.json")
    assert balanced.counts is not None
    for name, counts in zip(balanced.image_ids, balanced.counts.tolist(), strict=True):
        number = int(name[1])
        assert counts == ([9, 0, 0] if number < 6 else [0, 0, 9])
        assert (folder / "images" / f"{name}.png").samefile(labels.parent / "photos" / f"i{number}.png")
    assert len(list((folder / "images").iterdir())) == len(balanced.image_ids) == 12


def test_balances_what_is_there(nimakit: Command, labels: Path) -> None:
    """A missing image is named, and is in no label file either."""
    (labels.parent / "photos" / "i7.png").unlink()
    folder = labels.parent / "balanced"
    result = nimakit(
        "data", "balance", labels, "--image-dir", labels.parent / "photos", "--output-dir", folder
    )
    assert (result.code, json.loads(result.out)["missing"]) == (2, ["i7"])
    assert set(read_labels(folder / "labels.json").image_ids) == {
        *(f"i{n}" for n in range(7)),
        *(f"i6~{n}" for n in range(2, 7)),
    }


def test_leaves_out_copies_whose_names_are_too_long(nimakit: Command, labels: Path) -> None:
    """NAME~2 is longer than NAME: those copies are listed as failed, and no label file names them."""
    long = "i" * 250
    names = [*(f"i{n}" for n in range(6)), long, "i7"]
    (labels.parent / "photos" / "i6.png").rename(labels.parent / "photos" / f"{long}.png")
    write_labels(labels, names, np.repeat([[9, 0, 0], [0, 0, 9]], [6, 2], axis=0))
    folder = labels.parent / "balanced"
    result = nimakit(
        "data", "balance", labels, "--image-dir", labels.parent / "photos", "--output-dir", folder
    )
    summary = json.loads(result.out)
    assert (result.code, summary["links"]) == (2, sum(summary["links_by_rating"]))
    assert [*summary["failed"]] == [f"images/{long}~{number}.png" for number in (2, 3)]
    assert "images that could not be linked (2)" in result.err
    linked = {path.stem for path in (folder / "images").iterdir()}
    assert set(read_labels(folder / "labels.json").image_ids) == linked
    assert long in linked


def test_refuses_what_cannot_be_balanced(nimakit: Command, labels: Path, tmp_path: Path) -> None:
    """A file of names, and a folder with none of the images."""
    folder = tmp_path / "balanced"
    write_labels(tmp_path / "names.json", ["i1"], None)
    write_photo(tmp_path / "other.png")
    for file, images, message in (
        ("names.json", "photos", "only names images"),
        ("labels.json", ".", "with none"),
    ):
        result = nimakit(
            "data", "balance", tmp_path / file, "--image-dir", tmp_path / images, "--output-dir", folder
        )
        assert (result.code, folder.exists()) == (1, False)
        assert message in result.err
