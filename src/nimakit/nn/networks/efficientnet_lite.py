"""EfficientNet-Lite: EfficientNet with ReLU6 and without squeeze-and-excitation.

Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", 2019, in the variant
that Google published for mobile devices in 2020: the widths of stem and head and the depths of the first and
the last stage are not scaled. Built here because KerasHub would bring several heavy dependencies.
"""

import math
from typing import Any, NamedTuple

import keras

_STEM, _HEAD = 32, 1280
_EPSILON, _MOMENTUM = 1e-3, 0.99


class _Stage(NamedTuple):
    """Consecutive blocks; the first has the stride."""

    blocks: int
    kernel: int
    stride: int
    expansion: int
    filters: int


_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)


def lite0(input_shape: tuple[int, int, int]) -> keras.Model:
    """EfficientNet-Lite0 without classifier, randomly initialised; published at 224x224.

    Args:
        input_shape: (height, width, 3) in pixels.

    Returns:
        (N, height, width, 3) of -1 to 1 to (N, 1280) float32.
    """
    return _network(input_shape, width=1.0, depth=1.0)


def lite2(input_shape: tuple[int, int, int]) -> keras.Model:
    """EfficientNet-Lite2 without classifier, randomly initialised; published at 260x260.

    Args:
        input_shape: (height, width, 3) in pixels.

    Returns:
        (N, height, width, 3) of -1 to 1, to (N, 1280) float32.
    """
    return _network(input_shape, width=1.1, depth=1.2)


def preprocess(pixels: Any) -> Any:
    """(N, H, W, 3) RGB 0-255, to about -1 to 1."""
    return (pixels - 127.0) / 128.0


def _network(input_shape: tuple[int, int, int], *, width: float, depth: float) -> keras.Model:
    image = keras.Input(input_shape)
    x = _conv_block(image, _STEM, "conv_stem", "bn0", kernel=3, stride=2)
    block = 0
    for stage in _STAGES:
        is_end = stage in (_STAGES[0], _STAGES[-1])
        for index in range(stage.blocks if is_end else math.ceil(depth * stage.blocks)):
            stride = stage.stride if index == 0 else 1
            x = _block(x, stage, _scaled(stage.filters, width), stride, f"blocks.{block}")
            block += 1
    x = _conv_block(x, _HEAD, "conv_head", "bn1")
    return keras.Model(image, keras.layers.GlobalAveragePooling2D()(x))


def _scaled(filters: int, width: float) -> int:
    """Filters times width, rounded to a multiple of 8 that is at least 90 % of it."""
    scaled = filters * width
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * scaled else rounded


def _block(x: Any, stage: _Stage, filters: int, stride: int, name: str) -> Any:
    """An inverted bottleneck: expand, depthwise, project; with a residual connection if shapes match."""
    start = x
    if stage.expansion > 1:
        wide = x.shape[-1] * stage.expansion
        x = _conv_block(x, wide, f"{name}.expand_conv", f"{name}.bn0")
    depthwise = keras.layers.DepthwiseConv2D
    x = depthwise(stage.kernel, stride, "same", use_bias=False, name=f"{name}.depthwise_conv")(x)
    x = keras.layers.ReLU(6.0)(_batch_norm(x, f"{name}.bn1"))
    x = keras.layers.Conv2D(filters, 1, use_bias=False, name=f"{name}.project_conv")(x)
    x = _batch_norm(x, f"{name}.bn2")
    return keras.layers.Add()([x, start]) if stride == 1 and start.shape[-1] == filters else x


def _conv_block(x: Any, filters: int, name: str, norm: str, *, kernel: int = 1, stride: int = 1) -> Any:
    x = keras.layers.Conv2D(filters, kernel, stride, "same", use_bias=False, name=name)(x)
    return keras.layers.ReLU(6.0)(_batch_norm(x, norm))


def _batch_norm(x: Any, name: str) -> Any:
    return keras.layers.BatchNormalization(epsilon=_EPSILON, momentum=_MOMENTUM, name=name)(x)
