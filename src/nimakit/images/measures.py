"""Technical measures of a photograph, without a network: sharpness, noise, exposure, contrast, blocks, size.

Edges are measured along every k-th row and column, and noise in strips of rows, at full resolution and spread
over the whole photograph; levels on every k-th pixel. docs/technical.md has the scales, and how well each
measure tells damage.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops

from nimakit.stats.histogram import FloatArray

_Luminance = NDArray[np.uint8]
"""(height, width) uint8."""

_DIGITS = 4
_SHORTEST_SIDE = 32
"""A picture with a shorter side has no details to measure."""

_LINE_PIXELS = (32_000, 500_000)
_LINE_SHARE = 80
"""Edges are measured on one in so many pixels along either axis, within those limits."""
_LEVEL_PIXELS = 32_768
"""Levels are counted on about so many pixels."""

_BLOCK = 8
"""Side of a JPEG's blocks, in pixels."""

_EDGE_TILE = (4, 32)
"""Lines, and pixels of each."""
_EDGE_WIDTH = 4
_LOWEST_EDGE = 24
"""Lowest edge that is judged, in grey levels, if there is neither noise nor blocks."""
_SHARPEST = 98
"""Percentile of the tiles."""
_NOISE_PEAK, _BLOCK_PEAK = 6, 4
"""What noise and blocks add to the largest difference in a tile, at most: in noise, and in blockiness."""

_FLAT_TILE = (16, 16)
_STRIP = (18, 1032)
"""Height and width of the largest strip: whole tiles, and the neighbours that the filter needs."""
_STRIP_PIXELS = (40_000, 500_000)
_STRIP_SHARE = 100
"""Noise is measured on one in so many pixels, within those limits."""
_MOST_CLIPPED = 0.05
"""Share of clipped pixels in a tile that shows its noise."""
_FLATTEST = 1
"""Percentile of the tiles."""
_FLATTEST_BIAS = 0.85
"""What is measured there in a picture of nothing but noise, as a share of the noise."""

_BLACK, _WHITE = 4, 254
"""Levels of clipped pixels: JPEG compression moves them slightly away from 0 and 255."""
_BRIGHTEST = 99.9
_DARK_TONE, _BRIGHT_TONE = 1.0, 99.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Measures:
    """Technical measures of a photograph.

    Attributes:
        megapixels: Width times height, in millions.
        sharpness: Steepness of the edges in the sharpest regions: 1 if they rise within one pixel, 0.25 if
            evenly over four; slightly above 1 for fine lines; 0 if no edge stands out from noise and blocks.
            None if a side is shorter than 32 pixels.
        noise: Standard deviation of luminance in the flattest regions, in grey levels (0-255). None if every
            region is clipped, or if a side is shorter than 32 pixels.
        shadows: Share of pixels that are clipped to black, 0 to 1.
        highlights: Share of pixels with a channel that is clipped to white, 0 to 1.
        headroom: Stops by which the exposure could be raised until the brightest tones become white: 0 if
            they are white, 11.7 for a black picture.
        contrast: Share of the range of luminance that the picture uses, 0 to 1.
        blockiness: By how much steps of luminance are larger at the edges of JPEG blocks than elsewhere, in
            grey levels (0-255). None if a side is shorter than 32 pixels.
    """

    megapixels: float
    sharpness: float | None
    noise: float | None
    shadows: float
    highlights: float
    headroom: float
    contrast: float
    blockiness: float | None

    def to_dict(self) -> dict[str, Any]:
        """The measures by name, as plain values."""
        return {name: getattr(self, name) for name in MEASURES}


MEASURES: tuple[str, ...] = tuple(field.name for field in fields(Measures))
"""Names of the measures, in the order of records."""


def measure(pixels: Image.Image) -> Measures:
    """Measure a photograph.

    Args:
        pixels: The photograph as decoded at full size, mode RGB, upright or not. Scaled pixels have no JPEG
            blocks, and another sharpness and noise.

    Returns:
        Its measures, rounded to four decimals.

    Example:
        >>> measure(Image.new("RGB", (2000, 1500), "grey")).megapixels
        3.0
    """
    luminance, brightest = _histograms(pixels)
    share = brightest / brightest.sum()
    white = max(1, _percentile(brightest, _BRIGHTEST))
    tones = _percentile(luminance, _BRIGHT_TONE) - _percentile(luminance, _DARK_TONE)
    noise = sharpness = blockiness = None
    if min(pixels.size) >= _SHORTEST_SIDE:
        noise = _noise(np.concatenate([_roughness(strip) for strip in _strips(pixels)]))
        directions = [_edges(lines) for lines in _lines(pixels)]
        blockiness = sum(_excess(steps) for _, steps in directions) / 2
        disturbance = _NOISE_PEAK * (noise or 0.0) + _BLOCK_PEAK * blockiness
        sharpness = _sharpness(np.concatenate([edges for edges, _ in directions], axis=1), disturbance)
    return Measures(
        megapixels=round(pixels.width * pixels.height / 1e6, 6),
        sharpness=_rounded(sharpness),
        noise=_rounded(noise),
        shadows=round(float(share[: _BLACK + 1].sum()), _DIGITS),
        highlights=round(float(share[_WHITE:].sum()), _DIGITS),
        headroom=round(math.log2(1 / _linear(white)), _DIGITS),
        contrast=round(tones / 255, _DIGITS),
        blockiness=_rounded(blockiness),
    )


def _edges(lines: _Luminance) -> tuple[NDArray[np.int32], FloatArray]:
    """Measure edges along lines.

    Args:
        lines: (N, length), every k-th row or column.

    Returns:
        (2, T): for each tile the largest step between neighbours, and the largest change within `_EDGE_WIDTH`
        pixels; and (length - 1,): the mean step from each place to the next.
    """
    steps, changes = _steps(lines, 1), _steps(lines, _EDGE_WIDTH)
    parts = [_tiles(values, _EDGE_TILE, np.maximum) for values in (steps[:, : 1 - _EDGE_WIDTH], changes)]
    return np.array(parts), steps.mean(axis=0)


def _sharpness(edges: NDArray[np.int32], disturbance: float) -> float:
    """Steepness of the sharpest edges.

    The width of an edge tells blur whatever the edge's contrast (Marziliano, Dufaux, Winkler and Ebrahimi
    2002, A no-reference perceptual blur metric). Here tiles are judged rather than edges: the largest step
    between neighbours over the largest change within four pixels, both less what noise and blocks may add.
    The sharpest tiles count, as in S3 (Vu, Phan and Chandler 2012), so that a blurred background is no fault.
    """
    steps, heights = edges
    judged = heights > _LOWEST_EDGE + 2 * disturbance
    if not judged.any():
        return 0.0
    return _at((steps[judged] - disturbance).clip(0) / (heights[judged] - disturbance), _SHARPEST)


def _noise(roughness: FloatArray) -> float | None:
    """Standard deviation of the noise, in grey levels, from the flattest tiles."""
    if not roughness.size:
        return None
    return _at(roughness, _FLATTEST) / _FLATTEST_BIAS


def _excess(steps: FloatArray) -> float:
    """Excess of the steps across the edges of JPEG blocks, in grey levels.

    Wang, Sheikh and Bovik 2002, No-reference perceptual quality assessment of JPEG compressed images, compare
    the steps across the edges of blocks with all others. Here the edges are those of the eight positions that
    stand out most, because a picture may have been cropped after it was compressed.
    """
    position = np.arange(len(steps)) % _BLOCK
    means = np.sort(np.bincount(position, steps) / np.bincount(position))
    return float(means[-1] - means[_BLOCK // 2 - 1 : _BLOCK // 2 + 1].mean())


def _roughness(strip: _Luminance) -> FloatArray:
    """Standard deviation of the noise in each tile that is not clipped, in grey levels.

    Immerkaer 1996, Fast noise variance estimation: from the mean absolute response to a filter that neither
    gradients nor edges along an axis pass.
    """
    wide = strip.astype(np.int16)
    lines = wide[2:] + wide[:-2]
    lines -= wide[1:-1]
    lines -= wide[1:-1]
    response = lines[:, 2:] + lines[:, :-2]
    response -= lines[:, 1:-1]
    response -= lines[:, 1:-1]
    sums = _tiles(np.abs(response, out=response), _FLAT_TILE, np.add)
    inner = strip[1:-1, 1:-1]
    clipped = _tiles(((inner <= _BLACK) | (inner >= _WHITE)).view(np.uint8), _FLAT_TILE, np.add)
    seen = sums[clipped <= _MOST_CLIPPED * math.prod(_FLAT_TILE)]
    return np.asarray(seen * (math.sqrt(math.pi / 2) / 6 / math.prod(_FLAT_TILE)), np.float64)


def _steps(lines: _Luminance, distance: int) -> _Luminance:
    """Absolute differences of the pixels of a line at a distance."""
    first, second = lines[:, distance:], lines[:, :-distance]
    largest = np.maximum(first, second)
    return np.subtract(largest, np.minimum(first, second), out=largest)


def _tiles(values: NDArray[Any], tile: tuple[int, int], reduce: np.ufunc) -> NDArray[np.int32]:
    """(T,) reduced values of the whole tiles; a tile is no higher than the values."""
    height, width = min(tile[0], len(values)), tile[1]
    rows, columns = values.shape[0] // height, values.shape[1] // width
    whole = values[: rows * height, : columns * width].reshape(rows, height, columns * width)
    lines = reduce.reduce(whole, axis=1, dtype=values.dtype).astype(np.int32)
    return np.asarray(reduce.reduce(lines.reshape(rows * columns, width), axis=1))


def _lines(pixels: Image.Image) -> Iterator[_Luminance]:
    """Every k-th row, then every k-th column, each as (N, length)."""
    width, height = pixels.size
    every = max(1, round(width * height / _bounded(width * height // _LINE_SHARE, _LINE_PIXELS)))
    for size in ((width, math.ceil(height / every)), (math.ceil(width / every), height)):
        found = np.asarray(pixels.resize(size, Image.Resampling.NEAREST).convert("L"))
        yield found if size[0] == width else np.ascontiguousarray(found.T)


def _strips(pixels: Image.Image) -> Iterator[_Luminance]:
    """Strips of rows that are spread evenly over the picture."""
    height, width = min(_STRIP[0], pixels.height), min(_STRIP[1], pixels.width)
    wanted = _bounded(pixels.width * pixels.height // _STRIP_SHARE, _STRIP_PIXELS)
    count = min(max(1, wanted // (width * height)), math.ceil(pixels.height / height))
    columns = math.ceil(pixels.width / width)
    for place, top in enumerate(np.linspace(0, pixels.height - height, count).astype(int).tolist()):
        left = place % columns * (pixels.width - width) // max(1, columns - 1)
        yield np.asarray(pixels.crop((left, top, left + width, top + height)).convert("L"))


def _bounded(value: int, limits: tuple[int, int]) -> int:
    return min(max(value, limits[0]), limits[1])


def _histograms(pixels: Image.Image) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(256,) numbers of pixels by luminance, and by the level of their brightest channel."""
    every = max(1, round(math.sqrt(pixels.width * pixels.height / _LEVEL_PIXELS)))
    size = (max(1, pixels.width // every), max(1, pixels.height // every))
    sample = pixels.resize(size, Image.Resampling.NEAREST)
    red, green, blue = sample.split()
    brightest = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    return np.array(sample.convert("L").histogram()), np.array(brightest.histogram())


def _at(values: FloatArray, percent: float) -> float:
    """A percentile; several times as fast as NumPy's for so few values."""
    return float(np.sort(values)[round(percent / 100 * (len(values) - 1))])


def _percentile(histogram: NDArray[np.int64], percent: float) -> int:
    """The level that so many percent of the pixels do not exceed."""
    counts = histogram.cumsum()
    return int(np.searchsorted(counts, percent / 100 * counts[-1]))


def _linear(level: int) -> float:
    """The light of an sRGB level (IEC 61966-2-1), 0 to 1."""
    value = level / 255
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)
