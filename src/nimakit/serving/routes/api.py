"""Routes of nimakit's own API: scores of uploaded images, and the served models."""

from typing import Any

from flask import Blueprint, Response, jsonify, request

from nimakit.errors import ImageError, UsageError
from nimakit.io.rules import Rule, broken_rules, is_one_of, is_text
from nimakit.models.preparation import AUGMENTATIONS
from nimakit.models.score import Record, error_record, score_record
from nimakit.models.taste import USER_ID
from nimakit.scoring.records import ONLY, add_min_max
from nimakit.serving import problems
from nimakit.serving.service import current_service
from nimakit.serving.uploads import read_uploads

api = Blueprint("api", __name__)

_QUERY = {
    "model": Rule(
        lambda names: all(map(is_text, names)) and len(set(names)) == len(names),
        "the name of a served model, or of several, each once",
    ),
    "tta": Rule(is_one_of(*AUGMENTATIONS), "one of " + ", ".join(AUGMENTATIONS)),
    "user": Rule(lambda value: USER_ID.fullmatch(value) is not None, "1 to 64 of A-Z, a-z, 0-9, _ and -"),
    "measures": Rule(is_one_of("true", "false"), "true or false"),
    "normalize": Rule(is_one_of("minmax"), "minmax"),
}


@api.post("/predict")
def predict() -> Response:
    """Score the images of a request; returns a record for each, in their order."""
    service = current_service()
    service.check_room()
    query = _read_query()
    models = request.args.getlist("model") or [service.models.default]
    user = query.get("user")
    service.scorers(models, user)  # refuses unknown ones before the body is parsed
    uploads = read_uploads(request, service.settings.max_images, service.forms)
    results = service.score(
        models,
        query.get("tta", "none"),
        [upload.content for upload in uploads],
        user,
        measures=query.get("measures") == "true",
    )
    records: list[Record] = [
        {"image_id": upload.image_id}
        | (error_record(result) if isinstance(result, ImageError) else score_record(result))
        for upload, result in zip(uploads, results, strict=True)
    ]
    if all("error" in record for record in records):
        detail = "None of the images could be scored; see the records for the reasons."
        return problems.answer(ImageError.http_status, detail, records=records)
    if "normalize" in query:
        for model in models if len(models) > 1 else [ONLY]:
            add_min_max(records, model)
    return jsonify(records)


@api.get("/models")
def list_models() -> Response:
    """The served models, the default first."""
    return jsonify([model.summary() for model in current_service().models])


@api.get("/models/<name>")
def describe_model(name: str) -> Response:
    """Details of a model."""
    return jsonify(current_service().models.find(name).details())


def _read_query() -> dict[str, Any]:
    query = request.args.to_dict()
    repeated = [key for key, values in request.args.lists() if len(values) > 1 and key != "model"]
    broken = [f"{key!r} is given more than once" for key in repeated]
    broken += broken_rules(query | {"model": request.args.getlist("model")}, _QUERY)
    if broken:
        raise UsageError("The query breaks a rule: " + "; ".join(broken))
    return query
