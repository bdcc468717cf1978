"""Appearance of a photograph, to compare it with others of the same subject: a small picture, and detail.

Detail is measured by autocorrelation, to which noise adds nothing on average, because neighbouring pixels
have independent noise: noise must not count as sharpness.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from nimakit.images.measures import MEASURES, Measures, measure
from nimakit.images.photo import Photo
from nimakit.stats.histogram import Float32Array

THUMBNAIL = 48
"""Side of the small picture, in pixels."""
TILES = 8
"""Rows and columns of the regions."""

_SHORTEST_SIDE = 4 * TILES
_LONGEST_SIDE = 2048
"""Detail is measured at most at so many pixels along the longer side."""

_SHAPES: tuple[tuple[int, ...], ...] = (
    (len(MEASURES),),
    (TILES, TILES),
    (THUMBNAIL, THUMBNAIL),
)

VERSION = "appearance-3"
"""Change it whenever the vectors change."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Appearance:
    """What is measured on the pixels of a photograph.

    Attributes:
        measures: Technical measures.
        detail: (TILES, TILES) float32: for each region of the upright picture the autocovariance
            of luminance at one pixel minus that at two, over the squared mean; about 0 without detail.
        thumbnail: (THUMBNAIL, THUMBNAIL) float32, luminance of the upright picture, 0-255.
    """

    measures: Measures
    detail: Float32Array
    thumbnail: Float32Array

    def to_vector(self) -> Float32Array:
        """(D,) float32, to be kept."""
        values = [getattr(self.measures, name) for name in MEASURES]
        measures = np.array([np.nan if value is None else value for value in values], np.float32)
        return np.concatenate([measures, self.detail.ravel(), self.thumbnail.ravel()])

    @classmethod
    def from_vector(cls, vector: Float32Array) -> "Appearance":
        """The appearance of a vector by `to_vector`."""
        ends = np.cumsum([int(np.prod(shape)) for shape in _SHAPES])[:-1]
        measures, detail, thumbnail = (
            part.reshape(shape) for part, shape in zip(np.split(vector, ends), _SHAPES, strict=True)
        )
        values: list[Any] = [None if np.isnan(value) else round(float(value), 6) for value in measures]
        return cls(
            measures=Measures(**dict(zip(MEASURES, values, strict=True))), detail=detail, thumbnail=thumbnail
        )


def look(photo: Photo) -> Appearance:
    """The appearance of a photograph.

    Args:
        photo: Decoded at full size.
    """
    width, height = photo.size
    scale = min(1.0, _LONGEST_SIDE / max(width, height))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    luminance = photo.resize(size, "box" if scale < 1 else "nearest").convert("L")
    small = luminance.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    return Appearance(
        measures=measure(photo.pixels),
        detail=_detail(luminance, small),
        thumbnail=np.asarray(small, np.float32),
    )


def _detail(luminance: Image.Image, small: Image.Image) -> Float32Array:
    """Detail by region, along both axes.

    Vollath 1987, Automatic focusing by correlative methods, F4; here of the difference from the surroundings,
    which would not cancel in regions as small as these.

    Args:
        luminance: The upright picture, mode L.
        small: The same at the size of the thumbnail.
    """
    if min(luminance.size) < _SHORTEST_SIDE:
        return np.zeros((TILES, TILES), np.float32)
    surroundings = small.resize(luminance.size, Image.Resampling.BILINEAR)
    pixels = np.asarray(luminance, np.float32)
    contrast = pixels - np.asarray(surroundings, np.float32)
    inner = contrast[:-2, :-2]
    across = inner * (contrast[:-2, 1:-1] - contrast[:-2, 2:])
    down = inner * (contrast[1:-1, :-2] - contrast[2:, :-2])
    return np.asarray(_tile_means(across + down) / np.maximum(_tile_means(pixels), 1) ** 2, np.float32)


def _tile_means(values: Float32Array) -> Float32Array:
    """(TILES, TILES) float32 means of regions of nearly equal size."""
    rows, columns = (np.linspace(0, length, TILES + 1).astype(int) for length in values.shape)
    sums = np.add.reduceat(np.add.reduceat(values, rows[:-1], axis=0), columns[:-1], axis=1)
    return np.asarray(sums / np.outer(np.diff(rows), np.diff(columns)), np.float32)
