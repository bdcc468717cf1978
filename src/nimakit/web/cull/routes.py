"""The Cull experiment: its page, the ranked groups, and exports. Decisions arrive as events."""

import io
import os
from pathlib import Path
from typing import Any, cast, get_args

from flask import Response, abort, jsonify, request, send_file
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import Session

from nimakit.culling.journal import Failure
from nimakit.culling.marks import apply, undo
from nimakit.culling.shots import Style
from nimakit.web.access import admin_only, current_collection, current_rater, visible_names
from nimakit.web.cull.exports import archive_changes, archive_picks, decided, picks, planned
from nimakit.web.cull.grouping import stamp_of
from nimakit.web.cull.groups import Decision, ShownGroup, decisions, rank
from nimakit.web.cull.words import basis, reason
from nimakit.web.db.tables import CULL, UNFLAG, Collection, Grouping, Image, now
from nimakit.web.languages import gettext
from nimakit.web.rating.deck import picture
from nimakit.web.rating.pages import experiment_blueprint
from nimakit.web.services import services

blueprint = experiment_blueprint(CULL)

_STYLES = get_args(Style)
_MOST_LISTED = 10


@blueprint.get("/groups")
def groups(slug: str) -> ResponseReturnValue:
    """All groups, ranked for the rater, with their decisions."""
    rater = current_rater()
    with services().database.read() as session:
        collection = _cull(session, slug)
        ranking = rank(session, collection, rater)
        known = session.get(Grouping, collection.id)
        given = decisions(session, collection, rater)
        is_grouped = known is not None and known.stamp in ([], stamp_of(session, collection))
        shown = [one.image for group in ranking.groups for one in group.shown]
        names = visible_names(collection, rater, shown)
        waiting = sum(image.position is None for image in shown)
    return jsonify(
        groups=[_group(collection, group, given, names) for group in ranking.groups],
        basis=basis(known.basis) if known else "",
        note=(known.note if known and rater.is_admin else "") or _model_note(collection),
        pending=collection.scanned_at is None or waiting > 0 or not is_grouped,
        comparisons=ranking.comparisons,
        taste=ranking.has_taste,
        writable=rater.is_admin and os.access(collection.folder, os.W_OK | os.X_OK),
        exports=rater.is_admin or not collection.blind,
    )


@blueprint.get("/picks.txt")
def listed(slug: str) -> ResponseReturnValue:
    """The names of the picks, one a line."""
    with services().database.read() as session:
        collection = _exported(session, slug)
        found = picks(session, collection, current_rater())
    content = "".join(f"{image.path}\n" for image in found)
    return _attached(io.BytesIO(content.encode()), f"{slug}-picks.txt", "text/plain")


@blueprint.get("/picks.zip")
def copied(slug: str) -> ResponseReturnValue:
    """Copies of the picks, with their RAW files and sidecars."""
    with services().database.read() as session:
        collection = _exported(session, slug)
        found = picks(session, collection, current_rater())
        own = select(Image.path).where(Image.collection_id == collection.id)
        paths = session.scalars(own).all()
    return _attached(archive_picks(collection, found, paths), f"{slug}-picks.zip", "application/zip")


@blueprint.get("/xmp.zip")
def sidecars(slug: str) -> ResponseReturnValue:
    """The decisions as XMP, in the files that writing them would change. Query: ``style``, ``overwrite``."""
    with services().database.read() as session:
        collection = _exported(session, slug)
        found = decided(session, collection, current_rater())
    plan = planned(collection, found, _style(), overwrite_ratings=request.args.get("overwrite") == "1")
    return _attached(archive_changes(collection, plan), f"{slug}-xmp.zip", "application/zip")


@blueprint.post("/xmp")
@admin_only
def write(slug: str) -> ResponseReturnValue:
    """Write the decisions as XMP next to the pictures, or into them. JSON: ``style``, ``overwrite``."""
    with services().database.read() as session:
        collection = _exported(session, slug)
        found = decided(session, collection, current_rater())
    body = request.get_json()
    if not isinstance(body, dict) or not isinstance(body.get("overwrite", False), bool):
        abort(400, "The body must be an object with a style and overwrite, true or false.")
    plan = planned(collection, found, _style(body), overwrite_ratings=body.get("overwrite", False))
    folder = _undo_folder(collection)
    folder.mkdir(parents=True, exist_ok=True)
    undo_file = folder / f"{now():%Y%m%d-%H%M%S-%f}.json"
    done = apply(plan, undo_file)
    return jsonify(
        written=len(done.written),
        unchanged=len(plan.unchanged),
        kept=len(plan.kept),
        undo=str(undo_file) if plan.changes else None,
        **_failed((*plan.failures, *done.failures)),
    )


@blueprint.post("/xmp/undo")
@admin_only
def take_back(slug: str) -> ResponseReturnValue:
    """Restore the files that were last written, byte for byte."""
    with services().database.read() as session:
        collection = _exported(session, slug)
    files = sorted(_undo_folder(collection).glob("*.json"))
    if not files:
        abort(409, gettext("There is nothing to undo: no ratings were written to this folder."))
    done = undo(files[-1])
    if not done.failures:
        files[-1].rename(files[-1].with_suffix(".undone"))
    return jsonify(restored=len(done.restored), **_failed(done.failures))


def _cull(session: Session, slug: str) -> Collection:
    """The collection in the address; 404 if it is not a cull."""
    collection = current_collection(session, slug)
    if collection.experiment != CULL:
        abort(404, gettext("This collection is not a cull."))
    return collection


def _exported(session: Session, slug: str) -> Collection:
    """The collection in the address; 403 if the rater may not see the names that exports contain."""
    collection = _cull(session, slug)
    if collection.blind and not current_rater().is_admin:
        abort(403, gettext("Exports name the files, which this collection hides."))
    return collection


def _style(body: dict[str, Any] | None = None) -> Style:
    style = (request.args if body is None else body).get("style", _STYLES[0])
    if style not in _STYLES:
        abort(400, f"style must be one of {', '.join(_STYLES)}.")
    return cast("Style", style)


def _undo_folder(collection: Collection) -> Path:
    return services().settings.data_dir / "culls" / collection.slug


def _failed(failures: tuple[Failure, ...]) -> dict[str, Any]:
    listed = [f"{path.name}: {reason}" for path, reason in failures[:_MOST_LISTED]]
    return {"failed": len(failures), "failures": listed}


def _attached(stream: Any, name: str, media_type: str) -> Response:
    response = send_file(stream, mimetype=media_type, as_attachment=True, download_name=name)
    response.headers["Cache-Control"] = "no-store"
    return response


def _model_note(collection: Collection) -> str:
    return gettext("No scores can be predicted at the moment.") if collection.model_note else ""


def _group(
    collection: Collection, group: ShownGroup, given: dict[int, Decision], names: dict[int, str]
) -> dict[str, Any]:
    """A group as it is sent to browsers."""

    def frame(image: Image, reasons: tuple[str, ...]) -> dict[str, Any]:
        decision = given.get(image.id, Decision())
        return {
            **picture(collection, image),
            "name": names.get(image.id),
            "flag": None if decision.flag == UNFLAG else decision.flag,
            "stars": decision.stars,
            "reasons": [reason(text) for text in reasons],
        }

    return {
        "kind": group.kind,
        "scene": group.scene,
        "whole": group.is_whole,
        "frames": [frame(one.image, one.reasons) for one in group.shown],
    }
