"""The pages where raters work, one for each kind of experiment: such as Score."""

from flask import Blueprint, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from nimakit.web.access import current_collection, current_rater
from nimakit.web.services import services


def experiment_blueprint(experiment: str) -> Blueprint:
    """A blueprint with the page of an experiment; scripts on it use the routes of deck and events."""
    blueprint = Blueprint(experiment, __name__, url_prefix=f"/c/<slug>/{experiment}")

    @blueprint.get("")
    def page(slug: str) -> ResponseReturnValue:
        with services().database.read() as session:
            collection = current_collection(session, slug)
        if collection.experiment != experiment:
            return redirect(url_for("collections.start", slug=slug))
        return render_template(f"{experiment}/page.html", collection=collection, rater=current_rater())

    return blueprint


score, rate = experiment_blueprint("score"), experiment_blueprint("rate")
