"""nimakit.images.saving: an edited photograph keeps what its original said of itself."""

import functools
import io
from pathlib import Path

import pytest
from PIL import Image, ImageCms

from nimakit.errors import ImageError
from nimakit.images.exif import read_shot
from nimakit.images.opening import open_image
from nimakit.images.photo import open_photo
from nimakit.images.saving import OPAQUE, SUFFIXES, Layers, encode, read_layers, read_metadata
from photo_formats import SAMPLES, corners, dng, encoded, jxl
from photo_formats import camera_exif as shot_exif

ORIENTATION, MAKE, COPYRIGHT, DETAILS, GPS = 0x0112, 0x010F, 0x8298, 0x8769, 0x8825
TAKEN, WIDTH, HEIGHT = 0x9003, 0xA002, 0xA003
EDITED = Image.new("RGB", (20, 50), (200, 100, 50))


@functools.cache
def srgb() -> bytes:
    """A colour profile, made once: the second of its making is written into it."""
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
    content = encode(EDITED, read_metadata(original(tmp_path / f"a{source}")), target)
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


@pytest.mark.parametrize("target", [".jpg", ".tif"])
@pytest.mark.parametrize(
    "source",
    [
        (SAMPLES / "orientation_6.heic").read_bytes(),
        encoded(corners(), "AVIF", exif=shot_exif(6)),
        jxl(corners(), exif=shot_exif(6).tobytes()),
        dng(preview=encoded(corners(), "JPEG"), orientation=6),
    ],
    ids=["HEIC", "AVIF", "JXL", "RAW"],
)
def test_photographs_of_phones_and_cameras_keep_their_shot(
    tmp_path: Path, source: bytes, target: str
) -> None:
    """The edited one is upright, and a JPEG or a TIFF of pixels, not of sensor data."""
    path = tmp_path / "a"
    path.write_bytes(source)
    content = encode(EDITED, read_metadata(path), target)
    with open_image(content, ("JPEG", "TIFF")) as image, open_image(path) as before:
        assert read_shot(image) == read_shot(before)
        assert image.getexif()[ORIENTATION] == 1
    assert read_layers(path, open_photo(path)) is None


def test_a_jpeg_xl_keeps_its_transparency(tmp_path: Path) -> None:
    """As a PNG does."""
    path = tmp_path / "a.jxl"
    path.write_bytes(jxl(Image.new("RGBA", (8, 8), (200, 100, 50, 128)), lossless=True))
    layers = read_layers(path, open_photo(path))
    assert layers is not None
    assert layers.alpha.pixels.getextrema() == (128, 128)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_picture_that_says_nothing_stays_silent(tmp_path: Path, suffix: str) -> None:
    """No tag and no profile is made up."""
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    content = encode(EDITED, read_metadata(tmp_path / "a.png"), suffix)
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
    content = encode(EDITED, read_metadata(path), ".jpg")
    assert content.count(b"\xff\xd8\xff") == 1


@pytest.mark.parametrize("mode", ["CMYK", "L"])
def test_drops_a_profile_of_other_colours(tmp_path: Path, mode: str) -> None:
    """The pixels are RGB now; a profile of inks or of grey would be wrong."""
    profile = bytearray(srgb())
    profile[16:20] = b"CMYK" if mode == "CMYK" else b"GRAY"
    origin = read_metadata(original(tmp_path / "a.jpg", mode, bytes(profile)))
    assert origin.icc_profile is None
    assert origin.exif


def layers_of(path: Path) -> Layers | None:
    """What a file has beside what is opened of it."""
    return read_layers(path, open_photo(path))


def cut_out(mode: str = "RGBA") -> Image.Image:
    """A picture that fades from nothing to red, which is red where it shows nothing too."""
    alpha = Image.linear_gradient("L").resize((30, 40))
    picture = Image.new("RGBA", alpha.size, (200, 20, 10, 0))
    picture.putalpha(alpha)
    return picture if mode == "RGBA" else picture.convert(mode)


@pytest.mark.parametrize("suffix", [suffix for suffix in SUFFIXES if suffix not in OPAQUE])
def test_takes_a_transparent_picture_apart(tmp_path: Path, suffix: str) -> None:
    """Colours come without the background, and both layers come back from a file."""
    (tmp_path / f"a{suffix}").write_bytes(
        encode(cut_out(), read_metadata(original(tmp_path / "o.png")), suffix)
    )
    layers = layers_of(tmp_path / f"a{suffix}")
    assert layers is not None
    assert layers.alpha.pixels.tobytes() == cut_out().getchannel("A").tobytes()
    red = layers.colours.pixels.getpixel((0, 20))
    assert isinstance(red, tuple)
    assert max(abs(one - other) for one, other in zip(red, (200, 20, 10), strict=True)) < 8


@pytest.mark.parametrize("mode", ["LA", "P"])
def test_takes_grey_and_palettes_apart(tmp_path: Path, mode: str) -> None:
    """However transparency is stored."""
    cut_out(mode).save(tmp_path / "a.png")
    layers = layers_of(tmp_path / "a.png")
    assert layers is not None
    assert min(layers.alpha.pixels.tobytes()) < 30


def test_nothing_is_apart_where_nothing_shows_through(tmp_path: Path) -> None:
    """A picture without alpha, one that is opaque all over, and grey of 16 bits."""
    opaque = cut_out()
    opaque.putalpha(255)
    pictures = {"rgb": EDITED, "opaque": opaque, "deep": Image.new("I;16", (9, 9), 40_000)}
    for name, picture in pictures.items():
        picture.save(tmp_path / f"{name}.png")
        assert layers_of(tmp_path / f"{name}.png") is None


def test_layers_are_turned_as_the_photo_is(tmp_path: Path) -> None:
    """By the orientation the camera noted."""
    cut_out().save(tmp_path / "a.png", exif=camera_exif())
    layers = layers_of(tmp_path / "a.png")
    assert layers is not None
    assert layers.alpha.size == layers.colours.size == open_photo(tmp_path / "a.png").size == (40, 30)


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp"])
def test_refuses_an_animation(tmp_path: Path, suffix: str) -> None:
    """An edit would keep its first frame and lose the rest."""
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green", "blue")]
    frames[0].save(tmp_path / f"a{suffix}", save_all=True, append_images=frames[1:])
    with pytest.raises(ImageError, match="this is an animation"):
        layers_of(tmp_path / f"a{suffix}")


def test_a_still_gif_and_further_pages_are_pictures(tmp_path: Path) -> None:
    """Of a TIFF the first page counts: the others are mostly previews."""
    EDITED.save(tmp_path / "a.gif")
    EDITED.save(tmp_path / "a.tif", save_all=True, append_images=[EDITED])
    assert layers_of(tmp_path / "a.gif") is None
    assert layers_of(tmp_path / "a.tif") is None


def test_what_a_gif_does_not_cover_is_transparent(tmp_path: Path) -> None:
    """An edit leaves it so: no colour of the palette fills the canvas around a smaller frame."""
    picture = Image.new("P", (4, 4), 0)
    picture.putpalette([200, 10, 10])
    stream = io.BytesIO()
    picture.save(stream, "GIF")
    data = bytearray(stream.getvalue())
    data[6:10] = b"\x0a\0\x08\0"
    path = tmp_path / "small.gif"
    path.write_bytes(data)
    layers = read_layers(path, open_photo(path))
    assert layers is not None
    alpha = layers.alpha.pixels
    assert (alpha.size, alpha.getbbox(), alpha.getpixel((0, 0))) == ((10, 8), (0, 0, 4, 4), 255)
