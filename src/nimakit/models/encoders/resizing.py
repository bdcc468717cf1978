"""A resize in front of an encoder's graph, so that one image serves encoders of several input sizes."""

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from nimakit.errors import ModelError
from nimakit.images.photo import Preprocessing
from nimakit.models.graph import rename_tensor
from nimakit.models.session import INPUT

_ANTIALIAS_OPSET = 18
_PILLOW_CUBIC = -0.5
"""Pillow's coefficient of the bicubic filter."""
_MODES = {"nearest": "nearest", "bicubic": "cubic"}
"""ONNX mode for a filter of Pillow; linear for all others."""


def prepend_resize(model: onnx.ModelProto, source: Preprocessing, size: tuple[int, int]) -> None:
    """Let a graph take larger images, which it resizes itself, with antialiasing.

    Args:
        model: With the input ``image``; changed in place.
        source: Size of the images, and the filter.
        size: (height, width) in pixels that the graph takes so far.

    Raises:
        ModelError: The graph is written in operators before opset 18, or takes integers.
    """
    opset = max(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    image = model.graph.input[0]
    if opset < _ANTIALIAS_OPSET or image.type.tensor_type.elem_type != TensorProto.FLOAT:
        raise ModelError(
            f"A graph that resizes images must have opset {_ANTIALIAS_OPSET} or later and a float input."
            f" Received: opset {opset}; export the encoder again with a later opset."
        )
    mode = _MODES.get(source.resize_filter, "linear")
    options: dict[str, Any] = {"cubic_coeff_a": _PILLOW_CUBIC} if mode == "cubic" else {}
    if mode != "nearest":
        options |= {"antialias": 1, "exclude_outside": int(mode == "cubic")}
    large, sizes, small = "nimakit_large", "nimakit_sizes", "nimakit_small"
    rename_tensor(model.graph, image.name, f"{small}_image")
    image.name = INPUT
    nodes = [
        helper.make_node("Transpose", [INPUT], [large], perm=[0, 3, 1, 2]),
        helper.make_node("Resize", [large, "", "", sizes], [small], mode=mode, axes=[2, 3], **options),
        helper.make_node("Transpose", [small], [f"{small}_image"], perm=[0, 2, 3, 1]),
    ]
    for node in reversed(nodes):
        model.graph.node.insert(0, node)
    model.graph.initializer.append(numpy_helper.from_array(np.array(size, np.int64), sizes))
    for place, side in ((1, source.height), (2, source.width)):
        image.type.tensor_type.shape.dim[place].dim_value = side
