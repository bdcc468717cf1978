"""One graph of several encoders and a head."""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import onnx

from nimakit.errors import ModelError, first_line
from nimakit.models.graph import GraphBuilder, all_nodes, subgraphs
from nimakit.models.metadata import METADATA_KEY, Metadata
from nimakit.stats.head import GaussianHead, LinearHead

_INPUT, _FEATURES = "image", "features"
_IR_VERSION = 8
_STANDARD = ("", "ai.onnx")


def join(
    encoders: Sequence[onnx.ModelProto],
    head: LinearHead | GaussianHead,
    metadata: Metadata,
    *,
    is_regression: bool = False,
) -> onnx.ModelProto:
    """Join encoders and a head into the graph of a model file.

    Weights that several graphs have in common, as those of one encoder at several sizes, are stored once.

    Args:
        encoders: At least one graph: ``image`` (N, H, W, 3) float32, of one height and width for all, to
            ``features`` (N, D) float32.
        head: Fitted to their features, in this order.
        metadata: Metadata of the model.
        is_regression: Whether the only output is a score; else a softmax makes the outputs a histogram.

    Returns:
        ``image`` -> ``histogram`` (N, outputs), or ``score`` (N,); and ``features`` (N, sum of D).

    Raises:
        ModelError: The graphs cannot be joined.
    """
    opset = max(_opset(model) for model in encoders)
    joined = onnx.ModelProto(ir_version=_IR_VERSION, producer_name="nimakit")
    joined.opset_import.append(onnx.helper.make_opsetid("", opset))
    graph = joined.graph
    graph.name = "joined"
    constants: dict[str, onnx.TensorProto] = {}
    blocks = []
    for number, model in enumerate(encoders):
        part = _at_opset(model, opset).graph
        _prune(part)
        names = {tensor.name: _content_name(tensor) for tensor in part.initializer}
        for tensor in part.initializer:
            name = names[tensor.name]
            if name not in constants:
                constants[name] = onnx.TensorProto()
                constants[name].CopyFrom(tensor)
                constants[name].name = name
        _rename(part, {"": "", _INPUT: _INPUT, **names}, f"encoder_{number}/")
        graph.node.extend(part.node)
        blocks.append(f"encoder_{number}/{_FEATURES}")
    parts = GraphBuilder("head/")
    features = parts.add("Concat", *blocks, output=_FEATURES, axis=1)
    if isinstance(head, LinearHead):
        logits = parts.add("Gemm", features, parts.constant(head.kernel), parts.constant(head.bias))
    else:
        logits = _add_gaussian(parts, blocks, head)
    if is_regression:
        output, shape = "score", []
        parts.add("Reshape", logits, parts.constant(np.array([-1])), output=output)
    else:
        output, shape = "histogram", [len(head.bias)]
        parts.add("Softmax", logits, output=output, axis=-1)
    graph.node.extend(parts.nodes)
    graph.initializer.extend([*constants.values(), *parts.constants])
    graph.input.append(_value(_INPUT, metadata.preprocessing.height, metadata.preprocessing.width, 3))
    graph.output.append(_value(output, *shape))
    graph.output.append(_value(_FEATURES, "dimension"))
    onnx.helper.set_model_props(joined, {METADATA_KEY: metadata.to_json()})
    return joined


def _add_gaussian(parts: GraphBuilder, blocks: Sequence[str], head: GaussianHead) -> str:
    """Add a Gaussian head, by ``|x - z|^2 = |x|^2 + |z|^2 - 2 x z``; returns its outputs."""
    terms = []
    for block, middle, length, centres, scale in zip(
        blocks, head.middles, head.lengths, head.centres, head.scales, strict=True
    ):
        if not scale > 0:
            continue
        x = parts.add("Sub", block, parts.constant(middle))
        x = parts.add("Mul", x, parts.constant(np.float32(1 / length)))
        squares = parts.add("ReduceSumSquare", x, parts.constant(np.array([1])), keepdims=1)
        lengths = (centres.astype(np.float64) ** 2).sum(axis=1).astype(np.float32)
        products = parts.add(
            "Gemm", x, parts.constant(centres), parts.constant(lengths), alpha=-2.0, transB=1
        )
        distance = parts.add("Relu", parts.add("Add", squares, products))
        similarity = parts.add("Exp", parts.add("Neg", distance))
        terms.append(parts.add("Mul", similarity, parts.constant(np.float32(scale))))
    total = parts.add("Sum", *terms)
    return parts.add("Gemm", total, parts.constant(head.weights), parts.constant(head.bias))


def _opset(model: onnx.ModelProto) -> int:
    """The version of the standard operators, without any others."""
    # Keras declares further operators in every file and uses none of them.
    used = {node.domain for node in all_nodes(model.graph.node)}
    versions = {
        entry.domain: entry.version for entry in model.opset_import if entry.domain in {*used, *_STANDARD}
    }
    if used.difference(_STANDARD) or model.functions:
        others = ", ".join([*sorted(used.difference(_STANDARD)), *(f.name for f in model.functions)])
        raise ModelError(f"Only encoders of standard operators can be joined. Received: one with {others}")
    return int(max(versions.values()))


def _at_opset(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """A copy at a version of the standard operators."""
    if _opset(model) == opset:
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        return copy
    try:
        return onnx.version_converter.convert_version(model, opset)
    except Exception as error:  # the converter's errors have no common class
        raise ModelError(
            f"Encoders to be joined must be convertible to opset {opset}. Received: {first_line(error)};"
            " export them again with that opset."
        ) from error


def _prune(graph: onnx.GraphProto) -> None:
    """Remove what the features do not depend on: patch vectors, and the head of a model used as encoder."""
    needed, nodes = {_FEATURES}, []
    for node in reversed(graph.node):
        if needed & set(node.output):
            nodes.append(node)
            needed.update(node.input)
            for inner in subgraphs(node):
                needed.update(name for other in inner.node for name in other.input)
    kept = [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(nodes))
    graph.initializer.extend(kept)


def _content_name(tensor: onnx.TensorProto) -> str:
    """A name that depends only on the values of a constant."""
    nameless = onnx.TensorProto()
    nameless.CopyFrom(tensor)
    nameless.ClearField("name")
    return "weights/" + hashlib.sha256(nameless.SerializeToString(deterministic=True)).hexdigest()[:24]


def _rename(graph: onnx.GraphProto, names: Mapping[str, str], prefix: str) -> None:
    """Rename all values in a graph and its subgraphs; those without a new name get the prefix."""

    def new(name: str) -> str:
        return names.get(name, prefix + name)

    for node in graph.node:
        node.name = node.name and prefix + node.name
        node.input[:] = map(new, node.input)
        node.output[:] = map(new, node.output)
        for inner in subgraphs(node):
            for value in [*inner.input, *inner.output, *inner.initializer]:
                value.name = new(value.name)
            _rename(inner, names, prefix)


def _value(name: str, *shape: int | str) -> onnx.ValueInfoProto:
    return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["batch", *shape])
