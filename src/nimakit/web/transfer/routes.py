"""The admin's page to export labels, ratings and pairs, and to import ratings, pairs and picture lists."""

import tempfile
from pathlib import Path
from typing import Any

from flask import Blueprint, abort, render_template, request, send_file
from flask.typing import ResponseReturnValue
from flask_login import current_user  # type: ignore[import-untyped]

from nimakit.errors import LabelError
from nimakit.io.tables import SUFFIXES, BadRows
from nimakit.web.access import admin_only, current_collection
from nimakit.web.db.tables import Collection
from nimakit.web.front import body_limit
from nimakit.web.pictures.chosen_list import choose_listed
from nimakit.web.services import services
from nimakit.web.transfer.files import FILES, files_of, write_file
from nimakit.web.transfer.imports import Imported, import_pairs, import_ratings
from nimakit.wording import many

blueprint = Blueprint("transfer", __name__, url_prefix="/c/<slug>/transfer")

_SUFFIXES = (*SUFFIXES, ".json")
_LARGEST_IMPORT = 256 << 20
_REMEDY = (
    "Tick \N{LEFT DOUBLE QUOTATION MARK}Skip bad rows\N{RIGHT DOUBLE QUOTATION MARK} to import the rest."
)


@blueprint.url_value_preprocessor
def _allow_large_imports(_endpoint: str | None, _values: dict[str, Any] | None) -> None:
    """Raise the limit before the body is read, and only for the admin."""
    if request.method == "POST" and current_user.is_authenticated and current_user.rater.is_admin:
        request.max_content_length = _LARGEST_IMPORT


@blueprint.get("")
@admin_only
def page(slug: str) -> ResponseReturnValue:
    """Show the page."""
    with services().database.read() as session:
        collection = current_collection(session, slug)
    return _page(collection)


@blueprint.get("/<name>")
@admin_only
def download(slug: str, name: str) -> ResponseReturnValue:
    """Download a file."""
    if name not in FILES:
        abort(404)
    with tempfile.TemporaryDirectory() as folder, services().database.read() as session:
        collection = current_collection(session, slug)
        path = Path(folder, name)
        write_file(session, collection, FILES[name].what, path)
        content = path.open("rb")  # can be read after the file is deleted
    return send_file(content, as_attachment=True, download_name=f"{slug}-{name}")


@blueprint.post("")
@body_limit(_LARGEST_IMPORT)
@admin_only
def upload(slug: str) -> ResponseReturnValue:
    """Import a file."""
    with services().database.read() as session:
        collection = current_collection(session, slug)
    sent = request.files.get("file")
    what = request.form.get("what", "")
    if sent is None or not sent.filename:
        abort(400, "Choose a file first.")
    with tempfile.TemporaryDirectory() as folder:
        suffix = Path(sent.filename).suffix.lower()
        path = Path(folder, "import" + (suffix if suffix in _SUFFIXES else ""))
        request.environ["wsgi.input"].close()  # frees one of three copies of a large table
        sent.save(path)
        try:
            report = _import(collection, what, path, skip_bad=request.form.get("skip_bad") == "1")
        except LabelError as error:
            return _page(collection, [str(error).replace(str(path), sent.filename)]), 400
    services().candidates.invalidate(collection.id)
    return _page(collection, [line.replace(str(path), sent.filename) for line in report])


def _page(collection: Collection, report: list[str] | None = None) -> str:
    with services().database.read() as session:
        files = files_of(session, collection)
    return render_template("transfer/page.html", collection=collection, files=files, report=report)


def _import(collection: Collection, what: str, path: Path, *, skip_bad: bool) -> list[str]:
    """Import a file, and return a report of several lines."""
    database, rows = services().database, BadRows(skip=skip_bad, remedy=_REMEDY, naming="Rename one.")
    if what == "ratings":
        return _report(import_ratings(database, collection, path, rows), "rating")
    if what == "pairs":
        return _report(import_pairs(database, collection, path, rows), "comparison")
    if what != "list":
        abort(400, "Choose what the file contains.")
    chosen, problems = choose_listed(database, collection, path, skip_bad=skip_bad)
    return [f"To be rated: {many(chosen, 'picture')}; all others are excluded.", *problems]


def _report(imported: Imported, noun: str) -> list[str]:
    lines = [f"{many(imported.taken, noun)} imported; already known: {imported.known:,}."]
    if imported.new_images:
        lines.append(f"Not in the folder, and listed as missing: {many(imported.new_images, 'picture')}.")
    return lines + imported.problems
