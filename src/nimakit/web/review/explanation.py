"""Routes that start, poll and deliver the explanation of a picture's score."""

from dataclasses import replace
from pathlib import Path

from flask import Blueprint, abort, jsonify, send_file, url_for
from flask.typing import ResponseReturnValue

from nimakit.web.access import current_collection, current_rater, may_see_explanation, viewable_by
from nimakit.web.db.tables import Image
from nimakit.web.languages import gettext
from nimakit.web.review.explanation_jobs import Explanation
from nimakit.web.services import services

blueprint = Blueprint("why", __name__, url_prefix="/c/<slug>/ratings/<int:key>/why")

_SECONDS_CACHED = 3600


@blueprint.get("")
def state(slug: str, key: int) -> ResponseReturnValue:
    """State of the explanation."""
    _, version, model = _find(slug, key)
    return _answer(services().explainer.find(version, model), slug, key)


@blueprint.post("")
def ask(slug: str, key: int) -> ResponseReturnValue:
    """Start the explanation; the response does not wait for it."""
    return _answer(services().explainer.ask(*_find(slug, key)), slug, key)


@blueprint.get("/picture")
def picture(slug: str, key: int) -> ResponseReturnValue:
    """The explanation, as a PNG."""
    _, version, model = _find(slug, key)
    found = services().explainer.find(version, model)
    if found.file is None:
        abort(404)
    response = send_file(found.file, mimetype="image/png", conditional=True)
    response.headers["Cache-Control"] = f"private, max-age={_SECONDS_CACHED}"
    return response


def _find(slug: str, key: int) -> tuple[Path, str, str]:
    """File of a picture whose score the visitor may see, its version, and the collection's model."""
    rater = current_rater()
    with services().database.read() as session:
        collection = current_collection(session, slug)
        image = session.get(Image, key)
        if image is None or image.collection_id != collection.id:
            abort(404)
        if not may_see_explanation(collection, rater) or key not in viewable_by(
            session, collection, rater, [key]
        ):
            abort(404)
    # A rendition is in a format that every reader supports.
    rendition = services().renditions.find(Path(collection.folder).resolve(), image.path)
    if isinstance(rendition.source, bytes):
        abort(507, gettext("There is no disk space left for a copy of the picture."))
    return rendition.source, rendition.version, collection.model or ""


def _answer(found: Explanation, slug: str, key: int) -> ResponseReturnValue:
    if found.reason and not current_rater().is_admin:
        # The reason may name folders of this machine.
        found = replace(
            found, reason=gettext("The explanation is unavailable at the moment; the admin can see why.")
        )
    address = url_for("why.picture", slug=slug, key=key) if found.file else None
    return jsonify(state=found.state, reason=found.reason, picture=address)
