"""Events as browsers send them: checked, and taken in once."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from nimakit.io.rules import is_integer, is_number
from nimakit.web.db.queries import lock_raters
from nimakit.web.db.tables import (
    CHOICE,
    FIRST,
    LARGEST_KEY,
    RATING,
    REPEAT,
    SKIP,
    TIE,
    Collection,
    Event,
    Image,
    Rater,
    now,
)
from nimakit.web.rating.store import Act, apply_acts

MOST_EVENTS = 200
"""Events a request may bring."""

_NAME = re.compile(r"[A-Za-z0-9-]{1,36}")
_is_key = is_integer(1, LARGEST_KEY)
_LONGEST_WAIT = timedelta(days=30)
_LONGEST_LOOK_MS = 3_600_000
_DECIMALS = 2


@dataclass(frozen=True, slots=True)
class Batch:
    """Events of one rater, as a browser sends them.

    Attributes:
        collection: What they are about.
        rater: Whose they are.
        events: Objects with ``id`` (made up by the browser: letters, digits and hyphens), ``kind``, ``image``
            or ``trial`` and ``shown``, ``value``, ``predicted``, ``round``, ``age_ms`` (how long ago it
            happened), ``elapsed_ms`` (how long they looked) and ``replaces`` (id of what this browser said of
            it before).
    """

    collection: Collection
    rater: Rater
    events: Sequence[Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a batch.

    Attributes:
        accepted: Ids of its events; those that were known already among them.
        refused: Id and reason of each that can never be accepted.
        images: Pictures whose ratings may have changed.
    """

    accepted: list[str] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    images: list[int] = field(default_factory=list)


def record(session: Session, batches: Sequence[Batch]) -> list[Outcome]:
    """Take in events; nothing may be acknowledged before the session is committed.

    Args:
        session: From `Database.write`.
        batches: In the order they came; of whomever, about whatever.

    Returns:
        For each batch, which of its events are taken in and which are not.
    """
    lock_raters(session, {batch.rater.id for batch in batches})
    known, homes, received = _known(session, batches), _homes(session, batches), now()
    outcomes, acts = [], list[Act]()
    for batch in batches:
        pictures = {image for image, home in homes.items() if home == batch.collection.id}
        outcomes.append(_sort_out(batch, known, pictures, received, acts))
    apply_acts(session, acts)
    return outcomes


def _sort_out(
    batch: Batch, known: set[tuple[int, str]], pictures: set[int], received: datetime, acts: list[Act]
) -> Outcome:
    """What becomes of a batch; what is new in it goes to the acts."""
    outcome, rater = Outcome(), batch.rater.id
    for raw in batch.events:
        key = raw.get("id") if isinstance(raw, Mapping) else None
        if not isinstance(key, str) or not _NAME.fullmatch(key):
            outcome.refused.append(
                (
                    key[:36] if isinstance(key, str) else "",
                    "An event's id is 1 to 36 letters, digits and hyphens.",
                )
            )
            continue
        if (rater, key) not in known:
            try:
                act = _parse(
                    raw, batch.collection, pictures, client_id=key, rater_id=rater, received_at=received
                )
            except ValueError as error:
                outcome.refused.append((key, str(error)))
                continue
            acts.append(act)
            known.add((rater, key))
            outcome.images.extend([act.image_id] if act.image_id else [])
        outcome.accepted.append(key)
    return outcome


def _known(session: Session, batches: Sequence[Batch]) -> set[tuple[int, str]]:
    """Rater and id of each event that was taken in before."""
    keys = (event.get("id") for batch in batches for event in batch.events if isinstance(event, Mapping))
    wanted = select(Event.rater_id, Event.client_id).where(
        Event.rater_id.in_({batch.rater.id for batch in batches}),
        Event.client_id.in_({key for key in keys if isinstance(key, str) and _NAME.fullmatch(key)}),
    )
    return {(rater, key) for rater, key in session.execute(wanted)}


def _homes(session: Session, batches: Sequence[Batch]) -> dict[int, int]:
    """The collection of each picture that events are about."""
    named: set[int] = set()
    for event in (event for batch in batches for event in batch.events):
        if isinstance(event, Mapping):
            shown = event.get("shown")
            candidates = [event.get("image"), *(shown if isinstance(shown, list) else ())]
            named.update(filter(_is_key, candidates))
    return dict(session.execute(select(Image.id, Image.collection_id).where(Image.id.in_(named))).all())


def _parse(
    raw: Mapping[str, Any], collection: Collection, pictures: set[int], *, received_at: datetime, **names: Any
) -> Act:
    """An event, checked.

    Raises:
        ValueError: It breaks a rule; the message is for the rater.
    """
    image = raw.get("image")
    age, elapsed, turn = raw.get("age_ms", 0), raw.get("elapsed_ms"), raw.get("round", FIRST)
    replaces = raw.get("replaces")
    if replaces is not None and not (isinstance(replaces, str) and _NAME.fullmatch(replaces)):
        raise ValueError("What is replaced is named by the id of an event.")
    if not is_number(0)(age) or not (elapsed is None or is_number(0)(elapsed)):
        raise ValueError("Times are milliseconds, 0 or more.")
    if not is_integer(FIRST, REPEAT)(turn):
        raise ValueError(f"The round is {FIRST} or {REPEAT}.")
    if image is not None and not (_is_key(image) and image in pictures):
        raise ValueError("This picture is not part of the collection.")
    check = _check_choice if collection.experiment == "preference" else _check_rating
    return Act(
        collection_id=collection.id,
        image_id=image,
        round=turn,
        occurred_at=received_at - min(timedelta(milliseconds=min(age, 1e12)), _LONGEST_WAIT),
        received_at=received_at,
        elapsed_ms=None if elapsed is None else int(min(elapsed, _LONGEST_LOOK_MS)),
        source="app",
        replaces=replaces,
        **check(raw, collection, pictures),
        **names,
    )


def _check_rating(raw: Mapping[str, Any], collection: Collection, _pictures: set[int]) -> dict[str, Any]:
    kind, value, predicted = raw.get("kind"), raw.get("value"), raw.get("predicted")
    if kind not in (RATING, SKIP) or raw.get("image") is None:
        raise ValueError("In this collection pictures are rated or skipped.")
    scale = collection.scale
    within = is_number(scale.low, scale.high)
    if kind == RATING and (value is None or not within(value)):
        raise ValueError(f"A rating is a number from {scale.low} to {scale.high}.")
    if predicted is not None and not within(predicted):
        raise ValueError(f"A predicted score is a number from {scale.low} to {scale.high}.")
    rating = round(float(value), _DECIMALS) if kind == RATING and value is not None else None
    return {"kind": kind, "value": rating, "predicted": predicted}


def _check_choice(raw: Mapping[str, Any], collection: Collection, pictures: set[int]) -> dict[str, Any]:
    kind, trial, shown, choices = raw.get("kind"), raw.get("trial"), raw.get("shown"), collection.choices
    if kind not in (CHOICE, TIE, SKIP):
        raise ValueError("In this collection one picture is chosen, or none.")
    if not isinstance(trial, str) or not _NAME.fullmatch(trial):
        raise ValueError("A comparison has a name of 1 to 36 letters, digits and hyphens.")
    if (
        not isinstance(shown, list)
        or not all(map(_is_key, shown))
        or not len(shown) == len(pictures & set(shown)) == choices
    ):
        raise ValueError(f"A comparison is among {choices} different pictures of the collection.")
    if (raw.get("image") in shown) != (kind == CHOICE):
        raise ValueError("The picture chosen is one of those shown.")
    return {"kind": kind, "trial": trial, "shown": shown}
