"""Gradient ascent on the mean score of networks, over sliders or a coarse grid of local edits."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from nimakit.enhance.adjustments import TONES
from nimakit.nn.enhance import differentiable_edits
from nimakit.nn.enhance.random_views import Views
from nimakit.nn.networks.keras_model import KerasModel
from nimakit.stats.histogram import Float32Array

_STEPS = 30
_RATE = 0.1
_CROPS = 2
"""Views of parts in each step, in addition to the whole picture."""

_LEVELS = {1: 1.0, 2: 0.6, 4: 0.35}
"""Grids of local edits that are added: cells per side -> factor. Fine grids have small factors, because a
single network is least reliable about small regions."""

_SLIDER_COST, _GRID_COST = 2e-3, 3e-4
"""Penalty of the full length of a slider, as a share of the range of scores."""


@dataclass(frozen=True, slots=True)
class Sliders:
    """Global edits, parametrised by unbounded numbers: sliders of at most epsilon, by tanh."""

    epsilon: float

    def start(self) -> Float32Array:
        """No edit except a little sharpening, which has a derivative only above 0."""
        return np.array([0.1 * (name == "sharpening") for name in TONES], np.float32)

    def values(self, free: Any) -> dict[str, Any]:
        """Slider -> scalar tensor."""
        values = dict(zip(TONES, tf.unstack(self.epsilon * tf.tanh(free)), strict=True))
        return {**values, "sharpening": tf.nn.relu(values["sharpening"])}

    def apply(self, free: Any, pixels: Any, detail: Any, boxes: Any) -> Any:
        """Edit the arrays of `nimakit.nn.enhance.random_views.Views`; returns pixels."""
        del boxes
        values = self.values(free)
        # A black-and-white photograph stays one.
        is_coloured = tf.cast(tf.reduce_any(pixels != pixels[..., :1]), tf.float32)
        white_balance = {name: is_coloured * values[name] for name in ("temperature", "tint")}
        return differentiable_edits.develop(pixels, detail, {**values, **white_balance})

    def cost(self, free: Any) -> Any:
        """A quadratic penalty, as a share of the range of scores, which favours many small values."""
        return _SLIDER_COST * tf.reduce_sum(tf.tanh(free) ** 2)


@dataclass(frozen=True, slots=True)
class Grid:
    """Local edits, parametrised by unbounded numbers: coefficients of at most epsilon, by tanh."""

    epsilon: float

    def start(self) -> Float32Array:
        """No edit."""
        return np.zeros((sum(cells**2 for cells in _LEVELS), differentiable_edits.COEFFICIENTS), np.float32)

    def values(self, free: Any) -> Any:
        """(cells, cells, coefficients) at the finest level."""
        finest = max(_LEVELS)
        added = sum(
            tf.image.resize(grid, [finest, finest], "bilinear")[0] for grid in self._scaled_levels(free)
        )
        return self.epsilon * tf.tanh(added)

    def _scaled_levels(self, free: Any) -> Iterator[Any]:
        """(1, cells, cells, coefficients) for each level."""
        counts = [cells**2 for cells in _LEVELS]
        for part, (cells, reach) in zip(tf.split(free, counts), _LEVELS.items(), strict=True):
            yield reach * tf.reshape(part, (1, cells, cells, differentiable_edits.COEFFICIENTS))

    def apply(self, free: Any, pixels: Any, detail: Any, boxes: Any) -> Any:
        """See `Sliders.apply`."""
        del detail
        return differentiable_edits.relight(
            pixels, differentiable_edits.spread(self.values(free), boxes, tuple(pixels.shape[1:3]))
        )

    def cost(self, free: Any) -> Any:
        """A quadratic penalty, as a share of the range of scores."""
        return _GRID_COST * sum(tf.reduce_mean(grid**2) for grid in self._scaled_levels(free))


Edit = Sliders | Grid


class Ascent:
    """Finds the edit of a photo that maximises the score of networks.

    Every step uses the whole picture and random parts, some mirrored, so that edits do not exploit one exact
    view. Networks have equal weight, each on its own scale.

    Args:
        networks: One or more.
        edit: The kind of edit.
    """

    def __init__(self, networks: Sequence[KerasModel], edit: Edit) -> None:
        self._edit = edit
        self._free = tf.Variable(edit.start())
        self._gradients = [self._gradient_function(network, 1 / len(networks)) for network in networks]

    def run(self, views: Sequence[Views], *, seed: int = 0) -> Float32Array:
        """Maximise the score.

        Args:
            views: Views of the photo for each network.
            seed: Seed of the views of each step.

        Returns:
            The parameters of the edit.
        """
        random = np.random.default_rng(seed)
        self._free.assign(self._edit.start())
        optimiser = keras.optimizers.Adam(_RATE)
        for _ in range(_STEPS):
            pairs = zip(views, self._gradients, strict=True)
            gradient = sum(compute(*_draw(view, random)) for view, compute in pairs)
            optimiser.apply_gradients([(gradient, self._free)])
        return np.asarray(self._free)

    def _gradient_function(self, network: KerasModel, share: float) -> Callable[..., Any]:
        low, high = network.bins[0], network.bins[-1]

        def gradient(pixels: Any, detail: Any, inside: Any, boxes: Any, mirrored: Any) -> Any:
            with tf.GradientTape() as tape:
                edited = inside * self._edit.apply(self._free, pixels, detail, boxes)
                seen = tf.where(mirrored[:, None, None, None], edited[:, :, ::-1], edited)
                means = network.means(network.values(255 * seen))
                gain = tf.reduce_mean((means - low) / (high - low))
                loss = share * (self._edit.cost(self._free) - gain)
            return tape.gradient(loss, self._free)

        traced: Callable[..., Any] = tf.function(gradient)
        return traced


def _draw(views: Views, random: np.random.Generator) -> tuple[Any, ...]:
    """The view of the whole picture and some of parts, each mirrored at random."""
    rows = np.append(0, 1 + random.permutation(len(views.pixels) - 1)[:_CROPS])
    arrays = (views.pixels[rows], views.detail[rows], views.inside[rows], views.boxes[rows])
    return (*map(tf.convert_to_tensor, arrays), tf.convert_to_tensor(random.random(len(rows)) < 0.5))
