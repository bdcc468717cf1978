"""The pages of the experiments that show one picture at a time: Score, and Rate with the predicted score."""

from flask import Blueprint, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from nimakit.web.access import current_collection, current_rater
from nimakit.web.services import services


def _page_of(experiment: str) -> Blueprint:
    """The page of an experiment; deck and events do the rest."""
    blueprint = Blueprint(experiment, __name__, url_prefix=f"/c/<slug>/{experiment}")

    @blueprint.get("")
    def page(slug: str) -> ResponseReturnValue:
        with services().database.read() as session:
            collection = current_collection(session, slug)
        if collection.experiment != experiment:
            return redirect(url_for("collections.start", slug=slug))
        return render_template(f"{experiment}/page.html", collection=collection, rater=current_rater())

    return blueprint


score, rate = _page_of("score"), _page_of("rate")
