"""nimakit.images.color: pixels of whatever kind as RGB."""

import numpy as np
import pytest
from PIL import Image

from nimakit.errors import ImageError
from nimakit.images import color
from samples import random_pixels

MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV", "I;16", "I")


def _picture(mode: str) -> Image.Image:
    pixels = random_pixels(40, 30)
    if mode.startswith("I"):
        return Image.fromarray(pixels[:, :, 0].astype(np.uint16) * 257).convert(mode)
    picture = Image.fromarray(pixels)
    picture.putalpha(Image.fromarray(pixels[:, :, 1]))
    if mode == "RGBA":
        return picture
    if mode in ("P", "PA"):
        return picture.convert("RGB").quantize(16).convert(mode)
    return picture.convert("RGBA" if mode == "RGBa" else "RGB").convert(mode)


@pytest.mark.parametrize("mode", MODES)
def test_strips_leave_no_trace(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large picture, converted some rows at a time, is what it would be at once."""
    picture = _picture(mode)
    if mode == "P":
        picture.info["transparency"] = 3
    whole = np.asarray(color.to_rgb(picture))
    for pixels in (1, 70, 1100):  # less than a row, two rows, not a divisor of all of them
        monkeypatch.setattr(color, "_STRIP_PIXELS", pixels)
        strips = color.to_rgb(picture)
        assert (strips.mode, strips.size) == ("RGB", (30, 40))
        assert np.array_equal(np.asarray(strips), whole)


def test_opaque_pixels_stay_as_they_are() -> None:
    """What shines through where, is for alpha to say alone."""
    pixels = random_pixels(9, 7)
    picture = Image.fromarray(pixels)
    assert color.to_rgb(picture) is picture
    picture.putalpha(255)
    assert np.array_equal(np.asarray(color.to_rgb(picture)), pixels)
    picture.putalpha(0)
    assert np.asarray(color.to_rgb(picture)).min() == 255


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (Image.new("F", (2, 2)), "floating-point"),
        (Image.new("I", (2, 2), -1), "8 or 16 bits"),
        (Image.new("I", (2, 2), 65_536), "8 or 16 bits"),
    ],
)
def test_refuses_pixels_whose_white_nobody_knows(picture: Image.Image, message: str) -> None:
    """They could be scored as anything."""
    with pytest.raises(ImageError, match=message):
        color.to_rgb(picture)
