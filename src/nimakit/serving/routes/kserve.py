"""Routes of the Open Inference Protocol (KServe V2), for existing clients."""

from flask import Blueprint, Response, jsonify, request
from werkzeug.exceptions import UnsupportedMediaType

from nimakit import __version__
from nimakit.errors import BusyError, ImageError, UnknownModelError, UsageError
from nimakit.models.score import Score
from nimakit.serving.models import ServedModel
from nimakit.serving.routes.kserve_tensors import (
    INPUT,
    VERSION,
    output_metadata,
    parsing_size,
    read_request,
    write_response,
)
from nimakit.serving.service import current_service
from nimakit.serving.uploads import take_body

inference = Blueprint("inference", __name__, url_prefix="/v2")

_JSON_SIZE = "Inference-Header-Content-Length"


@inference.get("/health/live")
def live() -> Response:
    """Liveness: the server runs."""
    return jsonify(live=True)


@inference.get("/health/ready")
def ready() -> Response:
    """Readiness: the server takes requests and is not stopping."""
    if not current_service().is_ready:
        raise BusyError("The server is stopping and takes no more requests.")
    return jsonify(ready=True)


@inference.get("")
def server() -> Response:
    """Name, version and extensions of the server."""
    return jsonify(name="nimakit", version=__version__, extensions=["binary_tensor_data"])


@inference.get("/models/<name>")
@inference.get("/models/<name>/versions/<version>")
def model(name: str, version: str = VERSION) -> Response:
    """Inputs and outputs of a model."""
    sample = _find_sample(name, version)
    return jsonify(
        name=name,
        versions=[VERSION],
        platform="onnxruntime_onnx",
        inputs=[{"name": INPUT, "datatype": "BYTES", "shape": [-1]}],
        outputs=output_metadata(sample),
    )


@inference.get("/models/<name>/ready")
@inference.get("/models/<name>/versions/<version>/ready")
def model_ready(name: str, version: str = VERSION) -> Response:
    """Readiness of a model."""
    _find_sample(name, version)
    return jsonify(name=name, ready=True)


@inference.post("/models/<name>/infer")
@inference.post("/models/<name>/versions/<version>/infer")
def infer(name: str, version: str = VERSION) -> Response:
    """Score a tensor of images; an image that cannot be scored fails the request."""
    service = current_service()
    service.check_room()
    _find(name, version)
    if request.mimetype not in ("", "application/json", "application/octet-stream"):
        raise UnsupportedMediaType(
            "An inference request must be JSON, with or without binary data after it (curl -H 'Content-Type:"
            f" application/json'). Received: {request.mimetype[:80]}"
        )
    json_size, body = _json_size(), take_body(request)
    with service.parsing.admit(parsing_size(body, json_size)):
        wanted = read_request(body, json_size, service.settings.max_images)
    del body
    results = service.score([name], wanted.tta, wanted.images)
    errors = [f"image {i}: {result}" for i, result in enumerate(results) if isinstance(result, ImageError)]
    if errors:
        raise ImageError("; ".join(errors))
    body, json_size = write_response(wanted, name, [r for r in results if isinstance(r, Score)])
    if json_size is None:
        return Response(body, content_type="application/json")
    return Response(body, headers={_JSON_SIZE: str(json_size)}, content_type="application/octet-stream")


def _find(name: str, version: str) -> ServedModel:
    served = current_service().models.find(name)
    if version != VERSION:
        raise UnknownModelError(
            f"Every model has only version {VERSION}, which may be left out. Received: {version[:80]!r}"
        )
    return served


def _find_sample(name: str, version: str) -> Score:
    """A score of a model, which must be ready."""
    served = _find(name, version)
    if served.sample is None:
        raise BusyError(f"The model {name} is not ready: {served.problem}")
    return served.sample


def _json_size() -> int | None:
    text = request.headers.get(_JSON_SIZE)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        raise UsageError(f"{_JSON_SIZE} must be a number of bytes. Received: {text[:80]!r}")
    return int(text)
