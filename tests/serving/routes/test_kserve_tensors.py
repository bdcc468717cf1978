"""nimakit.serving.routes.kserve_tensors: images from inference requests, scores in responses."""

import base64
import contextlib
import json
import re
import struct
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nimakit.errors import UsageError
from nimakit.models.score import Score
from nimakit.serving.routes.kserve_tensors import (
    MAX_VALUES,
    OUTPUTS,
    InferRequest,
    output_metadata,
    parsing_size,
    read_request,
    write_response,
)

PIXELS = np.arange(2 * 3 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 3)


def _score(mean: float = 5.5) -> Score:
    return Score(mean=mean, sd=1.0, histogram=np.array([0.25, 0.75]), percentile=50.0)


def _tensor(**changes: Any) -> dict[str, Any]:
    return {"name": "image", "datatype": "BYTES", "shape": [1], "data": ["AAEC"]} | changes


def _read(tensor: dict[str, Any], binary: bytes = b"", **others: Any) -> InferRequest:
    text = json.dumps({"inputs": [tensor], **others}).encode()
    return read_request(text + binary, len(text) if binary else None, max_images=4)


def _elements(*images: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(image)) + image for image in images)


@pytest.mark.parametrize("shape", [[2], [2, 1]])
def test_encoded_images_as_binary_data(shape: list[int]) -> None:
    """Each element preceded by its length."""
    binary = _elements(b"first", b"")
    tensor: dict[str, Any] = {"name": "image", "datatype": "BYTES", "shape": shape}
    tensor["parameters"] = {"binary_data_size": len(binary)}
    assert _read(tensor, binary).images == [b"first", b""]


def test_encoded_images_as_base64_text() -> None:
    """JSON holds no bytes."""
    texts = [base64.b64encode(content).decode() for content in (b"first", b"second")]
    assert _read(_tensor(shape=[2], data=texts)).images == [b"first", b"second"]
    assert _read(_tensor(shape=[2, 1], data=[[text] for text in texts])).images == [b"first", b"second"]


@pytest.mark.parametrize(
    "text",
    [r"\u0041AEC", r"AA\u0045C", r"AAE\n\r\tC", r"AA\/C", r"AA\u002fC", r"A\u0041\u003d\u003d", r"AA=\n="],
)
def test_base64_text_may_be_escaped(text: str) -> None:
    """As JSON has it: some writers escape the slash or the equals sign."""
    body = (
        b'{"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": ["%b"]}]}' % text.encode()
    )
    plain = json.loads(f'"{text}"')
    assert read_request(body, None, max_images=1).images == [base64.b64decode(plain)]


@pytest.mark.parametrize("encode", [base64.encodebytes, base64.urlsafe_b64encode])
def test_base64_text_may_be_in_lines_and_of_either_alphabet(encode: Callable[[bytes], bytes]) -> None:
    """As `base64` without -w0 writes it, and as clients write it for URLs."""
    content = bytes(range(256))
    assert _read(_tensor(data=[encode(content).decode()])).images == [content]


@pytest.mark.parametrize(
    "text",
    [
        19_000_000 * "A",
        250_000 * "AAAA\\n" + 15_000_000 * "A",
        250_000 * r"AA\u002f\/" + 13_500_000 * "A",
        "\\u00e9" + 19_000_000 * "A",
        3_000_000 * r"A\/AA",
        "\N{FACE WITH TEARS OF JOY}" + 18_000_000 * "A",
        r"\ud83d\ude02" + 18_000_000 * "A",
        18_000_000 * "A" + '", "' + 18_000_000 * "A",
        "A" + 100_000 * '","' + 18_000_000 * "A",
    ],
    ids=["plain", "lines", "escaped", "latin", "all escaped", "wide", "escaped wide", "two", "many"],
)
def test_parsing_takes_no_more_than_was_admitted(text: str) -> None:
    """Whatever the text: less is made of what is refused."""
    body = (
        b'{"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": ["%b"]}]}' % text.encode()
    )
    tracemalloc.start()
    try:
        with contextlib.suppress(UsageError):
            read_request(body, None, max_images=1)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < parsing_size(body, None) - 96 * MAX_VALUES


@pytest.mark.parametrize("value", ["[]", "1", "1.5", '""', "{}", "[[[[1]]]]", "[[[[]]]]", "null"])
@pytest.mark.parametrize("datatype", ["BYTES", "FP32", "UINT8"])
def test_values_take_no_more_than_was_admitted(value: str, datatype: str) -> None:
    """As many as there may be, of each kind."""
    shape = "[1]" if datatype == "BYTES" else "[1, 100, 700, 3]"
    data = ",".join([value] * 210_000)
    tensor = f'{{"name": "image", "datatype": "{datatype}", "shape": {shape}, "data": [{data}]}}'
    body = f'{{"inputs": [{tensor}]}}'.encode()
    tracemalloc.start()
    try:
        with contextlib.suppress(UsageError):
            read_request(body, None, max_images=1)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < parsing_size(body, None)


def test_null_is_as_good_as_left_out() -> None:
    """At every level: some clients send each member they know of."""
    tensor = _tensor(parameters={"binary_data_size": None})
    outputs = [
        {"name": "percentile", "parameters": None},
        {"name": "predictions", "parameters": {"binary_data": None}},
    ]
    asked = _read(tensor, id=None, parameters={"tta": None, "binary_data_output": None}, outputs=outputs)
    assert asked == InferRequest(images=[b"\0\1\2"], outputs={"percentile": False, "predictions": False})
    assert _read(_tensor(parameters=None), parameters=None, outputs=None) == InferRequest(
        images=asked.images, outputs={}
    )
    binary = _elements(b"first")
    sent = _tensor(data=None, parameters={"binary_data_size": len(binary)})
    assert _read(sent, binary).images == [b"first"]


@pytest.mark.parametrize("datatype", ["UINT8", "FP32"])
@pytest.mark.parametrize("way", ["binary", "flat", "nested"])
def test_pixels(datatype: str, way: str) -> None:
    """Binary, flat or nested: the same images."""
    array = PIXELS.astype(np.uint8 if datatype == "UINT8" else "<f4")
    tensor: dict[str, Any] = {"name": "image", "datatype": datatype, "shape": list(array.shape)}
    binary = array.tobytes() if way == "binary" else b""
    if binary:
        tensor["parameters"] = {"binary_data_size": len(binary)}
    else:
        tensor["data"] = array.ravel().tolist() if way == "flat" else array.tolist()
    images = _read(tensor, binary).images
    np.testing.assert_array_equal(np.stack([np.asarray(image) for image in images]), array)
    assert all(isinstance(image, np.ndarray) and image.dtype == array.dtype for image in images)


def test_what_else_a_client_may_ask_for() -> None:
    """Augmentation, an id, and which outputs in which form."""
    outputs = [{"name": "predictions", "parameters": {"binary_data": True}}, {"name": "percentile"}]
    asked = _read(_tensor(), id="r7", parameters={"tta": "flips", "sequence_id": 3}, outputs=outputs)
    assert (asked.tta, asked.id, asked.binary) == ("flips", "r7", False)
    assert asked.outputs == {"predictions": True, "percentile": False}
    assert _read(_tensor(), parameters={"binary_data_output": True}).binary


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (_tensor(name="pixels"), 'The input must be called image. Received: "pixels"'),
        (_tensor(shape=[0]), "A shape must be a list of integers from 1 to"),
        (_tensor(shape=[True]), "A shape must be a list of integers from 1 to"),
        (_tensor(shape=[]), "A shape must be a list of integers from 1 to"),
        (_tensor(shape="2"), "A shape must be a list of integers from 1 to"),
        (_tensor(shape=[5]), "at most 4 images. Received: 5"),
        (_tensor(shape=[1, 2]), "its shape must be [N] or [N, 1]"),
        (_tensor(shape=[2]), "as many elements as its shape says. Received: 1"),
        (_tensor(datatype="FP64"), "The datatype must be BYTES"),
        (_tensor(datatype=["BYTES"]), "The datatype must be BYTES"),
        (_tensor(data="AAEC"), "'data' must be a list"),
        (_tensor(data=["not base64!"]), "must be base64 text"),
        (_tensor(data=["data:image/png;base64,AAEC"]), "Received: 'data:image/png;base64,AAEC'"),
        (_tensor(data=[7]), "must be base64 text"),
        (_tensor(data=[None]), "must be base64 text"),
        (_tensor(parameters={"binary_data_size": 3}), "A tensor must have either 'data' or"),
        (_tensor(parameters=[]), "'parameters' must be an object"),
        ({"name": "image", "datatype": "BYTES", "shape": [1]}, "A tensor must have either 'data' or"),
        (_tensor(datatype="UINT8", shape=[1, 2, 2], data=[0]), "the shape [N, height, width, 3]. Received"),
        (
            _tensor(datatype="UINT8", shape=[224, 224, 3]),
            "the first side, N, is missing. Received: [224, 224, 3]",
        ),
        (_tensor(datatype="FP32", shape=[224, 224]), "[N, height, width, 3]. Received: [224, 224]"),
        (_tensor(shape=[224, 224, 3]), "its shape must be [N] or [N, 1]. Received: [224, 224, 3]"),
        (_tensor(datatype="UINT8", shape=[1, 1, 1, 4], data=4 * [0]), "the shape [N, height, width, 3]"),
        (_tensor(datatype="UINT8", shape=[1, 1, 1, 3], data=[0, 1]), "must have 3 integers"),
        (_tensor(datatype="UINT8", shape=[1, 1, 1, 3], data=[0, 1, 0.5]), "must have 3 integers"),
        (_tensor(datatype="UINT8", shape=[1, 1, 1, 3], data=[0, 1, 256]), "from 0 to 255"),
        (_tensor(datatype="UINT8", shape=[1, 1, 1, 3], data=[0, 1, 10**30]), "from 0 to 255"),
        (_tensor(datatype="UINT8", shape=[1, 1, 1, 3], data=["0", "1", "2"]), "must have 3 integers"),
        (
            _tensor(datatype="FP32", shape=[1, 1, 1, 3], data=[[0], [1, 2]]),
            "flat or nested like the shape",
        ),
        (_tensor(datatype="FP32", shape=[1, 1, 1, 3], data=[{}, {}, {}]), "must have 3 numbers"),
        (
            _tensor(datatype="FP32", shape=[1, 10**9, 10**9, 3], data=[0]),
            "have 3000000000000000000 numbers",
        ),
    ],
)
def test_refuses_a_tensor(tensor: dict[str, Any], message: str) -> None:
    """With the rule it breaks, and what was received."""
    with pytest.raises(UsageError, match=re.escape(message)):
        _read(tensor)


@pytest.mark.parametrize(
    ("binary", "size", "message"),
    [
        (_elements(b"one")[:-1], None, "preceded by its length"),
        (b"\x01\x00", None, "preceded by its length"),
        (b"\xff\xff\xff\xff", None, "preceded by its length"),
        (_elements(b"one", b"two"), None, "as many elements as its shape says. Received: 2"),
        (1_000_000 * _elements(b""), None, "as many elements as its shape says. Received: 2 or more"),
        (_elements(b"one"), 3, "binary_data_size must be the size of the data after the JSON"),
        (_elements(b"one"), -1, "binary_data_size must be the size of the data after the JSON"),
        (_elements(b"one"), "7", "binary_data_size must be the size of the data after the JSON"),
    ],
)
def test_refuses_binary_data(binary: bytes, size: Any, message: str) -> None:
    """Lengths that do not add up are never read past their end."""
    tensor: dict[str, Any] = {"name": "image", "datatype": "BYTES", "shape": [1]}
    tensor["parameters"] = {"binary_data_size": len(binary) if size is None else size}
    with pytest.raises(UsageError, match=re.escape(message)):
        _read(tensor, binary)


@pytest.mark.parametrize(
    ("body", "size", "message"),
    [
        (b"", None, "An inference request must be a JSON object"),
        (b"\xff", None, "An inference request must be a JSON object"),
        (100_000 * b"[", None, "An inference request must be a JSON object"),
        (b"[]", None, "An inference request must be a JSON object"),
        (b"{}", None, "'inputs' is a list of one tensor"),
        (b'{"inputs": [{}, {}]}', None, "'inputs' is a list of one tensor"),
        (b'{"inputs": [' + 209_000 * b"9," + b"9]}", None, "Expected `object`, got `int` - at"),
        (b'{"inputs": [' + 210_001 * b"9," + b"9]}", None, "may contain 210000 values"),
        (b'{"inputs": [7]}', None, "Expected `object`, got `int` - at `$.inputs[0]`"),
        (
            b'{"inputs": [{}], "id": "%b"}' % (65_536 * b"x"),
            None,
            "must have at most 65536 bytes",
        ),
        (b'{"inputs": [{"data": "%b"}]}' % (90_000 * rb"\n"), None, "one character in sixteen"),
        (b'{"inputs": [{}], "id": 7}', None, "'id' must be text"),
        (
            b'{"inputs": [{}], "parameters": {"tta": "x"}}',
            None,
            "The parameter tta must be one of none, flips, crops",
        ),
        (
            b'{"inputs": [{}], "parameters": {"tta": []}}',
            None,
            "The parameter tta must be one of none, flips, crops",
        ),
        (
            b'{"inputs": [{}], "parameters": {"binary_data_output": 1}}',
            None,
            "binary_data_output must be true or false",
        ),
        (b"{}", 3, "Inference-Header-Content-Length must be the size of the JSON"),
    ],
)
def test_refuses_a_request(body: bytes, size: int | None, message: str) -> None:
    """What is no request at all."""
    with pytest.raises(UsageError, match=re.escape(message)):
        read_request(body, size, max_images=4)


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({}, "'outputs' must be a list"),
        ([7], "must be a list of objects. Received: [7]"),
        ([{"name": "histogram"}], "An output must be one of mean_score_prediction"),
        ([{"name": ["x"]}], "An output must be one of mean_score_prediction"),
        ([{"name": "percentile", "parameters": {"classification": 3}}], "Outputs have no classification"),
    ],
)
def test_refuses_outputs(outputs: Any, message: str) -> None:
    """Those no model has."""
    with pytest.raises(UsageError, match=re.escape(message)):
        _read(_tensor(), outputs=outputs)


def test_scores_as_json() -> None:
    """All outputs in their order, float32."""
    body, size = write_response(_read(_tensor(), id="7"), "m", [_score(5.5), _score(1.25)])
    answer = json.loads(body)
    assert size is None
    assert (answer["model_name"], answer["id"]) == ("m", "7")
    assert [output["name"] for output in answer["outputs"]] == list(OUTPUTS)
    assert answer["outputs"][0] == {
        "name": "mean_score_prediction",
        "datatype": "FP32",
        "shape": [2],
        "data": [5.5, 1.25],
    }
    assert (answer["outputs"][2]["shape"], answer["outputs"][2]["data"]) == ([2, 2], [0.25, 0.75, 0.25, 0.75])


def test_scores_as_binary_data() -> None:
    """They follow the JSON in the order of the outputs."""
    outputs = [{"name": "predictions", "parameters": {"binary_data": True}}]
    outputs += [
        {"name": "mean_score_prediction"},
        {"name": "percentile", "parameters": {"binary_data": True}},
    ]
    body, size = write_response(_read(_tensor(), outputs=outputs), "m", [_score()])
    assert size is not None
    answer = json.loads(body[:size])["outputs"]
    assert [output.get("parameters") for output in answer] == [
        {"binary_data_size": 8},
        None,
        {"binary_data_size": 4},
    ]
    assert np.frombuffer(body[size:], "<f4").tolist() == [0.25, 0.75, 50.0]


def test_a_model_s_outputs_are_those_it_gives() -> None:
    """A regression head has the mean alone; asking it for more is refused."""
    bare = Score(mean=5.0, sd=None, histogram=None, percentile=None)
    assert [output["name"] for output in output_metadata(bare)] == ["mean_score_prediction"]
    assert output_metadata(_score())[2] == {"name": "predictions", "datatype": "FP32", "shape": [-1, 2]}
    asked = _read(_tensor(), outputs=[{"name": "predictions"}])
    with pytest.raises(
        UsageError, match=r"The outputs of m are mean_score_prediction\. Received: predictions"
    ):
        write_response(asked, "m", [bare])


def test_what_parsing_takes_is_known_before() -> None:
    """By the size of the JSON; binary data are not copied."""
    text = b'{"inputs": []}'
    assert parsing_size(text, None) == 100 * len(text)
    assert parsing_size(text + 1000 * b"x", len(text)) == 100 * len(text)
    assert parsing_size(bytes(1_000_000), None) == 4_000_000 + 96 * (MAX_VALUES + 65_536)


def test_binary_images_are_views_of_the_body() -> None:
    """What was received is held once."""
    binary = _elements(b"some picture")
    tensor: dict[str, Any] = {"name": "image", "datatype": "BYTES", "shape": [1]}
    tensor["parameters"] = {"binary_data_size": len(binary)}
    text = json.dumps({"inputs": [tensor]}).encode()
    body = text + binary
    [image] = read_request(body, len(text), max_images=1).images
    assert isinstance(image, memoryview)
    assert image.obj is body
