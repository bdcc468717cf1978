"""nimakit.culling.frames: the photographs of a shoot, read once and kept."""

from pathlib import Path

import numpy as np
import pytest

from nimakit.culling import frames
from nimakit.culling.frames import read_frames
from nimakit.images.files import find_images
from nimakit.images.photo import Photo
from nimakit.models.encoders.encoder import Encoder
from nimakit.models.engine import Model
from photo_formats import camera_exif, corners, dng, encoded


@pytest.fixture
def shoot(tmp_path: Path) -> Path:
    """A folder with a RAW file and its JPEG, another JPEG, and one that is cut off."""
    folder = tmp_path / "shoot"
    folder.mkdir()
    picture = encoded(corners(), "JPEG", exif=camera_exif())
    (folder / "a.JPG").write_bytes(picture)
    (folder / "a.DNG").write_bytes(dng())
    (folder / "b.jpg").write_bytes(encoded(corners((70, 90)), "JPEG"))
    (folder / "c.jpg").write_bytes(picture[: len(picture) // 2])
    return folder


def test_a_raw_file_with_its_jpeg_is_one_frame_and_a_broken_file_a_failure(
    shoot: Path, tiny: Model, tiny_file: Path
) -> None:
    """The JPEG is read, and the others are read although one is broken."""
    paths = find_images(shoot)
    reading = read_frames(paths, model=tiny, encoder=Encoder(tiny_file))
    assert [(f.path.name, f.raw) for f in reading.frames] == [("a.JPG", shoot / "a.DNG"), ("b.jpg", None)]
    assert [path.name for path in reading.failures] == ["c.jpg"]
    first, second = reading.frames
    assert (first.camera, first.taken) == ("Made Made M1 123", 1779005472.34)
    assert (second.camera, second.taken) == (None, None)
    assert first.features.shape == (3,)
    assert first.score is not None


@pytest.mark.usefixtures("empty_cache")
def test_a_second_run_looks_at_no_pixels(
    shoot: Path, tiny: Model, tiny_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was measured comes from the store, equal."""
    paths = find_images(shoot)[:2]
    before = read_frames(paths, model=tiny, encoder=Encoder(tiny_file)).frames

    def refuse(photo: Photo) -> None:
        raise AssertionError

    monkeypatch.setattr(frames, "look", refuse)
    after = read_frames(paths, model=tiny, encoder=Encoder(tiny_file)).frames
    assert [f.measures for f in after] == [f.measures for f in before]
    assert all(
        np.array_equal(one.appearance.detail, other.appearance.detail)
        for one, other in zip(before, after, strict=True)
    )
