"""nimakit.images.photo: JPEGs decoded only as large as a model needs them."""

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.ExifTags import Base

from nimakit.errors import ImageError, ImageTooLargeError
from nimakit.images.photo import (
    FITS,
    Fit,
    PixelArray,
    Preprocessing,
    largest_reduction,
    open_photo,
    prepare,
)

WANTED = Preprocessing(height=16, width=20, resize_filter="bicubic", fit="squash", decode="scaled")


def _encoded(size: tuple[int, int], form: str = "JPEG", mode: str = "RGB", **options: Any) -> bytes:
    """A picture without fine detail, which scaling would blur, but steep enough to tell half a pixel."""
    width, height = size
    down, across = np.mgrid[0:height, 0:width]
    waves = [np.sin(across * 9 / width + 1), np.cos(down * 7 / height), np.sin((across + down) * 5 / width)]
    pixels = np.stack([128 + 100 * wave for wave in waves], axis=2).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(stream, form, quality=95, **options)
    return stream.getvalue()


def _turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[Base.Orientation] = orientation
    return exif


def _both(data: bytes, wanted: Preprocessing, *view: Any) -> tuple[PixelArray, PixelArray]:
    """A model's input from the whole picture and from the scaled one."""
    return (
        prepare(open_photo(data), wanted, *view),
        prepare(open_photo(data, preprocessing=wanted, zoom=view[0] if view else 1.0), wanted, *view),
    )


@pytest.mark.parametrize(
    ("size", "reduction"),
    [
        ((320, 256), 8),
        ((319, 256), 4),
        ((320, 255), 4),
        ((700, 255), 4),
        ((160, 128), 4),
        ((159, 128), 2),
        ((80, 64), 2),
        ((80, 63), 1),
        ((20, 16), 1),
        ((3, 2), 1),
    ],
)
def test_keeps_twice_the_pixels_of_the_input_and_takes_the_smallest_such_size(
    size: tuple[int, int], reduction: int
) -> None:
    """Exactly twice is enough, one pixel less is not, along either side."""
    photo = open_photo(_encoded(size), preprocessing=WANTED)
    assert photo.reduction == reduction
    assert photo.size == tuple(-(-side // reduction) for side in size)
    assert photo.whole_size == size


@pytest.mark.parametrize(
    ("fit", "size", "zoom", "reduction"),
    [
        ("crop", (640, 256), 1.0, 8),  # 320x256 of it are seen
        ("crop", (640, 255), 1.0, 4),
        ("pad", (320, 128), 1.0, 8),  # fills 20x8 pixels
        ("squash", (320, 128), 1.0, 4),
        ("squash", (320, 256), 0.875, 4),
        ("squash", (366, 293), 0.875, 8),
    ],
)
def test_counts_the_pixels_that_the_model_sees(
    fit: Fit, size: tuple[int, int], zoom: float, reduction: int
) -> None:
    """What a fit or a crop leaves out does not count, nor does the border of a pad."""
    photo = open_photo(_encoded(size), preprocessing=replace(WANTED, fit=fit), zoom=zoom)
    assert photo.reduction == reduction


@pytest.mark.parametrize(("orientation", "reduction"), [(1, 4), (3, 4), (6, 8), (7, 8)])
def test_compares_the_sides_of_the_upright_picture(orientation: int, reduction: int) -> None:
    """A picture stored on its side is as wide as it is stored high."""
    data = _encoded((256, 320), exif=_turned(orientation))
    assert open_photo(data, preprocessing=WANTED).reduction == reduction


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_shows_what_the_whole_picture_shows(fit: Fit, orientation: int) -> None:
    """Also where the last pixel of a side is only partly covered: nothing is stretched or moved."""
    wanted = replace(WANTED, height=16, width=16, fit=fit)
    data = _encoded((257, 265), exif=_turned(orientation))
    whole, scaled = _both(data, wanted)
    assert np.abs(whole.astype(int) - scaled).mean() < 0.6
    assert np.abs(whole.astype(int) - scaled).max() <= 5


@pytest.mark.parametrize(
    ("form", "mode", "options"),
    [
        ("JPEG", "L", {}),
        ("JPEG", "CMYK", {}),
        ("JPEG", "RGB", {"progressive": True}),
        ("JPEG", "RGB", {"subsampling": 0}),
        ("MPO", "RGB", {"save_all": True, "append_images": [Image.new("RGB", (64, 64))]}),
    ],
)
def test_scales_every_kind_of_jpeg(form: str, mode: str, options: dict[str, Any]) -> None:
    """Grey, CMYK, progressive, without subsampled colours, and a phone's file of several pictures."""
    data = _encoded((320, 260), form, mode, **options)
    assert open_photo(data, preprocessing=WANTED).reduction == 8
    whole, scaled = _both(data, WANTED)
    assert np.abs(whole.astype(int) - scaled).max() <= 8


def test_crops_of_a_scaled_picture_lie_where_those_of_the_whole_do() -> None:
    """Each corner."""
    data = _encoded((390, 311))
    for at in ((0.0, 0.0), (1.0, 0.0), (0.5, 0.5), (1.0, 1.0)):
        whole, scaled = _both(data, WANTED, 0.875, at)
        assert np.abs(whole.astype(int) - scaled).max() <= 8


def test_takes_all_else_whole() -> None:
    """Other formats, models that do not ask for it, and pictures that are decoded already."""
    full = replace(WANTED, decode="full")
    assert largest_reduction((4000, 3000), full) == 1
    for data, wanted in ((_encoded((320, 256), "PNG"), WANTED), (_encoded((320, 256)), full)):
        assert open_photo(data, preprocessing=wanted).pixels.size == (320, 256)
    with Image.open(io.BytesIO(_encoded((320, 256)))) as image:
        assert open_photo(image, preprocessing=WANTED).size == image.size == (320, 256)
    assert open_photo(np.zeros((256, 320, 3), np.uint8), preprocessing=WANTED).size == (320, 256)


def test_suits_what_would_be_decoded_the_same() -> None:
    """One photo serves several models where they need the same pixels."""
    larger, full = replace(WANTED, width=21), replace(WANTED, decode="full")
    photo = open_photo(_encoded((320, 256)), preprocessing=WANTED)
    assert photo.suits(WANTED)
    assert photo.suits(replace(WANTED, fit="crop", resize_filter="box"))
    assert not photo.suits(larger)
    assert not photo.suits(WANTED, 0.5)
    assert not photo.suits(full)
    png = open_photo(_encoded((320, 256), "PNG"), preprocessing=WANTED)
    assert png.suits(larger)
    assert png.suits(full)


def test_limits_the_pixels_of_the_whole_picture() -> None:
    """Whatever is decoded of it: a header must not promise less than a bomb contains."""
    data = _encoded((320, 256))
    assert open_photo(data, preprocessing=WANTED, max_pixels=320 * 256).reduction == 8
    with pytest.raises(ImageTooLargeError, match="320x256"):
        open_photo(data, preprocessing=WANTED, max_pixels=320 * 256 - 1)


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_judges_an_early_end_as_for_the_whole_picture(options: dict[str, Any]) -> None:
    """Without the end marker alone it is whole, with less it is damaged."""
    data = _encoded((320, 256), **options)
    photo = open_photo(data[:-2], preprocessing=WANTED)
    assert photo.reduction == 8
    np.testing.assert_array_equal(photo.pixels, open_photo(data, preprocessing=WANTED).pixels)
    with pytest.raises(ImageError, match="truncated"):
        open_photo(data[: len(data) // 2], preprocessing=WANTED)
