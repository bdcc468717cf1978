"""nimakit.images.fingerprints: what stays of a picture that is changed, and the cache."""

import os
import sqlite3
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faults import failing
from made_photos import COPIES, made_photo, save
from nimakit.errors import ImageError, MissingExtraError
from nimakit.images import fingerprints
from nimakit.images.fingerprints import FINGERPRINT, SIDE, fingerprint, fingerprint_files, mirrored


def _distance(first: np.void, second: np.void, view: int = 0) -> int:
    """Bits in which a view's edge map differs from that of a whole picture."""
    return int(np.bitwise_count(first["edges"][view] ^ second["edges"][0]).sum())


@pytest.mark.parametrize("name", ["resized", "re-encoded", "grey", "brighter"])
def test_a_copy_has_nearly_the_same_fingerprint(name: str) -> None:
    """A few bits change, where between different pictures it is half of them."""
    one, other, copy = made_photo(1), made_photo(2), COPIES[name](made_photo(1))
    assert _distance(fingerprint(one), fingerprint(copy)) < 0.06 * SIDE**2
    assert int(np.bitwise_count(fingerprint(one)["hash"][0] ^ fingerprint(copy)["hash"][0])) <= 11
    assert _distance(fingerprint(one), fingerprint(other)) > 0.4 * SIDE**2


@pytest.mark.parametrize("name", ["cropped all around", "cropped on two sides"])
def test_a_cropped_copy_is_close_to_one_of_the_views(name: str) -> None:
    """One view of the original shows about what is left of it."""
    one, copy = fingerprint(made_photo(1)), fingerprint(COPIES[name](made_photo(1)))
    distances = [_distance(one, copy, view) for view in range(fingerprints.VIEWS)]
    assert min(distances[1:]) < 0.16 * SIDE**2 < distances[0]


def test_the_mirror_hash_and_map_are_those_of_the_mirror_image() -> None:
    """So a mirrored copy is found without a look at its pixels."""
    one = fingerprint(made_photo(1))
    turned = fingerprint(COPIES["mirrored"](made_photo(1)))
    assert one["mirror_hash"] == turned["hash"][0]
    assert np.array_equal(mirrored(one["edges"][:1]), turned["edges"][:1])


def test_a_picture_is_upright_first(tmp_path: Path) -> None:
    """A photograph that only its EXIF turns is the same as one that was turned."""
    photo = made_photo(1)
    exif = Image.Exif()
    exif[0x112] = 8
    photo.transpose(Image.Transpose.ROTATE_270).save(tmp_path / "turned.png", exif=exif)
    assert fingerprint(tmp_path / "turned.png") == fingerprint(photo)


def test_contrast_tells_an_even_surface() -> None:
    """It is the standard deviation of the grey levels."""
    assert fingerprint(Image.new("RGB", (40, 30), (9, 9, 9)))["contrast"] == 0
    halves = Image.new("L", (64, 64))
    halves.paste(255, (32, 0, 64, 64))
    assert fingerprint(halves)["contrast"] == pytest.approx(127.5)


def test_files_come_in_order_and_an_unreadable_one_has_its_error(tmp_path: Path, empty_cache: Path) -> None:
    """A file that is no image, or not there, does not stop the others."""
    paths = [save(made_photo(seed), tmp_path / f"{seed}.png") for seed in (3, 4)]
    (tmp_path / "x.jpg").write_bytes(b"no image")
    found = fingerprint_files([paths[0], tmp_path / "x.jpg", paths[1], tmp_path / "gone.jpg", paths[0]])
    assert found[0] == found[4] == fingerprint(paths[0])
    assert found[2] == fingerprint(paths[1])
    assert isinstance(found[1], ImageError)
    assert isinstance(found[3], ImageError)


def test_a_second_run_decodes_nothing_but_what_changed(
    tmp_path: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache knows a file by path, size and time; a file that was replaced is read anew."""
    paths = [save(made_photo(seed), tmp_path / f"{seed}.png") for seed in range(3)]
    first = fingerprint_files(paths)
    decoded = []

    def count(path: Path, *, max_pixels: int) -> np.void:
        decoded.append(path)
        return fingerprint(path, max_pixels=max_pixels)

    monkeypatch.setattr(fingerprints, "fingerprint", count)
    assert fingerprint_files(paths) == first
    assert decoded == []
    save(made_photo(9), paths[1])
    assert fingerprint_files(paths)[1] == fingerprint(paths[1])
    assert decoded == [paths[1]]


def test_a_name_that_is_no_text_is_cached_too(tmp_path: Path, empty_cache: Path) -> None:
    """File names are bytes."""
    try:
        path = save(made_photo(1), tmp_path / os.fsdecode(b"\xff.png"))
    except OSError:
        pytest.skip("this file system has names in UTF-8 alone")
    assert fingerprint_files([path]) == fingerprint_files([path])


@pytest.mark.parametrize("damage", ["no folder", "no database", "another table", "locked"])
def test_goes_on_without_a_cache_that_cannot_be_used(
    tmp_path: Path,
    empty_cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    damage: str,
) -> None:
    """The result is the same, and people are told."""
    path = save(made_photo(1), tmp_path / "1.png")
    fingerprint_files([path])
    (file,) = empty_cache.iterdir()
    lock = None
    if damage == "no folder":
        monkeypatch.setenv("NIMAKIT_CACHE", str(path))
    elif damage == "no database":
        file.write_bytes(b"no database, and long enough to be looked at" * 100)
    else:
        lock = sqlite3.connect(file)
        lock.execute("DROP TABLE fingerprints" if damage == "another table" else "BEGIN EXCLUSIVE")
        if damage == "another table":
            lock.execute("CREATE TABLE fingerprints (x)")
            lock.commit()
        else:
            monkeypatch.setattr(fingerprints, "_LOCK_SECONDS", 0.05)
    assert fingerprint_files([path]) == [fingerprint(path)]
    assert "fingerprints are not kept for the next run: " in capsys.readouterr().err
    if lock:
        lock.close()


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the line that installs it."""
    monkeypatch.setitem(sys.modules, "imagehash", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'nimakit\[data\]'"):
        fingerprints.require()


def test_a_fingerprint_has_a_fixed_size() -> None:
    """A change of it takes another name of the cache file, or old ones would be misread."""
    assert (FINGERPRINT.itemsize, fingerprints._CACHE_FILE) == (828, "fingerprints-v1.sqlite")


def test_a_fault_of_the_machine_is_not_kept(tmp_path: Path, empty_cache: Path) -> None:
    """The same run goes on with other files, and the next one has the fingerprint."""
    path = save(made_photo(1), tmp_path / "a.png")
    with failing("memory"):
        [found] = fingerprint_files([path])
    assert "not enough memory" in str(found)
    [found] = fingerprint_files([path])
    assert isinstance(found, np.void)
