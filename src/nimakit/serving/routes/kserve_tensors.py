"""KServe V2 tensors: images read from inference requests, scores written to inference responses."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta, Raw

from nimakit.errors import UsageError
from nimakit.images.photo import ImageInput
from nimakit.models.preparation import AUGMENTATIONS, Augmentation
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
"""Version of every model, for clients that name one."""

OUTPUTS = ("mean_score_prediction", "sd_score_prediction", "predictions", "percentile")
_MAX_SIDE = 2**31 - 1
MAX_VALUES = 210_000
"""Values in the JSON of a request, enough for an image of 224x224: parsing it blocks all other threads."""

MAX_REST = 65_536
"""Bytes of the JSON of a request without 'data'."""

_VALUE_BYTES = 96
"""Largest memory of a value of parsed JSON, without its text."""

_REQUEST_RULE = "An inference request must be a JSON object whose 'inputs' is a list of one tensor"
_NULL = Raw(b"null")
_Shape = Annotated[list[Annotated[int, Meta(ge=1, le=_MAX_SIDE)]], Meta(min_length=1)]


@dataclass(frozen=True, kw_only=True, slots=True)
class InferRequest:
    """A parsed inference request.

    Attributes:
        images: Encoded bytes, or arrays (H, W, 3) uint8 or float32, 0-255, RGB.
        tta: Test-time augmentation.
        outputs: Wanted outputs: name -> whether to send it as binary data; empty for all.
        binary: Whether to send outputs as binary data if none are named.
        id: Returned in the response; empty for none.
    """

    images: list[ImageInput]
    tta: Augmentation = "none"
    outputs: Mapping[str, bool]
    binary: bool = False
    id: str = ""


# Members are parsed only after everything but 'data' is known to be short.


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
    """Largest memory that `read_request` takes in addition to the body, in bytes.

    Text of images is copied, copied again if escaped, and decoded. Binary data are not copied.
    """
    size = len(body) if json_size is None else min(json_size, len(body))
    return 4 * size + _VALUE_BYTES * min(size, MAX_VALUES + MAX_REST)


def read_request(body: bytes, json_size: int | None, max_images: int) -> InferRequest:
    """Parse the body of an inference request.

    Args:
        body: JSON, followed by binary data if json_size is given.
        json_size: Bytes of the JSON, from the header Inference-Header-Content-Length.
        max_images: Largest number of images.

    Raises:
        UsageError: The request breaks the protocol, or no model here supports it.
    """
    if json_size is not None and not 0 <= json_size <= len(body):
        refuse("Inference-Header-Content-Length must be the size of the JSON within the body", json_size)
    end = len(body) if json_size is None else json_size
    text, binary = memoryview(body)[:end], memoryview(body)[end:]
    if count_byte(text, b",") > MAX_VALUES:
        refuse(f"The JSON may contain {MAX_VALUES} values; send larger tensors as binary data", "more")
    if count_byte(text, b"\\") > PIECE + end // 16:
        refuse("At most one character in sixteen of the JSON may be escaped", "more")
    try:
        request = msgspec.json.decode(text, type=_Request)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{_REQUEST_RULE}. Received: {str(error)[:SHOWN]}") from error
    if request.inputs is None:
        refuse(_REQUEST_RULE, "no inputs")
    [tensor] = request.inputs
    if end - len(memoryview(tensor.data)) > MAX_REST:
        refuse(f"The JSON of a request, without 'data', must have at most {MAX_REST} bytes", "more")
    parameters = _parse_parameters(request.parameters)
    binary_outputs = bool(_parse_flag(parameters, "binary_data_output"))
    rule = f"The parameter tta must be one of {', '.join(AUGMENTATIONS)}"
    return InferRequest(
        tta=_parse(parameters.get("tta"), Augmentation, rule) or "none",
        outputs=_read_outputs(request.outputs, binary=binary_outputs),
        binary=binary_outputs,
        id=_parse(request.id, str, "'id' must be text") or "",
        images=_read_tensor(tensor, binary, max_images),
    )


def write_response(request: InferRequest, model: str, scores: Sequence[Score]) -> tuple[bytes, int | None]:
    """Body of an inference response, and the size of its JSON if binary data follow."""
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
    """Metadata of a model's outputs, from a sample of them."""
    return [
        {"name": name, "datatype": "FP32", "shape": [-1, *array.shape[1:]]}
        for name, array in _columns([sample]).items()
    ]


def _columns(scores: Sequence[Score]) -> dict[str, np.ndarray[Any, Any]]:
    """Output name -> (N,) or (N, bins) float32, without outputs that the model does not have."""
    columns: dict[str, list[Any]] = {
        "mean_score_prediction": [score.mean for score in scores],
        "sd_score_prediction": [score.sd for score in scores],
        "predictions": [score.histogram for score in scores],
        "percentile": [score.percentile for score in scores],
    }
    return {name: np.asarray(values, "<f4") for name, values in columns.items() if values[0] is not None}


def _parse(raw: Raw | None, kind: Any, rule: str, *, required: bool = False) -> Any:
    """Parse a member; null, which some clients write instead of leaving a member out, gives None."""
    raw = _NULL if raw is None else raw
    try:
        return msgspec.json.decode(raw, type=kind if required else kind | None)
    except (ValueError, RecursionError):
        refuse(rule, raw)


def _parse_parameters(raw: Raw | None) -> dict[str, Raw]:
    return _parse(raw, dict[str, Raw], "'parameters' must be an object") or {}


def _parse_flag(parameters: dict[str, Raw], name: str) -> bool | None:
    flag: bool | None = _parse(parameters.get(name), bool, f"The parameter {name} must be true or false")
    return flag


def _read_outputs(raw: Raw, *, binary: bool) -> dict[str, bool]:
    outputs: list[dict[str, Raw]] = (
        _parse(raw, list[dict[str, Raw]], "'outputs' must be a list of objects") or []
    )
    rule = f"An output must be one of {', '.join(OUTPUTS)}"
    wanted = {}
    for output in outputs:
        name = _parse(output.get("name"), Literal[OUTPUTS], rule, required=True)
        parameters = _parse_parameters(output.get("parameters"))
        if classification := _parse(parameters.get("classification"), Any, "Outputs have no classification"):
            refuse("Outputs have no classification", str(classification))
        flag = _parse_flag(parameters, "binary_data")
        wanted[name] = binary if flag is None else flag
    return wanted


def _read_tensor(tensor: _Tensor, binary: memoryview, max_images: int) -> list[ImageInput]:
    _parse(tensor.name, Literal[INPUT], f"The input must be called {INPUT}", required=True)
    rule = "The datatype must be BYTES for encoded images, UINT8 or FP32 for pixels"
    datatype: str = _parse(tensor.datatype, Literal["BYTES", *PIXEL_TYPES], rule, required=True)
    rule = f"A shape must be a list of integers from 1 to {_MAX_SIDE}"
    shape: list[int] = _parse(tensor.shape, _Shape, rule, required=True)
    if datatype == "BYTES" and shape[1:] not in ([], [1]):
        refuse("A BYTES tensor contains N encoded images; its shape must be [N] or [N, 1]", tensor.shape)
    if datatype != "BYTES" and (len(shape) != 4 or shape[3] != 3):
        missing = "; the first side, N, is missing" if len(shape) == 3 and shape[2] == 3 else ""
        refuse(f"A tensor of pixels must have the shape [N, height, width, 3]{missing}", tensor.shape)
    if shape[0] > max_images:
        refuse(f"A request has at most {max_images} images", shape[0])
    rule = "binary_data_size must be the size of the data after the JSON"
    size: int | None = _parse(_parse_parameters(tensor.parameters).get("binary_data_size"), int, rule)
    if (size is None) == (bytes(memoryview(tensor.data)[:5]) == b"null"):
        refuse("A tensor must have either 'data' or the parameter binary_data_size", "both or neither")
    if (size or 0) != len(binary):  # there is only one tensor
        refuse(rule, f"{str(size)[:SHOWN]}, with {len(binary)} bytes after the JSON")
    if datatype != "BYTES":
        return [*read_pixels(tensor.data, PIXEL_TYPES[datatype], shape, None if size is None else binary)]
    return [*(read_texts(tensor.data, shape[0]) if size is None else read_binary(binary, shape[0]))]
