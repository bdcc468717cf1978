"""The Preference experiment: which of two looks better, or which of four best."""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from flask import Blueprint, jsonify, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import Session

from nimakit.web.access import current_collection, current_rater
from nimakit.web.db.tables import CHOICE, TIE, Choice, Collection, Image, Rater
from nimakit.web.rating.deck import picture, read_query
from nimakit.web.rating.pairing import next_matches
from nimakit.web.services import services

blueprint = Blueprint("preference", __name__, url_prefix="/c/<slug>/preference")

_HISTORY = 10


@blueprint.get("")
def page(slug: str) -> ResponseReturnValue:
    """The page one chooses on."""
    with services().database.read() as session:
        collection = current_collection(session, slug)
    if collection.experiment != "preference":
        return redirect(url_for("collections.start", slug=slug))
    return render_template("preference/page.html", collection=collection, rater=current_rater())


@blueprint.get("/next")
def upcoming(slug: str) -> ResponseReturnValue:
    """Comparisons to come, how far the rater is, and the last ones; the query is that of a deck."""
    amount, held = read_query()
    rater, shared = current_rater(), services()
    with shared.database.read() as session:
        collection = current_collection(session, slug)
        stock = shared.stocks.of(session, collection)
        hand = next_matches(session, collection, rater, stock, amount, held=held)
        history = list(reversed(_last(session, collection, rater)))
        pictures = _pictures(
            session, collection, [*(match.images for match in hand.matches), *(one.shown for one in history)]
        )
        return jsonify(
            items=[
                _item(pictures, match.images, secrets.token_hex(16), match.round) for match in hand.matches
            ],
            history=[
                {**_item(pictures, one.shown, one.trial, one.round), "value": _value(one)} for one in history
            ],
            done=hand.done,
            skipped=0,
            total=None if hand.left is None else hand.done + hand.left,
            pending=collection.scanned_at is None,
        )


def _item(
    pictures: Mapping[int, dict[str, Any]], images: Sequence[int], trial: str, turn: int
) -> dict[str, Any]:
    return {"trial": trial, "round": turn, "ids": images, "pictures": [pictures[image] for image in images]}


def _pictures(
    session: Session, collection: Collection, groups: Sequence[Sequence[int]]
) -> dict[int, dict[str, Any]]:
    wanted = select(Image).where(Image.id.in_({image for group in groups for image in group}))
    return {image.id: picture(collection, image) for image in session.scalars(wanted)}


def _last(session: Session, collection: Collection, rater: Rater) -> list[Choice]:
    """The last comparisons a rater made, on whatever device, the latest first."""
    wanted = select(Choice).where(Choice.collection_id == collection.id, Choice.rater_id == rater.id)
    return list(session.scalars(wanted.order_by(Choice.occurred_at.desc()).limit(_HISTORY)))


def _value(choice: Choice) -> int | str | None:
    """The place of the picture that was chosen, "tie", or None where the comparison was skipped."""
    if choice.kind == CHOICE and choice.chosen is not None:
        return choice.shown.index(choice.chosen)
    return TIE if choice.kind == TIE else None
