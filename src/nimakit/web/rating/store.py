"""What raters did: kept for good, and made into what holds now."""

import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Generic, TypeVar, cast

from sqlalchemy import Table, bindparam, insert, select, tuple_, update
from sqlalchemy.orm import Session

from nimakit.web.db.tables import (
    BY_ADMIN,
    CORRECTION,
    FIRST,
    SKIP,
    TIE,
    Choice,
    Event,
    Image,
    Rater,
    Rating,
    now,
)

What = TypeVar("What")

_SUMS = ("count", "total", "squares")


@dataclass(frozen=True, kw_only=True, slots=True)
class Act:
    """Something a rater did: what a row of `Event` holds, whose attributes these are.

    Attributes:
        replaces: Client id of what the same browser said of it before, where it did; not kept.
    """

    client_id: str
    collection_id: int
    rater_id: int
    kind: str
    image_id: int | None = None
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


_FIELDS = tuple(field.name for field in fields(Act) if field.name != "replaces")


def correction(by: Rater, **said: Any) -> Act:
    """What somebody says on a page in place of what was said, now; of another's rating the admin says it.

    Args:
        by: Who says it.
        said: Attributes of the act, ``rater_id`` among them.
    """
    at = now()
    source = CORRECTION if said["rater_id"] == by.id else BY_ADMIN
    return Act(client_id=uuid.uuid4().hex, occurred_at=at, received_at=at, source=source, **said)


def apply_acts(session: Session, acts: Sequence[Act]) -> None:
    """Keep what raters did, and let each take the place of what they did before about the same thing.

    Args:
        session: From `Database.write`, after `lock_raters`.
        acts: In the order they arrived; no client id twice for a rater.
    """
    if not acts:
        return
    session.execute(insert(Event), [{name: getattr(act, name) for name in _FIELDS} for act in acts])
    wanted = select(Event.rater_id, Event.client_id, Event.id).where(
        Event.rater_id.in_({act.rater_id for act in acts}),
        Event.client_id.in_([act.client_id for act in acts]),
    )
    keys = {(rater, client): key for rater, client, key in session.execute(wanted)}
    events = [(keys[act.rater_id, act.client_id], act) for act in acts]
    sums = _Sums()
    _apply_ratings(session, [(key, act) for key, act in events if act.trial is None], sums)
    _apply_choices(session, [(key, act) for key, act in events if act.trial is not None], sums)
    sums.write(session)


class _Sums:
    """Changes to the pictures' counts, totals and squares, carried over in one go.

    Writers do so in the order of the pictures, so that no two ever wait for each other.
    """

    def __init__(self) -> None:
        self._changes: dict[int, list[float]] = defaultdict(lambda: [0, 0.0, 0.0])

    def replace(self, image: int, before: float | None, after: float | None) -> None:
        """Take one person's value of a picture out, and another in; None for none."""
        change = self._changes[image]
        change[0] += (after is not None) - (before is not None)
        change[1] += (after or 0.0) - (before or 0.0)
        change[2] += (after or 0.0) ** 2 - (before or 0.0) ** 2

    def write(self, session: Session) -> None:
        """Carry the changes over."""
        if not self._changes:
            return
        images = cast("Table", Image.__table__)
        more = {name: images.c[name] + bindparam(f"more_{name}") for name in _SUMS}
        session.connection().execute(
            update(images).where(images.c.id == bindparam("image")).values(more),
            [
                {"image": image, **{f"more_{name}": by for name, by in zip(_SUMS, change, strict=True)}}
                for image, change in sorted(self._changes.items())
            ],
        )


@dataclass(frozen=True, slots=True)
class _Held(Generic[What]):
    """What holds before an act.

    Attributes:
        what: What counts for the pictures.
        at: Since when.
        event: Row of the event that said so; None where nothing was said yet.
    """

    what: What
    at: datetime
    event: int | None


def _was_overtaken(session: Session, act: Act, held: _Held[Any]) -> bool:
    """Whether something later holds: the act waited for a network while the rater went on elsewhere.

    When something happened is told from when it arrived, later by as long as it was on its way. What a
    browser says of a picture again is after what it said first, however long the two took.
    """
    if held.at <= act.occurred_at:
        return False
    if act.replaces is None:
        return True
    return session.scalar(select(Event.client_id).where(Event.id == held.event)) != act.replaces


def _apply_ratings(session: Session, events: Sequence[tuple[int, Act]], sums: _Sums) -> None:
    keys = {(act.image_id, act.rater_id, act.round) for _, act in events}
    if not keys:
        return
    name_columns = (Rating.image_id, Rating.rater_id, Rating.round)
    wanted = select(*name_columns, Rating.value, Rating.occurred_at, Rating.event_id)
    holds = {
        (image, rater, turn): _Held(value, at, event)
        for image, rater, turn, value, at, event in session.execute(
            wanted.where(tuple_(*name_columns).in_(keys))
        )
    }
    old, latest = set(holds), {}
    for key, act in events:
        name = (cast("int", act.image_id), act.rater_id, act.round)
        before = holds.get(name, _Held(None, act.occurred_at, None))
        if _was_overtaken(session, act, before):
            continue
        holds[name] = _Held(act.value, max(act.occurred_at, before.at), key)
        latest[name] = {
            **dict(zip(("image_id", "rater_id", "round"), name, strict=True)),
            "collection_id": act.collection_id,
            "value": act.value,
            "predicted": act.predicted,
            "event_id": key,
            "occurred_at": holds[name].at,
        }
        if act.round == FIRST:
            sums.replace(name[0], before.what, act.value)
    _write(session, Rating, latest, old)


def _apply_choices(session: Session, events: Sequence[tuple[int, Act]], sums: _Sums) -> None:
    keys = {(act.rater_id, act.trial) for _, act in events}
    if not keys:
        return
    named = tuple_(Choice.rater_id, Choice.trial).in_(keys)
    holds = {
        (one.rater_id, one.trial): _Held(_won(one.kind, one.shown, one.chosen), one.occurred_at, one.event_id)
        for one in session.scalars(select(Choice).where(named))
    }
    old, latest = set(holds), {}
    for key, act in events:
        name = (act.rater_id, act.trial or "")
        before = holds.get(name, _Held(dict[int, float](), act.occurred_at, None))
        if _was_overtaken(session, act, before):
            continue
        after = _won(act.kind, act.shown or (), act.image_id)
        holds[name] = _Held(after, max(act.occurred_at, before.at), key)
        latest[name] = {
            **dict(zip(("rater_id", "trial"), name, strict=True)),
            "collection_id": act.collection_id,
            "round": act.round,
            "kind": act.kind,
            "shown": act.shown,
            "chosen": act.image_id,
            "event_id": key,
            "occurred_at": holds[name].at,
        }
        if act.round == FIRST:
            for image in before.what.keys() | after.keys():
                sums.replace(image, before.what.get(image), after.get(image))
    _write(session, Choice, latest, old)


def _write(
    session: Session, table: type[Rating | Choice], rows: Mapping[Any, dict[str, Any]], old: Set[Any]
) -> None:
    """Add rows, or put them in the place of those of the same key."""
    new = [row for key, row in rows.items() if key not in old]
    changed = [row for key, row in rows.items() if key in old]
    if new:
        session.execute(insert(table), new)
    if changed:
        session.execute(update(table), changed)


def _won(kind: str, shown: Sequence[int], chosen: int | None) -> dict[int, float]:
    """What each picture of a comparison won: 1 in all, shared in a tie; nothing counts when skipped."""
    if kind == SKIP:
        return {}
    return {image: 1 / len(shown) if kind == TIE else float(image == chosen) for image in shown}
