"""What a frozen backbone makes of the images: computed once, and a head fitted to it in closed form."""

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from nimakit.network import Float32Array
from nimakit.progress import track

_FLOOR = 0.01
"""Added to each share before the logarithm: bins nobody chose have one too."""
_PENALTIES = tuple(float(p) for p in 10.0 ** np.arange(-3, 2.01, 0.25))
"""Ridge penalties tried, as shares of the mean squared length of the features, which is 1 a block."""
RIDGE_EXAMPLES = 20_000
"""More would need gigabytes, and change nothing: a head has a few thousand weights."""


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
    """
    size = backbone.output.shape[1]
    shape = (count, 1 + mirrored, size)
    values = np.memmap(scratch, np.float32, "w+", shape=shape)

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
    features: Float32Array, targets: Float32Array, *, blocks: Sequence[int], is_distribution: bool
) -> tuple[Float32Array, Float32Array]:
    """Kernel and bias of a dense layer that comes near the targets, by ridge regression.

    Distributions are regressed as centred logarithms, whose softmax they are. The penalty is the one with the
    least leave-one-out error (Golub, Heath and Wahba, "Generalized cross-validation as a method for choosing
    a good ridge parameter", 1979).

    Args:
        features: (N, views, D) float32; the views are averaged. N is at most `RIDGE_EXAMPLES`.
        targets: (N, bins), rows sum to 1; or (N, 1) scores.
        blocks: How many of the features belong together; each block is brought to the same mean length.
        is_distribution: Whether the targets are distributions.

    Returns:
        (D, outputs) and (outputs,) float32.
    """
    x = np.asarray(features, np.float64).mean(axis=1)
    y = np.asarray(targets, np.float64)
    if is_distribution:
        y = np.log(y + _FLOOR)
        y -= y.mean(axis=1, keepdims=True)
    centre, level = x.mean(axis=0), y.mean(axis=0)
    x, y = x - centre, y - level
    lengths = [np.sqrt((part**2).sum(axis=1).mean()) for part in np.split(x, np.cumsum(blocks)[:-1], axis=1)]
    stretch = np.repeat(1 / np.maximum(lengths, np.finfo(np.float32).tiny), blocks)
    x = x * stretch
    u, s, vt = np.linalg.svd(x, full_matrices=False)
    projected = u.T @ y
    errors = []
    for penalty in _PENALTIES:
        shrunk = s**2 / (s**2 + penalty * len(blocks))
        leverage = (u**2) @ shrunk + 1 / len(x)
        left_out = (y - u @ (shrunk[:, None] * projected)) / (1 - np.minimum(leverage, 0.9999))[:, None]
        errors.append(float((left_out**2).mean()))
    penalty = _PENALTIES[int(np.argmin(errors))]
    kernel = vt.T @ ((s / (s**2 + penalty * len(blocks)))[:, None] * projected)
    kernel *= stretch[:, None]
    return kernel.astype(np.float32), (level - centre @ kernel).astype(np.float32)
