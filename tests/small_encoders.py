"""Small encoders, and networks as other programs export them, made on the spot."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from nimakit.images.photo import Preprocessing
from nimakit.models.graph import GraphBuilder
from nimakit.models.metadata import METADATA_KEY, Metadata

SIDE = 16
PATCH = 4
WIDTH = 5
"""Input size, side of a patch in pixels, and length of the vectors."""


def encoder_metadata(name: str = "tiny encoder", side: int = SIDE) -> Metadata:
    """What a small encoder says of itself."""
    preprocessing = Preprocessing(height=side, width=side, resize_filter="bilinear", fit="squash")
    return Metadata(name=name, base_model="Tiny", bins=(), preprocessing=preprocessing)


def write_encoder(path: Path, *, seed: int = 0, name: str = "tiny encoder") -> Path:
    """Write an encoder for images of any size: one convolution, the mean of its maps."""
    kernel = np.random.default_rng(seed).normal(size=(WIDTH, 3, PATCH, PATCH)).astype(np.float32) / 255
    graph = GraphBuilder()
    x = graph.add("Transpose", "image", perm=[0, 3, 1, 2])
    graph.add_mean_and_patches(graph.add("Conv", x, graph.constant(kernel), strides=[PATCH, PATCH]))
    model = graph.encoder("tiny", WIDTH)
    helper.set_model_props(model, {METADATA_KEY: encoder_metadata(name).to_json()})
    path.write_bytes(model.SerializeToString())
    return path


def write_exported(
    path: Path,
    *,
    shape: Sequence[int | str] = ("batch", 3, SIDE, SIDE),
    element: int = TensorProto.FLOAT,
    opset: int = 17,
    inputs: Sequence[str] = ("pixel_values",),
    before: Sequence[onnx.NodeProto] = (),
    after: Sequence[onnx.NodeProto] = (),
    outputs: Sequence[str] = ("logits",),
    constants: dict[str, Any] | None = None,
) -> Path:
    """Write a network as others export it: a convolution ``maps``, its mean ``embedding``, a classifier.

    Args:
        path: The file.
        shape: Of the input; the convolution is for NCHW.
        element: Type of the input and of the weights.
        opset: Version of its operators.
        inputs: Names of its inputs; the first is used.
        before: Nodes from the tensor ``raw`` to ``x``, which the convolution takes, in place of none.
        after: More nodes.
        outputs: Names of its outputs.
        constants: Of the additional nodes.
    """
    dtype = helper.tensor_dtype_to_np_dtype(element)
    random = np.random.default_rng(0)
    weights: dict[str, Any] = {
        "kernel": random.normal(size=(WIDTH, 3, PATCH, PATCH)).astype(dtype),
        "classifier": random.normal(size=(WIDTH, 2)).astype(dtype),
        **(constants or {}),
    }
    x = "x" if before else inputs[0]
    nodes = [
        *before,
        helper.make_node("Conv", [x, "kernel"], ["maps"], strides=[PATCH, PATCH]),
        helper.make_node("GlobalAveragePool", ["maps"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["embedding"]),
        helper.make_node("MatMul", ["embedding", "classifier"], ["logits"]),
        *after,
    ]
    graph = helper.make_graph(
        nodes,
        "exported",
        [helper.make_tensor_value_info(name, element, shape) for name in inputs],
        [onnx.ValueInfoProto(name=name) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.save(model, path)
    return path
