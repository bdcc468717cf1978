"""nimakit.serving.problems: errors as problem JSON."""

import base64
import json

import pytest

from clients import Client, encode
from faults import every_fault, failing
from nimakit.serving.problems import CONTENT_TYPE, plain_answer


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/static/none.js", 404),
        ("GET", "/static/../openapi.json", 404),
        ("GET", "/static/%2e%2e/openapi.json", 404),
        ("GET", "/v2//models/tiny", 404),
        ("DELETE", "/predict", 405),
        ("GET", "/predict", 405),
        ("POST", "/models", 405),
        ("POST", "/predict", 415),
        ("POST", "/v2/models/tiny/infer", 400),
        ("GET", "/v2/nowhere", 404),
    ],
)
def test_an_error_is_a_problem(web: Client, method: str, path: str, status: int) -> None:
    """Type, title, status and detail; under /v2 also what inference clients read."""
    response = web.open(path, method=method)
    assert (response.status_code, response.content_type) == (status, CONTENT_TYPE)
    found = response.json
    assert found["type"] == "about:blank"
    assert found["status"] == status
    assert found["title"]
    assert found["detail"]
    assert found.get("error") == (found["detail"] if path.startswith("/v2") else None)


def test_a_wrong_method_is_told_the_right_ones(web: Client) -> None:
    """405 names what is allowed."""
    assert {"POST", "OPTIONS"} == set(web.get("/predict").headers["Allow"].split(", "))


def test_an_answer_without_an_application_is_whole() -> None:
    """Head, length and body; 503 says when to come again."""
    head, _, body = plain_answer(503, "No room.").partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 503 Service Unavailable"
    assert f"Content-Length: {len(body)}" in lines
    assert "Retry-After: 1" in lines
    assert "Connection: close" in lines
    assert json.loads(body)["detail"] == "No room."
    assert b"Retry-After" not in plain_answer(400, "Malformed.")


@every_fault
def test_a_fault_of_the_machine_is_not_the_images(web: Client, fault: str) -> None:
    """503 for the request, without a path; the next try is free."""
    for path, body in (("/predict", encode()), ("/v2/models/tiny/infer", _infer(encode()))):
        kind = "image/png" if path == "/predict" else "application/json"
        with failing(fault):
            response = web.post(path, data=body, content_type=kind)
        assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
        assert "/" not in response.json["detail"]
        assert web.post(path, data=body, content_type=kind).status_code == 200


def _infer(image: bytes) -> bytes:
    data = [base64.b64encode(image).decode()]
    return json.dumps(
        {"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": data}]}
    ).encode()
