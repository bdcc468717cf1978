"""Tensors of the Open Inference Protocol (KServe V2): images out of a request, scores into an answer."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta, Raw

from nimakit.errors import UsageError
from nimakit.images.photo import ImageInput
from nimakit.models.engine import AUGMENTATIONS, Augmentation
from nimakit.models.score import Score
from nimakit.serving.routes.tensor_data import (
    PIECE,
    PIXEL_TYPES,
    SHOWN,
    count_byte,
    read_binary,
    read_pixels,
    read_texts,
    refuse,
)

INPUT = "image"
VERSION = "1"
"""The version of every model: a server has each model once, and clients that pin a version pin this one."""

OUTPUTS = ("mean_score_prediction", "sd_score_prediction", "predictions", "percentile")
_LONGEST_SIDE = 2**31 - 1
MAX_VALUES = 210_000
"""Values the JSON of a request may contain, as many as a picture of 224x224 has: while it is parsed, nothing
else runs."""

MAX_REST = 65_536
"""Bytes of the JSON of a request without 'data'."""

_VALUE_BYTES = 96
"""Bytes a value of parsed JSON takes at the most, without its text."""

_REQUEST_RULE = "An inference request is JSON: an object, of which 'inputs' is a list of one tensor"
_NULL = Raw(b"null")
_Side = Annotated[int, Meta(ge=1, le=_LONGEST_SIDE)]


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
        refuse("Inference-Header-Content-Length is the size of the JSON within the body", json_size)
    text, binary = (
        memoryview(body)[:json_size],
        memoryview(body)[len(body) if json_size is None else json_size :],
    )
    request = _read_members(text)
    if request.inputs is None:
        refuse(_REQUEST_RULE, "no inputs")
    [tensor] = request.inputs
    if len(text) - len(memoryview(tensor.data)) > MAX_REST:
        refuse(f"The JSON of a request, without 'data', has at most {MAX_REST} bytes", "more")
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
        refuse(f"The outputs of {model} are {', '.join(columns)}", ", ".join(missing))
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
    if count_byte(text, b",") > MAX_VALUES:
        refuse(
            f"The JSON contains at most {MAX_VALUES} values; larger tensors are sent as binary data", "more"
        )
    if count_byte(text, b"\\") > PIECE + len(text) // 16:
        refuse("At most one character in sixteen of the JSON is escaped", "more")
    try:
        return msgspec.json.decode(text, type=_Request)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{_REQUEST_RULE}. Received: another ({str(error)[:SHOWN]})") from error


def _parse(raw: Raw, kind: Any, rule: str) -> Any:
    """A member of an object; None where it is null, which clients write for what they leave out."""
    try:
        return msgspec.json.decode(raw, type=kind | None)
    except (ValueError, RecursionError):
        refuse(rule, raw)


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
        name = _parse(output.name, Literal[OUTPUTS], rule) or refuse(rule, output.name)
        if _parse(parameters.classification, Any, "Outputs have no classification"):
            refuse("Outputs have no classification", parameters.classification)
        wanted[name] = _flag(parameters.binary_data, "binary_data", otherwise=binary)
    return wanted


def _read_tensor(tensor: _Tensor, binary: memoryview, max_images: int) -> list[ImageInput]:
    if _parse(tensor.name, Literal[INPUT], f"The input is called {INPUT}") is None:
        refuse(f"The input is called {INPUT}", tensor.name)
    rule = "The datatype is BYTES for encoded images, UINT8 or FP32 for pixels"
    datatype: str = _parse(tensor.datatype, Literal["BYTES", *PIXEL_TYPES], rule) or refuse(
        rule, tensor.datatype
    )
    rule = f"A shape is a list of integers from 1 to {_LONGEST_SIDE}"
    shape: list[int] = _parse(tensor.shape, list[_Side], rule) or refuse(rule, tensor.shape)
    if datatype == "BYTES" and shape[1:] not in ([], [1]):
        refuse("A BYTES tensor holds N encoded images; its shape is [N] or [N, 1]", tensor.shape)
    if datatype != "BYTES" and (len(shape) != 4 or shape[3] != 3):
        missing = "; the first side, N, is missing" if len(shape) == 3 and shape[2] == 3 else ""
        refuse(f"A tensor of pixels has the shape [N, height, width, 3]{missing}", tensor.shape)
    if shape[0] > max_images:
        refuse(f"A request has at most {max_images} images", shape[0])
    in_binary = _is_binary(tensor, binary)
    if datatype != "BYTES":
        return [*read_pixels(tensor.data, PIXEL_TYPES[datatype], shape, binary if in_binary else None)]
    return [*read_binary(binary, shape[0])] if in_binary else [*read_texts(tensor.data, shape[0])]


def _is_binary(tensor: _Tensor, binary: memoryview) -> bool:
    """Whether the tensor is binary data; it is all there is, for there is one tensor."""
    rule = "binary_data_size is the size of what follows the JSON"
    size = _parse(_parameters(tensor.parameters).binary_data_size, int, rule)
    if (size is None) == (bytes(memoryview(tensor.data)[:5]) == b"null"):
        refuse("A tensor has 'data', or else the parameter binary_data_size", "both or neither")
    if (size or 0) != len(binary):
        refuse(rule, f"{str(size)[:SHOWN]}, and {len(binary)} bytes")
    return size is not None
