"""The Ratings page of a preference: every comparison, to sort, filter, correct and take back."""

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
from nimakit.web.db.tables import CHOICE, SKIP, TIE, Choice, Collection, Event, Rater
from nimakit.web.rating.store import correction, store_events
from nimakit.web.review.comparison_query import PAGE, SHOWN, Comparison, Query, one_of, page_of
from nimakit.web.services import services

blueprint = Blueprint("comparisons", __name__, url_prefix="/c/<slug>/comparisons")


@blueprint.get("")
def page(slug: str) -> ResponseReturnValue:
    """Comparisons and what was said in each: raters see their own, the admin everybody's."""
    rater = current_rater()
    with services().database.read() as session:
        collection = current_collection(session, slug)
        query = Query.parse(request.args, collection, rater)
        found = page_of(session, collection, query)
        people = _people(session, collection) if rater.is_admin else []
    images = [image for one in found for image in one.images]
    return render_template(
        "comparisons/page.html",
        collection=collection,
        query=query,
        shown=SHOWN,
        people=people,
        comparisons=found,
        following=query.after(found[-1]) if len(found) == PAGE else None,
        names=visible_names(collection, rater, images),
    )


@blueprint.get("/<int:whose>/<trial>")
def comparison(slug: str, whose: int, trial: str) -> ResponseReturnValue:
    """One comparison: its pictures, what holds, what was said before."""
    rater = current_rater()
    with services().database.read() as session:
        collection = current_collection(session, slug)
        found = _find(session, collection, rater, whose, trial)
        said = select(Event).where(
            Event.collection_id == collection.id, Event.rater_id == whose, Event.trial == trial
        )
        events = session.scalars(said.order_by(Event.id.desc())).all()
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
    """Choose anew in a comparison of one's own, or take it back; the admin may take back anybody's."""
    rater = current_rater()
    with services().database.write() as session:
        collection = current_collection(session, slug)
        refuse_correction(collection, rater)
        lock_raters(session, [whose])
        choice = _find(session, collection, rater, whose, trial).choice
        kind, chosen = _said(choice)
        if whose != rater.id and kind != SKIP:
            abort(403)
        act = correction(
            rater,
            collection_id=collection.id,
            rater_id=whose,
            kind=kind,
            image_id=chosen,
            round=choice.round,
            trial=trial,
            shown=choice.shown,
        )
        store_events(session, [act])
    flash(
        {
            CHOICE: "Another choice was taken in.",
            TIE: "They are alike now.",
            SKIP: "The comparison was taken back.",
        }[kind]
    )
    return redirect(url_for("comparisons.comparison", slug=slug, whose=whose, trial=trial))


def _find(session: Session, collection: Collection, rater: Rater, whose: int, trial: str) -> Comparison:
    found = one_of(session, collection, whose, trial) if rater.is_admin or whose == rater.id else None
    if found is None:
        abort(404)
    return found


def _said(choice: Choice) -> tuple[str, int | None]:
    """What a form says: the kind of event, and the picture that is chosen."""
    said = request.form.get("said", "")
    if said not in (TIE, SKIP, *map(str, choice.shown)):
        abort(400, 'One chooses one of the pictures that were shown, or says "tie" or "skip".')
    return (said, None) if said in (TIE, SKIP) else (CHOICE, int(said))


def _people(session: Session, collection: Collection) -> list[Rater]:
    """Those who compared anything here, by name."""
    own = select(Choice.rater_id).where(Choice.collection_id == collection.id)
    wanted = select(Rater).where(Rater.id.in_(own)).order_by(Rater.name, Rater.code)
    return list(session.scalars(wanted))
