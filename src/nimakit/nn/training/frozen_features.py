"""Compute the features of a frozen backbone once, for all epochs of the head."""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from nimakit.nn.training.disk_array import disk_array
from nimakit.progress import track
from nimakit.stats.histogram import Float32Array


def compute(
    backbone: keras.Model, images: tf.data.Dataset, count: int, *, mirrored: bool, scratch: Path
) -> Float32Array:
    """Compute the features of images, and of their mirror images.

    Args:
        backbone: (N, H, W, 3) preprocessed to (N, D).
        images: Batches of preprocessed images and targets, in the order of the result.
        count: The number of images.
        mirrored: Whether to add mirror images.
        scratch: File for the features, so that memory does not grow with their number.

    Returns:
        (count, 1 or 2 views, D) float32, mapped from the file.

    Raises:
        OutputError: The disk has no room for the file.
    """
    values = disk_array(scratch, np.float32, (count, 1 + mirrored, backbone.output.shape[1]))

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator] # TensorFlow has no types
    def run(batch: tf.Tensor) -> tf.Tensor:
        views = [batch, tf.reverse(batch, [2])] if mirrored else [batch]
        return tf.cast(tf.stack([backbone(view, training=False) for view in views], axis=1), tf.float32)

    start = 0
    for batch, _ in track(images, len(images), "computing features"):
        values[start : start + len(batch)] = run(batch).numpy()
        start += len(batch)
    return values
