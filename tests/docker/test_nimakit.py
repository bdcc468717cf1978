"""./nimakit in real containers."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from docker.conftest import SAMPLES, Launcher

SCALE = ("--scale", "1", "10")

pytestmark = pytest.mark.docker


@pytest.fixture
def nimakit(predict: Launcher) -> Launcher:
    """The launcher, with the image built."""
    return replace(predict, program="nimakit")


def test_a_photo_is_explained(nimakit: Launcher, tmp_path: Path) -> None:
    """The pictures are there afterwards, and are the caller's."""
    done = nimakit(
        "explain", "--image-source", SAMPLES / "coffee.jpg", "--output-dir", "explained", folder=tmp_path
    )
    assert done.returncode == 0, done.stderr
    [record] = json.loads(done.stdout)
    assert len(record["files"]) == 3
    for name in record["files"]:
        assert (tmp_path / name).stat().st_uid == os.getuid()


def test_a_photo_is_enhanced_in_its_place(nimakit: Launcher, tmp_path: Path) -> None:
    """With --overwrite the original is replaced, and the sidecar is next to it."""
    photo = tmp_path / "coffee.jpg"
    shutil.copyfile(SAMPLES / "coffee.jpg", photo)
    before = photo.read_bytes()
    arguments = ("enhance", "--inputimage", "coffee.jpg", "--outputimage", "coffee.jpg")
    refused = nimakit(*arguments, folder=tmp_path)
    assert (refused.returncode, photo.read_bytes()) == (1, before)
    done = nimakit(*arguments, "--overwrite", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert photo.read_bytes() != before
    assert (tmp_path / "coffee.edit.json").is_file()


def test_ratings_become_a_taste(nimakit: Launcher, tmp_path: Path) -> None:
    """Ratings become labels, labels are split, and a taste file is learned, as the help shows."""
    names = ["coffee", "courtyard", "landscape", "otter", "portrait", "room"]
    rows = [f"{name},ann,{rating}" for rating, name in enumerate(names, start=3)]
    (tmp_path / "ratings.csv").write_text("\n".join(["image_id,user_id,rating", *rows, ""]))
    for arguments in (
        ("data", "ratings", "ratings.csv", "--bins", "1-10", "--output", "labels.json"),
        ("data", "split", "labels.json", "--part", "train=rest", "--part", "test=2"),
        ("personalise", "--ratings", "ratings.csv", "--image-dir", SAMPLES, "--output", "ann.taste", *SCALE),
    ):
        done = nimakit(*arguments, folder=tmp_path)
        assert done.returncode == 0, done.stderr
    assert len(json.loads((tmp_path / "labels_test.json").read_text())) == 2
    assert (tmp_path / "ann.taste").stat().st_uid == os.getuid()
