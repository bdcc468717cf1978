"""Admin pages to duplicate, archive and delete collections, and to erase one rater's data."""

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from nimakit.web.access import admin_only, current_collection
from nimakit.web.collections import erasure, lifecycle
from nimakit.web.db.tables import Collection, Rater
from nimakit.web.services import services
from nimakit.wording import listed, many

blueprint = Blueprint("lifecycle", __name__)


@blueprint.post("/c/<slug>/duplicate")
@admin_only
def duplicate(slug: str) -> ResponseReturnValue:
    """Create a collection with the same folder and settings."""
    with services().database.write() as session:
        copy = lifecycle.duplicate(session, current_collection(session, slug))
    services().background.wake(copy.id)
    flash("This is the duplicate. It has the same pictures and settings, and no ratings. Give it a name.")
    return redirect(url_for("admin.settings", slug=copy.slug))


@blueprint.post("/c/<slug>/archive")
@admin_only
def archive(slug: str) -> ResponseReturnValue:
    """Hide a collection from its raters and from the list."""
    with services().database.write() as session:
        collection = current_collection(session, slug)
        lifecycle.archive(collection)
    flash(f"{collection.name} is archived. Raters no longer see it; nothing is lost.")
    return redirect(url_for("collections.overview"))


@blueprint.post("/c/<slug>/use-again")
@admin_only
def use_again(slug: str) -> ResponseReturnValue:
    """Show an archived collection again."""
    with services().database.write() as session:
        collection = current_collection(session, slug)
        lifecycle.use_again(collection)
    services().background.wake(collection.id)
    flash(f"{collection.name} is in use again.")
    return redirect(url_for("admin.settings", slug=slug))


@blueprint.route("/c/<slug>/delete", methods=["GET", "POST"])
@admin_only
def delete(slug: str) -> ResponseReturnValue:
    """Ask before a collection is deleted, and offer its export; then delete it."""
    if request.method == "GET":
        with services().database.read() as session:
            collection = current_collection(session, slug)
            return render_template(
                "admin/delete.html",
                collection=collection,
                contents=lifecycle.contents_of(session, collection),
                days=lifecycle.UNDONE_WITHIN.days,
                is_uploaded=services().uploads.owns(collection),
            )
    with services().database.write() as session:
        collection = current_collection(session, slug)
        lifecycle.delete(collection)
    return redirect(url_for("collections.overview", _anchor="deleted"))


@blueprint.post("/collections/<int:key>/bring-back")
@admin_only
def bring_back(key: int) -> ResponseReturnValue:
    """Undo the deletion of a collection."""
    with services().database.write() as session:
        collection = lifecycle.bring_back(session, key)
    services().candidates.invalidate(collection.id)
    services().background.wake(collection.id)
    flash(f"{collection.name} is back, with everything it contained.")
    return redirect(url_for("collections.overview"))


@blueprint.route("/c/<slug>/people/<int:rater_id>/erase", methods=["GET", "POST"])
@admin_only
def erase(slug: str, rater_id: int) -> ResponseReturnValue:
    """Say what erasing a rater's data changes; then erase it, in all collections."""
    settings = services().settings
    if request.method == "GET":
        with services().database.read() as session:
            collection, rater = _member(session, slug, rater_id)
            return render_template(
                "admin/erase.html",
                collection=collection,
                rater=rater,
                effect=erasure.effect_of(session, rater, settings),
                others=erasure.same_person(session, rater),
            )
    with services().database.read() as session:
        _, rater = _member(session, slug, rater_id)
    effect = erasure.erase(services().database, settings, rater.code)
    for loss in effect.losses:
        services().candidates.invalidate(loss.collection_id)
    services().background.wake()
    flash(f"The data of {rater.name or rater.code} is erased: {many(effect.answers, 'answer')}.")
    if effect.same_person:
        flash(
            f"The same person also rated as {listed(effect.same_person)}. Erase these raters as well to"
            " remove all of their data."
        )
    return redirect(url_for("admin.people", slug=slug))


def _member(session: Session, slug: str, rater_id: int) -> tuple[Collection, Rater]:
    collection = current_collection(session, slug)
    rater = session.get(Rater, rater_id)
    if rater is None:
        abort(404)
    return collection, rater
