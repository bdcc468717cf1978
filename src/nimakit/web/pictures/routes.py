"""Routes that send pictures at the sizes pages use, and receive reports of pictures that failed."""

import io
import os
from pathlib import Path

from flask import Blueprint, Response, abort, jsonify, send_file
from flask.typing import ResponseReturnValue
from flask_login import current_user  # type: ignore[import-untyped]
from sqlalchemy import update

from nimakit.errors import ImageError, ImageMissingError, ImageUnreadError
from nimakit.web.access import visited_collection
from nimakit.web.db.tables import BROKEN, MISSING, OK, Collection, Image
from nimakit.web.pictures.renditions import SIDES, Rendition
from nimakit.web.services import services

blueprint = Blueprint("pictures", __name__, url_prefix="/c/<slug>/pictures")

_SECONDS_CACHED = 7 * 24 * 3600


@blueprint.get("/<int:key>/<int:side>")
def sized(slug: str, key: int, side: int) -> ResponseReturnValue:
    """A picture with a longer side of at most `side` pixels."""
    if side not in SIDES:
        abort(404)
    return _send(slug, key, side)


@blueprint.get("/<int:key>/full")
def full(slug: str, key: int) -> ResponseReturnValue:
    """A picture in full size."""
    return _send(slug, key, None)


@blueprint.post("/<int:key>/problem")
def report(slug: str, key: int) -> ResponseReturnValue:
    """Check a picture that a browser could not show; the answer says whether it can be shown."""
    collection, image = _find(slug, key)
    try:
        _open(collection, image, SIDES[-1])
    except ImageUnreadError:
        raise
    except ImageError as error:
        return jsonify(shown=False, reason=str(error))
    return jsonify(shown=True)


def _send(slug: str, key: int, side: int | None) -> Response:
    return send_picture(*_find(slug, key), side)


def send_picture(collection: Collection, image: Image, side: int | None) -> Response:
    """A picture with a longer side of at most `side` pixels; None for full size.

    Raises:
        ImageError: It cannot be shown.
    """
    rendition = _open(collection, image, side)
    source = rendition.source
    response = send_file(
        io.BytesIO(source) if isinstance(source, bytes) else source,
        mimetype=rendition.media_type,
        download_name=_name(collection, image, rendition),
        etag=rendition.version,
        conditional=True,
    )
    response.headers["Cache-Control"] = f"private, max-age={_SECONDS_CACHED}"
    return response


def _name(collection: Collection, image: Image, rendition: Rendition) -> str:
    """The file name for saving a picture: its id if the rater may not see its name."""
    is_admin = current_user.is_authenticated and current_user.rater.is_admin
    hidden = collection.blind and not is_admin
    suffix = rendition.source.suffix if isinstance(rendition.source, Path) else ".jpg"
    return (str(image.id) if hidden else image.image_id) + suffix


def _find(slug: str, key: int) -> tuple[Collection, Image]:
    collection = visited_collection(slug)
    with services().database.read_autocommit() as session:
        image = session.get(Image, key)
        if image is None or image.collection_id != collection.id:
            abort(404)
        return collection, image


def _open(collection: Collection, image: Image, side: int | None) -> Rendition:
    """A rendition. A picture without one is marked as missing or broken, so that it is not shown again."""
    root = Path(os.path.realpath(collection.folder))
    try:
        return services().renditions.find(root, image.path, side)
    except ImageUnreadError:
        raise
    except ImageError as error:
        if root.is_dir():  # else the whole folder is away, and its pictures are not broken
            state = MISSING if isinstance(error, ImageMissingError) else BROKEN
            with services().database.write() as session:
                session.execute(
                    update(Image)
                    .where(Image.id == image.id, Image.state == OK)
                    .values(state=state, problem=str(error))
                )
            services().candidates.invalidate(collection.id)
        raise
