"""A network that learns one person's taste: in one step, as far as the person's ratings warrant.

For small steps a network's score is linear in its weights (Jacot, Gabriel and Hongler, "Neural Tangent
Kernel", 2018). So what fits a last layer fits all of them: ridge regression, `nimakit.stats.ridge.fit_gram`,
on the gradients of the score in place of features. How far the step goes is decided by evidence, and ten
ratings lead to a short one, where gradient descent would learn their noise by heart.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from nimakit.images.photo import MAX_PIXELS, PixelArray, open_photo, prepare
from nimakit.nn.networks import adapters
from nimakit.nn.networks.adapters import Placement
from nimakit.nn.networks.keras_model import KerasModel
from nimakit.progress import track
from nimakit.stats import ridge
from nimakit.stats.histogram import Float32Array, FloatArray

_WIDTH = 2048
"""Numbers kept of a weight's gradient: longer ones are projected onto so many, at random."""
_BATCH = 16
_HALVINGS = 4
_CURVED = 0.5
"""Share of a step's effect by which the scores may miss what is linear; a longer step is halved."""
_TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """Pictures as a pupil sees them before it learns.

    Attributes:
        pixels: (K, height, width, 3) uint8.
        gradients: For each weight that learns (K, P) float32, what the mean score gains by it.
    """

    pixels: PixelArray
    gradients: list[Float32Array]

    def only(self, places: NDArray[np.intp]) -> "Looked":
        """Some of the pictures."""
        return replace(self, pixels=self.pixels[places], gradients=[part[places] for part in self.gradients])


class Pupil:
    """A copy of a network, which is taught.

    Args:
        model: The base model; it stays as it is.
        method: "adapters", or "full" for every layer.
        placement: Where adapters are put.
        batch_norm: Whether, with adapters, normalisation has a scale and a shift of its own too.
        seed: Of the adapters' first matrices and of the projections.

    Attributes:
        network: From preprocessed pixels to what the base model gives.

    Raises:
        ModelError: The network is too small for adapters.
    """

    def __init__(
        self,
        model: KerasModel,
        *,
        method: Literal["adapters", "full"],
        placement: Placement = "parallel",
        batch_norm: bool = False,
        seed: int = 0,
    ) -> None:
        keras.utils.set_random_seed(seed)
        if method == "adapters":
            self.network = adapters.adapt(model.network, placement=placement, batch_norm=batch_norm)
        else:
            self.network = keras.models.clone_model(model.network)
            self.network.set_weights(model.network.get_weights())
            for layer in self.network.layers:
                layer.trainable = True
        self._model = model
        # Adapters near the pixels have the largest gradients and tell least of taste: all count alike.
        self._is_even = method == "adapters"
        self._weights = self.network.trainable_weights
        self._start = [weight.numpy() for weight in self._weights]
        random = np.random.default_rng(seed)
        self._projections = [_projection(weight.shape, random) for weight in self._weights]
        size = [None, *self.network.input.shape[1:]]
        self._gradient = tf.function(self._projected, input_signature=[tf.TensorSpec([1, *size[1:]])])
        self._weighted = tf.function(
            self._along, input_signature=[tf.TensorSpec(size), tf.TensorSpec([None])]
        )
        self._score = tf.function(self._means, input_signature=[tf.TensorSpec(size)])

    def look(self, paths: Sequence[Path], *, max_pixels: int = MAX_PIXELS) -> Looked:
        """Look at K pictures.

        Raises:
            ImageError: One of them cannot be read.
        """
        self._set(0.0, self._start)
        wanted = self._model.metadata.preprocessing
        pixels, rows = [], []
        for path in track(paths, len(paths), "learning one person's taste"):
            pixels.append(prepare(open_photo(path, max_pixels=max_pixels), wanted))
            rows.append([part.numpy() for part in self._gradient(self._preprocessed(pixels[-1][None]))])
        return Looked(np.stack(pixels), [np.stack(parts) for parts in zip(*rows, strict=True)])

    def learn(self, looked: Looked, ratings: FloatArray, means: FloatArray) -> float:
        """Learn what one person likes, and forget anybody else.

        Args:
            looked: K pictures.
            ratings: (K,), what the person said of each, on the scale of the bins.
            means: (K,), its generic mean scores.

        Returns:
            How much kinder than the network the person is now, on that scale.
        """
        gram, scales = self._gram(looked)
        dual, level = ridge.fit_gram(gram, ratings - means)
        self._set(0.0, self._start)
        step = [scale * part for scale, part in zip(scales, self._steepest(looked, dual), strict=True)]
        expected = gram @ dual
        share = 1.0
        for halving in range(_HALVINGS):
            share = 0.5**halving
            self._set(share, step)
            gained = self.means(looked.pixels) - means
            missed = gained - gained.mean() - share * (expected - expected.mean())
            if np.linalg.norm(missed) <= _CURVED * share * np.linalg.norm(expected - expected.mean()):
                break
        return level - float(gained.mean())

    def means(self, pixels: PixelArray) -> FloatArray:
        """(N,) mean scores as it gives them now, of (N, height, width, 3) uint8."""
        parts = [self._score(self._preprocessed(part)).numpy() for part in _batches(pixels)]
        return np.concatenate(parts).astype(np.float64)

    def _gram(self, looked: Looked) -> tuple[FloatArray, list[float]]:
        """(K, K) inner products of the gradients, and by what each weight's count in it."""
        gram = np.zeros((len(looked.pixels),) * 2)
        scales = []
        for part in looked.gradients:
            centred = (part - part.mean(axis=0)).astype(np.float64)
            length = float((centred**2).sum(axis=1).mean())
            scales.append((1 / length if length > _TINY else 0.0) if self._is_even else 1.0)
            gram += scales[-1] * centred @ centred.T
        return gram, scales

    def _steepest(self, looked: Looked, dual: FloatArray) -> list[NDArray[Any]]:
        """For each weight, the sum of the gradients of K pictures, each by its share."""
        total = [np.zeros(weight.shape, np.float32) for weight in self._weights]
        for part, shares in zip(_batches(looked.pixels), _batches(dual.astype(np.float32)), strict=True):
            more = self._weighted(self._preprocessed(part), shares)
            total = [whole + own.numpy() for whole, own in zip(total, more, strict=True)]
        return total

    def _set(self, share: float, step: list[NDArray[Any]]) -> None:
        for weight, start, way in zip(self._weights, self._start, step, strict=True):
            weight.assign(start + share * way)

    def _preprocessed(self, pixels: PixelArray) -> Any:
        return self._model.backbone.preprocess(keras.ops.convert_to_tensor(pixels.astype(np.float32)))

    def _means(self, inputs: Any) -> Any:
        return self._model.means(self.network(inputs, training=False))

    def _along(self, inputs: Any, shares: Any) -> Any:
        variables = [weight.value for weight in self._weights]
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(shares * self._means(inputs))
        return tape.gradient(total, variables, unconnected_gradients="zero")

    def _projected(self, inputs: Any) -> Any:
        rows = []
        for part, projection in zip(self._along(inputs, tf.ones([1])), self._projections, strict=True):
            row = tf.reshape(part, [-1])
            if projection is not None:
                place, sign = projection
                row = tf.math.unsorted_segment_sum(sign * row, place, _WIDTH)
            rows.append(row)
        return rows


def _projection(shape: Any, random: np.random.Generator) -> tuple[Any, Any] | None:
    """Where each number of a gradient goes, and by which sign; None for a short one, which is kept.

    Inner products stay what they are, but for a little noise (Weinberger et al., "Feature Hashing for Large
    Scale Multitask Learning", 2009).
    """
    size = int(np.prod(shape))
    if size <= _WIDTH:
        return None
    places = random.integers(0, _WIDTH, size).astype(np.int32)
    return tf.constant(places), tf.constant(random.choice(np.array([-1, 1], np.float32), size))


def _batches(rows: NDArray[Any]) -> list[NDArray[Any]]:
    return np.array_split(rows, -(-len(rows) // _BATCH))
