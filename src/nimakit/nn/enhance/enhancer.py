"""Edit photos so that their predicted score rises."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import product
from typing import Any, Literal, get_args

import numpy as np
import tensorflow as tf
from PIL import Image

from nimakit.enhance.adjustments import TONES, Adjustments, Crop
from nimakit.enhance.framing import reframe, tilt
from nimakit.images.photo import Photo, PixelArray, prepare
from nimakit.nn.enhance import differentiable_edits, random_views
from nimakit.nn.enhance.gradient_ascent import Ascent, Grid, Sliders
from nimakit.nn.networks.keras_model import KerasModel
from nimakit.stats.histogram import Float32Array

Method = Literal["adjust", "gradient"]
METHODS: tuple[str, ...] = get_args(Method)

EPSILON: dict[Method, float] = {"adjust": 0.4, "gradient": 0.8}
"""Default strength: visible edits that do not look overdone."""

_ROWS = 256
"""Rows of a picture edited at a time, to bound memory."""

_SEARCHED_SIDE = 1600
"""Longer side, in pixels, at which frames are tried."""

_DIGITS = 3

_CLOSER = 0.95
"""Zoom of a second, mirrored view when frames are compared, to reduce noise."""

_CROP_GAIN = 0.02
"""Minimum gain of a crop, as a share of the range of scores."""


class Enhancer:
    """Edits photos so that networks score them higher.

    Args:
        networks: One or more, from `nimakit.nn.networks.keras_model`, with equal weight.
        method: "adjust" finds the values of sliders, and optionally the frame; "gradient" finds a coarse grid
            of local edits, which is interpolated to the size of the picture.
        epsilon: Strength, above 0 to 1: the maximum of a slider or of the coefficient of a local edit;
            `EPSILON` if None.
        frame: Whether "adjust" may straighten and crop; without it a photo keeps its size.

    Attributes:
        epsilon: The strength.
    """

    def __init__(
        self,
        networks: Sequence[KerasModel],
        method: Method = "adjust",
        *,
        epsilon: float | None = None,
        frame: bool = False,
    ) -> None:
        self.epsilon = epsilon or EPSILON[method]
        self._networks = tuple(networks)
        self._frame = frame and method == "adjust"
        kind = Sliders if method == "adjust" else Grid
        self._edit: Sliders | Grid = kind(self.epsilon)
        self._ascent = Ascent(self._networks, self._edit)

    def enhance(self, photo: Photo, colours: Photo | None = None) -> tuple[Image.Image, Adjustments | None]:
        """Find the best edit of a photo and apply it at full size.

        Args:
            photo: The photo that the networks see.
            colours: The picture to edit, of the same size, if that is another one: for a photo with an alpha
                channel, the one without the background that shows through.

        Returns:
            The edited photo, RGB, upright, in its new frame; and the adjustments, None for "gradient".
        """
        frame = self._framed(_reduced(photo)) if self._frame else Adjustments()
        colours = reframe(colours or photo, frame.straighten, frame.crop)
        photo = reframe(photo, frame.straighten, frame.crop)
        detail = random_views.detail(photo)
        sizes = [network.metadata.preprocessing for network in self._networks]
        free = self._ascent.run([random_views.sample(photo, detail, size) for size in sizes])
        if isinstance(self._edit, Grid):
            grid = self._edit.values(free)
            return _relit(colours, grid), None
        values: dict[str, Any] = {
            name: round(float(value), _DIGITS) for name, value in self._edit.values(free).items()
        }
        adjustments = replace(frame, **values)
        return _developed(colours, detail, adjustments), adjustments

    def _framed(self, photo: Photo) -> Adjustments:
        """Straighten a tilted photo unless its score falls, and crop it if its score rises enough."""
        frame = Adjustments()
        turned = tilt(photo)
        if turned:
            straight = reframe(photo, turned)
            if self._relative_score(straight) >= self._relative_score(photo):
                frame, photo = Adjustments(straighten=turned), straight
        base = self._relative_score(photo)
        crops = _crops(self.epsilon)
        best, crop = max((self._relative_score(reframe(photo, crop=crop)), crop) for crop in crops)
        return replace(frame, crop=crop) if best - base > _CROP_GAIN else frame

    def _relative_score(self, photo: Photo) -> float:
        """The mean score as a share of the scale, averaged over networks and two views."""
        shares = []
        for network in self._networks:
            size = network.metadata.preprocessing
            views = np.stack([prepare(photo, size), prepare(photo, size, _CLOSER)[:, ::-1]])
            means = np.asarray(network.means(network.values(views.astype(np.float32))))
            low, high = network.bins[0], network.bins[-1]
            shares.append(float((means.mean() - low) / (high - low)))
        return float(np.mean(shares))


def _reduced(photo: Photo) -> Photo:
    scale = _SEARCHED_SIDE / max(photo.size)
    if scale >= 1:
        return photo
    width, height = (max(1, round(side * scale)) for side in photo.size)
    return Photo(photo.resize((width, height), "box"))


def _crops(epsilon: float) -> Iterator[Crop]:
    """Crops with the picture's proportions, at its edges and in its middle."""
    for lost in (epsilon / 4, epsilon / 2):
        for left, top in product((0, lost / 2, lost), repeat=2):
            yield (left, top, left + 1 - lost, top + 1 - lost)


def apply(photo: Photo, adjustments: Adjustments, colours: Photo | None = None) -> Image.Image:
    """Apply adjustments: RGB, upright, in the new frame. See `Enhancer.enhance` for colours."""
    straighten, crop = adjustments.straighten, adjustments.crop
    detail = random_views.detail(reframe(photo, straighten, crop))
    return _developed(reframe(colours or photo, straighten, crop), detail, adjustments)


def _developed(photo: Photo, detail: Photo, adjustments: Adjustments) -> Image.Image:
    values = {name: getattr(adjustments, name) for name in TONES}
    levels = _upright(detail)

    def develop(pixels: Float32Array, rows: slice) -> Any:
        return differentiable_edits.develop(pixels, random_views.detail_of(levels[rows])[..., None], values)

    return _edited(photo, develop)


def _relit(photo: Photo, grid: Any) -> Image.Image:
    width, height = photo.size

    def relight(pixels: Float32Array, rows: slice) -> Any:
        box = tf.constant([[rows.start / height, 0.0, rows.stop / height, 1.0]], tf.float32)
        [coefficients] = differentiable_edits.spread(grid, box, (rows.stop - rows.start, width))
        return differentiable_edits.relight(pixels, coefficients)

    return _edited(photo, relight)


def _edited(photo: Photo, edit: Callable[[Float32Array, slice], Any]) -> Image.Image:
    """Edit a photo `_ROWS` rows at a time."""
    pixels = _upright(photo)
    edited = np.empty_like(pixels)
    for top in range(0, len(pixels), _ROWS):
        rows = slice(top, min(top + _ROWS, len(pixels)))
        levels: Any = pixels[rows] / np.float32(255)
        edited[rows] = np.rint(255 * edit(levels, rows).numpy())
    return Image.fromarray(edited)


def _upright(photo: Photo) -> PixelArray:
    return np.asarray(photo.resize(photo.size, "nearest"))
