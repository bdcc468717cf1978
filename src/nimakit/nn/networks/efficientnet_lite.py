"""EfficientNet-Lite: EfficientNet without squeeze-and-excitation, its activations limited to 6.

Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", 2019, in the variant
Google published for small devices in 2020: stem and head keep their width, and so do the number of blocks in
the first and the last stage.
"""

import math
from typing import Any, NamedTuple

import keras

_STEM, _HEAD = 32, 1280
_EPSILON, _MOMENTUM = 1e-3, 0.99


class _Stage(NamedTuple):
    """Blocks in a row; the first of them has the stride."""

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
    """EfficientNet-Lite0 without its classifier, with random weights; published at 224x224.

    Args:
        input_shape: (height, width, 3) in pixels.

    Returns:
        (N, height, width, 3) of -1 to 1, to (N, 1280) float32.
    """
    return _network(input_shape, width=1.0, depth=1.0)


def lite2(input_shape: tuple[int, int, int]) -> keras.Model:
    """EfficientNet-Lite2 without its classifier, with random weights; published at 260x260.

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
    x = _convolved(image, _STEM, "conv_stem", "bn0", kernel=3, stride=2)
    block = 0
    for stage in _STAGES:
        is_end = stage in (_STAGES[0], _STAGES[-1])
        for index in range(stage.blocks if is_end else math.ceil(depth * stage.blocks)):
            stride = stage.stride if index == 0 else 1
            x = _block(x, stage, _scaled(stage.filters, width), stride, f"blocks.{block}")
            block += 1
    x = _convolved(x, _HEAD, "conv_head", "bn1")
    return keras.Model(image, keras.layers.GlobalAveragePooling2D()(x))


def _scaled(filters: int, width: float) -> int:
    """A number of filters, scaled and rounded to a multiple of 8 that is not less than nine tenths of it."""
    scaled = filters * width
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * scaled else rounded


def _block(x: Any, stage: _Stage, filters: int, stride: int, name: str) -> Any:
    """An inverted bottleneck: wider, depthwise, narrow; with a bypass where the shape allows."""
    start = x
    if stage.expansion > 1:
        wide = x.shape[-1] * stage.expansion
        x = _convolved(x, wide, f"{name}.expand_conv", f"{name}.bn0")
    x = keras.layers.DepthwiseConv2D(
        stage.kernel, stride, "same", use_bias=False, name=f"{name}.depthwise_conv"
    )(x)
    x = _limited(_normalised(x, f"{name}.bn1"))
    x = keras.layers.Conv2D(filters, 1, use_bias=False, name=f"{name}.project_conv")(x)
    x = _normalised(x, f"{name}.bn2")
    return keras.layers.Add()([x, start]) if stride == 1 and start.shape[-1] == filters else x


def _convolved(x: Any, filters: int, name: str, norm: str, *, kernel: int = 1, stride: int = 1) -> Any:
    x = keras.layers.Conv2D(filters, kernel, stride, "same", use_bias=False, name=name)(x)
    return _limited(_normalised(x, norm))


def _normalised(x: Any, name: str) -> Any:
    return keras.layers.BatchNormalization(epsilon=_EPSILON, momentum=_MOMENTUM, name=name)(x)


def _limited(x: Any) -> Any:
    return keras.layers.ReLU(6.0)(x)
