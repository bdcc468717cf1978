"""nimakit.labels.image_checks: whether images are there, readable, and in one file once."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import pytest
from PIL import Image

from made_photos import COPIES, made_photo, save
from nimakit.labels.image_checks import ImageCheck, check_images, labelled

pytestmark = pytest.mark.usefixtures("empty_cache")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with pictures 0 to 5."""
    folder = tmp_path / "photos"
    for number in range(6):
        save(made_photo(number), folder / f"{number}.bmp")
    return folder


def _check(photos: Path | None, files: Mapping[str, str]) -> ImageCheck:
    """Check sets whose images have names of one letter or digit."""
    return check_images([labelled(name, images, photos, recursive=False) for name, images in files.items()])


def test_nothing_is_wrong_with_different_pictures(photos: Path) -> None:
    """And nothing is to be dropped."""
    found = _check(photos, {"train": "0123", "test": "45"})
    assert found.problems == 0
    assert found.drop == {"train": [], "test": []}


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_in_the_other_file_is_a_leak(photos: Path, name: str) -> None:
    """And is dropped from train, not from test."""
    save(COPIES[name](made_photo(1)), photos / "x.jpg")
    found = _check(photos, {"train": "012x", "test": "345"})
    assert (found.leaks, len(found.duplicates)) == ((), 1)
    for train, test in (("012", "x45"), ("0x2", "145")):
        found = _check(photos, {"train": train, "test": test})
        (leak,) = found.leaks
        assert {image.image_id for image in leak.images} == {"1", "x"}
        assert (leak.kind, leak.mirrored) == ("near", "mirrored" in name)
        assert found.drop == {"train": [train[1]], "test": []}
        assert (found.problems, found.duplicates) == (1, ())


def test_one_image_in_two_files_is_a_leak_without_a_look_at_it(photos: Path) -> None:
    """Also where there is no such file, or no folder at all."""
    for folder in (photos, None):
        found = _check(folder, {"train": "01x", "test": "1x"})
        assert [(leak.kind, leak.images[0].image_id) for leak in found.leaks] == [
            ("same image", "1"),
            ("same image", "x"),
        ]
        assert found.drop["train"] == ["1", "x"]
        assert len(found.missing) == (2 if folder else 0)


def test_the_same_name_in_two_folders_is_not_the_same_image(tmp_path: Path) -> None:
    """Train and test may both have a picture 1."""
    sets = []
    for number, name in enumerate(("train", "test")):
        save(made_photo(number), tmp_path / name / "1.bmp")
        sets.append(labelled(name, "1x", tmp_path / name, recursive=False))
    found = check_images(sets)
    assert found.leaks == ()
    assert [str(entry) for entry in found.missing] == ["'x' in train", "'x' in test"]


def test_of_a_picture_in_many_places_one_is_kept(photos: Path) -> None:
    """The first of the last file."""
    for name in "abc":
        save(made_photo(0), photos / f"{name}.bmp")
    found = _check(photos, {"train": "0a1", "test": "b2c"})
    (leak,) = found.leaks
    assert (leak.kind, len(leak.images)) == ("identical", 4)
    assert found.drop == {"train": ["0", "a"], "test": ["c"]}
    assert str(leak).startswith("'0' in train = 'a' in train = ")


def test_missing_unreadable_and_blank_images_are_listed_and_dropped(photos: Path) -> None:
    """Each with its file, an unreadable one with the reason."""
    (photos / "u.jpg").write_bytes((photos / "3.bmp").read_bytes()[:5000])
    save(Image.new("RGB", (40, 40), (9, 9, 9)), photos / "b.bmp")
    found = _check(photos, {"train": "0mu1b"})
    assert [str(entry) for entry in found.missing] == ["'m' in train"]
    (entry,) = found.unreadable
    assert entry.image_id == "u"
    assert "cannot be decoded" in entry.error
    assert [entry.image_id for entry in found.blank] == ["b"]
    assert (found.problems, found.drop) == (3, {"train": ["m", "u", "b"]})


def test_nothing_readable_is_no_special_case(photos: Path) -> None:
    """A set whose images are all missing has them listed."""
    assert len(_check(photos, {"train": "xyz"}).missing) == 3


def test_a_copy_that_is_lost_anyway_saves_the_other(photos: Path) -> None:
    """Two blank files that are identical are both dropped; no third one is kept for them."""
    for name in "ab":
        save(Image.new("RGB", (40, 40)), photos / f"{name}.bmp")
    found = _check(photos, {"train": "a0", "test": "b1"})
    assert len(found.leaks) == 1
    assert found.drop == {"train": ["a"], "test": ["b"]}


def test_what_is_to_be_dropped_leaves_nothing_to_find(photos: Path) -> None:
    """A second check of what is left is clean, and all of it is JSON."""
    save(made_photo(1), photos / "x.bmp")
    save(COPIES["mirrored"](made_photo(2)), photos / "y.bmp")
    (photos / "u.jpg").write_bytes(b"")
    files = {"train": "0123u", "test": "45xym"}
    found = _check(photos, files)
    assert found.problems == 4
    drop = json.loads(json.dumps(asdict(found)))["drop"]
    left = {name: "".join(i for i in images if i not in drop[name]) for name, images in files.items()}
    assert left == {"train": "03", "test": "45xy"}
    assert _check(photos, left).problems == 0


def test_an_image_id_that_several_files_share_is_ambiguous(photos: Path) -> None:
    """Which of them was rated nobody knows; one of them is looked at."""
    save(made_photo(8), photos / "1.jpg")
    save(made_photo(9), photos / "sub" / "2.bmp")
    found = _check(photos, {"train": "012"})
    (entry,) = found.ambiguous
    assert (entry.image_id, entry.paths) == ("1", (str(photos / "1.bmp"), str(photos / "1.jpg")))
    assert (found.problems, found.drop) == (1, {"train": []})
    deep = check_images([labelled("train", "012", photos, recursive=True)])
    assert [entry.image_id for entry in deep.ambiguous] == ["1", "2"]
