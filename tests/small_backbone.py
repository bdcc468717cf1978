"""A backbone that learns in milliseconds, with the kinds of layers that large ones have.

As a program it does a job in a process of its own: ``python small_backbone.py JOB [DEVICES]``.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import keras

from nimakit.nn.networks import backbones
from nimakit.nn.networks.backbones import Backbone
from small_jobs import SMALL

NAME = SMALL


def construct(*, input_shape: tuple[int, int, int], weights: None = None) -> keras.Model:
    """(N, H, W, 3) to (N, 16): two blocks of convolution, normalisation and activation."""
    del weights
    image = x = keras.Input(input_shape)
    for channels in (8, 16):
        # Adapters are known by the names of layers, which are the same in every network only where given.
        x = keras.layers.Conv2D(channels, 3, strides=2, use_bias=False, name=f"conv{channels}")(x)
        x = keras.layers.BatchNormalization(momentum=0.5, name=f"norm{channels}")(x)
        x = keras.layers.DepthwiseConv2D(3, strides=2, name=f"depthwise{channels}")(keras.layers.ReLU()(x))
    return keras.Model(image, keras.layers.GlobalAveragePooling2D()(x))


def _preprocess(pixels: Any) -> Any:
    return pixels / 127.5 - 1.0


@contextmanager
def registered() -> Iterator[None]:
    """Let configs name it; may be nested."""
    backbone = Backbone(name=NAME, constructor=construct, preprocess=_preprocess)
    with patch.dict(backbones._ADDITIONAL, {NAME: backbone}):
        yield


def _main() -> None:
    import tensorflow as tf

    from nimakit.jobs import Job
    from nimakit.progress import say
    from nimakit.training.job import train

    folder, *count = sys.argv[1:]
    names = None
    if count:
        [cpu] = tf.config.list_physical_devices("CPU")
        parts = [tf.config.LogicalDeviceConfiguration() for _ in range(int(count[0]))]
        tf.config.set_logical_device_configuration(cpu, parts)
        names = [f"CPU:{number}" for number in range(int(count[0]))]
    with registered():
        train(Job.open(Path(folder)), notify=say, device_names=names)


if __name__ == "__main__":
    _main()
