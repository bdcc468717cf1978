"""Pixels of whatever kind as RGB."""

from collections.abc import Callable

import numpy as np
from PIL import Image

from nimakit.errors import ImageError

BACKGROUND = (255, 255, 255)
"""What shows through transparent pixels: white, as on most pages that show a photograph."""

_STRIP_PIXELS = 2**20


def to_rgb(image: Image.Image) -> Image.Image:
    """A picture of mode RGB; transparent pixels show `BACKGROUND`, 16-bit grey is scaled to 8 bits.

    Args:
        image: Of any mode, decoded.

    Returns:
        The picture itself where it is RGB already.

    Raises:
        ImageError: Pixels whose white is not known: floating-point ones, or integers of more than 16 bits.
    """
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
    """Convert some rows at a time: all of a large picture would take several times its memory."""
    width, height = image.size
    rows = max(1, _STRIP_PIXELS // width)
    result = Image.new("RGB", image.size)
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(top + rows, height)))
        result.paste(convert(strip), (0, top))
    return result


def _from_grey(image: Image.Image) -> Callable[[Image.Image], Image.Image]:
    """What converts grey of more than 8 bits, which Pillow's own conversion would clip at 255."""
    pixels = np.asarray(image)
    low, high = pixels.min(), pixels.max()
    if low < 0 or high > 65_535:
        raise ImageError("Integer pixels must have 8 or 16 bits: wider ones have no agreed white.")
    to_8_bits = 257.0 if image.mode != "I" or high > 255 else 1.0  # 65,535 is white, or 255

    def convert(part: Image.Image) -> Image.Image:
        grey = np.rint(np.asarray(part) / to_8_bits)
        return Image.fromarray(grey.astype(np.uint8)).convert("RGB")

    return convert


def _over_background(part: Image.Image) -> Image.Image:
    layered = part.convert("RGBA")
    canvas = Image.new("RGBA", layered.size, (*BACKGROUND, 255))
    canvas.alpha_composite(layered)
    return canvas.convert("RGB")
