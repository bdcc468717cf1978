"""One graph of several encoders and a head."""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import onnx

from nimakit.errors import ModelError, first_line
from nimakit.models.graph import GraphBuilder, all_nodes, ancestors, content_name, rename
from nimakit.models.metadata import METADATA_KEY, Metadata
from nimakit.models.network import BLOCK
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
        ``image`` -> ``histogram`` (N, outputs), or ``score`` (N,); ``features`` (N, sum of D); and the
        features of each encoder (N, D), named by `nimakit.models.network.BLOCK`.

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
        names = {tensor.name: content_name(tensor) for tensor in part.initializer}
        for tensor in part.initializer:
            name = names[tensor.name]
            if name not in constants:
                constants[name] = onnx.TensorProto()
                constants[name].CopyFrom(tensor)
                constants[name].name = name
        blocks.append(BLOCK.format(number))
        prefix = blocks[-1].removesuffix(_FEATURES)
        known = {"": "", _INPUT: _INPUT, **names}
        rename(part, partial(_prefixed, known, prefix))
        graph.node.extend(part.node)
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
    graph.output.extend(_value(block, f"dimension_{number}") for number, block in enumerate(blocks))
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
    nodes, needed = ancestors(graph, {_FEATURES})
    kept = [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(kept)


def _prefixed(names: Mapping[str, str], prefix: str, name: str) -> str:
    return names.get(name, prefix + name)


def _value(name: str, *shape: int | str) -> onnx.ValueInfoProto:
    return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["batch", *shape])
