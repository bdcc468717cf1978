"""What the checks and the answers of each rater say about how carefully they rate, read and cached."""

import threading
from collections import defaultdict
from functools import lru_cache
from typing import Any

from sqlalchemy import Select, case, func, select
from sqlalchemy.orm import Session

from nimakit.web.db.tables import (
    FIRST,
    SKIP,
    Attention,
    Choice,
    Collection,
    Erasure,
    Event,
    Gold,
    Rating,
)
from nimakit.web.study.judging import Judged, judge_choices, judge_ratings

_MAX_CACHED = 4
"""Collections whose evidence stays in memory: 10 MB each at 100,000 answers."""


class EvidenceCache:
    """What is known about the raters of each collection, computed once until their answers change."""

    def __init__(self) -> None:
        self._entries = lru_cache(_MAX_CACHED)(lambda _collection_id: _Entry())
        self._lock = threading.Lock()

    def of(self, session: Session, collection: Collection) -> Judged:
        """What is known about the raters of a collection; not to be changed.

        Args:
            session: From `Database.read`.
            collection: A collection whose pictures are rated or compared.
        """
        state = state_of(session, collection)
        with self._lock:
            entry = self._entries(collection.id)
        with entry.lock:  # other requests for the same wait for it
            if entry.judged is None or entry.state != state:
                entry.judged, entry.state = evidence_of(session, collection), state
            return entry.judged


class _Entry:
    """The latest evidence of a collection."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.state: Any = None
        self.judged: Judged | None = None


def state_of(session: Session, collection: Collection) -> Any:
    """A value that changes with the answers, the gold pictures and the scale of a collection."""
    events = select(func.count(), func.max(Event.id)).where(Event.collection_id == collection.id)
    erasures = select(func.count()).where(Erasure.collection_id == collection.id)
    return (
        *session.execute(events).one(),
        session.scalar(erasures),
        *map(tuple, session.execute(_gold(collection))),
        *(collection.experiment, collection.low, collection.high, collection.choices),
    )


def evidence_of(session: Session, collection: Collection) -> Judged:
    """What is known about the raters of a collection.

    Args:
        session: From `Database.read`.
        collection: A collection whose pictures are rated or compared.
    """
    attention: defaultdict[int, list[bool]] = defaultdict(list)
    checks = select(Attention.rater_id, Attention.passed).where(Attention.collection_id == collection.id)
    for rater, passed in session.execute(checks):
        attention[rater].append(passed)
    gold = session.execute(_gold(collection)).all()
    if collection.compares:
        better = {image: worse for image, _, _, worse in gold if worse is not None}
        choices = session.execute(
            select(Choice.rater_id, Choice.kind, Choice.shown, Choice.chosen, Choice.worst, _looked())
            .join(Event, Event.id == Choice.event_id)
            .where(Choice.collection_id == collection.id, Choice.round == FIRST, Choice.kind != SKIP)
            .order_by(Choice.occurred_at)
        )
        return judge_choices((tuple(row) for row in choices), better, collection.choices, attention)
    ratings = session.execute(
        select(Rating.rater_id, Rating.image_id, Rating.round, Rating.value, _looked())
        .join(Event, Event.id == Rating.event_id)
        .where(Rating.collection_id == collection.id, Rating.value.is_not(None))
        .order_by(Rating.round, Rating.occurred_at)
    )
    ranges = {image: (low, high) for image, low, high, _ in gold if low is not None and high is not None}
    return judge_ratings((tuple(row) for row in ratings), ranges, collection.scale.values, attention)


def _gold(collection: Collection) -> Select[int, float | None, float | None, int | None]:
    """Picture, lowest and highest right rating, and picture to win against, of the gold pictures that fit."""
    return (
        select(Gold.image_id, Gold.low, Gold.high, Gold.worse_id)
        .where(Gold.collection_id == collection.id, Gold.worse_id.is_not(None) == collection.compares)
        .order_by(Gold.image_id)
    )


def _looked() -> Any:
    """How long a rater looked, where it was measured and the answer was not corrected on a page."""
    return case((Event.source == "app", Event.elapsed_ms), else_=None).label("elapsed_ms")
