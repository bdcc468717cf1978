"""nimakit.photo_file: an edited photograph keeps what its original said of itself."""

import io
from pathlib import Path

import pytest
from PIL import Image, ImageCms

from nimakit.photo_file import SUFFIXES, encode, read_origin

ORIENTATION, MAKE, COPYRIGHT, DETAILS, GPS = 0x0112, 0x010F, 0x8298, 0x8769, 0x8825
TAKEN, WIDTH, HEIGHT = 0x9003, 0xA002, 0xA003
EDITED = Image.new("RGB", (20, 50), (200, 100, 50))


def srgb() -> bytes:
    """A colour profile."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def camera_exif() -> Image.Exif:
    """What a phone held upright writes into a picture of 40 by 30."""
    exif = Image.Exif()
    exif.update({ORIENTATION: 6, MAKE: "Maker", COPYRIGHT: "Somebody"})
    exif[DETAILS] = {TAKEN: "2020:01:02 03:04:05", WIDTH: 40, HEIGHT: 30}
    exif[GPS] = {1: "N", 2: (52.0, 30.0, 0.0)}
    read = Image.Exif()
    read.load(exif.tobytes())
    return read


def original(path: Path, mode: str = "RGB", profile: bytes | None = None) -> Path:
    """A photograph with all that a camera says."""
    picture = Image.new(mode, (40, 30))
    picture.save(path, exif=camera_exif(), icc_profile=profile or srgb(), dpi=(300, 300))
    return path


@pytest.mark.parametrize("source", SUFFIXES)
@pytest.mark.parametrize("target", SUFFIXES)
def test_keeps_exif_and_profile(tmp_path: Path, source: str, target: str) -> None:
    """From every format to every other; what describes the pixels is that of the new ones."""
    content = encode(EDITED, read_origin(original(tmp_path / f"a{source}")), target)
    with Image.open(io.BytesIO(content)) as found:
        assert found.size == EDITED.size
        assert found.info["icc_profile"] == srgb()
        exif = found.getexif()
        assert (exif[MAKE], exif[COPYRIGHT], exif[ORIENTATION]) == ("Maker", "Somebody", 1)
        details = exif.get_ifd(DETAILS)
        assert (details[TAKEN], details[WIDTH], details[HEIGHT]) == ("2020:01:02 03:04:05", 20, 50)
        assert exif.get_ifd(GPS)[2] == (52.0, 30.0, 0.0)
        if ".webp" not in (source, target):
            assert found.info["dpi"] == pytest.approx((300, 300), abs=0.1)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_picture_that_says_nothing_stays_silent(tmp_path: Path, suffix: str) -> None:
    """No tag and no profile is made up."""
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    content = encode(EDITED, read_origin(tmp_path / "a.png"), suffix)
    with Image.open(io.BytesIO(content)) as found:
        assert "icc_profile" not in found.info
        assert ORIENTATION not in found.getexif() or suffix.startswith(".tif")


def test_drops_the_preview_of_the_original(tmp_path: Path) -> None:
    """It would show the picture as it was before."""
    exif = camera_exif()
    preview = io.BytesIO()
    Image.new("RGB", (8, 8)).save(preview, "JPEG")
    exif.get_ifd(0x014A)
    path = tmp_path / "a.jpg"
    Image.new("RGB", (40, 30)).save(path, exif=exif.tobytes() + preview.getvalue())
    content = encode(EDITED, read_origin(path), ".jpg")
    assert content.count(b"\xff\xd8\xff") == 1


@pytest.mark.parametrize("mode", ["CMYK", "L"])
def test_drops_a_profile_of_other_colours(tmp_path: Path, mode: str) -> None:
    """The pixels are RGB now; a profile of inks or of grey would be wrong."""
    profile = bytearray(srgb())
    profile[16:20] = b"CMYK" if mode == "CMYK" else b"GRAY"
    origin = read_origin(original(tmp_path / "a.jpg", mode, bytes(profile)))
    assert origin.icc_profile is None
    assert origin.exif
