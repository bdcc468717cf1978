"""Small model files and pictures, made on the spot, so that tests need neither a network nor a second."""

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from nimakit.images.photo import Decode, Fit, Preprocessing, ResizeFilter
from nimakit.models.metadata import METADATA_KEY, Metadata
from nimakit.stats.histogram import default_bins

OWN = "own"
SIDE = 8
_RAMP_LOW, _RAMP_HIGH = 0.5, 1.5


def metadata(
    *,
    bins: Sequence[float] = tuple(default_bins(10)),
    resize_filter: ResizeFilter = "nearest",
    fit: Fit = "squash",
    decode: Decode = "full",
    side: int = SIDE,
    name: str = "tiny",
    quantiles: Sequence[float] = (),
    reference: str = "",
) -> Metadata:
    """What a small model says of itself."""
    return Metadata(
        name=name,
        base_model="Tiny",
        bins=tuple(float(b) for b in bins),
        preprocessing=Preprocessing(
            height=side, width=side, resize_filter=resize_filter, fit=fit, decode=decode
        ),
        reference_quantiles=tuple(quantiles),
        reference=reference,
    )


def write_model(
    path: Path,
    about: Metadata | None = None,
    *,
    head: str = "histogram",
    gain: float = 2.0,
    written: str | None = OWN,
    columns: int | None = None,
    input_name: str = "image",
    input_type: int = TensorProto.FLOAT,
    input_shape: Sequence[int | str | None] | None = None,
    features: str = "features",
) -> Path:
    """Write a model that likes bright pictures, the right half most.

    Its features are the mean of each channel, weighted from 0.5 at the left edge to 1.5 at the right. The
    defaults keep the contract; the options break it one by one.
    """
    about = about or metadata()
    side = about.preprocessing.height
    ramp = np.linspace(_RAMP_LOW, _RAMP_HIGH, side, dtype=np.float32).reshape(1, 1, side, 1) / 255
    nodes = [
        helper.make_node("Cast", [input_name], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["pixels", "ramp"], ["weighted"]),
        helper.make_node("ReduceMean", ["weighted", "space"], [features], keepdims=0),
    ]
    constants: dict[str, Any] = {"ramp": ramp, "space": np.array([1, 2], np.int64)}
    count = columns or len(about.bins)
    if head == "score":
        low, high = about.bins[0], about.bins[-1]
        constants |= {"channels": np.array([1], np.int64)}
        constants |= {"scale": np.float32(high - low), "low": np.float32(low)}
        nodes += [
            helper.make_node("ReduceMean", [features, "channels"], ["level"], keepdims=0),
            helper.make_node("Mul", ["level", "scale"], ["scaled"]),
            helper.make_node("Add", ["scaled", "low"], [head]),
        ]
        output_shape: list[int | str | None] = ["batch"]
    else:
        slope = gain * np.linspace(-1, 1, count, dtype=np.float32)
        constants["weights"] = np.outer([0.5, 1.0, 0.25], slope).astype(np.float32)
        nodes += [
            helper.make_node("MatMul", [features, "weights"], ["logits"]),
            helper.make_node("Softmax", ["logits"], [head], axis=1),
        ]
        output_shape = ["batch", count]
    shape: Sequence[int | str | None] = input_shape or ["batch", side, side, 3]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(input_name, input_type, shape)],
        [
            helper.make_tensor_value_info(head, TensorProto.FLOAT, output_shape),
            helper.make_tensor_value_info(features, TensorProto.FLOAT, ["batch", 3]),
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    if written is not None:
        helper.set_model_props(model, {METADATA_KEY: about.to_json() if written == OWN else written})
    onnx.save(model, path)
    return path


def write_endless_model(path: Path) -> Path:
    """Write a model that keeps the contract, and goes round in a loop when it is run."""
    model = onnx.load(write_model(path))
    body = helper.make_graph(
        [helper.make_node("Identity", [name], [f"{name}_out"]) for name in ("again", "value")],
        "body",
        [
            helper.make_tensor_value_info("number", TensorProto.INT64, []),
            helper.make_tensor_value_info("again", TensorProto.BOOL, []),
            helper.make_tensor_value_info("value", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("again_out", TensorProto.BOOL, []),
            helper.make_tensor_value_info("value_out", TensorProto.FLOAT, None),
        ],
    )
    model.graph.initializer.append(helper.make_tensor("go", TensorProto.BOOL, [], [1]))
    softmax = model.graph.node[-1]
    model.graph.node.insert(-1, helper.make_node("Loop", ["", "go", softmax.input[0]], ["never"], body=body))
    softmax.input[0] = "never"
    onnx.save(model, path)
    return path


def random_pixels(height: int, width: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """(height, width, 3) uint8 noise, always the same."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def write_photo(path: Path, level: int = 128, size: tuple[int, int] = (12, 9), **options: Any) -> Path:
    """Write an evenly grey picture; its format follows the suffix, options go to Pillow."""
    Image.new("RGB", size, (level, level, level)).save(path, **options)
    return path


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds no pixel: decoding it can only fail."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IEND", b"")
