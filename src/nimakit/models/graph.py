"""ONNX graphs: convolutional networks built node by node from their weights, and edits of any graph."""

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from nimakit.images.photo import Preprocessing

_OPSET = 18
_IR_VERSION = 8
_EPSILON = 1e-3
"""Added to the variance in each batch normalisation, by MobileNet in Keras and by EfficientNet-Lite."""


def rename_tensor(graph: onnx.GraphProto, old: str, new: str) -> None:
    """Rename a tensor in a graph and in the graphs inside it (the branches of If, the bodies of loops)."""
    for values in (graph.input, graph.output, graph.value_info, graph.initializer):
        for value in values:
            if value.name == old:
                value.name = new
    for node in graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                if name == old:
                    names[place] = new
        for inner in subgraphs(node):
            rename_tensor(inner, old, new)


def subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """The graphs inside a node."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def all_nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """Nodes, and those of the graphs inside them."""
    for node in nodes:
        yield node
        for inner in subgraphs(node):
            yield from all_nodes(inner.node)


def ancestors(
    graph: onnx.GraphProto, outputs: Collection[str], *, beyond: Collection[str] = ()
) -> tuple[list[onnx.NodeProto], set[str]]:
    """The nodes that tensors are computed by, in order, and the names of all tensors that these nodes need.

    Args:
        graph: The graph.
        outputs: Names of the tensors.
        beyond: Names of tensors whose own nodes are left out.
    """
    needed, nodes = set(outputs), []
    for node in reversed(graph.node):
        if (needed - {*beyond}) & set(node.output):
            nodes.append(node)
            needed.update(node.input)
            for inner in subgraphs(node):
                needed.update(name for other in inner.node for name in other.input)
    return nodes[::-1], needed


def rename(graph: onnx.GraphProto, new: Callable[[str], str]) -> None:
    """Rename all nodes and values in a graph and in the graphs inside it."""
    for node in graph.node:
        node.name = node.name and new(node.name)
        node.input[:] = map(new, node.input)
        node.output[:] = map(new, node.output)
        for inner in subgraphs(node):
            for value in [*inner.input, *inner.output, *inner.initializer]:
                value.name = new(value.name)
            rename(inner, new)


def content_name(tensor: onnx.TensorProto) -> str:
    """A name that depends only on the values of a constant."""
    nameless = onnx.TensorProto()
    nameless.CopyFrom(tensor)
    nameless.ClearField("name")
    return "weights/" + hashlib.sha256(nameless.SerializeToString(deterministic=True)).hexdigest()[:24]


def feature_identity(
    model: onnx.ModelProto, output: str, preprocessing: Preprocessing, *, prefix: str = ""
) -> str:
    """Everything on which a feature vector depends, other than the photograph's content: JSON.

    It is that of an encoder's own file and of every file that the encoder is joined into, because it is made
    of the operators and weights by which the vector is computed, not of a name or of the whole file.

    Args:
        model: The graph.
        output: Name of the vector.
        preprocessing: How images are prepared for the graph.
        prefix: Beginning of the names of the tensors, if the encoder is a part of the graph.
    """
    nodes, needed = ancestors(model.graph, {output})
    names = {tensor.name: content_name(tensor) for tensor in model.graph.initializer if tensor.name in needed}
    part = onnx.GraphProto()
    part.node.extend(nodes)
    rename(part, lambda name: names.get(name, name.removeprefix(prefix)))
    digest = hashlib.sha256()
    for node in part.node:
        digest.update(node.SerializeToString(deterministic=True))
    opset = max(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    parts = {"encoder": digest.hexdigest(), "opset": opset, **asdict(preprocessing)}
    return json.dumps(parts, sort_keys=True)


class GraphBuilder:
    """Nodes and constants of a graph, or of a part of one, that is being built.

    Args:
        prefix: Beginning of the names of its tensors, for a part of another graph.

    Attributes:
        nodes: In order.
        constants: By name.
    """

    def __init__(self, prefix: str = "") -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._prefix = prefix
        self._limits: tuple[str, ...] = ()

    def constant(self, value: NDArray[np.generic] | np.generic) -> str:
        """Add a constant; returns its name."""
        name = f"{self._prefix}constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def add(self, operation: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Add a node; returns the name of its output."""
        output = output or f"{self._prefix}{operation.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operation, inputs, [output], **attributes))
        return output

    def convolve(
        self,
        x: str,
        kernel: NDArray[np.float32],
        normalization: Sequence[NDArray[np.float32]],
        *,
        is_depthwise: bool = False,
        **attributes: Any,
    ) -> str:
        """Add a convolution with its batch normalisation folded into it.

        Args:
            x: Maps, (N, in, height, width).
            kernel: (height, width, in, out); depthwise (height, width, channels, 1).
            normalization: Scale, shift, mean and variance of each channel.
            is_depthwise: Whether each channel has a kernel of its own.
            **attributes: Strides and padding, as for the operator Conv.

        Returns:
            Name of the maps, (N, out, height, width).
        """
        scale, shift, mean, variance = (np.asarray(values, np.float64) for values in normalization)
        factor = scale / np.sqrt(variance + _EPSILON)
        if is_depthwise:
            kernel = kernel.transpose(0, 1, 3, 2)
        folded = (kernel * factor).transpose(3, 2, 0, 1).astype(np.float32)
        bias = self.constant((shift - mean * factor).astype(np.float32))
        group = len(factor) if is_depthwise else 1
        return self.add("Conv", x, self.constant(folded), bias, group=group, **attributes)

    def clip(self, x: str) -> str:
        """Add ReLU6; returns its output."""
        if not self._limits:
            self._limits = (self.constant(np.float32(0)), self.constant(np.float32(6)))
        return self.add("Clip", x, *self._limits)

    def add_mean(self, maps: str) -> None:
        """Add the output ``features``, the mean of maps (N, D, height, width)."""
        self.add("ReduceMean", maps, self.constant(np.array([2, 3])), output="features", keepdims=0)

    def add_mean_and_patches(self, maps: str) -> None:
        """Add the outputs of an encoder: ``features``, and the maps as ``patches``, one vector per place."""
        self.add_mean(maps)
        self.add("Transpose", maps, output="patches", perm=[0, 2, 3, 1])

    def encoder(self, name: str, dimension: int) -> onnx.ModelProto:
        """The model of an encoder that takes images of any size."""
        outputs = {"features": (dimension,), "patches": ("rows", "columns", dimension)}
        return self.model(name, "height", "width", outputs)

    def model(
        self, name: str, height: int | str, width: int | str, outputs: Mapping[str, Sequence[int | str]]
    ) -> onnx.ModelProto:
        """The model, with the input ``image`` (N, height, width, 3) float32.

        Args:
            name: Of the graph.
            height: In pixels; a name if any is taken.
            width: In pixels; a name if any is taken.
            outputs: Name -> shape without the first dimension.
        """

        def value(name: str, *shape: int | str) -> onnx.ValueInfoProto:
            return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape])

        graph = helper.make_graph(
            self.nodes,
            name,
            [value("image", height, width, 3)],
            [value(output, *shape) for output, shape in outputs.items()],
            self.constants,
        )
        opsets = [helper.make_opsetid("", _OPSET)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION, producer_name="nimakit")
