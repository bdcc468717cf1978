"""NIMA on MobileNet as an ONNX graph, built from its weights without Keras.

Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications", 2017,
with the padding and the preprocessing of keras.applications. The head is dense, on the averaged last maps.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from nimakit.config import TrainConfig
from nimakit.io.atomic import atomic_bytes
from nimakit.models.graph import GraphBuilder
from nimakit.models.metadata import METADATA_KEY, Metadata
from nimakit.models.weight_files import Shapes, finite_values, stored_layers
from nimakit.models.weight_matching import match_layers
from nimakit.stats.histogram import default_bins

Weights = Sequence[NDArray[np.float32]]

_INPUT_SIZE = (224, 224)
_FEATURES = 1024

_FIRST = 32
_BLOCKS = (
    *((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)),
    *((512, 1),) * 5,
    *((1024, 2), (1024, 1)),
)
"""Channels and stride of each depthwise separable block."""


def export_weights(weights_file: Path, output: Path, metadata: dict[str, Any], config: TrainConfig) -> bool:
    """Write the model file of NIMA weights on MobileNet.

    Args:
        weights_file: As `nimakit.models.weight_files.stored_layers` takes it.
        output: The .onnx file; appears whole or not at all.
        metadata: `Metadata` fields that differ from the defaults.
        config: The base model and the preprocessing that they were trained with.

    Returns:
        Whether it was written: only where the head is a dense layer of 2 or more outputs on averaged maps.

    Raises:
        WeightsError: Weights that cannot be read, or of another base model.
    """
    preprocessing = config.preprocessing(_INPUT_SIZE)
    with stored_layers(weights_file) as stored:
        backbone, rest = match_layers(list(layers()), stored, weights_file)
        shapes = [layer.shapes for layer in rest]
        bins = shapes[0][-1][0] if shapes else 0
        if bins < 2 or shapes != [((_FEATURES, bins), (bins,))]:
            return False
        graph = build(
            [finite_values(layer, weights_file) for layer in backbone],
            finite_values(rest[0], weights_file),
            height=preprocessing.height,
            width=preprocessing.width,
        )
    defaults = Metadata(
        name=weights_file.name,
        base_model=config.base_model_name,
        bins=tuple(default_bins(bins)),
        preprocessing=preprocessing,
    )
    helper.set_model_props(graph, {METADATA_KEY: defaults.changed(metadata).to_json()})
    atomic_bytes(graph.SerializeToString(), output)
    return True


def read_backbone(weights_file: Path) -> list[Weights]:
    """The weights of each of `layers`, from NIMA weights on MobileNet.

    Raises:
        WeightsError: Weights that cannot be read, or of another base model.
    """
    with stored_layers(weights_file) as stored:
        backbone, _ = match_layers(list(layers()), stored, weights_file)
        return [finite_values(layer, weights_file) for layer in backbone]


def layers() -> Iterator[tuple[str, Shapes]]:
    """Name and shapes of each layer that has weights, in order, as Keras stores them."""

    def normalization(channels: int) -> Shapes:
        return ((channels,),) * 4

    yield "conv1", ((3, 3, 3, _FIRST),)
    yield "conv1_bn", normalization(_FIRST)
    channels = _FIRST
    for number, (wider, _) in enumerate(_BLOCKS, start=1):
        yield f"conv_dw_{number}", ((3, 3, channels, 1),)
        yield f"conv_dw_{number}_bn", normalization(channels)
        yield f"conv_pw_{number}", ((1, 1, channels, wider),)
        yield f"conv_pw_{number}_bn", normalization(wider)
        channels = wider


def build(backbone: Sequence[Weights], head: Weights, *, height: int, width: int) -> onnx.ModelProto:
    """The graph: pixels 0-255 in; histogram and features out.

    Args:
        backbone: The weights of each of `layers`: a kernel, or scale, shift, mean and variance.
        head: (1024, bins) kernel and (bins,) bias.
        height: Of the input, in pixels.
        width: Of the input, in pixels.

    Returns:
        ``image`` (N, height, width, 3) float32 -> ``histogram`` (N, bins) and ``features`` (N, 1024) float32.
    """
    graph = GraphBuilder()
    graph.add_mean(_add_backbone(graph, backbone))
    kernel, bias = head
    x = graph.add("Gemm", "features", graph.constant(kernel), graph.constant(bias))
    graph.add("Softmax", x, output="histogram", axis=-1)
    outputs = {"histogram": (len(bias),), "features": (len(kernel),)}
    return graph.model("nima_mobilenet", height, width, outputs)


def build_encoder(backbone: Sequence[Weights]) -> onnx.ModelProto:
    """The graph without head, for images of any size: pixels 0-255 in; features and their maps out.

    Args:
        backbone: As for `build`.

    Returns:
        ``image`` (N, height, width, 3) float32 -> ``features`` (N, 1024) and ``patches``
        (N, height / 32, width / 32, 1024) float32, of which the features are the mean.
    """
    graph = GraphBuilder()
    graph.add_mean_and_patches(_add_backbone(graph, backbone))
    return graph.encoder("nima_mobilenet", _FEATURES)


def _add_backbone(graph: GraphBuilder, backbone: Sequence[Weights]) -> str:
    """Add the backbone to a graph; returns its last maps, (N, 1024, height / 32, width / 32)."""
    x = graph.add("Mul", "image", graph.constant(np.float32(1 / 127.5)))
    x = graph.add("Sub", x, graph.constant(np.float32(1)))
    x = graph.add("Transpose", x, perm=[0, 3, 1, 2])
    strides = [2, *(stride for _, block in _BLOCKS for stride in (block, 1))]
    for place, (stride, (kernel,), normalization) in enumerate(
        zip(strides, backbone[::2], backbone[1::2], strict=True)
    ):
        is_depthwise = place % 2 == 1
        # Keras pads on the right and at the bottom only where it halves, on all sides where it does not.
        pads = [0, 0, 1, 1] if stride == 2 else [kernel.shape[0] // 2] * 4
        x = graph.convolve(
            x, kernel, normalization, pads=pads, strides=[stride, stride], is_depthwise=is_depthwise
        )
        x = graph.clip(x)
    return x
