"""What a frozen backbone makes of the images: computed once, and a head fitted to it in closed form."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from nimakit.models.network import Float32Array
from nimakit.nn.training.disk_array import disk_array
from nimakit.progress import track
from nimakit.stats.histogram import FloatArray

_FLOOR = 0.01
"""Added to each share before the logarithm: bins nobody chose have one too."""
_PENALTIES = tuple(float(p) for p in 10.0 ** np.arange(-3, 2.01, 0.25))
"""Ridge penalties tried, as shares of the mean squared length of the features, which is 1 a block."""
_RIDGE_EXAMPLES = 20_000
"""More would take time, and change nothing: a head has a few thousand weights."""
_ROWS = 256
"""Examples looked at together, so that memory does not grow with their number."""


def compute(
    backbone: keras.Model, images: tf.data.Dataset, count: int, *, mirrored: bool, scratch: Path
) -> Float32Array:
    """Features of images, and of their mirror images.

    Args:
        backbone: (N, H, W, 3) preprocessed to (N, D).
        images: Batches of preprocessed images, in the order of the result, with anything beside them.
        count: How many images there are.
        mirrored: Whether to add mirror images.
        scratch: The file the features are kept in, so that memory does not grow with their number.

    Returns:
        (count, 1 or 2 views, D) float32, mapped from the file.

    Raises:
        OutputError: The disk has no room for the file.
    """
    size = backbone.output.shape[1]
    shape = (count, 1 + mirrored, size)
    values = disk_array(scratch, np.float32, shape)

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator] # TensorFlow has no types
    def run(batch: tf.Tensor) -> tf.Tensor:
        views = [batch, tf.reverse(batch, [2])] if mirrored else [batch]
        return tf.cast(tf.stack([backbone(view, training=False) for view in views], axis=1), tf.float32)

    start = 0
    for batch, _ in track(images, len(images), "computing features"):
        values[start : start + len(batch)] = run(batch).numpy()
        start += len(batch)
    return values


def ridge_head(
    features: Float32Array,
    targets: Float32Array,
    *,
    blocks: Sequence[int],
    is_distribution: bool,
    seed: int = 0,
) -> tuple[Float32Array, Float32Array]:
    """Kernel and bias of a dense layer that comes near the targets, by ridge regression.

    Distributions are regressed as centred logarithms, whose softmax they are. The penalty is the one with the
    least leave-one-out error (Golub, Heath and Wahba, "Generalized cross-validation as a method for choosing
    a good ridge parameter", 1979).

    Args:
        features: (N, views, D) float32; the views are averaged. Of many, 20,000 are taken at random.
        targets: (N, bins), rows sum to 1; or (N, 1) scores.
        blocks: How many of the features belong together; each block is brought to the same mean length.
        is_distribution: Whether the targets are distributions.
        seed: Of the choice among many.

    Returns:
        (D, outputs) and (outputs,) float32.
    """
    rows = _chosen(len(features), seed)
    count = len(rows)
    y = np.asarray(targets[rows], np.float64)
    if is_distribution:
        y = np.log(y + _FLOOR)
        y -= y.mean(axis=1, keepdims=True)
    level = y.mean(axis=0)
    y = y - level
    centre = sum(x.sum(axis=0) for x in _averaged(features, rows)) / count
    gram, product = np.zeros((len(centre),) * 2), np.zeros((len(centre), y.shape[1]))
    for start, x in zip(range(0, count, _ROWS), _averaged(features, rows), strict=True):
        centred = x - centre
        gram += centred.T @ centred
        product += centred.T @ y[start : start + _ROWS]
    lengths = [np.sqrt(part.sum() / count) for part in np.split(gram.diagonal(), np.cumsum(blocks)[:-1])]
    stretch = np.repeat(1 / np.maximum(lengths, np.finfo(np.float32).tiny), blocks)
    squares, axes = np.linalg.eigh(gram * stretch * stretch[:, None])
    axes = axes * stretch[:, None]  # from features as they are
    projected = axes.T @ product
    inverses = 1 / (np.maximum(squares, 0) + np.array(_PENALTIES)[:, None] * len(blocks))
    errors = np.zeros(len(_PENALTIES))
    for start, x in zip(range(0, count, _ROWS), _averaged(features, rows), strict=True):
        along = (x - centre) @ axes
        kept = 1 - np.minimum(along**2 @ inverses.T + 1 / count, 0.9999)
        for number, inverse in enumerate(inverses):
            missed = y[start : start + _ROWS] - along @ (inverse[:, None] * projected)
            errors[number] += ((missed / kept[:, number, None]) ** 2).sum()
    kernel = axes @ (inverses[int(np.argmin(errors))][:, None] * projected)
    return kernel.astype(np.float32), (level - centre @ kernel).astype(np.float32)


def _chosen(count: int, seed: int) -> NDArray[np.int64]:
    """Which examples a head is fitted to, ascending: label files are often sorted, so not the first ones."""
    if count <= _RIDGE_EXAMPLES:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, _RIDGE_EXAMPLES, replace=False))


def _averaged(features: Float32Array, rows: NDArray[np.int64]) -> Iterator[FloatArray]:
    """(up to `_ROWS`, D) float64 of some rows: the average of their views."""
    for start in range(0, len(rows), _ROWS):
        yield features[rows[start : start + _ROWS]].mean(axis=1, dtype=np.float64)
