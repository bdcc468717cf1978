"""The head of a model: the part of its graph behind the averages of maps, with derivatives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import numpy_helper

from nimakit.explain import derivatives
from nimakit.explain.derivatives import Pullback, attributes
from nimakit.models.session import INPUT
from nimakit.stats.histogram import Float32Array, FloatArray

_SPATIAL = {(2, 3): "nchw", (1, 2): "nhwc"}
"""Axes of maps that are averaged -> their layout."""


@dataclass(frozen=True, slots=True)
class Pool:
    """An average of maps over their places.

    Attributes:
        maps: Name of the tensor with the maps.
        layout: "nchw" or "nhwc".
        keeps_dimensions: Whether the average has four dimensions.
    """

    maps: str
    layout: str
    keeps_dimensions: bool

    def grid(self, maps: Float32Array) -> FloatArray:
        """(rows, columns, channels) float64, from the maps of one image."""
        return np.asarray(maps[0].transpose(1, 2, 0) if self.layout == "nchw" else maps[0], np.float64)

    def shaped(self, mean: FloatArray) -> FloatArray:
        """The mean of a grid, (channels,), in the shape it has in the graph."""
        if not self.keeps_dimensions:
            return mean[None]
        return mean.reshape((1, -1, 1, 1) if self.layout == "nchw" else (1, 1, 1, -1))


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """The operators between averages of maps and the outputs of a graph.

    Attributes:
        pools: Name of the tensor with an average -> of which maps.
        nodes: In order.
        constants: Name -> value.
        outputs: Names of the outputs.
    """

    pools: dict[str, Pool]
    nodes: list[onnx.NodeProto]
    constants: dict[str, FloatArray] = field(repr=False)
    outputs: tuple[str, ...]

    def evaluate(
        self, means: Mapping[str, FloatArray]
    ) -> tuple[dict[str, FloatArray], "list[tuple[onnx.NodeProto, Pullback]]", dict[str, FloatArray]]:
        """Compute the outputs from the averages of one image.

        Args:
            means: Name of a pool -> (channels,) float64.

        Returns:
            Name -> output; the steps, for `gradients`; and all values.
        """
        values = {**self.constants, **{name: self.pools[name].shaped(mean) for name, mean in means.items()}}
        steps = []
        for node in self.nodes:
            inputs = [values[name] for name in node.input if name]
            values[node.output[0]], pullback = derivatives.RULES[node.op_type](attributes(node), *inputs)
            steps.append((node, pullback))
        return {name: values[name] for name in self.outputs}, steps, values

    def gradients(
        self, means: Mapping[str, FloatArray], slopes: Mapping[str, FloatArray]
    ) -> dict[str, FloatArray]:
        """Derivatives of a function of the outputs by the averages.

        Args:
            means: As for `evaluate`.
            slopes: Name of an output -> derivative of the function by it, in its shape or flat.

        Returns:
            Name of a pool -> (channels,) float64.
        """
        outputs, steps, values = self.evaluate(means)
        found = {name: np.reshape(slope, outputs[name].shape) for name, slope in slopes.items()}
        for node, pullback in reversed(steps):
            if node.output[0] not in found:
                continue
            for name, gradient in zip(node.input, pullback(found[node.output[0]]), strict=False):
                if name in self.constants:
                    continue
                own = derivatives.matched(gradient, values[name].shape)
                found[name] = found[name] + own if name in found else own
        return {name: found.get(name, np.zeros(mean.size)).reshape(-1) for name, mean in means.items()}


def find_head(
    graph: onnx.GraphProto, outputs: Sequence[str], given: Mapping[str, Float32Array] | None = None
) -> Head | None:
    """Find the averages of maps that all outputs depend on.

    Args:
        graph: The graph of a model file.
        outputs: Names of outputs.
        given: Values in place of the graph's own constants, by name.

    Returns:
        None where an output depends on the image in another way, or by operators without a rule.
    """
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            constants[node.output[0]] = node.attribute[0].t
    needed, used, pools, nodes = set(outputs), set[str](), dict[str, Pool](), list[onnx.NodeProto]()
    for node in reversed(graph.node):
        wanted = needed.intersection(node.output)
        if not wanted or node.op_type == "Constant":
            continue
        needed -= wanted
        if pool := _pool(node, constants):
            pools[node.output[0]] = pool
            continue
        tail = node.input[1:] if node.op_type in derivatives.CONSTANT_TAIL else []
        if (
            node.op_type not in derivatives.RULES
            or node.domain not in ("", "ai.onnx")
            or attributes(node).get("transA")
            or not all(name in constants for name in tail if name)
        ):
            return None
        nodes.append(node)
        used.update(name for name in node.input if name in constants)
        needed.update(name for name in node.input if name and name not in constants)
    if needed or not pools or INPUT in needed:
        return None
    values = {name: np.asarray(numpy_helper.to_array(constants[name]), np.float64) for name in used}
    values |= {name: np.asarray(array, np.float64) for name, array in (given or {}).items() if name in used}
    return Head(pools, nodes[::-1], values, tuple(outputs))


def _pool(node: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto]) -> Pool | None:
    """The pool that a node is; None if it is none."""
    if node.op_type == "GlobalAveragePool":
        return Pool(node.input[0], "nchw", keeps_dimensions=True)
    if node.op_type != "ReduceMean":
        return None
    options = attributes(node)
    axes = options.get("axes")
    if len(node.input) > 1 and node.input[1] in constants:
        axes = numpy_helper.to_array(constants[node.input[1]]).tolist()
    layout = _SPATIAL.get(tuple(sorted(axes or ())))
    return Pool(node.input[0], layout, bool(options.get("keepdims", 1))) if layout else None
