"""Pictures as browsers get them: sizes, colours, the way up; nothing from outside the folder."""

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
from samples import write_photo

ROOM = Admission(DECODED_BYTES * MAX_PIXELS, at_once=2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty collection."""
    (tmp_path / "photos").mkdir()
    return tmp_path / "photos"


@pytest.fixture
def renditions(tmp_path: Path) -> Renditions:
    """With nothing made yet."""
    return Renditions(tmp_path / "copies", ROOM, MAX_PIXELS)


def opened(rendition: Rendition) -> Image.Image:
    """What a browser would see."""
    source = rendition.source
    return Image.open(io.BytesIO(source if isinstance(source, bytes) else source.read_bytes()))


def test_a_picture_that_is_small_enough_is_sent_as_it_is(folder: Path, renditions: Renditions) -> None:
    """No pixel is touched where there is no need."""
    path = write_photo(folder / "a.png", 50, (400, 300))
    found = renditions.find(folder, "a.png", 480)
    assert (found.source, found.media_type) == (path, "image/png")


def test_a_large_picture_is_made_smaller_once(folder: Path, renditions: Renditions) -> None:
    """The copy keeps the proportions, and is the same file the next time."""
    write_photo(folder / "a.jpg", 50, (1000, 500))
    found = renditions.find(folder, "a.jpg", 480)
    assert opened(found).size == (480, 240)
    assert renditions.find(folder, "a.jpg", 480).source == found.source
    assert renditions.find(folder, "a.jpg").source == folder / "a.jpg"


def test_few_pictures_are_decoded_at_once(
    folder: Path, renditions: Renditions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each takes memory; who asks for what somebody else is making gets that."""
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
    """The version tells browsers, too."""
    write_photo(folder / "a.jpg", 50, (1000, 500))
    first = renditions.find(folder, "a.jpg", 480)
    write_photo(folder / "a.jpg", 50, (1000, 1000))
    second = renditions.find(folder, "a.jpg", 480)
    assert opened(second).size == (480, 480)
    assert first.version != second.version


def test_a_copy_is_the_right_way_up(folder: Path, renditions: Renditions) -> None:
    """A phone's picture lies on its side in the file."""
    exif = Image.Exif()
    exif[0x0112] = 6
    write_photo(folder / "a.jpg", 50, (1000, 500), exif=exif)
    assert opened(renditions.find(folder, "a.jpg", 480)).size == (240, 480)


def test_a_copy_keeps_the_colour_profile(folder: Path, renditions: Renditions) -> None:
    """Otherwise the colours of most cameras and phones would be dulled, and judged so."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    write_photo(folder / "a.jpg", 50, (1000, 500), icc_profile=profile)
    assert opened(renditions.find(folder, "a.jpg", 480)).info["icc_profile"] == profile


def test_what_browsers_do_not_show_is_converted(folder: Path, renditions: Renditions) -> None:
    """A TIFF is a JPEG at every size."""
    write_photo(folder / "a.tiff", 50, (600, 300))
    for side, size in ((480, (480, 240)), (None, (600, 300))):
        found = renditions.find(folder, "a.tiff", side)
        assert (found.media_type, opened(found).format, opened(found).size) == ("image/jpeg", "JPEG", size)


@pytest.mark.parametrize(
    "content", [b"", b"no picture at all", b"\xff\xd8\xff\xe0" + b"x" * 500], ids=["empty", "text", "damaged"]
)
def test_a_broken_picture_is_an_image_error(folder: Path, renditions: Renditions, content: bytes) -> None:
    """It is found out before it is sent, also where the file itself would have been sent."""
    (folder / "a.jpg").write_bytes(content)
    with pytest.raises(ImageError):
        renditions.find(folder, "a.jpg", 1280)


def test_a_truncated_picture_is_an_image_error(folder: Path, renditions: Renditions) -> None:
    """Half a picture would be judged as if it were whole."""
    path = folder / "a.jpg"
    Image.effect_noise((300, 300), 50).save(path)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(ImageError):
        renditions.find(folder, "a.jpg", 1280)


@pytest.mark.parametrize("path", ["../secret.jpg", "link.jpg", "gone.jpg", "folder", "/etc/hostname"])
def test_nothing_outside_the_folder_is_sent(folder: Path, renditions: Renditions, path: str) -> None:
    """Whatever the database says: no way out, no link out, no folder."""
    write_photo(folder.parent / "secret.jpg")
    (folder / "link.jpg").symlink_to(folder.parent / "secret.jpg")
    (folder / "folder").mkdir()
    with pytest.raises(ImageError):
        renditions.find(folder, path, 480)


def test_a_picture_that_is_gone_is_told_from_a_broken_one(folder: Path, renditions: Renditions) -> None:
    """It may come back."""
    with pytest.raises(ImageMissingError, match="no longer"):
        renditions.find(folder, "gone.jpg", 480)


def test_a_full_disk_still_shows_the_picture(
    folder: Path, renditions: Renditions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no copy to keep, and no half of one stays."""

    def refuse(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    write_photo(folder / "a.jpg", 50, (1000, 500))
    monkeypatch.setattr(Path, "write_bytes", refuse)
    found = renditions.find(folder, "a.jpg", 480)
    assert isinstance(found.source, bytes)
    assert opened(found).size == (480, 240)
    assert list((folder.parent / "copies").glob("*/*")) == []


def test_copies_stay_within_their_bound(folder: Path, tmp_path: Path) -> None:
    """The longest unused go first."""
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
    """Other processes make and delete copies, too."""
    (tmp_path / "copies" / "aa").mkdir(parents=True)
    (tmp_path / "copies" / "aa" / "b.partial").symlink_to("gone")
    write_photo(folder / "a.jpg", 50, (1000, 500))
    found = Renditions(tmp_path / "copies", ROOM, MAX_PIXELS).find(folder, "a.jpg", 480)
    assert opened(found).size == (480, 240)
