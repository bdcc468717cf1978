"""The frame of a photograph: straightened by its lines, cropped."""

import math

import numpy as np
from PIL import Image

from nimakit.enhance.adjustments import MAX_ANGLE, WHOLE, Crop
from nimakit.images.photo import Photo
from nimakit.stats.histogram import FloatArray

_SIDE = 1000
"""Longer side, in pixels, at which lines are looked for."""

_LOOKED_AT = MAX_ANGLE + 1
"""Degrees: a tilt lies inside, not where the counting ends."""

_BLUR = 3
"""Standard deviation, in pixels, of the blur before that."""

_STEP = 0.1
"""Degrees between the angles that are tried."""

_WIDTH = 0.6
"""Standard deviation, in degrees, of the edges that count for an angle."""

_CLEARLY = 1.25
"""How much more edges must lie along the tilted axes than along the upright ones."""

_DISTINCT = 2.0
"""How much more than along the axes of an average angle: lines of a cat or a face have no common one."""

_LEAST = 0.4
"""Degrees nobody would see."""


def reframe(photo: Photo, straighten: float = 0.0, crop: Crop = WHOLE) -> Photo:
    """Turn a photograph, cut off the corners that turning leaves empty, and crop.

    Args:
        photo: The photograph.
        straighten: Degrees clockwise.
        crop: (left, top, right, bottom) of what is kept, as shares of the sides of the straightened picture,
            which has the proportions of the photograph.

    Returns:
        The photograph in its new frame, upright; itself where nothing changes.
    """
    if straighten == 0 and crop == WHOLE:
        return photo
    upright = photo.resize(photo.size, "nearest")
    width, height = upright.size
    turn = math.radians(straighten)
    cos, sin = math.cos(turn), math.sin(turn)
    # The largest part of the same proportions that lies inside the turned picture.
    lean = abs(sin)
    scale = min(width / (width * cos + height * lean), height / (width * lean + height * cos))
    kept_width, kept_height = width * scale, height * scale
    size = (
        max(1, round(kept_width * (crop[2] - crop[0]))),
        max(1, round(kept_height * (crop[3] - crop[1]))),
    )
    # From the middle of the old picture to the corner of the new one.
    left, top = kept_width * (crop[0] - 0.5), kept_height * (crop[1] - 0.5)
    if straighten == 0:
        box = (round(width / 2 + left), round(height / 2 + top))
        return Photo(upright.crop((*box, box[0] + size[0], box[1] + size[1])))
    matrix = (
        *(cos, sin, width / 2 + cos * left + sin * top),
        *(-sin, cos, height / 2 - sin * left + cos * top),
    )
    return Photo(upright.transform(size, Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC))


def tilt(photo: Photo) -> float:
    """By how much a photograph should be straightened, going by its lines.

    Edges near the horizontal and the vertical are counted by their direction; where clearly more of them are
    tilted by one angle than are upright, the camera was.

    Returns:
        Degrees clockwise, within `MAX_ANGLE`; 0 where the lines tell nothing.
    """
    grey = photo.resize(photo.size, "nearest").convert("F")
    scale = min(1.0, _SIDE / max(grey.size))
    size = (max(3, round(grey.width * scale)), max(3, round(grey.height * scale)))
    small = _smooth(np.asarray(grey.resize(size, Image.Resampling.BICUBIC), np.float64))
    down, across = np.gradient(small)
    strength = np.hypot(down, across)
    # Of an upright edge the gradient points along an axis: what is left is how far it leans from the nearer.
    lean = (np.degrees(np.arctan2(down, across)) + 45) % 90 - 45
    counted = (np.abs(lean) <= _LOOKED_AT) & (strength > strength.mean())
    if not counted.any():
        return 0.0
    edges = np.arange(-_LOOKED_AT, _LOOKED_AT + _STEP, _STEP)
    counts, _ = np.histogram(lean[counted], edges, weights=strength[counted])
    offsets = np.arange(-20, 21) * _STEP
    density = np.convolve(counts, np.exp(-((offsets / _WIDTH) ** 2) / 2), mode="same")
    centres = (edges[:-1] + edges[1:]) / 2
    best = float(centres[np.argmax(density)])
    upright = density[np.argmin(np.abs(centres))]
    needed = max(_CLEARLY * upright, _DISTINCT * np.median(density))
    if not _LEAST <= abs(best) <= MAX_ANGLE or density.max() < needed:
        return 0.0
    return -round(best, 1)


def _smooth(grey: FloatArray) -> FloatArray:
    """Blurred by a Gaussian: on the stairs of a slanting edge, every step is upright."""
    reach = 3 * _BLUR
    kernel = np.exp(-((np.arange(-reach, reach + 1) / _BLUR) ** 2) / 2)
    kernel /= kernel.sum()
    for _ in range(2):
        padded = np.pad(grey, ((reach, reach), (0, 0)), "edge")
        blurred = np.zeros_like(grey)
        for row, weight in enumerate(kernel):
            blurred += weight * padded[row : row + len(grey)]
        grey = blurred.T
    return grey
