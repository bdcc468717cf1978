"""A better version of a photograph, by the networks that judge it."""

from collections.abc import Iterator, Sequence
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

Method = Literal["adjust", "gradient"]
METHODS: tuple[str, ...] = get_args(Method)

EPSILON: dict[Method, float] = {"adjust": 0.4, "gradient": 0.8}
"""Where nothing else is asked for: an edit that is seen, and not stared at."""

_ROWS = 256
"""Of a picture edited at once: a 24-megapixel photograph takes no more memory than its own few copies."""

_SEARCHED_SIDE = 1600
"""Longer side, in pixels, at which a frame is looked for: each one that is tried is a picture of its own."""

_DIGITS = 3

_CLOSER = 0.95
"""Zoom of a second look, at the mirror image, in the search of a frame: one look is a matter of luck."""

_CROP_GAIN = 0.02
"""What a crop must gain, as a share of the range of scores, to be worth what it cuts off."""


class Enhancer:
    """Edits one photograph after another so that networks like it better.

    Args:
        networks: One or more, from `nimakit.nn.networks.keras_model`; several count the same.
        method: "adjust" finds values of a photographer's sliders and the frame; "gradient" climbs on the
            pixels, by way of a coarse grid of local edits that is spread smoothly over a picture of any size.
        epsilon: Strength, above 0 to 1: how far a slider, or the coefficient of a local edit, goes of its
            whole way; `EPSILON` where None.
        frame: Whether "adjust" may straighten and crop; without it a photograph keeps its size.

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
        """Find the edit of a photograph, and make it.

        The networks see the edited pixels sampled as they sample any picture, so what is found at their input
        size is an edit of the photograph at its own.

        Args:
            photo: What the networks see.
            colours: What the edit is made of where that is another picture of the same size: one without the
                background that shows through the photograph.

        Returns:
            The edited photograph, RGB, upright, in its new frame; and what was done, None for "gradient".
        """
        frame = self._framed(_reduced(photo)) if self._frame else Adjustments()
        colours = reframe(colours or photo, frame.straighten, frame.crop)
        photo = reframe(photo, frame.straighten, frame.crop)
        detail = random_views.detail(photo)
        looks = [
            random_views.look(photo, detail, network.metadata.preprocessing) for network in self._networks
        ]
        free = self._ascent.run(looks)
        if isinstance(self._edit, Grid):
            grid = self._edit.values(free)
            return _relit(colours, grid), None
        values: dict[str, Any] = {
            name: round(float(value), _DIGITS) for name, value in self._edit.values(free).items()
        }
        adjustments = replace(frame, **values)
        return _developed(colours, detail, adjustments), adjustments

    def _framed(self, photo: Photo) -> Adjustments:
        """Straightened where its lines ask for it and networks do not mind, cropped where they gain much."""
        frame = Adjustments()
        turned = tilt(photo)
        if turned:
            straight = reframe(photo, turned)
            if self._gain(straight) >= self._gain(photo):
                frame, photo = Adjustments(straighten=turned), straight
        base = self._gain(photo)
        gain, crop = max((self._gain(reframe(photo, crop=crop)), crop) for crop in _crops(self.epsilon))
        return replace(frame, crop=crop) if gain - base > _CROP_GAIN else frame

    def _gain(self, photo: Photo) -> float:
        """Where the mean score lies between the ends of the scale: of networks, and of two looks."""
        shares = []
        for network in self._networks:
            wanted = network.metadata.preprocessing
            looks = np.stack([prepare(photo, wanted), prepare(photo, wanted, _CLOSER)[:, ::-1]])
            means = np.asarray(network.means(network.values(looks.astype(np.float32))))
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
    """Parts in the picture's proportions, at the edges and in the middle."""
    for lost in (epsilon / 4, epsilon / 2):
        for left, top in product((0, lost / 2, lost), repeat=2):
            yield (left, top, left + 1 - lost, top + 1 - lost)


def apply(photo: Photo, adjustments: Adjustments, colours: Photo | None = None) -> Image.Image:
    """Make a known edit: RGB, upright, in its new frame. Colours are as for `Enhancer.enhance`."""
    seen, made = (reframe(one, adjustments.straighten, adjustments.crop) for one in (photo, colours or photo))
    return _developed(made, random_views.detail(seen), adjustments)


def _developed(photo: Photo, detail: Photo, adjustments: Adjustments) -> Image.Image:
    values = {name: getattr(adjustments, name) for name in TONES}
    levels = _upright(detail)
    pixels = _upright(photo)
    edited = np.empty_like(pixels)
    for rows in _stripes(len(pixels)):
        added = random_views.detail_of(levels[rows])[..., None]
        edited[rows] = _levels(differentiable_edits.develop(pixels[rows] / np.float32(255), added, values))
    return Image.fromarray(edited)


def _relit(photo: Photo, grid: Any) -> Image.Image:
    pixels = _upright(photo)
    edited = np.empty_like(pixels)
    height, width = pixels.shape[:2]
    for rows in _stripes(height):
        box = tf.constant([[rows.start / height, 0.0, rows.stop / height, 1.0]], tf.float32)
        [coefficients] = differentiable_edits.spread(grid, box, (rows.stop - rows.start, width))
        edited[rows] = _levels(differentiable_edits.relight(pixels[rows] / np.float32(255), coefficients))
    return Image.fromarray(edited)


def _upright(photo: Photo) -> PixelArray:
    return np.asarray(photo.resize(photo.size, "nearest"))


def _stripes(height: int) -> Iterator[slice]:
    for top in range(0, height, _ROWS):
        yield slice(top, min(top + _ROWS, height))


def _levels(pixels: Any) -> PixelArray:
    return np.asarray(np.rint(255 * pixels.numpy()), np.uint8)
