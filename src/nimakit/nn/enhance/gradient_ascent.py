"""Ascent on the mean score of networks: over a photographer's sliders, or a coarse grid of local edits."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

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
_PARTS = 2
"""Views of a part that each step sees, beside that of the whole."""

_LEVELS = {1: 1.0, 2: 0.6, 4: 0.35}
"""Grids of local edits that add up, from the whole picture to parts of it: cells each way -> how readily each
level moves. What one network alone likes is mostly a matter of small places."""

_SLIDER_COST, _GRID_COST = 2e-3, 3e-4
"""What the whole length of a slider costs, as a share of the range of scores: less gain is not worth it."""


class Edit(Protocol):
    """Edits of one kind, as free numbers that gradients move; each is bounded by a tangent."""

    def start(self) -> Float32Array:
        """Where to start: no edit."""

    def apply(self, free: Any, pixels: Any, detail: Any, boxes: Any) -> Any:
        """Edit views: arguments as `nimakit.nn.enhance.random_views.Views` has them, result as pixels."""

    def cost(self, free: Any) -> Any:
        """What an edit costs, as a share of the range of scores."""


@dataclass(frozen=True, slots=True)
class Sliders:
    """The global edits; at most epsilon of the way that each slider goes."""

    epsilon: float

    def start(self) -> Float32Array:
        """No edit but a trace of sharpening, which has a derivative above 0 alone."""
        return np.array([0.1 * (name == "sharpening") for name in TONES], np.float32)

    def values(self, free: Any) -> dict[str, Any]:
        """Slider -> scalar tensor."""
        values = dict(zip(TONES, tf.unstack(self.epsilon * tf.tanh(free)), strict=True))
        return {**values, "sharpening": tf.nn.relu(values["sharpening"])}

    def apply(self, free: Any, pixels: Any, detail: Any, boxes: Any) -> Any:
        """As of `Edit`."""
        del boxes
        values = self.values(free)
        # A black-and-white photograph stays one.
        is_coloured = tf.cast(tf.reduce_any(pixels != pixels[..., :1]), tf.float32)
        white_balance = {name: is_coloured * values[name] for name in ("temperature", "tint")}
        return differentiable_edits.develop(pixels, detail, {**values, **white_balance})

    def cost(self, free: Any) -> Any:
        """Of the squares: small moves of many sliders rather than one to its end."""
        return _SLIDER_COST * tf.reduce_sum(tf.tanh(free) ** 2)


@dataclass(frozen=True, slots=True)
class Grid:
    """The local edits; each coefficient is epsilon at most."""

    epsilon: float

    def start(self) -> Float32Array:
        """No edit."""
        return np.zeros((sum(cells**2 for cells in _LEVELS), differentiable_edits.COEFFICIENTS), np.float32)

    def values(self, free: Any) -> Any:
        """(cells, cells, coefficients), of the finest level."""
        finest = max(_LEVELS)
        added = sum(
            tf.image.resize(grid, [finest, finest], "bilinear")[0] for grid in self._scaled_levels(free)
        )
        return self.epsilon * tf.tanh(added)

    def _scaled_levels(self, free: Any) -> Iterator[Any]:
        """(1, cells, cells, coefficients) of each level."""
        counts = [cells**2 for cells in _LEVELS]
        for part, (cells, reach) in zip(tf.split(free, counts), _LEVELS.items(), strict=True):
            yield reach * tf.reshape(part, (1, cells, cells, differentiable_edits.COEFFICIENTS))

    def apply(self, free: Any, pixels: Any, detail: Any, boxes: Any) -> Any:
        """As of `Edit`."""
        del detail
        return differentiable_edits.relight(
            pixels, differentiable_edits.spread(self.values(free), boxes, tuple(pixels.shape[1:3]))
        )

    def cost(self, free: Any) -> Any:
        """Of the squares, of each level."""
        return _GRID_COST * sum(tf.reduce_mean(grid**2) for grid in self._scaled_levels(free))


class Ascent:
    """Finds, for one photograph after another, the edit that networks like best.

    Every step sees the whole picture and parts of it, some mirrored: an edit that pays for one exact view
    alone is none that people would see. Several networks count the same, each on its own scale.

    Args:
        networks: One or more.
        edit: Which kind.
    """

    def __init__(self, networks: Sequence[KerasModel], edit: Edit) -> None:
        self._edit = edit
        self._free = tf.Variable(edit.start())
        self._slopes = [self._slope(network, 1 / len(networks)) for network in networks]

    def run(self, looks: Sequence[Views], *, seed: int = 0) -> Float32Array:
        """Climb.

        Args:
            looks: What each network sees of the photograph.
            seed: Of the views a step takes.

        Returns:
            The free numbers of the edit.
        """
        random = np.random.default_rng(seed)
        self._free.assign(self._edit.start())
        optimiser = keras.optimizers.Adam(_RATE)
        for _ in range(_STEPS):
            slope = sum(climb(*_drawn(look, random)) for look, climb in zip(looks, self._slopes, strict=True))
            optimiser.apply_gradients([(slope, self._free)])
        return np.asarray(self._free)

    def _slope(self, network: KerasModel, share: float) -> Callable[..., Any]:
        low, high = network.bins[0], network.bins[-1]

        def slope(pixels: Any, detail: Any, inside: Any, boxes: Any, mirrored: Any) -> Any:
            with tf.GradientTape() as tape:
                edited = inside * self._edit.apply(self._free, pixels, detail, boxes)
                seen = tf.where(mirrored[:, None, None, None], edited[:, :, ::-1], edited)
                means = network.means(network.values(255 * seen))
                gain = tf.reduce_mean((means - low) / (high - low))
                loss = share * (self._edit.cost(self._free) - gain)
            return tape.gradient(loss, self._free)

        traced: Callable[..., Any] = tf.function(slope)
        return traced


def _drawn(look: Views, random: np.random.Generator) -> tuple[Any, ...]:
    """The view of the whole and some of parts, each of them mirrored or not."""
    rows = np.append(0, 1 + random.permutation(len(look.pixels) - 1)[:_PARTS])
    arrays = (look.pixels[rows], look.detail[rows], look.inside[rows], look.boxes[rows])
    return (*map(tf.convert_to_tensor, arrays), tf.convert_to_tensor(random.random(len(rows)) < 0.5))
