"""Where browsers send what raters did, in batches, again and again until it is acknowledged."""

from typing import Any

from flask import Blueprint, abort, jsonify, request
from flask.typing import ResponseReturnValue
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from nimakit.web.access import current_collection, current_rater
from nimakit.web.models import FIRST, Choice, Collection, Image, Rater, Rating
from nimakit.web.recording import MOST_EVENTS, Outcome, record
from nimakit.web.services import services

blueprint = Blueprint("events", __name__, url_prefix="/c/<slug>/events")


@blueprint.post("")
def receive(slug: str) -> ResponseReturnValue:
    """Take in events: once this answers they are on the disk, and sending them again changes nothing."""
    rater = current_rater()
    body = request.get_json()
    events = body.get("events") if isinstance(body, dict) else None
    if not isinstance(events, list) or len(events) > MOST_EVENTS:
        abort(400, f"The body is an object with up to {MOST_EVENTS} events.")
    if body.get("rater") != rater.code:
        abort(409, "Somebody else is signed in here now.")
    with services().database.read() as session:
        collection = current_collection(session, slug)
    if not collection.is_open:
        abort(409, "No ratings are taken at the moment.")
    with services().database.write() as session:
        outcome = record(session, collection, rater, events)
        done = _done(session, collection, rater)
        others = _others(session, outcome) if collection.show_others else {}
    return jsonify(
        accepted=outcome.accepted,
        refused=[{"id": key, "reason": reason} for key, reason in outcome.refused],
        done=done,
        others=others,
    )


def _done(session: Session, collection: Collection, rater: Rater) -> int:
    table = Choice if collection.experiment == "preference" else Rating
    return (
        session.scalar(
            select(func.count())
            .select_from(table)
            .where(table.collection_id == collection.id, table.rater_id == rater.id, table.round == FIRST)
        )
        or 0
    )


def _others(session: Session, outcome: Outcome) -> dict[int, dict[str, Any]]:
    """What people say of the pictures just rated, the rater among them."""
    rows = session.execute(
        select(Image.id, Image.count, Image.total).where(Image.id.in_(outcome.images), Image.count > 0)
    )
    return {key: {"mean": round(total / count, 2), "count": count} for key, count, total in rows}
