"""The pictures themselves, at the sizes pages show them; the browser's word for one it could not show."""

import io
import os
from pathlib import Path

from flask import Blueprint, Response, abort, jsonify, send_file
from flask.typing import ResponseReturnValue
from sqlalchemy import update

from nimakit.errors import ImageError, ImageMissingError, ImageUnreadError
from nimakit.web.access import current_rater, visited_collection
from nimakit.web.db.tables import BROKEN, MISSING, OK, Collection, Image
from nimakit.web.pictures.renditions import SIDES, Rendition
from nimakit.web.services import services

blueprint = Blueprint("pictures", __name__, url_prefix="/c/<slug>/pictures")

_SECONDS_KEPT = 7 * 24 * 3600


@blueprint.get("/<int:key>/<int:side>")
def sized(slug: str, key: int, side: int) -> ResponseReturnValue:
    """A picture with a longer side of at most so many pixels."""
    if side not in SIDES:
        abort(404)
    return _send(slug, key, side)


@blueprint.get("/<int:key>/full")
def full(slug: str, key: int) -> ResponseReturnValue:
    """A picture with all its pixels."""
    return _send(slug, key, None)


@blueprint.post("/<int:key>/problem")
def report(slug: str, key: int) -> ResponseReturnValue:
    """A browser could not show a picture: look whether it is there and sound; the answer says."""
    collection, image = _find(slug, key)
    try:
        _open(collection, image, SIDES[-1])
    except ImageUnreadError:
        raise
    except ImageError as error:
        return jsonify(shown=False, reason=str(error))
    return jsonify(shown=True)


def _send(slug: str, key: int, side: int | None) -> Response:
    collection, image = _find(slug, key)
    rendition = _open(collection, image, side)
    source = rendition.source
    response = send_file(
        io.BytesIO(source) if isinstance(source, bytes) else source,
        mimetype=rendition.media_type,
        download_name=_name(collection, image, rendition),
        etag=rendition.version,
        conditional=True,
    )
    response.headers["Cache-Control"] = f"private, max-age={_SECONDS_KEPT}"
    return response


def _name(collection: Collection, image: Image, rendition: Rendition) -> str:
    """What a picture is called where somebody saves it: a number where they may not see its name."""
    hidden = collection.blind and not current_rater().is_admin
    suffix = rendition.source.suffix if isinstance(rendition.source, Path) else ".jpg"
    return (str(image.id) if hidden else image.image_id) + suffix


def _find(slug: str, key: int) -> tuple[Collection, Image]:
    collection = visited_collection(slug)
    with services().database.glance() as session:
        image = session.get(Image, key)
        if image is None or image.collection_id != collection.id:
            abort(404)
        return collection, image


def _open(collection: Collection, image: Image, side: int | None) -> Rendition:
    """A rendition; a picture that has none is noted as missing or broken, so that nobody else is shown it."""
    root = Path(os.path.realpath(collection.folder))
    try:
        return services().renditions.find(root, image.path, side)
    except ImageUnreadError:
        raise
    except ImageError as error:
        if root.is_dir():  # else the whole folder is away, and no picture of it is broken
            state = MISSING if isinstance(error, ImageMissingError) else BROKEN
            with services().database.write() as session:
                session.execute(
                    update(Image)
                    .where(Image.id == image.id, Image.state == OK)
                    .values(state=state, problem=str(error))
                )
            services().stocks.forget(collection.id)
        raise
