"""EfficientNet-Lite in Keras, from the layers in `nimakit.models.efficientnet_lite`.

Built here because KerasHub would bring several heavy dependencies.
"""

from typing import Any

import keras

from nimakit.models.efficientnet_lite import FEATURES, STEM, Block, Variant, blocks

_EPSILON, _MOMENTUM = 1e-3, 0.99


def build(input_shape: tuple[int, int, int], *, variant: Variant) -> keras.Model:
    """EfficientNet-Lite without classifier, randomly initialised.

    Args:
        input_shape: (height, width, 3) in pixels.
        variant: One of `nimakit.models.efficientnet_lite.VARIANTS`.

    Returns:
        (N, height, width, 3) of -1 to 1 to (N, 1280) float32.
    """
    image = keras.Input(input_shape)
    x = _conv_block(image, STEM, "conv_stem", "bn0", kernel=3, stride=2)
    for block in blocks(variant):
        x = _block(x, block)
    x = _conv_block(x, FEATURES, "conv_head", "bn1")
    return keras.Model(image, keras.layers.GlobalAveragePooling2D()(x))


def preprocess(pixels: Any) -> Any:
    """(N, H, W, 3) RGB 0-255, to about -1 to 1."""
    return (pixels - 127.0) / 128.0


def _block(x: Any, block: Block) -> Any:
    start, name = x, block.name
    if block.expansion > 1:
        x = _conv_block(x, block.channels * block.expansion, f"{name}.expand_conv", f"{name}.bn0")
    depthwise = keras.layers.DepthwiseConv2D
    x = depthwise(block.kernel, block.stride, "same", use_bias=False, name=f"{name}.depthwise_conv")(x)
    x = keras.layers.ReLU(6.0)(_batch_norm(x, f"{name}.bn1"))
    x = keras.layers.Conv2D(block.filters, 1, use_bias=False, name=f"{name}.project_conv")(x)
    x = _batch_norm(x, f"{name}.bn2")
    return keras.layers.Add()([x, start]) if block.is_residual else x


def _conv_block(x: Any, filters: int, name: str, norm: str, *, kernel: int = 1, stride: int = 1) -> Any:
    x = keras.layers.Conv2D(filters, kernel, stride, "same", use_bias=False, name=name)(x)
    return keras.layers.ReLU(6.0)(_batch_norm(x, norm))


def _batch_norm(x: Any, name: str) -> Any:
    return keras.layers.BatchNormalization(epsilon=_EPSILON, momentum=_MOMENTUM, name=name)(x)
