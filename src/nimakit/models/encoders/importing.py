"""Import of networks exported by PyTorch, Hugging Face, Keras and others as encoders.

Normalisation and layout are put into the graph, so that every encoder takes RGB pixels 0-255, (N, H, W, 3).
"""

import time
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import EncodeError
from onnx import helper, version_converter

from nimakit.errors import ModelError, first_line, machine_fault
from nimakit.images.photo import PixelArray, Preprocessing, open_photo, prepare
from nimakit.io.atomic import atomic_bytes
from nimakit.models import external_data
from nimakit.models.encoders import wrapping
from nimakit.models.encoders.encoder import VECTOR, Encoder
from nimakit.models.metadata import METADATA_KEY, Metadata
from nimakit.models.session import Session
from nimakit.stats.histogram import Float32Array

_RESIZING_OPSET = 18
"""The first in which an encoder can make several input sizes from one image."""
_TOLERANCE = 1e-3
"""Largest difference of two runs on one photograph, as a share of its largest feature."""
_LARGER = 64
"""Pixels by which an image is larger that shows whether an encoder takes any size."""
_TIMED_RUNS = 3


@dataclass(frozen=True, slots=True)
class Imported:
    """An imported encoder.

    Attributes:
        encoder: The encoder, loaded.
        takes_any_size: Whether it takes other input sizes too.
        seconds_per_image: Time of one image, on one core or the GPU.
    """

    encoder: Encoder
    takes_any_size: bool
    seconds_per_image: float


def import_encoder(source: Path, output: Path, exported: wrapping.Exported, metadata: Metadata) -> Imported:
    """Write the encoder file of an exported network, after checking it on a photograph.

    Args:
        source: The exported .onnx file; its weights may be in files in its folder.
        output: The encoder's .onnx file; appears whole, or not at all.
        exported: How the network sees a photograph.
        metadata: Name, licence, input size, filter and fit; without bins.

    Raises:
        ModelError: The file cannot be an encoder; the message says why.
        OutputError: The encoder could not be written.
    """
    size = (metadata.preprocessing.height, metadata.preprocessing.width)
    pixels = _check_images(metadata.preprocessing)
    model = _load(source)
    try:
        wrapping.check_operators(model)
        layout = wrapping.wrap_input(model, exported, size)
        names = wrapping.select_outputs(model, exported)
        helper.set_model_props(model, {METADATA_KEY: metadata.to_json()})
        values = _run(model, names, pixels, source)
        shapes = {name: array.shape for name, array in zip(names, values, strict=True)}
        wrapping.wrap_outputs(model, exported, layout, size, shapes)
    except ModelError as error:
        raise ModelError(f"{source}: {error}") from error
    model = wrapping.pruned(model)
    helper.set_model_props(model, {METADATA_KEY: metadata.to_json()})
    vectors = _vectors(model, pixels, source)
    if _is_close(vectors[0], vectors[1]):
        raise ModelError(
            "An encoder must give different vectors for different images. Received:"
            f" {source}, which gives the same for a photograph and its negative; check --output and --mean."
        )
    model = _newer(model, pixels, vectors, source)
    if wrapping.has_free_size(model) and not _takes_larger(model, pixels, source):
        wrapping.fix_size(model, size)
    atomic_bytes(model.SerializeToString(), output)
    encoder = Encoder(output)
    return Imported(encoder, wrapping.has_free_size(model), _seconds_per_image(encoder, pixels))


def _load(source: Path) -> onnx.ModelProto:
    if not source.is_file():
        raise ModelError(f"The exported network must be a file that exists. Received: {source}")
    external_data.check(source, str(source))
    try:
        return onnx.load(source)
    except Exception as error:  # protobuf raises all kinds of errors on a broken file
        if machine_fault(error, source):
            raise
        raise ModelError(
            f"The file must be a valid ONNX model. Received: {source} ({first_line(error)})"
        ) from error


def _check_images(preprocessing: Preprocessing) -> PixelArray:
    """(2, height, width, 3) uint8: a photograph and its negative."""
    content = resources.files("nimakit.models").joinpath("data", "check_photo.jpg").read_bytes()
    photo = prepare(open_photo(content), preprocessing)
    return np.stack([photo, 255 - photo])


def _session(model: onnx.ModelProto, source: Path) -> Session:
    try:
        content = model.SerializeToString()
    except (ValueError, EncodeError) as error:
        raise ModelError(f"An encoder must have less than 2 GiB. Received: {source}") from error
    return Session(content, name=str(source))


def _run(model: onnx.ModelProto, names: list[str], pixels: PixelArray, source: Path) -> list[Float32Array]:
    """The tensors for two images, after checking that each is as if it were the only image."""
    session = _session(model, source)
    try:
        single, both = session.run(names, pixels[:1]), session.run(names, pixels)
    except ModelError as error:
        height, width = pixels.shape[1:3]
        raise ModelError(
            f"The network must run on any number of images of {height}x{width} pixels. Received:"
            f" {first_line(error)}; give the --size it was exported for, and export it with a dynamic first"
            " dimension (torch.onnx.export: dynamic_shapes or dynamic_axes)."
        ) from error
    if not all(np.isfinite(array).all() for array in both):
        raise ModelError("The network must give finite numbers for a photograph. Received: NaN or infinity")
    if not all(_is_close(one[0], two[0]) for one, two in zip(single, both, strict=True)):
        raise ModelError(
            "The network must give each image the same vector in any batch. Received: others with two images;"
            " export it in inference mode (PyTorch: model.eval())."
        )
    return both


def _vectors(model: onnx.ModelProto, pixels: PixelArray, source: Path) -> Float32Array:
    [vectors] = _session(model, source).run([VECTOR], pixels)
    return vectors


def _takes_larger(model: onnx.ModelProto, pixels: PixelArray, source: Path) -> bool:
    larger = np.pad(pixels[:1], ((0, 0), (0, _LARGER), (0, _LARGER), (0, 0)), mode="edge")
    names = [value.name for value in model.graph.output]
    try:
        outputs = dict(zip(names, _session(model, source).run(names, larger), strict=True))
    except ModelError:
        return False
    return all(np.isfinite(array).all() for array in outputs.values()) and outputs[VECTOR].ndim == 2


def _newer(
    model: onnx.ModelProto, pixels: PixelArray, vectors: Float32Array, source: Path
) -> onnx.ModelProto:
    """The graph in operators that can also resize images, if it can be converted and gives the same."""
    if wrapping.opset(model) >= _RESIZING_OPSET:
        return model
    try:
        newer = version_converter.convert_version(model, _RESIZING_OPSET)
        helper.set_model_props(newer, {p.key: p.value for p in model.metadata_props})
        same = _is_close(_vectors(newer, pixels, source), vectors)
    except Exception:  # noqa: BLE001 - the converter does not know all operators, and raises anything
        return model
    return newer if same else model


def _is_close(first: Float32Array, second: Float32Array) -> bool:
    scale = max(float(np.abs(first).max()), 1e-6)
    return first.shape == second.shape and float(np.abs(first - second).max()) <= _TOLERANCE * scale


def _seconds_per_image(encoder: Encoder, pixels: PixelArray) -> float:
    encoder.encode(pixels)
    started = time.perf_counter()
    for _ in range(_TIMED_RUNS):
        encoder.encode(pixels)
    return (time.perf_counter() - started) / (_TIMED_RUNS * len(pixels))
