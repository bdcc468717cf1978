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
from onnx import TensorProto, helper, numpy_helper

from nimakit.config import TrainConfig
from nimakit.io.atomic import atomic_bytes
from nimakit.models.metadata import METADATA_KEY, Metadata
from nimakit.models.weight_files import Shapes, finite_values, stored_layers
from nimakit.models.weight_matching import match_layers
from nimakit.stats.histogram import default_bins

Weights = Sequence[NDArray[np.float32]]

_INPUT_SIZE = (224, 224)
_FEATURES = 1024
_OPSET = 18
_IR_VERSION = 8
_EPSILON = 1e-3
"""Added to the variance in each batch normalisation, as keras.applications does."""

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
    graph = _Graph()
    x = graph.add("Mul", "image", graph.constant(np.float32(1 / 127.5)))
    x = graph.add("Sub", x, graph.constant(np.float32(1)))
    x = graph.add("Transpose", x, perm=[0, 3, 1, 2])
    strides = [2, *(stride for _, block in _BLOCKS for stride in (block, 1))]
    for place, (stride, (kernel,), normalization) in enumerate(
        zip(strides, backbone[::2], backbone[1::2], strict=True)
    ):
        x = graph.convolve(x, kernel, normalization, stride=stride, is_depthwise=place % 2 == 1)
    x = graph.add("ReduceMean", x, graph.constant(np.array([2, 3])), output="features", keepdims=0)
    kernel, bias = head
    x = graph.add("Gemm", x, graph.constant(kernel), graph.constant(bias))
    graph.add("Softmax", x, output="histogram", axis=-1)
    return graph.model(height, width, channels=len(kernel), bins=len(bias))


class _Graph:
    """Nodes and constants of a graph that is being built."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._zero, self._six = self.constant(np.float32(0)), self.constant(np.float32(6))

    def constant(self, value: NDArray[np.generic] | np.generic) -> str:
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def add(self, operation: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        output = output or f"{operation.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operation, inputs, [output], **attributes))
        return output

    def convolve(
        self,
        x: str,
        kernel: NDArray[np.float32],
        normalization: Weights,
        *,
        stride: int,
        is_depthwise: bool,
    ) -> str:
        """A convolution, its batch normalisation folded into it, and ReLU6."""
        scale, shift, mean, variance = (np.asarray(values, np.float64) for values in normalization)
        factor = scale / np.sqrt(variance + _EPSILON)
        if is_depthwise:  # (height, width, channels, 1)
            kernel = kernel.transpose(0, 1, 3, 2)
        folded = (kernel * factor).transpose(3, 2, 0, 1).astype(np.float32)
        bias = (shift - mean * factor).astype(np.float32)
        side = kernel.shape[0]
        # Keras pads on the right and at the bottom only where it halves, on all sides where it does not.
        pads = [0, 0, 1, 1] if stride == 2 else [side // 2] * 4
        x = self.add(
            "Conv",
            x,
            self.constant(folded),
            self.constant(bias),
            strides=[stride, stride],
            pads=pads,
            group=len(bias) if is_depthwise else 1,
        )
        return self.add("Clip", x, self._zero, self._six)

    def model(self, height: int, width: int, *, channels: int, bins: int) -> onnx.ModelProto:
        def value(name: str, *shape: int) -> onnx.ValueInfoProto:
            return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape])

        graph = helper.make_graph(
            self._nodes,
            "nima_mobilenet",
            [value("image", height, width, 3)],
            [value("histogram", bins), value("features", channels)],
            self._constants,
        )
        opsets = [helper.make_opsetid("", _OPSET)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION, producer_name="nimakit")
