"""Pages of comparisons: list, correct and take them back."""

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import Session

from nimakit.web.access import (
    correction_refusal,
    current_collection,
    current_rater,
    refuse_correction,
    visible_names,
)
from nimakit.web.db.queries import lock_raters
from nimakit.web.db.tables import BEST_WORST, CHOICE, SKIP, TIE, Choice, Collection, Event, Rater
from nimakit.web.languages import gettext
from nimakit.web.rating.store import correction, store_events
from nimakit.web.review.comparison_query import PAGE, Comparison, find_comparison, page_of, parse_query
from nimakit.web.services import services

blueprint = Blueprint("comparisons", __name__, url_prefix="/c/<slug>/comparisons")


@blueprint.get("")
def page(slug: str) -> ResponseReturnValue:
    """List comparisons: raters see their own, the admin everyone's."""
    rater = current_rater()
    with services().database.read() as session:
        collection = current_collection(session, slug)
        query = parse_query(request.args, collection, rater)
        found = page_of(session, collection, rater, query)
        people = _people(session, collection) if rater.is_admin else []
    images = [image for comparison in found for image in comparison.images]
    return render_template(
        "comparisons/page.html",
        collection=collection,
        query=query,
        people=people,
        comparisons=found,
        following=query.after(found[-1].key, found[-1].choice.event_id) if len(found) == PAGE else None,
        names=visible_names(collection, rater, images),
    )


@blueprint.get("/<int:whose>/<trial>")
def comparison(slug: str, whose: int, trial: str) -> ResponseReturnValue:
    """Show a comparison: its pictures, its outcome and its history."""
    rater = current_rater()
    with services().database.read() as session:
        collection = current_collection(session, slug)
        found = _find(session, collection, rater, whose, trial)
        history = select(Event).where(
            Event.collection_id == collection.id, Event.rater_id == whose, Event.trial == trial
        )
        events = session.scalars(history.order_by(Event.id.desc())).all()
    return render_template(
        "comparisons/comparison.html",
        collection=collection,
        one=found,
        is_own=whose == rater.id,
        refusal=correction_refusal(collection, rater),
        events=events,
        names=visible_names(collection, rater, found.images),
    )


@blueprint.post("/<int:whose>/<trial>")
def correct(slug: str, whose: int, trial: str) -> ResponseReturnValue:
    """Change the outcome of your own comparison, or take it back; the admin may take back anyone's."""
    rater = current_rater()
    with services().database.write() as session:
        collection = current_collection(session, slug)
        refuse_correction(collection, rater)
        lock_raters(session, [whose])
        choice = _find(session, collection, rater, whose, trial).choice
        kind, chosen, worst = _outcome(choice, collection)
        if whose != rater.id and kind != SKIP:
            abort(403)
        act = correction(
            rater,
            collection_id=collection.id,
            rater_id=whose,
            kind=kind,
            image_id=chosen,
            worst_id=worst,
            round=choice.round,
            trial=trial,
            shown=choice.shown,
        )
        store_events(session, [act])
    flash(
        {
            CHOICE: gettext("Your choice was changed."),
            TIE: gettext("They now count as alike."),
            SKIP: gettext("The comparison was taken back."),
        }[kind]
    )
    return redirect(url_for("comparisons.comparison", slug=slug, whose=whose, trial=trial))


def _find(session: Session, collection: Collection, rater: Rater, whose: int, trial: str) -> Comparison:
    found = find_comparison(session, collection, rater, whose, trial)
    if found is None:
        abort(404)
    return found


def _outcome(choice: Choice, collection: Collection) -> tuple[str, int | None, int | None]:
    """Kind of event, chosen and worst picture, from the submitted form."""
    said, shown = request.form.get("said", ""), {str(image): image for image in choice.shown}
    if said == SKIP:
        return SKIP, None, None
    if collection.experiment == BEST_WORST:
        best, worst = (request.form.get(name, "") for name in ("best", "worst"))
        if said != CHOICE or not shown.keys() >= {best, worst} or best == worst:
            abort(
                400,
                gettext("Choose the best and the worst of the pictures that were shown, two different ones."),
            )
        return CHOICE, shown[best], shown[worst]
    if said not in (TIE, *shown):
        rule = gettext("Choose one of the pictures that were shown, tie or skip.")
        abort(400, f"{rule} {gettext('Received: %(received)s', received=said)}")
    return (TIE, None, None) if said == TIE else (CHOICE, shown[said], None)


def _people(session: Session, collection: Collection) -> list[Rater]:
    """Raters with comparisons in this collection, by name."""
    own = select(Choice.rater_id).where(Choice.collection_id == collection.id)
    wanted = select(Rater).where(Rater.id.in_(own)).order_by(Rater.name, Rater.code)
    return list(session.scalars(wanted))
