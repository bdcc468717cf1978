"""Routes of our own: scores of uploaded images, and the models that give them."""

from typing import Any

from flask import Blueprint, Response, jsonify, request

from nimakit.errors import ImageError, UsageError
from nimakit.io.rules import Rule, broken_rules, is_one_of, is_text
from nimakit.models.engine import AUGMENTATIONS
from nimakit.models.score import Record, error_record, score_record
from nimakit.models.taste import USER_ID
from nimakit.scoring.records import add_min_max
from nimakit.serving import problems
from nimakit.serving.service import current_service, score_for_request
from nimakit.serving.uploads import read_uploads

api = Blueprint("api", __name__)


def _is_user(value: Any) -> bool:
    return isinstance(value, str) and USER_ID.fullmatch(value) is not None


_QUERY = {
    "model": Rule(is_text, "the name of a served model"),
    "tta": Rule(is_one_of(*AUGMENTATIONS), "one of " + ", ".join(AUGMENTATIONS)),
    "user": Rule(_is_user, "1 to 64 of A-Z, a-z, 0-9, _ and -"),
    "normalize": Rule(is_one_of("minmax"), "minmax"),
}


@api.post("/predict")
def predict() -> Response:
    """Score the images of a request; a record each, in their order."""
    service = current_service()
    service.check_room()
    query = _read_query()
    model = query.get("model", service.models.default)
    user = query.get("user")
    service.scorers(service.models.find(model), user)  # before anything is read
    uploads = read_uploads(request, service.settings.max_images, service.forms)
    results = score_for_request(model, query.get("tta", "none"), [upload.content for upload in uploads], user)
    records: list[Record] = [
        {"image_id": upload.image_id}
        | (error_record(result) if isinstance(result, ImageError) else score_record(result))
        for upload, result in zip(uploads, results, strict=True)
    ]
    if all("error" in record for record in records):
        detail = "None of the images could be scored; the records say why."
        return problems.answer(ImageError.http_status, detail, records=records)
    if "normalize" in query:
        add_min_max(records)
    return jsonify(records)


@api.get("/models")
def list_models() -> Response:
    """The served models, the default one first."""
    return jsonify([model.summary() for model in current_service().models])


@api.get("/models/<name>")
def describe_model(name: str) -> Response:
    """All that is known of a model."""
    return jsonify(current_service().models.find(name).details())


def _read_query() -> dict[str, Any]:
    repeated = [key for key, values in request.args.lists() if len(values) > 1]
    broken = [f"{key!r} is given more than once" for key in repeated]
    broken += broken_rules(request.args.to_dict(), _QUERY)
    if broken:
        raise UsageError("The query breaks a rule: " + "; ".join(broken))
    return request.args.to_dict()
