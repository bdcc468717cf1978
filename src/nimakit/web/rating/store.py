"""Store events, and update the current ratings, choices and flags, and each picture's totals."""

import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Generic, TypeVar, cast

from sqlalchemy import bindparam, insert, select, tuple_, update
from sqlalchemy.orm import Session

from nimakit.web.db.outcomes import shares
from nimakit.web.db.tables import (
    BY_ADMIN,
    CHECK,
    CORRECTION,
    FIRST,
    FLAGS,
    Attention,
    Choice,
    Event,
    Flag,
    Image,
    Rater,
    Rating,
    now,
    table_of,
)
from nimakit.web.rating.checks import passes

Value = TypeVar("Value")

_SUMS = ("count", "total", "squares")


@dataclass(frozen=True, kw_only=True, slots=True)
class NewEvent:
    """An event to store, with the attributes of `Event`.

    Attributes:
        replaces: Client id of the event of the same browser that this one replaces, if any; not stored.
        wanted: What an attention check asked for; stored with the answer.
    """

    client_id: str
    collection_id: int
    rater_id: int
    kind: str
    image_id: int | None = None
    worst_id: int | None = None
    value: float | None = None
    predicted: float | None = None
    round: int = FIRST
    trial: str | None = None
    shown: list[int] | None = None
    occurred_at: datetime
    received_at: datetime
    elapsed_ms: int | None = None
    source: str
    replaces: str | None = None
    wanted: int = 0


_FIELDS = tuple(field.name for field in fields(NewEvent) if field.name not in ("replaces", "wanted"))

# Built once, for the tables themselves: every rating comes here, and building statements and mapping rows to
# classes cost more than the database's work.
_EVENTS, _RATINGS, _IMAGES = table_of(Event), table_of(Rating), table_of(Image)
_ADD_EVENTS = insert(_EVENTS).returning(_EVENTS.c.id, sort_by_parameter_order=True)
_RATING_KEYS = (_RATINGS.c.image_id, _RATINGS.c.rater_id, _RATINGS.c.round)
_CURRENT_RATINGS = select(*_RATING_KEYS, _RATINGS.c.value, _RATINGS.c.occurred_at, _RATINGS.c.event_id).where(
    tuple_(*_RATING_KEYS).in_(bindparam("keys", expanding=True))
)
_ADD_SUMS = (
    update(_IMAGES)
    .where(_IMAGES.c.id == bindparam("image"))
    .values({name: _IMAGES.c[name] + bindparam(f"more_{name}") for name in _SUMS})
)


def correction(by: Rater, **values: Any) -> NewEvent:
    """An event that replaces an earlier rating or choice, made now on a page.

    Args:
        by: The rater themselves, or the admin.
        values: Attributes of the event, ``rater_id`` among them.
    """
    at = now()
    source = CORRECTION if values["rater_id"] == by.id else BY_ADMIN
    return NewEvent(client_id=uuid.uuid4().hex, occurred_at=at, received_at=at, source=source, **values)


def store_events(session: Session, events: Sequence[NewEvent]) -> None:
    """Store events; each replaces the rater's earlier events about the same picture or comparison.

    Args:
        session: From `Database.write`, after `lock_raters`.
        events: In the order they arrived; client ids are unique per rater.
    """
    if not events:
        return
    rows = [{name: getattr(new, name) for name in _FIELDS} for new in events]
    keys = session.connection().execute(_ADD_EVENTS, rows).scalars()
    stored = list(zip(keys, events, strict=True))
    sums = Sums()
    _update_flags(session, [(key, new) for key, new in stored if new.kind in FLAGS])
    _update_checks(session, [(key, new) for key, new in stored if new.kind == CHECK])
    others = [(key, new) for key, new in stored if new.kind not in (*FLAGS, CHECK)]
    _update_ratings(session, [(key, new) for key, new in others if new.trial is None], sums)
    _update_choices(session, [(key, new) for key, new in others if new.trial is not None], sums)
    sums.write(session)


class Sums:
    """Changes to the counts, totals and squares of pictures, written in one statement.

    They are written in the order of the pictures, so that concurrent writers never deadlock.
    """

    def __init__(self) -> None:
        self._changes: dict[int, list[float]] = defaultdict(lambda: [0, 0.0, 0.0])

    def replace(self, image: int, before: float | None, after: float | None) -> None:
        """Replace one rater's value of a picture; None for no value."""
        change = self._changes[image]
        change[0] += (after is not None) - (before is not None)
        change[1] += (after or 0.0) - (before or 0.0)
        change[2] += (after or 0.0) ** 2 - (before or 0.0) ** 2

    def write(self, session: Session) -> None:
        """Add the changes to the rows of the pictures."""
        if not self._changes:
            return
        session.connection().execute(
            _ADD_SUMS,
            [
                {"image": image, **{f"more_{name}": by for name, by in zip(_SUMS, change, strict=True)}}
                for image, change in sorted(self._changes.items())
            ],
        )


@dataclass(frozen=True, slots=True)
class _Previous(Generic[Value]):
    """A rater's rating or choice before an event.

    Attributes:
        value: What counts towards the sums of the pictures.
        at: When it was made.
        event: Row id of its event; None if there was none.
    """

    value: Value
    at: datetime
    event: int | None


def _is_outdated(session: Session, new: NewEvent, previous: _Previous[Any]) -> bool:
    """Whether an event is older than the previous one: it waited while the rater continued elsewhere.

    The time of an event is its arrival less its age, and so too late by the time it was on its way. An event
    that replaces the previous one is therefore newer whatever the times say.
    """
    if previous.at <= new.occurred_at:
        return False
    if new.replaces is None:
        return True
    return session.scalar(select(Event.client_id).where(Event.id == previous.event)) != new.replaces


def _update_ratings(session: Session, events: Sequence[tuple[int, NewEvent]], sums: Sums) -> None:
    keys = {(new.image_id, new.rater_id, new.round) for _, new in events}
    if not keys:
        return
    current = {
        (image, rater, turn): _Previous(value, at, event)
        for image, rater, turn, value, at, event in session.connection().execute(
            _CURRENT_RATINGS, {"keys": list(keys)}
        )
    }
    old, changed = set(current), {}
    for key, new in events:
        name = (cast("int", new.image_id), new.rater_id, new.round)
        before = current.get(name, _Previous(None, new.occurred_at, None))
        if _is_outdated(session, new, before):
            continue
        current[name] = _Previous(new.value, max(new.occurred_at, before.at), key)
        changed[name] = {
            **_row(new, key, current[name].at),
            "image_id": new.image_id,
            "value": new.value,
            "predicted": new.predicted,
        }
        if new.round == FIRST:
            sums.replace(name[0], before.value, new.value)
    _write(session, Rating, changed, old)


def _update_choices(session: Session, events: Sequence[tuple[int, NewEvent]], sums: Sums) -> None:
    keys = {(new.rater_id, new.trial) for _, new in events}
    if not keys:
        return
    named = tuple_(Choice.rater_id, Choice.trial).in_(keys)
    current = {
        (row.rater_id, row.trial): _Previous(
            shares(row.kind, row.shown, row.chosen, row.worst), row.occurred_at, row.event_id
        )
        for row in session.scalars(select(Choice).where(named))
    }
    old, changed = set(current), {}
    for key, new in events:
        name = (new.rater_id, new.trial or "")
        before = current.get(name, _Previous(dict[int, float](), new.occurred_at, None))
        if _is_outdated(session, new, before):
            continue
        after = shares(new.kind, new.shown or (), new.image_id, new.worst_id)
        current[name] = _Previous(after, max(new.occurred_at, before.at), key)
        changed[name] = {
            **_row(new, key, current[name].at),
            "trial": new.trial,
            "kind": new.kind,
            "shown": new.shown,
            "chosen": new.image_id,
            "worst": new.worst_id,
        }
        if new.round == FIRST:
            for image in before.value.keys() | after.keys():
                sums.replace(image, before.value.get(image), after.get(image))
    _write(session, Choice, changed, old)


def _update_flags(session: Session, events: Sequence[tuple[int, NewEvent]]) -> None:
    keys = {(new.image_id, new.rater_id) for _, new in events}
    if not keys:
        return
    wanted = select(Flag.image_id, Flag.rater_id, Flag.kind, Flag.occurred_at, Flag.event_id)
    current = {
        (image, rater): _Previous(kind, at, event)
        for image, rater, kind, at, event in session.execute(
            wanted.where(tuple_(Flag.image_id, Flag.rater_id).in_(keys))
        )
    }
    old, changed = set(current), {}
    for key, new in events:
        name = (cast("int", new.image_id), new.rater_id)
        before = current.get(name, _Previous("", new.occurred_at, None))
        if _is_outdated(session, new, before):
            continue
        current[name] = _Previous(new.kind, max(new.occurred_at, before.at), key)
        row = {**_row(new, key, current[name].at), "image_id": new.image_id, "kind": new.kind}
        row.pop("round")
        changed[name] = row
    _write(session, Flag, changed, old)


def _update_checks(session: Session, events: Sequence[tuple[int, NewEvent]]) -> None:
    names = {key: (new.rater_id, new.collection_id, _number(new)) for key, new in events}
    if not names:
        return
    keys = (Attention.rater_id, Attention.collection_id, Attention.number)
    wanted = select(*keys, Attention.given, Attention.occurred_at, Attention.event_id)
    current = {
        tuple(name): _Previous(given, at, event)
        for *name, given, at, event in session.execute(wanted.where(tuple_(*keys).in_(names.values())))
    }
    old, changed = set(current), {}
    for key, new in events:
        name = names[key]
        before = current.get(name, _Previous(None, new.occurred_at, None))
        if _is_outdated(session, new, before):
            continue
        current[name] = _Previous(new.value, max(new.occurred_at, before.at), key)
        row = {**_row(new, key, current[name].at), "number": name[-1], "wanted": new.wanted}
        row.pop("round")
        changed[name] = {**row, "given": new.value, "passed": passes(new.wanted, new.value)}
    _write(session, Attention, changed, old)


def _number(new: NewEvent) -> int:
    """The number of the attention check that an event answers."""
    return int((new.trial or "").removeprefix("check-"))


def _row(new: NewEvent, key: int, at: datetime) -> dict[str, Any]:
    """The columns that `Rating` and `Choice` share; flags and checks have no round."""
    return {
        "collection_id": new.collection_id,
        "rater_id": new.rater_id,
        "round": new.round,
        "event_id": key,
        "occurred_at": at,
    }


def _write(
    session: Session,
    table: type[Rating | Choice | Flag | Attention],
    rows: Mapping[Any, dict[str, Any]],
    old: Set[Any],
) -> None:
    """Insert the rows whose keys are not in `old`, and update the others."""
    new = [row for key, row in rows.items() if key not in old]
    changed = [row for key, row in rows.items() if key in old]
    if new:
        session.connection().execute(insert(table_of(table)), new)
    if changed:
        session.execute(update(table), changed)
