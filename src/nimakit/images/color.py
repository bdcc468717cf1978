"""Convert pixels of any mode to RGB."""

from collections.abc import Callable

import numpy as np
from PIL import GifImagePlugin, Image, TiffImagePlugin

from nimakit.errors import ImageError

BACKGROUND = (255, 255, 255)
"""Colour behind transparent pixels: white, as on most pages that show photographs."""

WHITES = (255, 4095, 65_535)
"""Levels of white in 16-bit grey that uses 8, 12 or 16 bits. Few files state how many, so white is the lowest
level that no pixel exceeds; true 16-bit pictures exceed the first two unless they are nearly black."""

_BITS_PER_SAMPLE, _MAX_SAMPLE_VALUE = 258, 281
_STRIP_PIXELS = 2**20


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert a decoded picture to RGB: transparent pixels show `BACKGROUND`, grey has 8 bits.

    Returns:
        The picture itself if it is RGB already.

    Raises:
        ImageError: The level of white is unknown: floating-point pixels, or integers of more than 16 bits.
    """
    image = on_canvas(image)
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode == "F":
        raise ImageError("Pixels must be integers: floating-point pixels have no agreed white.")
    if image.mode.startswith("I"):
        return _by_strips(image, _from_grey(image))
    if image.has_transparency_data:
        return _by_strips(image, _over_background)
    return image.convert("RGB")


def _by_strips(image: Image.Image, convert: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """Convert some rows at a time, because a large picture as a whole would take several times its memory."""
    width, height = image.size
    rows = max(1, _STRIP_PIXELS // width)
    result = Image.new("RGB", image.size)
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(top + rows, height)))
        result.paste(convert(strip), (0, top))
    return result


def _from_grey(image: Image.Image) -> Callable[[Image.Image], Image.Image]:
    """A converter for grey of more than 8 bits, which Pillow would clip at 255."""
    pixels = np.asarray(image)
    low, high = pixels.min(), pixels.max()
    if low < 0 or high > WHITES[-1]:
        raise ImageError("Integer pixels must have 8 or 16 bits: wider ones have no agreed white.")
    to_8_bits = _white(image, int(high)) / 255

    def convert(part: Image.Image) -> Image.Image:
        grey = np.rint(np.asarray(part) / to_8_bits)
        return Image.fromarray(grey.astype(np.uint8)).convert("RGB")

    return convert


def _white(image: Image.Image, high: int) -> int:
    """The level of white: that of the file if it is plausible, else the lowest of `WHITES` that fits."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        [bits] = image.tag_v2.get(_BITS_PER_SAMPLE, (16,))
        # Some files have the level of white here, some the highest level used: only 2^n - 1 can be white.
        stated = image.tag_v2.get(_MAX_SAMPLE_VALUE, 2**bits - 1 if bits < 16 else 0)
        white = stated if isinstance(stated, int) else stated[0]
        if high <= white <= WHITES[-1] and white >= WHITES[0] and white & (white + 1) == 0:
            return white
    return next(white for white in WHITES if high <= white)


def on_canvas(image: Image.Image) -> Image.Image:
    """The whole canvas of a decoded picture: transparent where the first frame of a GIF does not cover it.

    Returns:
        The picture itself, or one of mode RGBA.
    """
    if not isinstance(image, GifImagePlugin.GifImageFile) or image.tell():
        return image
    frame = image.dispose_extent
    if frame is None or tuple(frame) == (0, 0, *image.size):
        return image
    canvas = Image.new("RGBA", image.size)
    canvas.paste(image.crop(frame).convert("RGBA"), frame[:2])
    return canvas


def _over_background(part: Image.Image) -> Image.Image:
    layered = part.convert("RGBA")
    canvas = Image.new("RGBA", layered.size, (*BACKGROUND, 255))
    canvas.alpha_composite(layered)
    return canvas.convert("RGB")
