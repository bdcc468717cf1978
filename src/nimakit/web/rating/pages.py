"""The Score experiment: one picture, one rating."""

from flask import Blueprint, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from nimakit.web.access import current_collection, current_rater
from nimakit.web.services import services

blueprint = Blueprint("score", __name__, url_prefix="/c/<slug>/score")


@blueprint.get("")
def page(slug: str) -> ResponseReturnValue:
    """The page one rates on; deck and events do the rest."""
    with services().database.read() as session:
        collection = current_collection(session, slug)
    if collection.experiment != "score":
        return redirect(url_for("collections.start", slug=slug))
    return render_template("score/page.html", collection=collection, rater=current_rater())
