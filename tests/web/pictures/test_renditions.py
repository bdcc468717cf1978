"""Renditions of pictures: sizes, colours and orientation, and nothing from outside the folder."""

import io
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageCms

from nimakit.errors import ImageError, ImageMissingError
from nimakit.images.photo import DECODED_BYTES, MAX_PIXELS, Photo, open_photo
from nimakit.serving.admission import Admission
from nimakit.web.pictures import renditions as renditions_module
from nimakit.web.pictures.renditions import Rendition, Renditions
from photo_formats import SAMPLES, camera_exif, corners, dng, encoded, quarters
from samples import write_photo

ROOM = Admission(DECODED_BYTES * MAX_PIXELS, at_once=2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty collection."""
    (tmp_path / "photos").mkdir()
    return tmp_path / "photos"


@pytest.fixture
def renditions(tmp_path: Path) -> Renditions:
    """An empty cache of renditions."""
    return Renditions(tmp_path / "copies", ROOM, MAX_PIXELS)


def opened(rendition: Rendition) -> Image.Image:
    """The decoded picture."""
    source = rendition.source
    return Image.open(io.BytesIO(source if isinstance(source, bytes) else source.read_bytes()))


def test_a_small_picture_is_sent_unchanged(folder: Path, renditions: Renditions) -> None:
    """It is not re-encoded."""
    path = write_photo(folder / "a.png", 50, (400, 300))
    found = renditions.find(folder, "a.png", 480)
    assert (found.source, found.media_type) == (path, "image/png")


def test_a_large_picture_is_made_smaller_once(folder: Path, renditions: Renditions) -> None:
    """The copy keeps the aspect ratio, and is reused."""
    write_photo(folder / "a.jpg", 50, (1000, 500))
    found = renditions.find(folder, "a.jpg", 480)
    assert opened(found).size == (480, 240)
    assert renditions.find(folder, "a.jpg", 480).source == found.source
    assert renditions.find(folder, "a.jpg").source == folder / "a.jpg"


def test_few_pictures_are_decoded_at_once(
    folder: Path, renditions: Renditions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is limited; concurrent requests for one picture share its copy."""
    running, seen, made = [0], [0], list[Path]()
    opening = open_photo

    def watch(path: Path, **options: Any) -> Photo:
        running[0] += 1
        seen[0] = max(seen[0], running[0])
        time.sleep(0.05)
        made.append(path)
        running[0] -= 1
        return opening(path, **options)

    monkeypatch.setattr(renditions_module, "open_photo", watch)
    names = [write_photo(folder / f"{number}.jpg", 50, (1000, 500)).name for number in range(4)] * 4
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda name: renditions.find(folder, name, 480), names))
    assert seen[0] <= 2
    assert len(made) <= 8
    assert {opened(one).size for one in found} == {(480, 240)}


def test_a_changed_picture_gets_a_new_copy(folder: Path, renditions: Renditions) -> None:
    """The version changes as well."""
    write_photo(folder / "a.jpg", 50, (1000, 500))
    first = renditions.find(folder, "a.jpg", 480)
    write_photo(folder / "a.jpg", 50, (1000, 1000))
    second = renditions.find(folder, "a.jpg", 480)
    assert opened(second).size == (480, 480)
    assert first.version != second.version


def test_a_copy_is_the_right_way_up(folder: Path, renditions: Renditions) -> None:
    """Pictures from phones may be stored rotated."""
    exif = Image.Exif()
    exif[0x0112] = 6
    write_photo(folder / "a.jpg", 50, (1000, 500), exif=exif)
    assert opened(renditions.find(folder, "a.jpg", 480)).size == (240, 480)


def test_a_copy_keeps_the_colour_profile(folder: Path, renditions: Renditions) -> None:
    """Without it, wide-gamut pictures would look dull."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    write_photo(folder / "a.jpg", 50, (1000, 500), icc_profile=profile)
    assert opened(renditions.find(folder, "a.jpg", 480)).info["icc_profile"] == profile


def test_formats_that_browsers_do_not_show_are_converted(folder: Path, renditions: Renditions) -> None:
    """A TIFF is sent as JPEG at every size."""
    write_photo(folder / "a.tiff", 50, (600, 300))
    for side, size in ((480, (480, 240)), (None, (600, 300))):
        found = renditions.find(folder, "a.tiff", side)
        assert (found.media_type, opened(found).format, opened(found).size) == ("image/jpeg", "JPEG", size)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.heic", (SAMPLES / "orientation_6.heic").read_bytes()),
        ("heic.jpg", (SAMPLES / "orientation_6.heic").read_bytes()),
        ("a.jxl", (SAMPLES / "orientation_6.jxl").read_bytes()),
        ("a.avif", encoded(corners(), "AVIF", exif=camera_exif(6))),
        ("a.dng", dng(orientation=6)),
    ],
)
def test_photographs_of_phones_and_cameras_are_converted(
    folder: Path, renditions: Renditions, name: str, content: bytes
) -> None:
    """By content, and upright at every size."""
    (folder / name).write_bytes(content)
    for side in (480, None):
        found = renditions.find(folder, name, side)
        assert (found.media_type, opened(found).format) == ("image/jpeg", "JPEG")
        assert quarters(opened(found)) == ["w", "r", "g", "b"]


def test_a_file_that_browsers_show_is_known_by_its_content(folder: Path, renditions: Renditions) -> None:
    """An MPO is a JPEG with more behind it, and .jpe another suffix of one."""
    for name in ("a.mpo", "a.jpe", "a.png"):
        write_photo(folder / "x.jpg", 50, (60, 30)).rename(folder / name)
        found = renditions.find(folder, name, 480)
        assert (found.media_type, found.source) == ("image/jpeg", folder / name)


@pytest.mark.parametrize(
    "content", [b"", b"no picture at all", b"\xff\xd8\xff\xe0" + b"x" * 500], ids=["empty", "text", "damaged"]
)
def test_a_broken_picture_is_an_image_error(folder: Path, renditions: Renditions, content: bytes) -> None:
    """It is noticed before sending, even if the file itself would be sent."""
    (folder / "a.jpg").write_bytes(content)
    with pytest.raises(ImageError):
        renditions.find(folder, "a.jpg", 1280)


def test_a_truncated_picture_is_an_image_error(folder: Path, renditions: Renditions) -> None:
    """A truncated picture must not be rated as if it were complete."""
    path = folder / "a.jpg"
    Image.effect_noise((300, 300), 50).save(path)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(ImageError):
        renditions.find(folder, "a.jpg", 1280)


@pytest.mark.parametrize("path", ["../secret.jpg", "link.jpg", "gone.jpg", "folder", "/etc/hostname"])
def test_nothing_outside_the_folder_is_sent(folder: Path, renditions: Renditions, path: str) -> None:
    """Paths and links out of the folder, and folders, are refused."""
    write_photo(folder.parent / "secret.jpg")
    (folder / "link.jpg").symlink_to(folder.parent / "secret.jpg")
    (folder / "folder").mkdir()
    with pytest.raises(ImageError):
        renditions.find(folder, path, 480)


def test_a_picture_that_is_gone_is_told_from_a_broken_one(folder: Path, renditions: Renditions) -> None:
    """A missing picture may return, a broken one does not."""
    with pytest.raises(ImageMissingError, match="no longer"):
        renditions.find(folder, "gone.jpg", 480)


def test_a_full_disk_still_shows_the_picture(
    folder: Path, renditions: Renditions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No copy is cached, and no partial file remains."""

    def refuse(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    write_photo(folder / "a.jpg", 50, (1000, 500))
    monkeypatch.setattr(Path, "write_bytes", refuse)
    found = renditions.find(folder, "a.jpg", 480)
    assert isinstance(found.source, bytes)
    assert opened(found).size == (480, 240)
    assert list((folder.parent / "copies").glob("*/*")) == []


def test_the_size_of_the_cache_is_limited(folder: Path, tmp_path: Path) -> None:
    """The least recently used copies are deleted first."""
    renditions = Renditions(tmp_path / "copies", ROOM, MAX_PIXELS, limit=12_000)
    for number in range(8):
        Image.effect_noise((600, 600), 20 + number).save(folder / f"{number}.png")
        found = renditions.find(folder, f"{number}.png", 480)
        if isinstance(found.source, Path) and found.source.exists():
            os.utime(found.source, (number, number))
    kept = list((tmp_path / "copies").glob("*/*"))
    assert sum(path.stat().st_size for path in kept) <= 12_000 + max(
        (path.stat().st_size for path in kept), default=0
    )
    assert len(kept) < 8


def test_a_copy_that_goes_while_they_are_counted_does_no_harm(folder: Path, tmp_path: Path) -> None:
    """Other processes create and delete copies as well."""
    (tmp_path / "copies" / "aa").mkdir(parents=True)
    (tmp_path / "copies" / "aa" / "b.partial").symlink_to("gone")
    write_photo(folder / "a.jpg", 50, (1000, 500))
    found = Renditions(tmp_path / "copies", ROOM, MAX_PIXELS).find(folder, "a.jpg", 480)
    assert opened(found).size == (480, 240)
