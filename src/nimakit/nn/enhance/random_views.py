"""What a network sees of a photograph, again and again from a little elsewhere, ready to be edited."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from nimakit.images.photo import Photo, Placement, Preprocessing, place
from nimakit.stats.histogram import Float32Array

_CROPS = 6
"""Views of a part, beside that of the whole."""

_ZOOM = (0.75, 0.95)
_DETAIL_STEPS = 8
"""Levels of detail to one of the picture, so that 8 bits hold it finely."""

_MOST_DETAIL = 15 / 255
"""An unsharp mask goes no further: this is what keeps edges free of halos."""

_RADIUS = 4000
"""Longer side, in pixels, of a picture whose unsharp mask has a radius of one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Views:
    """N views of one photograph, the first of the whole.

    Attributes:
        pixels: (N, height, width, 3) float32, RGB, 0-1, as the network's preprocessing makes them.
        detail: (N, height, width, 1) float32: what an unsharp mask adds.
        inside: (N, height, width, 1) float32: 1, or 0 where the border of a pad is.
        boxes: (N, 4) float32: top, left, bottom, right of each view, as shares of the picture's sides; those
            of a pad reach beyond it.
    """

    pixels: Float32Array
    detail: Float32Array
    inside: Float32Array
    boxes: Float32Array


def look(photo: Photo, detail: Photo, preprocessing: Preprocessing, *, seed: int = 0) -> Views:
    """Take views of a photograph: the whole, and parts of it, each of them mirrored or not.

    Args:
        photo: The photograph.
        detail: Its `detail`.
        preprocessing: Of the network.
        seed: Which parts.
    """
    random = np.random.default_rng(seed)
    parts = [(1.0, (0.5, 0.5))]
    parts += [(random.uniform(*_ZOOM), (random.uniform(), random.uniform())) for _ in range(_CROPS)]
    places = [place(photo.size, preprocessing, zoom, at) for zoom, at in parts]
    size = (preprocessing.height, preprocessing.width)
    inside = np.zeros((len(places), *size, 1), np.float32)
    for mask, where in zip(inside, places, strict=True):
        mask[_inner(where)] = 1
    detail_levels = _sample(detail, places, preprocessing)[..., None]
    return Views(
        pixels=_sample(photo, places, preprocessing) / np.float32(255),
        detail=inside * detail_of(detail_levels),
        inside=inside,
        boxes=np.array([_reach(where, photo.size, size) for where in places], np.float32),
    )


def detail(photo: Photo) -> Photo:
    """What an unsharp mask adds to a photograph, bounded: grey levels around 128, `_DETAIL_STEPS` to one."""
    grey = photo.pixels.convert("L")
    blurred = grey.filter(ImageFilter.GaussianBlur(max(0.7, max(grey.size) / _RADIUS)))
    most = round(_MOST_DETAIL * 255) * _DETAIL_STEPS
    difference = (np.asarray(grey, np.int16) - np.asarray(blurred, np.int16)) * _DETAIL_STEPS
    return Photo(
        Image.fromarray((128 + np.clip(difference, -most, most)).astype(np.uint8)), photo.orientation
    )


def detail_of(levels: NDArray[Any]) -> Float32Array:
    """Sampled grey levels of `detail` as what they stand for: float32, as a share of the range."""
    return (levels.astype(np.float32) - 128) / np.float32(255 * _DETAIL_STEPS)


def _inner(where: Placement) -> tuple[slice, slice]:
    (left, top), (width, height) = where.offset, where.size
    return slice(top, top + height), slice(left, left + width)


def _sample(photo: Photo, places: list[Placement], preprocessing: Preprocessing) -> Float32Array:
    """(N, height, width[, 3]) float32, 0-255; 0 around what is seen."""
    channels = len(photo.pixels.getbands())
    shape = (preprocessing.height, preprocessing.width, *([channels] if channels > 1 else []))
    sampled = np.zeros((len(places), *shape), np.float32)
    for view, where in zip(sampled, places, strict=True):
        view[_inner(where)] = photo.resize(where.size, preprocessing.resize_filter, where.box)
    return sampled


def _reach(
    where: Placement, picture: tuple[int, int], size: tuple[int, int]
) -> tuple[float, float, float, float]:
    """Top, left, bottom, right of a whole input as shares of the picture."""
    across = (where.box[2] - where.box[0]) / where.size[0] / picture[0]
    down = (where.box[3] - where.box[1]) / where.size[1] / picture[1]
    left = where.box[0] / picture[0] - where.offset[0] * across
    top = where.box[1] / picture[1] - where.offset[1] * down
    return top, left, top + size[0] * down, left + size[1] * across
