"""Admin pages to upload pictures into a collection of their own."""

from pathlib import Path
from typing import Any

from flask import Blueprint, abort, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user  # type: ignore[import-untyped]
from flask_wtf import FlaskForm  # type: ignore[import-untyped]
from sqlalchemy.orm import Session
from wtforms import StringField  # type: ignore[import-untyped]
from wtforms.validators import InputRequired, Length  # type: ignore[import-untyped]

from nimakit.web.access import admin_only, current_collection
from nimakit.web.collections.setup import add_collection, free_slug
from nimakit.web.collections.upload_checks import MisplacedError
from nimakit.web.collections.upload_names import PICTURES
from nimakit.web.collections.uploads import LARGEST_PICTURE, PART
from nimakit.web.db.tables import Collection
from nimakit.web.front import body_limit
from nimakit.web.services import services

blueprint = Blueprint("uploads", __name__)

_MOST_OFFERED = 1000
_PART_BODY = PART + 4096


class NameForm(FlaskForm):  # type: ignore[misc]
    """The form for a collection of uploaded pictures."""

    name = StringField("Name of the collection", [InputRequired("Give it a name."), Length(max=200)])


@blueprint.url_value_preprocessor
def _allow_parts(endpoint: str | None, _values: dict[str, Any] | None) -> None:
    """Raise the limit before the body is read, and only for the admin."""
    if endpoint == "uploads.part" and current_user.is_authenticated and current_user.rater.is_admin:
        request.max_content_length = _PART_BODY


@blueprint.route("/collections/upload", methods=["GET", "POST"])
@admin_only
def new() -> ResponseReturnValue:
    """Create a collection whose pictures are uploaded."""
    form = NameForm()
    if form.validate_on_submit():
        with services().database.write() as session:
            collection = _add(session, form.name.data.strip())
        return redirect(url_for("uploads.page", slug=collection.slug))
    return render_template("admin/upload_new.html", form=form), (400 if form.errors else 200)


@blueprint.get("/c/<slug>/upload")
@admin_only
def page(slug: str) -> ResponseReturnValue:
    """The page to choose or drop pictures."""
    return render_template(
        "admin/upload.html",
        collection=_collection(slug),
        left=services().uploads.left(),
        part=PART,
        largest=LARGEST_PICTURE,
        suffixes=PICTURES,
        most=_MOST_OFFERED,
    )


@blueprint.post("/c/<slug>/upload/offer")
@admin_only
def offer(slug: str) -> ResponseReturnValue:
    """Say of each offered file whether it is there, wanted or refused."""
    root, body = Path(_collection(slug).folder), request.get_json()
    files = body.get("files") if isinstance(body, dict) else None
    if not isinstance(files, list) or len(files) > _MOST_OFFERED:
        abort(400, f"The body must be an object with at most {_MOST_OFFERED} files.")
    return jsonify(files=[_state(root, file) for file in files])


@blueprint.post("/c/<slug>/upload/part")
@body_limit(_PART_BODY)
@admin_only
def part(slug: str) -> ResponseReturnValue:
    """Receive a part of a file: ``?name=lake.jpg&size=1000&offset=0``."""
    root, content = Path(_collection(slug).folder), request.get_data(cache=False)
    name, size, offset = (request.args.get(key, "") for key in ("name", "size", "offset"))
    if not (size.isdecimal() and offset.isdecimal() and len(size) < 15 and len(offset) < 15):
        abort(400, "A part needs the size of its file, and its offset, in bytes.")
    try:
        return jsonify(services().uploads.receive(root, name, int(size), int(offset), content))
    except MisplacedError as error:
        return jsonify(reason=str(error), offset=error.offset), error.http_status


@blueprint.post("/c/<slug>/upload/unpack")
@admin_only
def unpack(slug: str) -> ResponseReturnValue:
    """Unpack some entries of a zip file."""
    root, body = Path(_collection(slug).folder), request.get_json()
    match body:
        case {"name": str(name), "size": int(size), "start": int(start)}:
            result = services().uploads.unpack(root, name, size, start)
        case _:
            abort(400, "The body must be an object with the name, the size and the start.")
    return jsonify(done=result.done, total=result.total, placed=result.placed, refused=result.refused)


@blueprint.post("/c/<slug>/upload/end")
@admin_only
def end(slug: str) -> ResponseReturnValue:
    """Look for the new pictures now."""
    services().background.wake(_collection(slug).id)
    return jsonify(left=services().uploads.left())


def _state(root: Path, file: Any) -> dict[str, Any]:
    """The state of a file that a browser offers as ``[name, size]``; 400 for anything else."""
    match file:
        case [str(name), int(size)]:
            state = services().uploads.state_of(root, name, size)
        case _:
            abort(400, "Files are offered as a list of names with their sizes in bytes.")
    return state


def _add(session: Session, name: str) -> Collection:
    uploads = services().uploads
    slug = free_slug(session, name, uploads.claim)
    return add_collection(session, uploads.folder / slug, name=name, slug=slug)


def _collection(slug: str) -> Collection:
    """The collection in the address; 404 unless its pictures were uploaded."""
    with services().database.read_autocommit() as session:
        collection = current_collection(session, slug)
    if not services().uploads.owns(collection):
        abort(404, "Pictures are uploaded only into collections that were made by an upload.")
    return collection
