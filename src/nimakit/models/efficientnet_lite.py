"""EfficientNet-Lite: its layers, and its graph as an ONNX encoder, from PyTorch weights without PyTorch.

Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", 2019, in the variant
that Google published for mobile devices in 2020: ReLU6, no squeeze-and-excitation, and the widths of stem and
head and the depths of the first and the last stage are not scaled.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray

from nimakit.errors import WeightsError, first_line
from nimakit.models import torch_files
from nimakit.models.graph import GraphBuilder

STEM, FEATURES = 32, 1280
"""Channels of the first convolution, and of the last."""


class Variant(NamedTuple):
    """Factors of the widths and depths of the stages, and the published input size in pixels."""

    width: float
    depth: float
    input_size: int


VARIANTS = {
    "EfficientNetLite0": Variant(1.0, 1.0, 224),
    "EfficientNetLite1": Variant(1.0, 1.1, 240),
    "EfficientNetLite2": Variant(1.1, 1.2, 260),
}


class Block(NamedTuple):
    """An inverted bottleneck: expand, depthwise, project; with a residual connection if shapes match."""

    name: str
    kernel: int
    stride: int
    expansion: int
    channels: int
    filters: int

    @property
    def is_residual(self) -> bool:
        """Whether the block's input is added to its output."""
        return self.stride == 1 and self.channels == self.filters


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


def blocks(variant: Variant) -> Iterator[Block]:
    """The blocks of a network, in order; each has the name of its PyTorch module."""
    number, channels = 0, STEM
    for stage in _STAGES:
        is_end = stage in (_STAGES[0], _STAGES[-1])
        filters = _scaled(stage.filters, variant.width)
        for index in range(stage.blocks if is_end else math.ceil(variant.depth * stage.blocks)):
            stride = stage.stride if index == 0 else 1
            yield Block(f"blocks.{number}", stage.kernel, stride, stage.expansion, channels, filters)
            number, channels = number + 1, filters


def build_encoder(base_model: str, path: Path) -> onnx.ModelProto:
    """The graph without classifier, for images of any size.

    Args:
        base_model: One of `VARIANTS`.
        path: A PyTorch state dict of it.

    Returns:
        ``image`` (N, height, width, 3) float32, 0-255 -> ``features`` (N, 1280) and ``patches``
        (N, height / 32, width / 32, 1280) float32, of which the features are the mean.

    Raises:
        WeightsError: Not a state dict, or that of another network.
    """
    graph = _Weighted(torch_files.read_modules(path))
    try:
        x = graph.add("Sub", "image", graph.constant(np.float32(127)))
        x = graph.add("Mul", x, graph.constant(np.float32(1 / 128)))
        x = graph.add("Transpose", x, perm=[0, 3, 1, 2])
        x = graph.clip(graph.layer(x, "conv_stem", "bn0", (STEM, 3, 3, 3), stride=2))
        for block in blocks(VARIANTS[base_model]):
            x = _add_block(graph, x, block)
            channels = block.filters
        x = graph.clip(graph.layer(x, "conv_head", "bn1", (FEATURES, channels, 1, 1)))
    except (KeyError, ValueError) as error:
        raise WeightsError(
            f"A PyTorch state dict must be of the base model {base_model}. Received: {path}"
            f" ({first_line(error)})."
        ) from error
    graph.add_mean_and_patches(x)
    return graph.encoder(base_model, FEATURES)


class _Weighted(GraphBuilder):
    """A graph whose convolutions take their weights from a state dict, by the names of modules."""

    def __init__(self, arrays: dict[str, NDArray[Any]]) -> None:
        super().__init__()
        self._arrays = arrays

    def layer(self, x: str, name: str, normalization: str, shape: tuple[int, ...], *, stride: int = 1) -> str:
        """Add a convolution and its batch normalisation; the shape is (out, in per group, side, side)."""
        is_depthwise = shape[1] == 1 and shape[2] > 1
        kernel = self._array(f"{name}.weight", shape)
        # At stride 2 the padding depends on the size of the image, as TensorFlow's does.
        padding = {"auto_pad": "SAME_UPPER"} if stride > 1 else {"pads": [shape[2] // 2] * 4}
        parts = ("weight", "bias", "running_mean", "running_var")
        return self.convolve(
            x,
            kernel.transpose(2, 3, 0, 1) if is_depthwise else kernel.transpose(2, 3, 1, 0),
            [self._array(f"{normalization}.{part}", shape[:1]) for part in parts],
            is_depthwise=is_depthwise,
            strides=[stride, stride],
            **padding,
        )

    def _array(self, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        array = self._arrays[name].astype(np.float32)
        if array.shape != shape or not np.isfinite(array).all():
            raise ValueError(f"{name} must be finite numbers {shape}, and is {array.shape}")
        return array


def _add_block(graph: _Weighted, x: str, block: Block) -> str:
    start, wide = x, block.channels * block.expansion
    if block.expansion > 1:
        x = graph.layer(x, f"{block.name}.expand_conv", f"{block.name}.bn0", (wide, block.channels, 1, 1))
        x = graph.clip(x)
    depthwise = (wide, 1, block.kernel, block.kernel)
    x = graph.layer(x, f"{block.name}.depthwise_conv", f"{block.name}.bn1", depthwise, stride=block.stride)
    x = graph.clip(x)
    x = graph.layer(x, f"{block.name}.project_conv", f"{block.name}.bn2", (block.filters, wide, 1, 1))
    return graph.add("Add", x, start) if block.is_residual else x


def _scaled(filters: int, width: float) -> int:
    """Filters times width, rounded to a multiple of 8 that is at least 90 % of it."""
    scaled = filters * width
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * scaled else rounded
