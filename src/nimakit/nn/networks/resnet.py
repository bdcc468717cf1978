"""ResNet18 with torchvision's layout: He et al., "Deep Residual Learning for Image Recognition", 2015."""

from typing import Any

import keras
import numpy as np

WEIGHTS_URL = "https://download.pytorch.org/models/resnet18-f37072fd.pth"
WEIGHTS_SHA256 = "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec"
"""torchvision's ImageNet weights (IMAGENET1K_V1), BSD-3-Clause."""

_STAGES = (64, 128, 256, 512)
_MEAN = np.array([0.485, 0.456, 0.406])
_DEVIATION = np.array([0.229, 0.224, 0.225])
_EPSILON, _MOMENTUM = 1e-5, 0.9


def resnet18(input_shape: tuple[int, int, int]) -> keras.Model:
    """ResNet18 without classifier, randomly initialised.

    Args:
        input_shape: (height, width, 3) in pixels.

    Returns:
        (N, height, width, 3), preprocessed, to (N, 512) float32.
    """
    image = keras.Input(input_shape)
    x = _batch_norm(_conv(image, 64, 7, 2, "conv1"), "bn1")
    x = keras.layers.ZeroPadding2D(1)(keras.layers.ReLU()(x))
    x = keras.layers.MaxPooling2D(3, 2)(x)
    for stage, filters in enumerate(_STAGES, start=1):
        x = _block(x, filters, 1 if stage == 1 else 2, f"layer{stage}.0")
        x = _block(x, filters, 1, f"layer{stage}.1")
    return keras.Model(image, keras.layers.GlobalAveragePooling2D()(x))


def preprocess(pixels: Any) -> Any:
    """(N, H, W, 3) RGB 0-255, standardised by the mean and deviation of ImageNet's channels."""
    mean, deviation = (keras.ops.convert_to_tensor(255 * values, "float32") for values in (_MEAN, _DEVIATION))
    return (pixels - mean) / deviation


def _block(x: Any, filters: int, stride: int, name: str) -> Any:
    """Two convolutions and a shortcut, which is a convolution too if the shape changes."""
    shortcut = x
    x = keras.layers.ReLU()(_batch_norm(_conv(x, filters, 3, stride, f"{name}.conv1"), f"{name}.bn1"))
    x = _batch_norm(_conv(x, filters, 3, 1, f"{name}.conv2"), f"{name}.bn2")
    if stride > 1:
        shortcut = _batch_norm(
            _conv(shortcut, filters, 1, stride, f"{name}.downsample.0"), f"{name}.downsample.1"
        )
    return keras.layers.ReLU()(keras.layers.Add()([x, shortcut]))


def _conv(x: Any, filters: int, kernel: int, stride: int, name: str) -> Any:
    # With a stride, Keras's own "same" pads one side more than the other; PyTorch never does.
    if kernel > 1:
        x = keras.layers.ZeroPadding2D(kernel // 2)(x)
    return keras.layers.Conv2D(filters, kernel, stride, use_bias=False, name=name)(x)


def _batch_norm(x: Any, name: str) -> Any:
    return keras.layers.BatchNormalization(epsilon=_EPSILON, momentum=_MOMENTUM, name=name)(x)
