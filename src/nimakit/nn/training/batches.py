"""Batches of training examples, drawn, cropped and mirrored reproducibly by seed and epoch."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from nimakit.images.photo import PixelArray
from nimakit.nn.training.pixels import PixelCache
from nimakit.progress import track
from nimakit.stats.histogram import Float32Array

_RATING_GROUPS = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Crops:
    """Random crops of images, mirrored at random.

    Attributes:
        pixels: N images, at the size crops are taken from.
        height: Height of a crop.
        width: Width of a crop.
        flip: Whether half of the crops are mirrored.
    """

    pixels: PixelCache
    height: int
    width: int
    flip: bool

    @property
    def spec(self) -> tf.TensorSpec:
        """(n, height, width, 3) uint8."""
        return tf.TensorSpec((None, self.height, self.width, 3), tf.uint8)

    def augmented(self, indices: NDArray[np.int64], rng: np.random.Generator) -> PixelArray:
        """(n, height, width, 3) uint8."""
        images = self.pixels.take(indices.tolist())
        tops = rng.integers(0, images.shape[1] - self.height + 1, len(images))
        lefts = rng.integers(0, images.shape[2] - self.width + 1, len(images))
        mirrored = (rng.random(len(images)) < 0.5) & self.flip
        crops = np.empty((len(images), self.height, self.width, 3), np.uint8)
        for crop, image, top, left, mirror in zip(crops, images, tops, lefts, mirrored, strict=True):
            part = image[top : top + self.height, left : left + self.width]
            crop[:] = part[:, ::-1] if mirror else part
        return crops

    def plain(self, indices: NDArray[np.int64]) -> PixelArray:
        """(n, height, width, 3) uint8, of images that are cached at this size."""
        return self.pixels.take(indices.tolist())


@dataclass(frozen=True, slots=True)
class Features:
    """Precomputed features.

    Attributes:
        values: (N, views, D) float32; the first view is the whole image.
    """

    values: Float32Array

    @property
    def spec(self) -> tf.TensorSpec:
        """(n, D) float32."""
        return tf.TensorSpec((None, self.values.shape[2]), tf.float32)

    def augmented(self, indices: NDArray[np.int64], rng: np.random.Generator) -> Float32Array:
        """(n, D) float32, of random views."""
        return np.asarray(self.values[indices, rng.integers(0, self.values.shape[1], len(indices))])

    def plain(self, indices: NDArray[np.int64]) -> Float32Array:
        """(n, D) float32, of whole images."""
        return np.asarray(self.values[indices, 0])


Examples = Crops | Features


class Batches:
    """The batches of each epoch, which depend only on seed and epoch.

    Args:
        examples: N inputs.
        targets: (N, ...) float32.
        indices: Indices of the examples to use.
        batch_size: Examples in a batch; the last one may be smaller.
        seed: Seed of order, crops and flips.
        probabilities: Draw indices with replacement by these probabilities; if None, each once an epoch.

    Attributes:
        epoch: The epoch of the next iteration.
        title: Label of the progress of an iteration.
    """

    def __init__(
        self,
        examples: Examples,
        targets: Float32Array,
        indices: Sequence[int],
        *,
        batch_size: int,
        seed: int,
        probabilities: NDArray[np.float64] | None = None,
    ) -> None:
        self._examples = examples
        self._targets = targets
        self._indices = np.asarray(indices, np.int64)
        self._batch_size = batch_size
        self._seed = seed
        self._probabilities = probabilities
        self.epoch = 0
        self.title = "training"

    def __len__(self) -> int:
        return math.ceil(len(self._indices) / self._batch_size)

    def training(self, preprocess: Callable[[Any], Any]) -> tf.data.Dataset:
        """Augmented batches of the epoch in `epoch` when an iteration begins."""

        def generate() -> Iterator[tuple[NDArray[Any], Float32Array]]:
            rng = np.random.default_rng([self._seed, self.epoch])
            if self._probabilities is None:
                order = rng.permutation(self._indices)
            else:
                order = rng.choice(self._indices, len(self._indices), p=self._probabilities)
            for chosen in track(self._split(order), len(self), self.title):
                yield self._examples.augmented(chosen, rng), self._targets[chosen]

        return self._dataset(generate, preprocess)

    def validation(self, preprocess: Callable[[Any], Any]) -> tf.data.Dataset:
        """Inputs without augmentation, each once, in order."""

        def generate() -> Iterator[tuple[NDArray[Any], Float32Array]]:
            for chosen in self._split(self._indices):
                yield self._examples.plain(chosen), self._targets[chosen]

        return self._dataset(generate, preprocess)

    def _split(self, order: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
        for start in range(0, len(order), self._batch_size):
            yield order[start : start + self._batch_size]

    def _dataset(
        self,
        generate: Callable[[], Iterator[tuple[NDArray[Any], Float32Array]]],
        preprocess: Callable[[Any], Any],
    ) -> tf.data.Dataset:
        signature = (self._examples.spec, tf.TensorSpec((None, *self._targets.shape[1:]), tf.float32))
        dataset = tf.data.Dataset.from_generator(generate, output_signature=signature)
        dataset = dataset.map(lambda inputs, targets: (preprocess(tf.cast(inputs, tf.float32)), targets))
        return dataset.apply(tf.data.experimental.assert_cardinality(len(self))).prefetch(2)


def balanced_probabilities(ratings: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities with which each tenth of the range of mean ratings is drawn equally often.

    Args:
        ratings: (N,) mean ratings.

    Returns:
        (N,) float64, sum to 1.
    """
    edges = np.linspace(ratings.min(), ratings.max(), _RATING_GROUPS + 1)[1:-1]
    groups = np.digitize(ratings, edges)
    weights = 1.0 / np.bincount(groups)[groups]
    return np.asarray(weights / weights.sum())
