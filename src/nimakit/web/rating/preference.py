"""The experiments Preference and Best-worst: the comparisons to show next."""

import hashlib
from collections.abc import Sequence
from typing import Any

from flask import abort, jsonify
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import Session

from nimakit.web.access import current_collection, current_rater, visited_study
from nimakit.web.db.tables import BEST_WORST, CHOICE, TIE, Choice, Collection, Image, Rater
from nimakit.web.rating.deck import HISTORY, check_item, picture, read_checks, read_query
from nimakit.web.rating.pages import experiment_blueprint
from nimakit.web.rating.pairing import Comparison, next_comparisons
from nimakit.web.services import services

preference, best_worst = experiment_blueprint("preference"), experiment_blueprint(BEST_WORST)


@preference.get("/next")
@best_worst.get("/next")
def upcoming(slug: str) -> ResponseReturnValue:
    """The next comparisons, the rater's progress, and their latest ones; the query is that of a deck."""
    amount, buffered = read_query()
    rater, shared, study = current_rater(), services(), visited_study()
    with shared.database.read() as session:
        collection = current_collection(session, slug)
        if not collection.compares:
            abort(404)
        candidates = shared.candidates.get(session, collection)
        compared = shared.compared.get(session, collection, candidates)
        found = next_comparisons(
            session,
            collection,
            rater,
            compared,
            amount,
            buffered=buffered,
            reserved=shared.reservations.by_others(collection.id, rater.id, candidates.images),
            study=study,
            checks=read_checks(),
        )
        served = {image for one in found.comparisons if not one.check for image in one.images}
        shared.reservations.reserve(collection.id, rater.id, buffered | served)
        history = _latest(session, collection, rater)
        groups = [*(one.images for one in found.comparisons), *(one.shown for one in history)]
        pictures = _pictures(session, collection, groups)

        def item(images: Sequence[int], trial: str, turn: int) -> dict[str, Any]:
            shown = [pictures[image] for image in images]
            return {"trial": trial, "round": turn, "ids": images, "pictures": shown}

        return jsonify(
            items=[
                {
                    **item(one.images, _trial(collection, rater, one), one.round),
                    **check_item(collection, rater, one.check),
                }
                for one in found.comparisons
            ],
            history=[{**item(one.shown, one.trial, one.round), "value": _value(one)} for one in history],
            done=found.done,
            skipped=0,
            total=None if found.left is None else found.done + found.left,
            pending=collection.scanned_at is None,
        )


def _trial(collection: Collection, rater: Rater, one: Comparison) -> str:
    """The id of a comparison, the same in every tab, so that a second answer replaces the first."""
    named = f"{rater.code} {collection.id} {sorted(one.images)} {one.round}"
    return hashlib.sha256(named.encode()).hexdigest()[:32]


def _pictures(
    session: Session, collection: Collection, groups: Sequence[Sequence[int]]
) -> dict[int, dict[str, Any]]:
    wanted = select(Image).where(Image.id.in_({image for group in groups for image in group}))
    return {image.id: picture(collection, image) for image in session.scalars(wanted)}


def _latest(session: Session, collection: Collection, rater: Rater) -> list[Choice]:
    """A rater's latest comparisons on any device, the latest at the end."""
    wanted = select(Choice).where(Choice.collection_id == collection.id, Choice.rater_id == rater.id)
    return list(session.scalars(wanted.order_by(Choice.occurred_at.desc()).limit(HISTORY)))[::-1]


def _value(choice: Choice) -> int | str | dict[str, int] | None:
    """The place of the chosen picture, or of the best and the worst; "tie", or None for a skip."""
    if choice.kind == CHOICE and choice.chosen is not None:
        best = choice.shown.index(choice.chosen)
        return best if choice.worst is None else {"best": best, "worst": choice.shown.index(choice.worst)}
    return TIE if choice.kind == TIE else None
