"""Learn one person's taste in one step of ridge regression on the gradients of a network's score.

For small steps a network's score is linear in its weights (Jacot, Gabriel and Hongler, "Neural Tangent
Kernel", 2018). So `nimakit.stats.ridge.fit_gram` can fit all layers, with gradients in place of features.
The length of the step follows from the evidence: few ratings lead to a short step, where gradient descent
would overfit their noise.
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
"""Dimensions of a weight's gradient; longer ones are projected to this length at random."""
_BATCH = 16
_HALVINGS = 4
_MAX_NONLINEARITY = 0.5
"""A step is halved if its effect on the scores differs from the linear prediction by more than this share."""
_TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True, slots=True, eq=False)
class Linearisation:
    """A network's mean score of K pictures, linear in its weights, before it learns.

    Attributes:
        pixels: (K, height, width, 3) uint8.
        gradients: For each trainable weight, (K, P) float32 gradients of the mean score, maybe projected.
    """

    pixels: PixelArray
    gradients: list[Float32Array]

    def subset(self, indices: NDArray[np.intp]) -> "Linearisation":
        """The linearisation of some of the pictures."""
        gradients = [gradient[indices] for gradient in self.gradients]
        return replace(self, pixels=self.pixels[indices], gradients=gradients)


class TangentLearner:
    """A copy of a network that learns one person's taste.

    Args:
        model: The base model, which stays unchanged.
        method: "adapters", or "full" for every layer.
        placement: Placement of adapters.
        batch_norm: Whether, with adapters, batch normalisation gets a trainable scale and shift too.
        seed: Seed of the adapters' random matrices and of the projections.

    Attributes:
        network: The copy: preprocessed pixels to the outputs of the base model.

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
        # Adapters near the pixels have the largest gradients and say least about taste: all get equal weight.
        self._is_normalised = method == "adapters"
        self._weights = self.network.trainable_weights
        self._start = [weight.numpy() for weight in self._weights]
        random = np.random.default_rng(seed)
        self._projections = [_projection(weight.shape, random) for weight in self._weights]
        size = [None, *self.network.input.shape[1:]]
        self._gradient = tf.function(self._projected, input_signature=[tf.TensorSpec([1, *size[1:]])])
        self._weighted = tf.function(
            self._gradients, input_signature=[tf.TensorSpec(size), tf.TensorSpec([None])]
        )
        self._score = tf.function(self._means, input_signature=[tf.TensorSpec(size)])

    def linearise(self, paths: Sequence[Path], *, max_pixels: int = MAX_PIXELS) -> Linearisation:
        """Compute the gradients of K pictures with the weights of the base model.

        Raises:
            ImageError: A picture cannot be read.
        """
        self._move(0.0, self._start)
        wanted = self._model.metadata.preprocessing
        pixels, rows = [], []
        for path in track(paths, len(paths), "learning one person's taste"):
            photo = open_photo(path, max_pixels=max_pixels, preprocessing=wanted)
            pixels.append(prepare(photo, wanted))
            rows.append([row.numpy() for row in self._gradient(self._preprocessed(pixels[-1][None]))])
        return Linearisation(np.stack(pixels), [np.stack(parts) for parts in zip(*rows, strict=True)])

    def learn(self, linearisation: Linearisation, ratings: FloatArray, means: FloatArray) -> float:
        """Learn one person's taste, starting from the base model.

        Args:
            linearisation: K pictures.
            ratings: (K,), the person's ratings on the scale of the bins.
            means: (K,), the generic mean scores.

        Returns:
            The constant to add to the network's scores now, on that scale.
        """
        gram, scales = self._gram(linearisation)
        dual, level = ridge.fit_gram(gram, ratings - means)
        self._move(0.0, self._start)
        gradients = self._weighted_gradients(linearisation, dual)
        step = [scale * gradient for scale, gradient in zip(scales, gradients, strict=True)]
        expected = gram @ dual
        expected -= expected.mean()
        for halving in range(_HALVINGS):
            share = 0.5**halving
            self._move(share, step)
            gained = self.means(linearisation.pixels) - means
            error = gained - gained.mean() - share * expected
            if np.linalg.norm(error) <= _MAX_NONLINEARITY * share * np.linalg.norm(expected):
                break
        return level - float(gained.mean())

    def means(self, pixels: PixelArray) -> FloatArray:
        """(N,) current mean scores of (N, height, width, 3) uint8."""
        parts = [self._score(self._preprocessed(part)).numpy() for part in _batches(pixels)]
        return np.concatenate(parts).astype(np.float64)

    def _gram(self, linearisation: Linearisation) -> tuple[FloatArray, list[float]]:
        """(K, K) inner products of the centred gradients, and the factor of each weight in them."""
        gram = np.zeros((len(linearisation.pixels),) * 2)
        scales = []
        for gradient in linearisation.gradients:
            centred = (gradient - gradient.mean(axis=0)).astype(np.float64)
            length = float((centred**2).sum(axis=1).mean())
            scales.append((1 / length if length > _TINY else 0.0) if self._is_normalised else 1.0)
            gram += scales[-1] * centred @ centred.T
        return gram, scales

    def _weighted_gradients(self, linearisation: Linearisation, dual: FloatArray) -> list[NDArray[Any]]:
        """For each weight, the sum of the gradients of K pictures, weighted by (K,) `dual`."""
        total = [np.zeros(weight.shape, np.float32) for weight in self._weights]
        shares = _batches(dual.astype(np.float32))
        for pixels, share in zip(_batches(linearisation.pixels), shares, strict=True):
            gradients = self._weighted(self._preprocessed(pixels), share)
            total = [old + new.numpy() for old, new in zip(total, gradients, strict=True)]
        return total

    def _move(self, share: float, step: list[NDArray[Any]]) -> None:
        """Set the weights to those of the base model plus a share of a step."""
        for weight, start, difference in zip(self._weights, self._start, step, strict=True):
            weight.assign(start + share * difference)

    def _preprocessed(self, pixels: PixelArray) -> Any:
        return self._model.backbone.preprocess(keras.ops.convert_to_tensor(pixels.astype(np.float32)))

    def _means(self, inputs: Any) -> Any:
        return self._model.means(self.network(inputs, training=False))

    def _gradients(self, inputs: Any, shares: Any) -> Any:
        variables = [weight.value for weight in self._weights]
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(shares * self._means(inputs))
        return tape.gradient(total, variables, unconnected_gradients="zero")

    def _projected(self, inputs: Any) -> Any:
        rows = []
        for gradient, projection in zip(
            self._gradients(inputs, tf.ones([1])), self._projections, strict=True
        ):
            row = tf.reshape(gradient, [-1])
            if projection is not None:
                buckets, signs = projection
                row = tf.math.unsorted_segment_sum(signs * row, buckets, _WIDTH)
            rows.append(row)
        return rows


def _projection(shape: Any, random: np.random.Generator) -> tuple[Any, Any] | None:
    """The bucket and sign of each number of a gradient; None for a short one, which is not projected.

    Feature hashing keeps inner products except for a little noise (Weinberger et al., "Feature Hashing for
    Large Scale Multitask Learning", 2009).
    """
    size = int(np.prod(shape))
    if size <= _WIDTH:
        return None
    buckets = random.integers(0, _WIDTH, size).astype(np.int32)
    return tf.constant(buckets), tf.constant(random.choice(np.array([-1, 1], np.float32), size))


def _batches(rows: NDArray[Any]) -> list[NDArray[Any]]:
    return np.array_split(rows, -(-len(rows) // _BATCH))
