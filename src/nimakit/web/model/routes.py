"""The admin's page of the model that a collection learns from its ratings."""

import shlex
from pathlib import Path
from typing import Any

from flask import (
    Blueprint,
    Response,
    abort,
    current_app,
    flash,
    redirect,
    render_template,
    send_file,
    url_for,
)
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import Session

from nimakit.web.access import admin_only, current_collection
from nimakit.web.collections.setup import change_collection
from nimakit.web.db.tables import Collection, Learned, LearningPoint
from nimakit.web.model import predictor, training_data
from nimakit.web.model.charts import CurveChart
from nimakit.web.model.figures import ADVISED, FEWEST, Figures
from nimakit.web.model.files import copy_of, is_learned, model_file
from nimakit.web.services import services

blueprint = Blueprint("model", __name__, url_prefix="/c/<slug>/model")

_STYLES = ("css/base.css", "css/dashboard.css")


@blueprint.get("")
@admin_only
def page(slug: str) -> ResponseReturnValue:
    """Show how good the model is, and how to use it."""
    with services().database.read() as session:
        collection = current_collection(session, slug)
        ratings = training_data.state_of(session, collection)[0]
        shown = _figures(session, collection)
    folder = services().settings.models_dir
    file = model_file(folder, collection)
    is_there = file.is_file()
    return render_template(
        "model/page.html",
        collection=collection,
        ratings=ratings,
        fewest=FEWEST,
        file=file if is_there else None,
        command=f"./serve --model {shlex.quote(str(file))}",
        is_learned=is_learned(folder, collection),
        is_latest=is_there and collection.model == str(copy_of(file)),
        **shown,
    )


@blueprint.get("/report.html")
@admin_only
def report(slug: str) -> ResponseReturnValue:
    """Download the figures as a page of its own."""
    with services().database.read() as session:
        collection = current_collection(session, slug)
        shown = _figures(session, collection)
    if shown["figures"] is None:
        abort(404, "There is no model yet.")
    styles = [Path(str(current_app.static_folder), name).read_text("utf-8") for name in _STYLES]
    text = render_template("model/report.html", collection=collection, styles="\n".join(styles), **shown)
    answer = Response(text, mimetype="text/html")
    answer.headers.set("Content-Disposition", "attachment", filename=f"{slug}-model.html")
    return answer


@blueprint.get("/model.onnx")
@admin_only
def download(slug: str) -> ResponseReturnValue:
    """Download the model file."""
    with services().database.read() as session:
        collection = current_collection(session, slug)
    file = _existing(collection)
    return send_file(
        file, mimetype="application/octet-stream", as_attachment=True, download_name=f"{slug}.onnx"
    )


@blueprint.post("/use")
@admin_only
def use(slug: str) -> ResponseReturnValue:
    """Let the model predict the collection's scores."""
    with services().database.read() as session:
        collection = current_collection(session, slug)
    predictor.use(services().database, collection, _existing(collection))
    return _changed(collection, "This model predicts scores now.")


@blueprint.post("/former")
@admin_only
def restore(slug: str) -> ResponseReturnValue:
    """Let the former model predict scores again."""
    with services().database.read() as session:
        collection = current_collection(session, slug)
    if is_learned(services().settings.models_dir, collection):
        predictor.restore(services().database, collection)
    return _changed(collection, "The former model predicts scores again.")


@blueprint.post("/order")
@admin_only
def order(slug: str) -> ResponseReturnValue:
    """Show the pictures first that are most uncertain."""
    with services().database.write() as session:
        collection = current_collection(session, slug)
        change_collection(session, collection, ordering="active")
    return _changed(collection, "Raters now see the most uncertain pictures first.")


def _changed(collection: Collection, message: str) -> ResponseReturnValue:
    services().candidates.invalidate(collection.id)
    services().background.wake()
    flash(message)
    return redirect(url_for("model.page", slug=collection.slug))


def _existing(collection: Collection) -> Path:
    file = model_file(services().settings.models_dir, collection)
    if not file.is_file():
        abort(404, "There is no model yet.")
    return file


def _figures(session: Session, collection: Collection) -> dict[str, Any]:
    """What the template needs of the figures."""
    learned = session.get(Learned, collection.id)
    points = session.scalars(
        select(LearningPoint)
        .where(LearningPoint.collection_id == collection.id)
        .order_by(LearningPoint.ratings, LearningPoint.id)
    ).all()
    figures = Figures(**learned.figures) if learned and learned.figures else None
    return {
        "learned": learned,
        "figures": figures,
        "advised": ADVISED,
        "curve": CurveChart.of(figures, points) if figures and points else None,
    }
