"""Why a picture scores as it does, on its page: asked for, waited for, and shown."""

from dataclasses import replace
from pathlib import Path

from flask import Blueprint, abort, jsonify, send_file, url_for
from flask.typing import ResponseReturnValue

from nimakit.web.access import current_collection, current_rater, sees_why, viewable_pictures
from nimakit.web.db.tables import Collection, Image
from nimakit.web.review.explanation_jobs import Explanation
from nimakit.web.services import services

blueprint = Blueprint("why", __name__, url_prefix="/c/<slug>/ratings/<int:key>/why")

_SECONDS_KEPT = 3600


@blueprint.get("")
def state(slug: str, key: int) -> ResponseReturnValue:
    """How far the explanation is."""
    collection, image = _find(slug, key)
    _, version = _located(collection, image)
    return _answer(services().explainer.find(version, collection.model or ""), slug, key)


@blueprint.post("")
def ask(slug: str, key: int) -> ResponseReturnValue:
    """Have the picture explained; the answer comes at once, the explanation later."""
    collection, image = _find(slug, key)
    picture, version = _located(collection, image)
    return _answer(services().explainer.ask(picture, version, collection.model or ""), slug, key)


@blueprint.get("/picture")
def picture(slug: str, key: int) -> ResponseReturnValue:
    """The explanation itself."""
    collection, image = _find(slug, key)
    _, version = _located(collection, image)
    found = services().explainer.find(version, collection.model or "")
    if found.file is None:
        abort(404)
    response = send_file(found.file, mimetype="image/png", conditional=True)
    response.headers["Cache-Control"] = f"private, max-age={_SECONDS_KEPT}"
    return response


def _find(slug: str, key: int) -> tuple[Collection, Image]:
    """A picture the one who asks may see the score of."""
    rater = current_rater()
    with services().database.read() as session:
        collection = current_collection(session, slug)
        image = session.get(Image, key)
        if image is None or image.collection_id != collection.id:
            abort(404)
        if not sees_why(collection, rater) or key not in viewable_pictures(session, collection, rater, [key]):
            abort(404)
        return collection, image


def _located(collection: Collection, image: Image) -> tuple[Path, str]:
    """The file of a picture in a format that is read everywhere, and its version."""
    rendition = services().renditions.find(Path(collection.folder).resolve(), image.path)
    if isinstance(rendition.source, bytes):
        abort(507, "There is no room left to keep a copy of the picture.")
    return rendition.source, rendition.version


def _answer(found: Explanation, slug: str, key: int) -> ResponseReturnValue:
    if found.reason and not current_rater().is_admin:
        # Which may name folders of this machine.
        found = replace(found, reason="It cannot be shown at present; whoever runs this study can see why.")
    address = url_for("why.picture", slug=slug, key=key) if found.file else None
    return jsonify(state=found.state, reason=found.reason, picture=address)
