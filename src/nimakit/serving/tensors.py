"""Tensors of the Open Inference Protocol (KServe V2): images out of a request, scores into an answer."""

import base64
import json
import math
import reprlib
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NoReturn

import numpy as np

from nimakit.engine import AUGMENTATIONS, Augmentation
from nimakit.errors import UsageError
from nimakit.images import ImageInput
from nimakit.score import Score

INPUT = "image"
VERSION = "1"
"""The version of every model: a server has each model once, and clients that pin a version pin this one."""

OUTPUTS = ("mean_score_prediction", "sd_score_prediction", "predictions", "percentile")
_PIXEL_TYPES: dict[str, Any] = {"UINT8": np.dtype(np.uint8), "FP32": np.dtype("<f4")}
_LENGTH = struct.Struct("<I")
_LONGEST_SIDE = 2**31 - 1
_FROM_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_WHITESPACE = b" \t\r\n\v\f"
MAX_VALUES = 210_000
"""Values and lists the JSON of a request may contain, as many as a picture of 224x224 has: while it is
parsed, nothing else runs."""

_VALUE_BYTES = 128
"""Bytes a value of parsed JSON takes at the most, without its text."""

_PIECE = 65_536
_SHORT = reprlib.Repr()
_SHORT.maxlist = _SHORT.maxdict = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class InferRequest:
    """What a client wants scored.

    Attributes:
        images: Encoded bytes, or arrays (H, W, 3) uint8 or float32, 0-255, RGB.
        tta: Test-time augmentation.
        outputs: Name -> whether it is sent as binary data; empty for all of them.
        binary: Whether those that are not named are.
        id: Given back as it came; empty for none.
    """

    images: list[ImageInput]
    tta: Augmentation = "none"
    outputs: Mapping[str, bool]
    binary: bool = False
    id: str = ""


def parsing_size(body: bytes, json_size: int | None) -> int:
    """Bytes that `read_request` takes at the most, beside the body.

    The text is copied as text, as strings, and as what those encode; a character of text takes up to four
    bytes where one of them is beyond ASCII. Binary data are not copied, and here next to nothing is.
    """
    size = len(body) if json_size is None else min(json_size, len(body))
    is_ascii = all(body[at : min(at + _PIECE, size)].isascii() for at in range(0, size, _PIECE))
    return (4 if is_ascii else 10) * size + _VALUE_BYTES * min(size, MAX_VALUES)


def read_request(body: bytes, json_size: int | None, max_images: int) -> InferRequest:
    """Parse the body of an inference request.

    Args:
        body: JSON, followed by the binary data of tensors where json_size is given.
        json_size: Bytes of the JSON, from the header Inference-Header-Content-Length.
        max_images: As many it may hold.

    Raises:
        UsageError: Anything that breaks the protocol, or that no model here takes.
    """
    if json_size is not None and not 0 <= json_size <= len(body):
        _refuse("Inference-Header-Content-Length is the size of the JSON within the body", json_size)
    binary = memoryview(body)[len(body) if json_size is None else json_size :]
    text = body[:json_size]
    if sum(map(text.count, (b",", b"[", b"{"))) > MAX_VALUES:
        _refuse(f"The JSON holds at most {MAX_VALUES} values; larger tensors are sent as binary data", "more")
    try:
        values = json.loads(text, object_hook=_without_null)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"An inference request is JSON. Received: {str(error)[:200]}") from error
    values = _object(values, "An inference request")
    parameters = _object(values.get("parameters", {}), "'parameters'")
    tta = parameters.get("tta", "none")
    if tta not in AUGMENTATIONS:
        _refuse(f"The parameter tta is one of {', '.join(AUGMENTATIONS)}", tta)
    request_id = values.get("id", "")
    if not isinstance(request_id, str):
        _refuse("'id' is text", request_id)
    by_default = _flag(parameters, "binary_data_output", otherwise=False)
    return InferRequest(
        images=_read_inputs(values.get("inputs"), binary, max_images),
        tta=tta,
        outputs=_read_outputs(values.get("outputs", []), binary=by_default),
        binary=by_default,
        id=request_id,
    )


def write_response(request: InferRequest, model: str, scores: Sequence[Score]) -> tuple[bytes, int | None]:
    """The body of an inference response, and how much of it is JSON where binary data follow."""
    columns = _columns(scores)
    wanted = request.outputs or dict.fromkeys(columns, request.binary)
    missing = sorted(set(wanted) - set(columns))
    if missing:
        _refuse(f"The outputs of {model} are {', '.join(columns)}", ", ".join(missing))
    outputs, blocks = [], []
    for name, binary in wanted.items():
        array = columns[name]
        output: dict[str, Any] = {"name": name, "datatype": "FP32", "shape": list(array.shape)}
        if binary:
            blocks.append(array.tobytes())
            output["parameters"] = {"binary_data_size": len(blocks[-1])}
        else:
            output["data"] = array.ravel().tolist()
        outputs.append(output)
    values: dict[str, Any] = {"model_name": model, "model_version": VERSION, "outputs": outputs}
    if request.id:
        values["id"] = request.id
    text = json.dumps(values).encode()
    return text + b"".join(blocks), len(text) if blocks else None


def output_metadata(sample: Score) -> list[dict[str, Any]]:
    """The outputs of a model, for its metadata, by what it gave once."""
    return [
        {"name": name, "datatype": "FP32", "shape": [-1, *array.shape[1:]]}
        for name, array in _columns([sample]).items()
    ]


def _columns(scores: Sequence[Score]) -> dict[str, np.ndarray[Any, Any]]:
    """Output name -> (N,) float32, or (N, bins) float32; those that the model does not give are left out."""
    columns: dict[str, list[Any]] = {
        "mean_score_prediction": [score.mean for score in scores],
        "sd_score_prediction": [score.sd for score in scores],
        "predictions": [score.histogram for score in scores],
        "percentile": [score.percentile for score in scores],
    }
    return {name: np.asarray(values, "<f4") for name, values in columns.items() if values[0] is not None}


def _without_null(members: dict[str, Any]) -> dict[str, Any]:
    """Members of an object; clients write null for what they leave out."""
    return {key: value for key, value in members.items() if value is not None}


def _read_outputs(outputs: Any, *, binary: bool) -> dict[str, bool]:
    if not isinstance(outputs, list):
        _refuse("'outputs' is a list of tensors", outputs)
    wanted = {}
    for output in outputs:
        parameters = _object(_object(output, "An output").get("parameters", {}), "'parameters'")
        name = output.get("name")
        if name not in OUTPUTS:
            _refuse(f"An output is one of {', '.join(OUTPUTS)}", name)
        if parameters.get("classification"):
            _refuse("Outputs have no classification", parameters["classification"])
        wanted[name] = _flag(parameters, "binary_data", otherwise=binary)
    return wanted


def _flag(parameters: Mapping[str, Any], name: str, *, otherwise: bool) -> bool:
    value = parameters.get(name, otherwise)
    if not isinstance(value, bool):
        _refuse(f"The parameter {name} is true or false", value)
    return value


def _read_inputs(inputs: Any, binary: memoryview, max_images: int) -> list[ImageInput]:
    if not isinstance(inputs, list) or len(inputs) != 1:
        _refuse(f"'inputs' is a list of one tensor, {INPUT}", inputs)
    tensor = _object(inputs[0], "A tensor")
    name, datatype, shape = tensor.get("name"), tensor.get("datatype"), tensor.get("shape")
    if name != INPUT:
        _refuse(f"The input is called {INPUT}", name)
    if datatype != "BYTES" and not (isinstance(datatype, str) and datatype in _PIXEL_TYPES):
        _refuse("The datatype is BYTES for encoded images, UINT8 or FP32 for pixels", datatype)
    if not isinstance(shape, list) or not shape or not all(map(_is_side, shape)):
        _refuse(f"A shape is a list of integers from 1 to {_LONGEST_SIDE}", shape)
    if datatype == "BYTES" and shape[1:] not in ([], [1]):
        _refuse("A BYTES tensor holds N encoded images; its shape is [N] or [N, 1]", shape)
    if datatype != "BYTES" and (len(shape) != 4 or shape[3] != 3):
        missing = "; the first side, N, is missing" if len(shape) == 3 and shape[2] == 3 else ""
        _refuse(f"A tensor of pixels has the shape [N, height, width, 3]{missing}", shape)
    if shape[0] > max_images:
        _refuse(f"A request has at most {max_images} images", shape[0])
    if datatype == "BYTES":
        return _read_bytes(tensor, shape[0], binary)
    return [*_read_pixels(tensor, _PIXEL_TYPES[datatype], shape, binary)]


def _is_side(value: Any) -> bool:
    return type(value) is int and 1 <= value <= _LONGEST_SIDE


def _binary_size(tensor: Mapping[str, Any], binary: memoryview) -> int | None:
    """Size of the tensor's binary data, where it has any; it is all there is, for there is one tensor."""
    parameters = _object(tensor.get("parameters", {}), "'parameters'")
    size = parameters.get("binary_data_size")
    if (size is None) == ("data" not in tensor):
        _refuse("A tensor has 'data', or else the parameter binary_data_size", "both or neither")
    if (size or 0) != len(binary):
        _refuse(
            "binary_data_size is the size of what follows the JSON",
            f"{_SHORT.repr(size)}, and {len(binary)} bytes",
        )
    return None if size is None else len(binary)


def _read_bytes(tensor: Mapping[str, Any], count: int, binary: memoryview) -> list[ImageInput]:
    in_binary = _binary_size(tensor, binary) is not None
    elements = list(islice(_split(binary), count + 1)) if in_binary else _flat(tensor["data"])
    if len(elements) != count:
        more = " or more" if in_binary and len(elements) > count else ""
        _refuse("A BYTES tensor holds as many elements as its shape says", f"{len(elements)}{more}")
    return [*elements] if in_binary else [_decode(text) for text in elements]


def _split(binary: memoryview) -> Iterator[memoryview]:
    """Elements of a binary BYTES tensor: each is preceded by its length, four bytes, little-endian."""
    at = 0
    while at < len(binary):
        end = at + _LENGTH.size
        if end <= len(binary):
            end += _LENGTH.unpack_from(binary, at)[0]
        if end > len(binary):
            _refuse("Each element of a BYTES tensor is preceded by its length", "fewer bytes than that")
        yield binary[at + _LENGTH.size : end]
        at = end


def _flat(data: Any) -> list[Any]:
    """Elements of a tensor of shape [N] or [N, 1]."""
    if not isinstance(data, list):
        _refuse("'data' is a list", data)
    return [item[0] if isinstance(item, list) and len(item) == 1 else item for item in data]


def _decode(text: Any) -> bytes:
    """Bytes of base64 text (RFC 4648), in lines or not, of either alphabet."""
    if not isinstance(text, str):
        _refuse("An encoded image within JSON is base64 text", text)
    try:
        return base64.b64decode(text.encode("ascii").translate(_FROM_URL_SAFE, _WHITESPACE), validate=True)
    except ValueError:
        _refuse(
            "An encoded image within JSON is base64 text, with nothing before or after it", _SHORT.repr(text)
        )


def _read_pixels(
    tensor: Mapping[str, Any], dtype: np.dtype[Any], shape: list[int], binary: memoryview
) -> np.ndarray[Any, Any]:
    """(N, height, width, 3) uint8 or float32."""
    wanted = math.prod(shape)
    if (size := _binary_size(tensor, binary)) is not None:
        if size != wanted * dtype.itemsize:
            _refuse(f"The binary data of this shape has {wanted * dtype.itemsize} bytes", size)
        return np.frombuffer(binary, dtype).reshape(shape)
    # As objects: NumPy would otherwise make every text among them as long as the longest.
    array = np.array(tensor["data"], object).ravel()
    kinds = set(map(type, array))
    if list in kinds:
        _refuse("'data' holds numbers, nested as the shape says or flat", "lists of unequal lengths")
    if array.size != wanted or kinds - ({int} if dtype.kind == "u" else {int, float}):
        _refuse(
            f"'data' of this shape holds {wanted} {'integers' if dtype.kind == 'u' else 'numbers'}",
            f"{array.size} of kind {', '.join(sorted(kind.__name__ for kind in kinds))}",
        )
    if dtype.kind == "u" and (array.min() < 0 or array.max() > 255):
        _refuse("UINT8 data are from 0 to 255", "others")
    try:
        with np.errstate(over="ignore"):  # infinite then, which no image may be
            return array.reshape(shape).astype(dtype)
    except OverflowError:
        _refuse("FP32 data are numbers that a float can hold", "others")


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        _refuse(f"{what} is an object", value)
    return value


def _refuse(rule: str, received: Any) -> NoReturn:
    shown = received if isinstance(received, str) else _SHORT.repr(received)
    raise UsageError(f"{rule}. Received: {shown[:200]}")
