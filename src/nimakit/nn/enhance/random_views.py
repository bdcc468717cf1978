"""Random crops of a photo, over which an edit is averaged."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from nimakit.images.photo import Photo, Placement, Preprocessing, place
from nimakit.stats.histogram import Float32Array

_CROPS = 6
"""Views of parts, in addition to that of the whole."""

_ZOOM = (0.75, 0.95)
_DETAIL_STEPS = 8
"""Steps of detail per level of the picture, so that 8 bits are precise enough."""

_MAX_DETAIL = 15 / 255
"""Bound of an unsharp mask, which avoids halos at edges."""

_RADIUS = 4000
"""Longer side, in pixels, of a picture whose unsharp mask has a radius of one pixel."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Views:
    """N views of one photo, the first of the whole.

    Attributes:
        pixels: (N, height, width, 3) float32, RGB, 0-1, preprocessed for the network.
        detail: (N, height, width, 1) float32, which an unsharp mask adds.
        inside: (N, height, width, 1) float32: 0 in the padding, else 1.
        boxes: (N, 4) float32: top, left, bottom, right of each view, as shares of the picture's sides;
            with padding they extend beyond it.
    """

    pixels: Float32Array
    detail: Float32Array
    inside: Float32Array
    boxes: Float32Array


def sample(photo: Photo, detail: Photo, preprocessing: Preprocessing, *, seed: int = 0) -> Views:
    """Sample views of a photo: the whole, and random parts.

    Args:
        photo: The photo.
        detail: The `detail` of the photo.
        preprocessing: The preprocessing of the network.
        seed: Seed of the parts.
    """
    random = np.random.default_rng(seed)
    parts = [(1.0, (0.5, 0.5))]
    parts += [(random.uniform(*_ZOOM), (random.uniform(), random.uniform())) for _ in range(_CROPS)]
    places = [place(photo.size, preprocessing, zoom, at) for zoom, at in parts]
    size = (preprocessing.height, preprocessing.width)
    inside = np.zeros((len(places), *size, 1), np.float32)
    for mask, where in zip(inside, places, strict=True):
        mask[_without_padding(where)] = 1
    detail_levels = _resample(detail, places, preprocessing)[..., None]
    return Views(
        pixels=_resample(photo, places, preprocessing) / np.float32(255),
        detail=inside * detail_of(detail_levels),
        inside=inside,
        boxes=np.array([_box(where, photo.size, size) for where in places], np.float32),
    )


def detail(photo: Photo) -> Photo:
    """What an unsharp mask adds to a photo, bounded: 128 plus `_DETAIL_STEPS` times the grey levels."""
    grey = photo.pixels.convert("L")
    blurred = grey.filter(ImageFilter.GaussianBlur(max(0.7, max(grey.size) / _RADIUS)))
    bound = round(_MAX_DETAIL * 255) * _DETAIL_STEPS
    difference = (np.asarray(grey, np.int16) - np.asarray(blurred, np.int16)) * _DETAIL_STEPS
    return Photo(
        Image.fromarray((128 + np.clip(difference, -bound, bound)).astype(np.uint8)), photo.orientation
    )


def detail_of(levels: NDArray[Any]) -> Float32Array:
    """Levels sampled from `detail`, as float32 shares of the range."""
    return (levels.astype(np.float32) - 128) / np.float32(255 * _DETAIL_STEPS)


def _without_padding(where: Placement) -> tuple[slice, slice]:
    (left, top), (width, height) = where.offset, where.size
    return slice(top, top + height), slice(left, left + width)


def _resample(photo: Photo, places: list[Placement], preprocessing: Preprocessing) -> Float32Array:
    """(N, height, width[, 3]) float32, 0-255; 0 in the padding."""
    channels = len(photo.pixels.getbands())
    shape = (preprocessing.height, preprocessing.width, *([channels] if channels > 1 else []))
    sampled = np.zeros((len(places), *shape), np.float32)
    for view, where in zip(sampled, places, strict=True):
        view[_without_padding(where)] = photo.resize(where.size, preprocessing.resize_filter, where.box)
    return sampled


def _box(
    where: Placement, picture: tuple[int, int], size: tuple[int, int]
) -> tuple[float, float, float, float]:
    """Top, left, bottom, right of an input, as shares of the picture."""
    across = (where.box[2] - where.box[0]) / where.size[0] / picture[0]
    down = (where.box[3] - where.box[1]) / where.size[1] / picture[1]
    left = where.box[0] / picture[0] - where.offset[0] * across
    top = where.box[1] / picture[1] - where.offset[1] * down
    return top, left, top + size[0] * down, left + size[1] * across
