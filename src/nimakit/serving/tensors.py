"""Tensors of the Open Inference Protocol (KServe V2): images out of a request, scores into an answer."""

import base64
import io
import json
import math
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Annotated, Any, Literal, NoReturn

import msgspec
import numpy as np
from msgspec import Meta, Raw

from nimakit.engine import AUGMENTATIONS, Augmentation
from nimakit.errors import UsageError
from nimakit.images import ImageInput
from nimakit.score import Score

INPUT = "image"
VERSION = "1"
"""The version of every model: a server has each model once, and clients that pin a version pin this one."""

OUTPUTS = ("mean_score_prediction", "sd_score_prediction", "predictions", "percentile")
_LENGTH = struct.Struct("<I")
_LONGEST_SIDE = 2**31 - 1
_FROM_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_WHITESPACE = b" \t\r\n\v\f"
MAX_VALUES = 210_000
"""Values the JSON of a request may contain, as many as a picture of 224x224 has: while it is parsed, nothing
else runs."""

MAX_REST = 65_536
"""Bytes of the JSON of a request without 'data'."""

_VALUE_BYTES = 96
"""Bytes a value of parsed JSON takes at the most, without its text."""

_PIECE = 65_536
"""Bytes that are looked at, or decoded, at a time: between two pieces other threads run."""

_SHOWN = 200
_REQUEST_RULE = "An inference request is JSON: an object, of which 'inputs' is a list of one tensor"
_NULL = Raw(b"null")
_NESTED = re.compile(rb"\s*\[\s*\[")
_Side = Annotated[int, Meta(ge=1, le=_LONGEST_SIDE)]
_Byte = Annotated[int, Meta(ge=0, le=255)]
_PIXEL_TYPES: dict[str, tuple[Any, Any, Any, str]] = {
    "UINT8": (np.dtype(np.uint8), list[_Byte], list[list[list[list[_Byte]]]], "integers from 0 to 255"),
    "FP32": (np.dtype("<f4"), list[float], list[list[list[list[float]]]], "numbers"),
}
"""What their pixels are as an array, in JSON flat and nested, and in words."""


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


class _Members(msgspec.Struct):
    """The parameters of a request, a tensor or an output; they are parsed once all but 'data' is short."""

    tta: Raw = _NULL
    binary_data_output: Raw = _NULL
    binary_data: Raw = _NULL
    binary_data_size: Raw = _NULL
    classification: Raw = _NULL


class _Output(msgspec.Struct):
    name: Raw = _NULL
    parameters: Raw = _NULL


class _Tensor(msgspec.Struct):
    name: Raw = _NULL
    datatype: Raw = _NULL
    shape: Raw = _NULL
    parameters: Raw = _NULL
    data: Raw = _NULL


class _Request(msgspec.Struct):
    id: Raw = _NULL
    parameters: Raw = _NULL
    outputs: Raw = _NULL
    inputs: tuple[_Tensor] | None = None


def parsing_size(body: bytes, json_size: int | None) -> int:
    """Bytes that `read_request` takes at the most, in addition to the body.

    The text of images is copied as text, once more where some of it is escaped, and decoded. Binary data are
    not copied.
    """
    size = len(body) if json_size is None else min(json_size, len(body))
    return 4 * size + _VALUE_BYTES * min(size, MAX_VALUES + MAX_REST)


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
    text, binary = (
        memoryview(body)[:json_size],
        memoryview(body)[len(body) if json_size is None else json_size :],
    )
    request = _read_members(text)
    if request.inputs is None:
        _refuse(_REQUEST_RULE, "no inputs")
    [tensor] = request.inputs
    if len(text) - len(memoryview(tensor.data)) > MAX_REST:
        _refuse(f"The JSON of a request, without 'data', has at most {MAX_REST} bytes", "more")
    parameters = _parameters(request.parameters)
    by_default = _flag(parameters.binary_data_output, "binary_data_output", otherwise=False)
    return InferRequest(
        tta=_parse(parameters.tta, Augmentation, f"The parameter tta is one of {', '.join(AUGMENTATIONS)}")
        or "none",
        outputs=_read_outputs(request.outputs, binary=by_default),
        binary=by_default,
        id=_parse(request.id, str, "'id' is text") or "",
        images=_read_tensor(tensor, binary, max_images),
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


def _read_members(text: memoryview) -> _Request:
    """The members of a request, which are parsed one by one once it is known how large they are."""
    values, escapes = _counts(text, b",", b"\\")
    if values > MAX_VALUES:
        _refuse(
            f"The JSON contains at most {MAX_VALUES} values; larger tensors are sent as binary data", "more"
        )
    if escapes > _PIECE + len(text) // 16:
        _refuse("At most one character in sixteen of the JSON is escaped", "more")
    try:
        return msgspec.json.decode(text, type=_Request)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{_REQUEST_RULE}. Received: another ({str(error)[:_SHOWN]})") from error


def _parse(raw: Raw, kind: Any, rule: str) -> Any:
    """A member of an object; None where it is null, which clients write for what they leave out."""
    try:
        return msgspec.json.decode(raw, type=kind | None)
    except (ValueError, RecursionError):
        _refuse(rule, raw)


def _parameters(raw: Raw) -> _Members:
    found: _Members | None = _parse(raw, _Members, "'parameters' is an object")
    return found or _Members()


def _flag(raw: Raw, name: str, *, otherwise: bool) -> bool:
    value: bool | None = _parse(raw, bool, f"The parameter {name} is true or false")
    return otherwise if value is None else value


def _read_outputs(raw: Raw, *, binary: bool) -> dict[str, bool]:
    outputs: list[_Output] = (
        _parse(raw, list[_Output], "'outputs' is a list of tensors, which are objects") or []
    )
    rule = f"An output is one of {', '.join(OUTPUTS)}"
    wanted = {}
    for output in outputs:
        parameters = _parameters(output.parameters)
        name = _parse(output.name, Literal[OUTPUTS], rule) or _refuse(rule, output.name)
        if _parse(parameters.classification, Any, "Outputs have no classification"):
            _refuse("Outputs have no classification", parameters.classification)
        wanted[name] = _flag(parameters.binary_data, "binary_data", otherwise=binary)
    return wanted


def _read_tensor(tensor: _Tensor, binary: memoryview, max_images: int) -> list[ImageInput]:
    if _parse(tensor.name, Literal[INPUT], f"The input is called {INPUT}") is None:
        _refuse(f"The input is called {INPUT}", tensor.name)
    rule = "The datatype is BYTES for encoded images, UINT8 or FP32 for pixels"
    datatype: str = _parse(tensor.datatype, Literal["BYTES", *_PIXEL_TYPES], rule) or _refuse(
        rule, tensor.datatype
    )
    rule = f"A shape is a list of integers from 1 to {_LONGEST_SIDE}"
    shape: list[int] = _parse(tensor.shape, list[_Side], rule) or _refuse(rule, tensor.shape)
    if datatype == "BYTES" and shape[1:] not in ([], [1]):
        _refuse("A BYTES tensor holds N encoded images; its shape is [N] or [N, 1]", tensor.shape)
    if datatype != "BYTES" and (len(shape) != 4 or shape[3] != 3):
        missing = "; the first side, N, is missing" if len(shape) == 3 and shape[2] == 3 else ""
        _refuse(f"A tensor of pixels has the shape [N, height, width, 3]{missing}", tensor.shape)
    if shape[0] > max_images:
        _refuse(f"A request has at most {max_images} images", shape[0])
    in_binary = _is_binary(tensor, binary)
    if datatype != "BYTES":
        return [*_read_pixels(tensor.data, _PIXEL_TYPES[datatype], shape, binary if in_binary else None)]
    return [*_read_binary(binary, shape[0])] if in_binary else [*_read_texts(tensor.data, shape[0])]


def _is_binary(tensor: _Tensor, binary: memoryview) -> bool:
    """Whether the tensor is binary data; it is all there is, for there is one tensor."""
    rule = "binary_data_size is the size of what follows the JSON"
    size = _parse(_parameters(tensor.parameters).binary_data_size, int, rule)
    if (size is None) == (bytes(memoryview(tensor.data)[:5]) == b"null"):
        _refuse("A tensor has 'data', or else the parameter binary_data_size", "both or neither")
    if (size or 0) != len(binary):
        _refuse(rule, f"{str(size)[:_SHOWN]}, and {len(binary)} bytes")
    return size is not None


def _read_binary(binary: memoryview, count: int) -> list[memoryview]:
    elements = list(islice(_split(binary), count + 1))
    if len(elements) != count:
        more = " or more" if len(elements) > count else ""
        _refuse("A BYTES tensor holds as many elements as its shape says", f"{len(elements)}{more}")
    return elements


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


def _counts(text: memoryview, *marks: bytes) -> list[int]:
    """How often each of these occurs; none is longer than four bytes."""
    counts = [0] * len(marks)
    for at in range(0, len(text), _PIECE):
        piece = bytes(text[at : at + _PIECE + 3])
        for i, mark in enumerate(marks):
            counts[i] += piece.count(mark, 0, _PIECE + len(mark) - 1)
    return counts


def _read_texts(data: Raw, count: int) -> list[bytes]:
    """Images of a tensor of shape [N] or [N, 1]."""
    view = memoryview(data)
    # One character beyond Latin-1 would make each of a text take two or four bytes.
    is_narrow = all(bytes(view[at : at + _PIECE]).isascii() for at in range(0, len(view), _PIECE))
    if is_narrow:
        commas, escapes, narrow_escapes = _counts(view, b",", b"\\u", b"\\u00")
        is_narrow = escapes == narrow_escapes
    if not is_narrow:
        _refuse("An encoded image within JSON is base64 text", "text of other characters")
    rule = "A BYTES tensor holds as many elements as its shape says"
    if commas >= 2 * count:  # as many as a list of data URLs has, which are refused below
        _refuse(rule, f"{commas + 1} or less")
    is_nested = _NESTED.match(view) is not None
    found: list[Any]
    try:
        found = msgspec.json.decode(data, type=list[tuple[str]] if is_nested else list[str])
    except (ValueError, RecursionError):
        _refuse(
            "'data' is a list of N texts, or of N lists of one; an encoded image within JSON is base64 text",
            data,
        )
    if len(found) != count:
        _refuse(rule, len(found))
    return [_decode(item[0] if is_nested else item) for item in found]


def _decode(text: str) -> bytes:
    """Bytes of base64 text (RFC 4648), in lines or not, of either alphabet."""
    content, rest, is_padded = io.BytesIO(), b"", False
    try:
        for at in range(0, len(text), _PIECE):
            rest += text[at : at + _PIECE].encode("ascii").translate(_FROM_URL_SAFE, _WHITESPACE)
            whole = len(rest) - len(rest) % 4
            if is_padded and rest:
                raise ValueError
            content.write(base64.b64decode(rest[:whole], validate=True))
            is_padded, rest = rest[:whole].endswith(b"="), rest[whole:]
        content.write(base64.b64decode(rest, validate=True))
    except ValueError:
        shown = text if len(text) < 40 else f"{text[:20]}...{text[-10:]}"
        _refuse("An encoded image within JSON is base64 text, with nothing before or after it", repr(shown))
    return content.getvalue()


def _read_pixels(
    data: Raw, kind: tuple[Any, Any, Any, str], shape: list[int], binary: memoryview | None
) -> np.ndarray[Any, Any]:
    """(N, height, width, 3) uint8 or float32."""
    dtype, flat, nested, numbers = kind
    wanted = math.prod(shape)
    if binary is not None:
        if len(binary) != wanted * dtype.itemsize:
            _refuse(f"The binary data of this shape has {wanted * dtype.itemsize} bytes", len(binary))
        return np.frombuffer(binary, dtype).reshape(shape)
    rule = f"'data' of this shape holds {wanted} {numbers}, nested as the shape says or flat"
    [commas] = _counts(memoryview(data), b",")
    if commas + 1 != wanted:
        _refuse(rule, commas + 1)
    is_nested = _NESTED.match(data) is not None
    try:
        values = msgspec.json.decode(data, type=nested if is_nested else flat)
        with np.errstate(over="ignore"):  # infinite then, which no image may be
            array = np.array(values, np.float64).astype(dtype)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{rule}. Received: others ({str(error)[:_SHOWN]})") from error
    if array.size != wanted or (is_nested and array.shape != tuple(shape)):
        _refuse(rule, f"the shape {array.shape}")
    return array.reshape(shape)


def _refuse(rule: str, received: Raw | str | int | tuple[int, ...]) -> NoReturn:
    if isinstance(received, Raw):
        received = bytes(memoryview(received)[:_SHOWN]).decode("utf-8", "replace")
    raise UsageError(f"{rule}. Received: {str(received)[:_SHOWN]}")
