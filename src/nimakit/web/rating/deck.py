"""The pictures a rater's browser holds: those that come next, and the last ones, for going back."""

from typing import Any

from flask import Blueprint, abort, jsonify, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from nimakit.web.access import current_rater, visited_collection
from nimakit.web.db.tables import FIRST, OK, Collection, Image, Rater, Rating
from nimakit.web.predictions.tastes import personal_positions
from nimakit.web.rating.ordering import Pick, next_pictures
from nimakit.web.services import services

blueprint = Blueprint("deck", __name__, url_prefix="/c/<slug>/deck")

_MOST = 30
_MOST_HELD = 500
_HISTORY = 10
_LONGEST_KEY = 18  # digits that a database's integer has room for


@blueprint.get("")
def upcoming(slug: str) -> ResponseReturnValue:
    """What comes next, how far the rater is, and what came last.

    Query: ``amount`` of pictures, ``held`` (ids, separated by commas) that the browser has already or whose
    ratings have not arrived yet; ``skipped`` asks instead for the pictures that were skipped: it is empty
    when one begins to look at them, and from then on the ``skipped_until`` of the answer, so that what is
    skipped while one looks does not come once more.
    """
    amount, held = read_query()
    rater, shared = current_rater(), services()
    with shared.database.glance() as session:
        collection = visited_collection(slug)
        stock = shared.stocks.of(session, collection)
        elsewhere = shared.handed.by_others(collection.id, rater.id, stock.images)
        hand = next_pictures(session, collection, rater, stock, amount, held=held, elsewhere=elsewhere)
        picks, until = hand.picks, None
        if "skipped" in request.args:
            asked = _read_skipped()
            until = _latest(session, collection, rater) if asked is None else asked
            picks = _skipped(session, collection, rater, amount, held=held, until=until)
        shared.handed.note(collection.id, rater.id, held | {pick.image for pick in picks})
        return jsonify(
            items=_items(session, collection, rater, picks),
            history=_history(session, collection, rater),
            done=hand.done,
            skipped=hand.skipped,
            skipped_until=until,
            total=hand.done + hand.left,
            pending=collection.scanned_at is None or not stock.usable(collection).all(),
            note="No scores can be predicted at the moment." if collection.model_note else "",
        )


def read_query() -> tuple[int, set[int]]:
    """How many pictures a browser asks for, and which it holds already."""
    amount = request.args.get("amount", 10, int)
    held = [part for part in request.args.get("held", "").split(",") if part]
    if not 0 <= amount <= _MOST or len(held) > _MOST_HELD or not all(map(str.isdecimal, held)):
        abort(400, f"Ask for up to {_MOST} pictures, and name up to {_MOST_HELD} by their numbers.")
    return amount, {int(part) for part in held if len(part) < 10}


def _read_skipped() -> int | None:
    """Up to which event skipped pictures are asked for; None where one begins to look at them."""
    text = request.args["skipped"]
    if text and not (text.isdecimal() and len(text) <= _LONGEST_KEY):
        abort(400, "Ask for skipped pictures with the `skipped_until` of an answer, or with nothing.")
    return int(text) if text else None


def picture(collection: Collection, image: Image) -> dict[str, Any]:
    """What a browser is told of a picture: no more than the rater may know."""
    return {
        "id": image.id,
        "src": url_for("collections.start", slug=collection.slug) + f"pictures/{image.id}/",
        "version": str(image.mtime_ns),
        "name": None if collection.blind else image.path,
    }


def _items(session: Session, collection: Collection, rater: Rater, picks: list[Pick]) -> list[dict[str, Any]]:
    wanted = select(Image).where(Image.id.in_([pick.image for pick in picks]))
    images = {image.id: image for image in session.scalars(wanted)}
    predicted = _predicted(session, collection, rater, list(images.values()))
    return [
        {
            **picture(collection, images[pick.image]),
            "round": pick.round,
            "predicted": predicted.get(pick.image),
        }
        for pick in picks
        if pick.image in images
    ]


def _predicted(
    session: Session, collection: Collection, rater: Rater, images: list[Image]
) -> dict[int, float]:
    """Predicted scores by picture id where the experiment shows them; the rater's own, once there are any."""
    if collection.experiment != "rate":
        return {}
    positions = {image.id: image.position for image in images if image.position is not None}
    positions |= personal_positions(session, collection, rater, images)
    return {key: round(collection.scale.at(position), 1) for key, position in positions.items()}


def _history(session: Session, collection: Collection, rater: Rater) -> list[dict[str, Any]]:
    """The last pictures a rater rated or skipped, on whatever device, the latest at the end."""
    rows = session.execute(
        select(Rating, Image)
        .join(Image, Image.id == Rating.image_id)
        .where(Rating.collection_id == collection.id, Rating.rater_id == rater.id, Image.state == OK)
        .order_by(Rating.occurred_at.desc())
        .limit(_HISTORY)
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


def _latest(session: Session, collection: Collection, rater: Rater) -> int:
    """The last event of a rater's that holds; 0 where there is none."""
    own = (Rating.collection_id == collection.id, Rating.rater_id == rater.id)
    return session.scalar(select(func.max(Rating.event_id)).where(*own)) or 0


def _skipped(
    session: Session, collection: Collection, rater: Rater, amount: int, *, held: set[int], until: int
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
    return [Pick(image, FIRST) for image in rows if image not in held][:amount]
