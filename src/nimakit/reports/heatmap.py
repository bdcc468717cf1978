"""Heatmaps over pictures, in colours that colour-blind people can distinguish, with a legend."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from nimakit.stats.histogram import Float32Array

_SEQUENTIAL = (
    "000003 0b0726 240b4e 410967 5d126e 781c6d 932567 ae305b c73e4c dc5039 ed6825 f7850e fba40a f9c52c f2e660"
    " fcfea4"
)
"""Colours of inferno (van der Walt and Smith, 2015), with straight lines between them."""
_DIVERGING = "2d004b 542787 8073ac b2aad2 d8daeb f6f6f6 fee0b6 fcb762 e08214 b25806 7f3b08"
"""PuOr of ColorBrewer (Brewer, 2002), reversed."""
_UNSEEN = 128
"""Grey level of pixels that the model does not see."""

_PANEL = 900
"""Most pixels of the longer side of a picture in `side_by_side`."""

_MARGIN, _BAR_WIDTH, _BAR_HEIGHT, _TEXT = 24, 360, 18, 20
_PAPER, _INK = (255, 255, 255), (30, 30, 30)


def colour(grid: Float32Array, *, signed: bool | None = None) -> Image.Image:
    """Colour a map.

    Args:
        grid: (height, width) float32, from -1 to 1 (0 to 1 if nothing is negative); NaN for unseen pixels.
        signed: Whether the map has both signs; None to infer it from its values.

    Returns:
        An RGB picture of that size: dark to bright, or purple over white to orange if the map has both signs;
        grey for unseen pixels.
    """
    levels, table = _levels(grid, _is_signed(grid) if signed is None else signed)
    pixels = table[levels]
    pixels[np.isnan(grid)] = _UNSEEN
    return Image.fromarray(pixels)


def overlay(picture: Image.Image, grid: Float32Array, *, signed: bool | None = None) -> Image.Image:
    """Overlay a picture, made paler, with its map; the larger a value, the stronger its colour.

    Args:
        picture: RGB.
        grid: (height, width) float32, of the picture's size, as for `colour`.
        signed: As for `colour`.
    """
    strength = 255 * (0.1 + 0.7 * np.abs(np.nan_to_num(grid)))
    pale = Image.blend(picture, picture.convert("L").convert("RGB"), 0.6)
    return Image.composite(colour(grid, signed=signed), pale, Image.fromarray(strength.astype(np.uint8)))


def side_by_side(
    picture: Image.Image, drawn: Image.Image, grid: Float32Array, caption: str, *, signed: bool | None = None
) -> Image.Image:
    """A picture next to its overlay, with a legend.

    Args:
        picture: RGB.
        drawn: Its `overlay`.
        grid: As for `colour`.
        caption: A line.
        signed: As for `colour`.
    """
    scale = min(1.0, _PANEL / max(picture.size))
    width, height = (max(1, round(side * scale)) for side in picture.size)
    font: Any = ImageFont.load_default(_TEXT)
    legend = _legend(grid, _is_signed(grid) if signed is None else signed, font)
    caption_width = round(font.getlength(caption))
    full = 3 * _MARGIN + max(2 * width, legend.width - _MARGIN, caption_width - _MARGIN)
    sheet = Image.new("RGB", (full, height + 4 * _MARGIN + _TEXT + legend.height), _PAPER)
    for column, panel in enumerate((picture, drawn)):
        left = (full - 2 * width - _MARGIN) // 2 + column * (width + _MARGIN)
        sheet.paste(panel.resize((width, height), Image.Resampling.LANCZOS), (left, _MARGIN))
    draw = ImageDraw.Draw(sheet)
    draw.text(((full - caption_width) // 2, height + 2 * _MARGIN), caption, fill=_INK, font=font)
    sheet.paste(legend, ((full - legend.width) // 2, height + 3 * _MARGIN + _TEXT))
    return sheet


def _levels(grid: Float32Array, signed: bool) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """(height, width) indices into a table of 256 colours, and the table."""
    values = np.nan_to_num((grid + 1) / 2 if signed else grid)
    table = _table(_DIVERGING if signed else _SEQUENTIAL)
    return np.clip(255 * values, 0, 255).astype(np.uint8), table


def _table(colours: str) -> NDArray[np.uint8]:
    """(256, 3): a scale of colours through some, in hexadecimal."""
    known = np.array([[*bytes.fromhex(colour)] for colour in colours.split()])
    places = np.linspace(0, 255, len(known))
    channels = [np.interp(np.arange(256), places, channel) for channel in known.T]
    return np.stack(channels, axis=1).round().astype(np.uint8)


def _is_signed(grid: Float32Array) -> bool:
    return bool(np.nan_to_num(grid).min() < 0)


def _legend(grid: Float32Array, signed: bool, font: Any) -> Image.Image:
    """A bar of the colours with labels at its ends, and a line about grey if there are unseen pixels."""
    low, high = ("lowers the score", "raises it") if signed else ("matters little", "matters most")
    lowest = -1.0 if signed else 0.0
    ramp = np.tile(np.linspace(lowest, 1, _BAR_WIDTH, dtype=np.float32), (_BAR_HEIGHT, 1))
    unseen = "grey: cut off, the model does not see it" if np.isnan(grid).any() else ""
    before, after = (round(font.getlength(text)) + _MARGIN // 2 for text in (low, high))
    width = max(before + _BAR_WIDTH + after, round(font.getlength(unseen)))
    lines = 2 if unseen else 1
    legend = Image.new("RGB", (width, lines * (_TEXT + _MARGIN // 2)), _PAPER)
    draw = ImageDraw.Draw(legend)
    draw.text((0, 0), low, fill=_INK, font=font)
    legend.paste(colour(ramp, signed=signed), (before, (_TEXT - _BAR_HEIGHT) // 2 + 3))
    draw.text((before + _BAR_WIDTH + _MARGIN // 2, 0), high, fill=_INK, font=font)
    draw.text((0, _TEXT + _MARGIN // 2), unseen, fill=_INK, font=font)
    return legend
