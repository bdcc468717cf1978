"""Framing of a photo: straightening by its lines, and cropping."""

import math

import numpy as np
from PIL import Image

from nimakit.enhance.adjustments import MAX_ANGLE, WHOLE, Crop
from nimakit.images.photo import Photo
from nimakit.stats.histogram import FloatArray

_SIDE = 1000
"""Longer side, in pixels, of the copy in which edges are detected."""

_MAX_LEAN = MAX_ANGLE + 1
"""Degrees up to which edges are counted: more than a tilt may be, so that its peak is not cut off."""

_BLUR = 3
"""Standard deviation, in pixels, of the blur before edges are detected."""

_STEP = 0.1
"""Degrees between candidate angles."""

_WIDTH = 0.6
"""Standard deviation, in degrees, of the kernel by which edges count for an angle."""

_MIN_RATIO_TO_UPRIGHT = 1.25
"""Minimum ratio of the edges at the tilt to upright edges."""

_MIN_RATIO_TO_MEDIAN = 2.0
"""Minimum ratio of the edges at the tilt to those at a median angle: the lines of a cat have no direction."""

_MIN_TILT = 0.4
"""Degrees below which nobody notices a tilt."""


def reframe(photo: Photo, straighten: float = 0.0, crop: Crop = WHOLE) -> Photo:
    """Rotate a photo, cut off the empty corners, and crop.

    Args:
        photo: The photo.
        straighten: Degrees clockwise.
        crop: (left, top, right, bottom) of the part to keep, as shares of the sides of the straightened
            picture, which has the aspect ratio of the photo.

    Returns:
        The reframed photo, upright; the same object if nothing changes.
    """
    if straighten == 0 and crop == WHOLE:
        return photo
    upright = photo.resize(photo.size, "nearest")
    width, height = upright.size
    turn = math.radians(straighten)
    cos, sin = math.cos(turn), math.sin(turn)
    # The largest part with the same aspect ratio inside the rotated picture.
    lean = abs(sin)
    scale = min(width / (width * cos + height * lean), height / (width * lean + height * cos))
    kept_width, kept_height = width * scale, height * scale
    size = (
        max(1, round(kept_width * (crop[2] - crop[0]))),
        max(1, round(kept_height * (crop[3] - crop[1]))),
    )
    # From the centre of the old picture to the corner of the new one.
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
    """Estimate by how much to straighten a photo from its lines.

    Edges that are nearly horizontal or vertical are counted by direction. If clearly more of them share one
    tilt than are upright, the camera was tilted.

    Returns:
        Degrees clockwise, within `MAX_ANGLE`; 0 if there is no clear tilt.
    """
    grey = photo.resize(photo.size, "nearest").convert("F")
    scale = min(1.0, _SIDE / max(grey.size))
    size = (max(3, round(grey.width * scale)), max(3, round(grey.height * scale)))
    small = _smooth(np.asarray(grey.resize(size, Image.Resampling.BICUBIC), np.float64))
    down, across = np.gradient(small)
    strength = np.hypot(down, across)
    # The gradient of an upright edge points along an axis; the lean is its angle to the nearer axis.
    lean = (np.degrees(np.arctan2(down, across)) + 45) % 90 - 45
    counted = (np.abs(lean) <= _MAX_LEAN) & (strength > strength.mean())
    if not counted.any():
        return 0.0
    edges = np.arange(-_MAX_LEAN, _MAX_LEAN + _STEP, _STEP)
    counts, _ = np.histogram(lean[counted], edges, weights=strength[counted])
    offsets = np.arange(-20, 21) * _STEP
    density = np.convolve(counts, np.exp(-((offsets / _WIDTH) ** 2) / 2), mode="same")
    centres = (edges[:-1] + edges[1:]) / 2
    best = float(centres[np.argmax(density)])
    upright = density[np.argmin(np.abs(centres))]
    needed = max(_MIN_RATIO_TO_UPRIGHT * upright, _MIN_RATIO_TO_MEDIAN * np.median(density))
    if not _MIN_TILT <= abs(best) <= MAX_ANGLE or density.max() < needed:
        return 0.0
    return -round(best, 1)


def _smooth(grey: FloatArray) -> FloatArray:
    """Apply a Gaussian blur: without it, each pixel step of a slanted edge is an upright edge.

    By hand, because Pillow only approximates a Gaussian, and SciPy is an optional dependency.
    """
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
