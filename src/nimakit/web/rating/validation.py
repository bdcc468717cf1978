"""Checks the events that browsers send, and stores each of them once."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from nimakit.io.rules import is_integer, is_number
from nimakit.web.db.queries import lock_raters
from nimakit.web.db.tables import (
    BEST_WORST,
    CHECK,
    CHOICE,
    CULL,
    FIRST,
    FLAGS,
    LARGEST_KEY,
    RATING,
    REPEAT,
    SKIP,
    TIE,
    Choice,
    Collection,
    Event,
    Image,
    Rater,
    Rating,
    now,
    table_of,
)
from nimakit.web.languages import lazy_gettext
from nimakit.web.rating.checks import MOST_CHECKS, wanted_answer
from nimakit.web.rating.limits import Key, Limits, limits_of
from nimakit.web.rating.store import NewEvent, store_events

MOST_EVENTS = 200
"""Most events in a request."""

# Built once, for the tables themselves: every rating comes here, and building statements and mapping rows to
# classes cost more than the database's work.
_EVENTS, _IMAGES = table_of(Event), table_of(Image)
_STORED = select(_EVENTS.c.rater_id, _EVENTS.c.client_id).where(
    _EVENTS.c.rater_id.in_(bindparam("raters", expanding=True)),
    _EVENTS.c.client_id.in_(bindparam("names", expanding=True)),
)
_PICTURES = select(_IMAGES.c.id, _IMAGES.c.collection_id, _IMAGES.c.path).where(
    _IMAGES.c.id.in_(bindparam("images", expanding=True))
)

_NAME = re.compile(r"[A-Za-z0-9-]{1,36}")
_is_key = is_integer(1, LARGEST_KEY)
_LONGEST_WAIT = timedelta(days=30)
_LONGEST_LOOK_MS = 3_600_000
_DECIMALS = 2


@dataclass(frozen=True, slots=True)
class Batch:
    """Events of one rater, as a browser sends them.

    Attributes:
        collection: The collection they belong to.
        rater: The rater.
        in_study: Whether the limits of a study hold for them.
        events: Objects with ``id`` (chosen by the browser: letters, digits and hyphens), ``kind``, ``image``
            or ``trial``, ``shown`` and ``worst``, ``value``, ``predicted``, ``round``, ``check`` (number of
            an attention check, whose ``value`` may be null), ``age_ms`` (how long ago it happened),
            ``elapsed_ms`` (how long the rater looked) and ``replaces`` (id of this browser's earlier event
            that it replaces).
    """

    collection: Collection
    rater: Rater
    events: Sequence[Any]
    in_study: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """Which events of a batch were accepted.

    Attributes:
        accepted: Ids of the events that are stored, also those stored before.
        refused: Id and reason of each event that breaks a rule; a reason is translated once it is shown,
            because another rater's thread may store the event.
    """

    accepted: list[str] = field(default_factory=list)
    refused: list[tuple[str, Any]] = field(default_factory=list)


def record(session: Session, batches: Sequence[Batch]) -> list[Outcome]:
    """Check and store events. Acknowledge them only after the session is committed.

    Args:
        session: From `Database.write`.
        batches: In the order they arrived, from any raters and about any collections.

    Returns:
        The outcome of each batch.
    """
    lock_raters(session, {batch.rater.id for batch in batches})
    known, named, received = _known(session, batches), _pictures(session, batches), now()
    limits, outcomes, new = _limits(session, batches), [], list[NewEvent]()
    for batch in batches:
        limit = limits.get((batch.rater.id, batch.collection.id))
        explained = () if limit is None else limit.explained
        pictures = {
            image
            for image, collection, path in named
            if collection == batch.collection.id and path not in explained
        }
        outcomes.append(_check(batch, known, new, pictures=pictures, received_at=received, limits=limit))
    store_events(session, new)
    return outcomes


def _limits(session: Session, batches: Sequence[Batch]) -> dict[Key, Limits]:
    """The limits of the raters who take part in a study."""
    found: dict[Key, Limits] = {}
    for table in (Rating, Choice):
        named = {
            (batch.rater.id, batch.collection.id)
            for batch in batches
            if batch.in_study and batch.collection.response_table is table
        }
        if named:
            found |= limits_of(session, table, named)
    return found


def _check(
    batch: Batch,
    known: set[tuple[int, str]],
    new: list[NewEvent],
    *,
    pictures: set[int],
    received_at: datetime,
    limits: Limits | None,
) -> Outcome:
    """The outcome of a batch; its events that are not known yet, and are admitted, are appended to `new`."""
    outcome, rater = Outcome(), batch.rater.id
    for raw in batch.events:
        key = raw.get("id") if isinstance(raw, Mapping) else None
        text = key[:36] if isinstance(key, str) else ""
        try:
            if key != text or not _NAME.fullmatch(text):
                raise ValueError(lazy_gettext("An event's id must be 1 to 36 letters, digits and hyphens."))
            if (rater, text) not in known:
                event = _parse(raw, batch, pictures, client_id=text, received_at=received_at)
                if limits is not None:
                    limits.admit(event)
                new.append(event)
                known.add((rater, text))
            outcome.accepted.append(text)
        except ValueError as error:
            outcome.refused.append((text, error.args[0]))
    return outcome


def _known(session: Session, batches: Sequence[Batch]) -> set[tuple[int, str]]:
    """(rater id, event id) of the events that were stored before."""
    keys = (event.get("id") for batch in batches for event in batch.events if isinstance(event, Mapping))
    wanted = {
        "raters": list({batch.rater.id for batch in batches}),
        "names": list({key for key in keys if isinstance(key, str) and _NAME.fullmatch(key)}),
    }
    return {(rater, key) for rater, key in session.connection().execute(_STORED, wanted)}


def _pictures(session: Session, batches: Sequence[Batch]) -> Sequence[Any]:
    """Id, collection id and path of the pictures that the events name."""
    named: set[int] = set()
    for event in (event for batch in batches for event in batch.events):
        if isinstance(event, Mapping):
            shown = event.get("shown")
            candidates = [event.get("image"), event.get("worst"), *(shown if isinstance(shown, list) else ())]
            named.update(filter(_is_key, candidates))
    return session.connection().execute(_PICTURES, {"images": list(named)}).all()


def _parse(
    raw: Mapping[str, Any], batch: Batch, pictures: set[int], *, client_id: str, received_at: datetime
) -> NewEvent:
    """Check an event.

    Raises:
        ValueError: It breaks a rule; the message is for the rater.
    """
    image = raw.get("image")
    age, elapsed, turn = raw.get("age_ms", 0), raw.get("elapsed_ms"), raw.get("round", FIRST)
    replaces = raw.get("replaces")
    if replaces is not None and not (isinstance(replaces, str) and _NAME.fullmatch(replaces)):
        raise ValueError(lazy_gettext("replaces must be the id of an event."))
    if not is_number(0)(age) or not (elapsed is None or is_number(0)(elapsed)):
        raise ValueError(lazy_gettext("Times must be in milliseconds, 0 or more."))
    if not is_integer(FIRST, REPEAT)(turn):
        raise ValueError(lazy_gettext("The round must be %(one)s or %(other)s.", one=FIRST, other=REPEAT))
    if image is not None and not (_is_key(image) and image in pictures):
        raise ValueError(lazy_gettext("This picture is not part of the collection."))
    collection = batch.collection
    checks = {"preference": _check_choice, BEST_WORST: _check_best_worst, CULL: _check_mark}
    check = checks.get(collection.experiment, _check_rating)
    return NewEvent(
        client_id=client_id,
        collection_id=collection.id,
        rater_id=batch.rater.id,
        image_id=image,
        round=turn,
        occurred_at=received_at - min(timedelta(milliseconds=min(age, 1e12)), _LONGEST_WAIT),
        received_at=received_at,
        elapsed_ms=None if elapsed is None else int(min(elapsed, _LONGEST_LOOK_MS)),
        source="app",
        replaces=replaces,
        **(_check_attention(raw, batch) if raw.get("kind") == CHECK else check(raw, collection, pictures)),
    )


def _check_attention(raw: Mapping[str, Any], batch: Batch) -> dict[str, Any]:
    number, value, collection = raw.get("check"), raw.get("value"), batch.collection
    if not collection.may_have_checks:
        raise ValueError(lazy_gettext("This collection has no attention checks."))
    if number is None or not is_integer(1, MOST_CHECKS)(number):
        raise ValueError(lazy_gettext("An attention check must be from 1 to %(most)s.", most=MOST_CHECKS))
    low, high = (1, collection.choices) if collection.compares else (collection.low, collection.high)
    if value is not None and not is_number(low, high)(value):
        limits = {"low": low, "high": high}
        raise ValueError(lazy_gettext("The answer must be a number from %(low)s to %(high)s.", **limits))
    return {
        "kind": CHECK,
        "value": value,
        "trial": f"check-{number}",
        "wanted": wanted_answer(collection, batch.rater, int(number)),
    }


def _check_rating(raw: Mapping[str, Any], collection: Collection, _pictures: set[int]) -> dict[str, Any]:
    kind, value, predicted = raw.get("kind"), raw.get("value"), raw.get("predicted")
    if kind not in (RATING, SKIP) or raw.get("image") is None:
        raise ValueError(lazy_gettext("Events of this collection must rate or skip a picture."))
    scale = collection.scale
    within, limits = is_number(scale.low, scale.high), {"low": scale.low, "high": scale.high}
    if kind == RATING and (value is None or not within(value)):
        raise ValueError(lazy_gettext("A rating must be a number from %(low)s to %(high)s.", **limits))
    if predicted is not None and not within(predicted):
        raise ValueError(lazy_gettext("A predicted score must be from %(low)s to %(high)s.", **limits))
    rating = round(float(value), _DECIMALS) if kind == RATING and value is not None else None
    return {"kind": kind, "value": rating, "predicted": predicted}


def _check_mark(raw: Mapping[str, Any], collection: Collection, pictures: set[int]) -> dict[str, Any]:
    """Check a flag or stars; a skip takes the stars away."""
    if raw.get("kind") in FLAGS and raw.get("image") is not None:
        return {"kind": raw["kind"]}
    values = _check_rating(raw, collection, pictures)
    if values["value"] is not None and values["value"] % 1:
        limits = {"low": collection.low, "high": collection.high}
        raise ValueError(lazy_gettext("Stars must be a whole number from %(low)s to %(high)s.", **limits))
    return values


def _check_choice(raw: Mapping[str, Any], collection: Collection, pictures: set[int]) -> dict[str, Any]:
    kind, trial, shown, choices = raw.get("kind"), raw.get("trial"), raw.get("shown"), collection.choices
    if kind not in (CHOICE, TIE, SKIP):
        raise ValueError(lazy_gettext("Events of this collection must choose a picture, or none."))
    if not isinstance(trial, str) or not _NAME.fullmatch(trial):
        raise ValueError(lazy_gettext("The trial must be 1 to 36 letters, digits and hyphens."))
    if (
        not isinstance(shown, list)
        or not all(map(_is_key, shown))
        or not len(shown) == len(pictures & set(shown)) == choices
    ):
        raise ValueError(lazy_gettext("%(count)s different pictures must be shown.", count=choices))
    if (raw.get("image") in shown) != (kind == CHOICE):
        raise ValueError(lazy_gettext("The chosen picture must be one of those shown."))
    return {"kind": kind, "trial": trial, "shown": shown}


def _check_best_worst(raw: Mapping[str, Any], collection: Collection, pictures: set[int]) -> dict[str, Any]:
    if raw.get("kind") not in (CHOICE, SKIP):
        raise ValueError(lazy_gettext("An answer must choose the best and the worst picture, or skip."))
    values, worst = _check_choice(raw, collection, pictures), raw.get("worst")
    if raw["kind"] == SKIP and worst is None:
        return values
    if raw["kind"] == SKIP or not _is_key(worst) or worst not in values["shown"] or worst == raw["image"]:
        raise ValueError(lazy_gettext("The worst picture must be one of those shown, and not the best one."))
    return {**values, "worst_id": worst}
