"""nimakit.serving.routes.kserve: the Open Inference Protocol, spoken by tritonclient to a real server."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tritonclient.http import (  # type: ignore[import-untyped]
    InferenceServerClient,
    InferInput,
    InferRequestedOutput,
)
from tritonclient.utils import InferenceServerException  # type: ignore[import-untyped]

from clients import Client, encode, noise, pixels, service
from nimakit import __version__
from nimakit.errors import BusyError
from nimakit.models.engine import Model, Scorer
from nimakit.models.score import Score, score_record
from nimakit.serving.admission import Admission
from servers import Server, running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, tiny_file: Path, score_file: Path) -> Iterator[Server]:
    """A server with a histogram and a regression model."""
    folder = tmp_path_factory.mktemp("inference")
    with running(folder, models=[str(tiny_file), str(score_file)], max_images=4) as started:
        yield started


@pytest.fixture
def triton(server: Server) -> Iterator[Any]:
    """The HTTP client of tritonclient."""
    client = InferenceServerClient(server.address)
    yield client
    client.close()


def _encoded(*images: bytes) -> Any:
    tensor = InferInput("image", [len(images)], "BYTES")
    tensor.set_data_from_numpy(np.array(images, dtype=object))
    return tensor


def _records(model: Model, *images: bytes) -> list[dict[str, Any]]:
    return [score_record(score) for score in Scorer(model).score(images) if isinstance(score, Score)]


def test_a_client_asks_how_the_server_is(triton: Any) -> None:
    """Live, ready, its name and version, and its models' tensors."""
    assert triton.is_server_live()
    assert triton.is_server_ready()
    assert triton.is_model_ready("tiny")
    assert not triton.is_model_ready("other")
    assert triton.get_server_metadata() == {
        "name": "nimakit",
        "version": __version__,
        "extensions": ["binary_tensor_data"],
    }
    metadata = triton.get_model_metadata("tiny")
    assert metadata["inputs"] == [{"name": "image", "datatype": "BYTES", "shape": [-1]}]
    assert [(output["name"], output["shape"]) for output in metadata["outputs"]] == [
        ("mean_score_prediction", [-1]),
        ("sd_score_prediction", [-1]),
        ("predictions", [-1, 10]),
        ("percentile", [-1]),
    ]
    assert len(triton.get_model_metadata("score")["outputs"]) == 1


def test_a_client_may_name_the_version(triton: Any) -> None:
    """The one that the metadata list; of any other, a client learns which there is."""
    [version] = triton.get_model_metadata("tiny")["versions"]
    assert triton.get_model_metadata("tiny", version)["name"] == "tiny"
    assert triton.is_model_ready("tiny", version)
    result = triton.infer("tiny", [_encoded(noise())], model_version=version).get_response()
    assert result["model_version"] == version
    assert not triton.is_model_ready("tiny", "2")
    with pytest.raises(
        InferenceServerException, match=r"Every model has only version 1.*Received: '2'"
    ) as raised:
        triton.infer("tiny", [_encoded(noise())], model_version="2")
    assert raised.value.status() == "404"


def test_encoded_images_get_the_engine_s_scores(triton: Any, tiny: Model) -> None:
    """Binary data both ways."""
    images = (noise(1), encode(70, "JPEG"), noise(2))
    result = triton.infer("tiny", [_encoded(*images)], request_id="r-1")
    assert result.get_response()["id"] == "r-1"
    for name in ("mean_score_prediction", "sd_score_prediction", "predictions", "percentile"):
        expected = np.array([record[name] for record in _records(tiny, *images)])
        np.testing.assert_allclose(
            result.as_numpy(name), expected, atol=1e-4 if name != "percentile" else 0.01
        )


@pytest.mark.parametrize("datatype", ["UINT8", "FP32"])
@pytest.mark.parametrize("binary", [True, False])
def test_pixels_get_the_scores_of_their_pictures(
    triton: Any, tiny: Model, datatype: str, *, binary: bool
) -> None:
    """As integers or floats, in JSON or binary, in and out."""
    array = np.stack([pixels(1), pixels(2)]).astype(np.uint8 if datatype == "UINT8" else np.float32)
    tensor = InferInput("image", list(array.shape), datatype)
    tensor.set_data_from_numpy(array, binary_data=binary)
    wanted = [InferRequestedOutput("predictions", binary_data=not binary)]
    result = triton.infer("tiny", [tensor], outputs=wanted)
    expected = [record["predictions"] for record in _records(tiny, noise(1), noise(2))]
    np.testing.assert_allclose(result.as_numpy("predictions"), expected, atol=1e-5)
    assert result.as_numpy("percentile") is None


def test_views_are_a_parameter(triton: Any, tiny: Model) -> None:
    """Named as for /predict."""
    found = triton.infer("tiny", [_encoded(noise(3))], parameters={"tta": "flips"})
    [expected] = Scorer(tiny, tta="flips").score([noise(3)])
    assert isinstance(expected, Score)
    assert found.as_numpy("mean_score_prediction")[0] == pytest.approx(expected.mean, abs=1e-4)


def test_a_client_is_told_what_is_wrong(triton: Any) -> None:
    """The message of the error is ours."""
    with pytest.raises(InferenceServerException, match=r"image 1: The file must be an image") as raised:
        triton.infer("tiny", [_encoded(noise(), b"no image")])
    assert raised.value.status() == "422"
    with pytest.raises(InferenceServerException, match="one of tiny, score") as raised:
        triton.infer("other", [_encoded(noise())])
    assert raised.value.status() == "404"
    with pytest.raises(InferenceServerException, match="at most 4 images"):
        triton.infer("tiny", [_encoded(*5 * [noise()])])
    tensor = InferInput("image", [1, 8, 8, 3], "FP32")
    tensor.set_data_from_numpy(np.full((1, 8, 8, 3), 0.5, np.float32))
    with pytest.raises(InferenceServerException, match="multiply by 255"):
        triton.infer("tiny", [tensor])


def test_many_requests_at_once(server: Server, tiny: Model) -> None:
    """Each answer is that of its own image, over several connections."""
    client = InferenceServerClient(server.address, concurrency=8)
    images = [noise(seed) for seed in range(40)]
    pending = [client.async_infer("tiny", [_encoded(image)]) for image in images]
    found = [request.get_result().as_numpy("mean_score_prediction")[0] for request in pending]
    expected = [record["mean_score_prediction"] for record in _records(tiny, *images)]
    np.testing.assert_allclose(found, expected, atol=1e-4)
    client.close()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "text/plain"}, 415),
        ({"Inference-Header-Content-Length": "x"}, 400),
        ({"Inference-Header-Content-Length": "-1"}, 400),
        ({"Inference-Header-Content-Length": "99"}, 400),
        ({"Inference-Header-Content-Length": 20 * "9"}, 400),
        ({"Content-Encoding": "gzip"}, 415),
    ],
)
def test_refuses_headers(web: Client, headers: dict[str, str], status: int) -> None:
    """Types and sizes that cannot be."""
    body = json.dumps({"inputs": []})
    response = web.post("/v2/models/tiny/infer", data=body, headers=headers)
    assert response.status_code == status
    assert response.json["error"] == response.json["detail"]


def test_another_type_of_body_is_named(web: Client) -> None:
    """With the header to send instead: curl sends a form's by default."""
    response = web.post("/v2/models/tiny/infer", data={"inputs": "[]"})
    assert "Content-Type: application/json" in response.json["detail"]
    assert "Received: application/x-www-form-urlencoded" in response.json["detail"]


def test_a_stopping_server_is_not_ready(web: Client) -> None:
    """It lives, and says that it takes no more."""
    service(web).drain()
    assert web.get("/v2/health/live").status_code == 200
    assert web.get("/v2/health/ready").status_code == 503


@pytest.mark.parametrize(
    ("head", "full"),
    [
        (b"POST /v2/models/tiny/infer HTTP/1.1\r\n", "parsing"),
        (b"POST /predict HTTP/1.1\r\ncontent-type: multipart/form-data; boundary=x\r\n", "forms"),
    ],
)
def test_a_body_that_nobody_would_read_is_not_received(web: Client, head: bytes, full: str) -> None:
    """Where as many wait to be read as may, a request is refused at its head; others are received."""
    assert service(web).max_body(head) == service(web).settings.max_body_bytes
    setattr(service(web), full, Admission(1, most_waiting=0))
    with pytest.raises(BusyError, match="reading as many requests"):
        service(web).max_body(head)
    for other in (b"POST /predict HTTP/1.1\r\nContent-Type: image/png\r\n", b"GET /v2 HTTP/1.1\r\n"):
        assert service(web).max_body(other) == service(web).settings.max_body_bytes
