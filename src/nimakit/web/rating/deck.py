"""The deck: the pictures a rater's browser shows next, and the latest ones, to go back to."""

from typing import Any

from flask import Blueprint, abort, jsonify, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from nimakit.web.access import current_rater, visited_collection, visited_study
from nimakit.web.db.tables import FIRST, OK, Collection, Image, Rater, Rating
from nimakit.web.languages import gettext
from nimakit.web.predictions.tastes import personal_positions
from nimakit.web.rating.checks import MOST_CHECKS, instruction
from nimakit.web.rating.ordering import Pick, next_pictures
from nimakit.web.services import services

blueprint = Blueprint("deck", __name__, url_prefix="/c/<slug>/deck")

HISTORY = 10
"""Latest pictures or comparisons that a browser is sent, to go back to."""

_MOST = 30
_MOST_BUFFERED = 500
_LONGEST_KEY = 18  # digits that fit a database's integer


@blueprint.get("")
def upcoming(slug: str) -> ResponseReturnValue:
    """The next pictures, the rater's progress, and the latest pictures.

    Query: ``amount`` of pictures; ``held``, comma-separated ids that the browser already has or whose ratings
    have not arrived yet; ``checks``, the same of attention checks, by number; ``skipped``, to get the skipped
    pictures instead. ``skipped`` is blank in the first request and the answer's ``skipped_until`` after that,
    so that pictures skipped once more do not return.
    """
    amount, buffered = read_query()
    rater, shared, study = current_rater(), services(), visited_study()
    with shared.database.read_autocommit() as session:
        collection = visited_collection(slug)
        candidates = shared.candidates.get(session, collection)
        reserved = shared.reservations.by_others(collection.id, rater.id, candidates.images)
        found = next_pictures(
            session,
            collection,
            rater,
            candidates,
            amount,
            buffered=buffered,
            reserved=reserved,
            study=study,
            checks=read_checks(),
        )
        picks, until = found.picks, None
        if "skipped" in request.args:
            asked = _read_skipped()
            until = _latest_event(session, collection, rater) if asked is None else asked
            picks = _skipped(session, collection, rater, amount, buffered=buffered, until=until)
        shared.reservations.reserve(collection.id, rater.id, buffered | {pick.image for pick in picks})
        return jsonify(
            items=picture_items(session, collection, rater, picks),
            history=_history(session, collection, rater),
            done=found.done,
            skipped=found.skipped,
            skipped_until=until,
            total=found.done + found.left,
            pending=collection.scanned_at is None or not candidates.usable(collection).all(),
            note=gettext("No scores can be predicted at the moment.") if collection.model_note else "",
        )


def read_query() -> tuple[int, set[int]]:
    """The number of pictures a browser asks for, and the ids of those it already has."""
    amount = request.args.get("amount", 10, int)
    buffered = [part for part in request.args.get("held", "").split(",") if part]
    if not 0 <= amount <= _MOST or len(buffered) > _MOST_BUFFERED or not all(map(str.isdecimal, buffered)):
        abort(400, f"amount must be 0 to {_MOST}, and held at most {_MOST_BUFFERED} picture ids.")
    return amount, {int(part) for part in buffered if len(part) < 10}


def read_checks() -> set[int]:
    """Numbers of the attention checks that a browser has, or whose answers have not arrived yet."""
    found = [
        int(part) for part in request.args.get("checks", "").split(",") if part.isdecimal() and len(part) < 6
    ]
    return {number for number in found if number <= MOST_CHECKS}


def _read_skipped() -> int | None:
    """The last event up to which skipped pictures are shown; None in the first request."""
    text = request.args["skipped"]
    if text and not (text.isdecimal() and len(text) <= _LONGEST_KEY):
        abort(400, "skipped must be blank, or the `skipped_until` of an answer.")
    return int(text) if text else None


def picture(collection: Collection, image: Image) -> dict[str, Any]:
    """A picture as it is sent to browsers, without what the rater may not know."""
    return {
        "id": image.id,
        "src": url_for("collections.start", slug=collection.slug) + f"pictures/{image.id}/",
        "version": str(image.mtime_ns),
        "name": None if collection.blind else image.path,
    }


def picture_items(
    session: Session, collection: Collection, rater: Rater, picks: list[Pick]
) -> list[dict[str, Any]]:
    """Pictures to rate as they are sent to browsers, with predicted scores if the experiment shows them."""
    wanted = select(Image).where(Image.id.in_([pick.image for pick in picks]))
    images = {image.id: image for image in session.scalars(wanted)}
    predicted = _predicted(session, collection, rater, list(images.values()))
    return [
        {
            **picture(collection, images[pick.image]),
            "round": pick.round,
            "predicted": predicted.get(pick.image),
            **check_item(collection, rater, pick.check),
        }
        for pick in picks
        if pick.image in images
    ]


def check_item(collection: Collection, rater: Rater, number: int) -> dict[str, Any]:
    """What an attention check adds to an item; nothing for number 0."""
    return {"check": number, "question": instruction(collection, rater, number)} if number else {}


def _predicted(
    session: Session, collection: Collection, rater: Rater, images: list[Image]
) -> dict[int, float]:
    """Picture id -> predicted score, if the experiment shows them; personal scores once they are learned."""
    if collection.experiment != "rate":
        return {}
    positions = {image.id: image.position for image in images if image.position is not None}
    positions |= personal_positions(session, collection, rater, images)
    return {key: round(collection.scale.at(position), 1) for key, position in positions.items()}


def _history(session: Session, collection: Collection, rater: Rater) -> list[dict[str, Any]]:
    """The latest pictures a rater rated or skipped on any device, the latest at the end."""
    rows = session.execute(
        select(Rating, Image)
        .join(Image, Image.id == Rating.image_id)
        .where(Rating.collection_id == collection.id, Rating.rater_id == rater.id, Image.state == OK)
        .order_by(Rating.occurred_at.desc())
        .limit(HISTORY)
    ).all()
    return [
        {
            **picture(collection, image),
            "round": rating.round,
            "predicted": rating.predicted,
            "value": rating.value,
        }
        for rating, image in reversed(rows)
    ]


def _latest_event(session: Session, collection: Collection, rater: Rater) -> int:
    """Id of the latest event behind a rater's current ratings; 0 without any."""
    own = (Rating.collection_id == collection.id, Rating.rater_id == rater.id)
    return session.scalar(select(func.max(Rating.event_id)).where(*own)) or 0


def _skipped(
    session: Session, collection: Collection, rater: Rater, amount: int, *, buffered: set[int], until: int
) -> list[Pick]:
    rows = session.scalars(
        select(Rating.image_id)
        .join(Image, Image.id == Rating.image_id)
        .where(
            Rating.collection_id == collection.id,
            Rating.rater_id == rater.id,
            Rating.round == FIRST,
            Rating.value.is_(None),
            Rating.event_id <= until,
            Image.state == OK,
        )
        .order_by(Rating.occurred_at)
    )
    return [Pick(image, FIRST) for image in rows if image not in buffered][:amount]
