"""Similarity pages: compare two pictures, or find the pictures most similar to one."""

from typing import Any

import numpy as np
from flask import Blueprint, abort, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user  # type: ignore[import-untyped]
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from nimakit.errors import ImageError, ImageTooLargeError, ImageUnreadError
from nimakit.images.formats import KINDS, SHARED_FORMATS
from nimakit.images.photo import decoded_bytes
from nimakit.models.engine import Model, Scorer
from nimakit.web.access import current_collection, current_rater, limiter, viewable_by
from nimakit.web.db.features import Float32Array
from nimakit.web.db.tables import OK, Collection, Image
from nimakit.web.front import body_limit
from nimakit.web.languages import gettext
from nimakit.web.services import services
from nimakit.web.similarity.index import Index
from nimakit.web.similarity.search import Match, most_similar, pictures_by_name, random_pictures

blueprint = Blueprint("similarity", __name__, url_prefix="/c/<slug>/similarity")

MATCHES = 12
PAGE = 60
LARGEST_UPLOAD = 32 << 20
"""Bytes of an uploaded picture."""

_SIDES = ("left", "right")
_UPLOADS = "60 per minute"


@blueprint.url_value_preprocessor
def _allow_uploads(endpoint: str | None, _values: dict[str, Any] | None) -> None:
    """Raise the limit before the body is read, and only for signed-in raters."""
    if endpoint == "similarity.upload" and current_user.is_authenticated:
        request.max_content_length = LARGEST_UPLOAD


@blueprint.get("")
def page(slug: str) -> ResponseReturnValue:
    """Compare the two pictures in the address; missing ones are drawn at random."""
    with services().database.read() as session:
        collection = current_collection(session, slug)
        index = services().indexes.of(session, collection)
        keys = [request.args.get(side, type=int) for side in _SIDES]
        asked = [None if key is None else _picture(session, collection, key) for key in keys]
        if None in asked:
            return _redirect_to_pair(session, collection, index, asked)
        images = [image for image in asked if image is not None]
        first, second = (index.vector(image.id) if image.state == OK else None for image in images)
        similarity = None if first is None or second is None else min(float(first @ second), 1.0)
        return _show(
            session,
            collection,
            "page",
            pictures=dict(zip(_SIDES, images, strict=True)),
            similarity=similarity,
            share=None if similarity is None else index.share_below(similarity),
        )


@blueprint.get("/like/<int:key>")
def like(slug: str, key: int) -> ResponseReturnValue:
    """Show the pictures most similar to one of the collection."""
    with services().database.read() as session:
        collection = current_collection(session, slug)
        image = _picture(session, collection, key)
        index = services().indexes.of(session, collection)
        features = index.vector(key)
        if features is None and image.state == OK:
            return _wait(session, collection, index)
        found = [] if features is None else most_similar(session, index, features, MATCHES, without={key})
        return _show(session, collection, "like", image=image, **_matches(session, collection, found))


@blueprint.get("/choose")
def choose(slug: str) -> ResponseReturnValue:
    """List pictures to choose one from, for one side of the comparison."""
    with services().database.read() as session:
        collection = current_collection(session, slug)
        side = request.args.get("side")
        other = request.args.get("other", type=int)
        if side not in _SIDES:
            abort(400, f"side must be left or right. Received: {side}")
        text = request.args.get("text", "").strip()[:100] if _sees_names(collection) else ""
        after = min(max(request.args.get("after", 0, int), 0), (1 << 31) - 1)
        images = pictures_by_name(session, collection, text=text, after=after, count=PAGE)
        following = images[-1].id if len(images) == PAGE else None
        return _show(
            session,
            collection,
            "choose",
            images=images,
            side=side,
            other=other,
            text=text,
            following=following,
        )


@blueprint.get("/upload")
def bring(slug: str) -> ResponseReturnValue:
    """Show the upload form."""
    with services().database.read() as session:
        collection = current_collection(session, slug)
        index = services().indexes.of(session, collection)
        if services().background.model(collection) is None or not len(index):
            return _wait(session, collection, index)
        return _show(session, collection, "upload", matches=None, problem="")


@blueprint.post("/upload")
@body_limit(LARGEST_UPLOAD)
@limiter.limit(_UPLOADS)
def upload(slug: str) -> ResponseReturnValue:
    """Show the pictures most similar to an uploaded one, which is not stored."""
    with services().database.read() as session:
        collection = current_collection(session, slug)
    sent = request.files.get("picture")
    if sent is None or not sent.filename:
        return _refuse(collection, gettext("Choose a picture first."), 400)
    model = services().background.model(collection)
    if model is None:
        return _refuse(collection, gettext("The model is not loaded yet. Try again in a moment."), 503)
    try:
        features = _features(model, sent.stream.read())
    except ImageError as error:
        return _refuse(collection, _reason(sent.filename, error), error.http_status)
    with services().database.read() as session:
        index = services().indexes.of(session, collection)
        found = most_similar(session, index, features, MATCHES)
        return _show(
            session,
            collection,
            "upload",
            problem="",
            name=sent.filename,
            **_matches(session, collection, found),
        )


@blueprint.errorhandler(RequestEntityTooLarge)
def _too_large(_error: RequestEntityTooLarge) -> ResponseReturnValue:
    try:
        with services().database.read() as session:
            collection = current_collection(session, (request.view_args or {}).get("slug", ""))
    except HTTPException as refusal:  # without access, the usual answer
        return refusal
    return _refuse(
        collection,
        gettext("The picture is too large. The limit is %(limit)s MB.", limit=LARGEST_UPLOAD >> 20),
        413,
    )


@blueprint.get("/status")
def status(slug: str) -> ResponseReturnValue:
    """Progress of computing features, for pages that wait for it."""
    with services().database.read() as session:
        collection = current_collection(session, slug)
        index = services().indexes.of(session, collection)
        done, total = _progress(session, collection, index)
    ready = done >= len(_SIDES) and services().background.model(collection) is not None
    return jsonify(done=done, total=total, ready=ready)


def _redirect_to_pair(
    session: Session, collection: Collection, index: Index, asked: list[Image | None]
) -> ResponseReturnValue:
    """Draw the missing pictures; the pair gets an address of its own, to return to and to share."""
    keys = [None if image is None else image.id for image in asked]
    drawn = random_pictures(session, index, keys.count(None), without=[key for key in keys if key])
    if len(drawn) < keys.count(None):
        return _wait(session, collection, index)
    left, right = (drawn.pop().id if key is None else key for key in keys)
    return redirect(url_for(".page", slug=collection.slug, left=left, right=right))


def _reason(name: str, error: ImageError) -> str:
    """Why an uploaded picture is refused, in the rater's language; faults of the machine as they are."""
    if isinstance(error, ImageUnreadError):
        return f"{name}: {error}"
    if isinstance(error, ImageTooLargeError):
        return gettext("%(name)s has too many pixels.", name=name)
    return gettext("%(name)s is damaged, or is not a picture of a supported format.", name=name)


def _features(model: Model, content: bytes) -> Float32Array:
    """(D,) float32 features of an uploaded picture.

    Raises:
        ImageError: It is not an image, or too large.
        BusyError: Too many uploads are being decoded.
    """
    max_pixels = services().settings.max_compared_pixels
    scorer = Scorer(model, workers=1, max_pixels=max_pixels, formats=SHARED_FORMATS)
    with services().comparing.admit(decoded_bytes(content, max_pixels)):
        prepared = scorer.preparation.make(content, briefly=True)
        if isinstance(prepared, ImageTooLargeError):
            prepared = services().child.run(scorer.preparation.make, content)
        [result] = scorer.score_batch([prepared])
    if isinstance(result, ImageError):
        raise result
    return np.asarray(result.features, np.float32)


def _picture(session: Session, collection: Collection, key: int) -> Image:
    image = session.get(Image, key) if 0 < key < 1 << 31 else None
    if image is None or image.collection_id != collection.id:
        abort(404, gettext("There is no such picture in this collection."))
    return image


def _sees_names(collection: Collection) -> bool:
    return current_rater().is_admin or not collection.blind


def _matches(session: Session, collection: Collection, found: list[Match]) -> dict[str, Any]:
    """Template values of the pictures found."""
    ids = [match.image.id for match in found]
    return {"matches": found, "rated": viewable_by(session, collection, current_rater(), ids)}


def _show(session: Session, collection: Collection, template: str, **values: Any) -> str:
    index = services().indexes.of(session, collection)
    done, total = _progress(session, collection, index)
    names = _sees_names(collection)
    return render_template(
        f"similarity/{template}.html",
        collection=collection,
        sees_names=names,
        name_of=lambda image: image.path if names else gettext("Picture %(id)s", id=image.id),
        done=done,
        total=total,
        largest=LARGEST_UPLOAD,
        suffixes=[suffix for name in SHARED_FORMATS for suffix in KINDS[name].suffixes],
        **values,
    )


def _refuse(collection: Collection, problem: str, status: int) -> ResponseReturnValue:
    with services().database.read() as session:
        return _show(session, collection, "upload", matches=None, problem=problem), status


def _wait(session: Session, collection: Collection, index: Index) -> str:
    """Explain why nothing can be compared yet, or at all, and show the progress."""
    return _show(
        session,
        collection,
        "waiting",
        is_loading=services().background.model(collection) is None,
        found=len(index),
    )


def _progress(session: Session, collection: Collection, index: Index) -> tuple[int, int]:
    """Number of pictures with features, and of all pictures that can be shown."""
    wanted = select(func.count()).where(Image.collection_id == collection.id, Image.state == OK)
    total = session.scalar(wanted) or 0
    return min(len(index), total), total
