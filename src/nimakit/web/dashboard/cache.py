"""Statistics of collections, computed in the background and cached until their ratings change."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from nimakit.web.dashboard.exclusions import Exclusions, exclusions_of
from nimakit.web.dashboard.statistics import (
    ComparisonStatistics,
    RatingStatistics,
    comparison_statistics,
    rating_statistics,
)
from nimakit.web.db.database import Database
from nimakit.web.db.tables import Collection, Erasure, Event, Membership, now

_MAX_WAIT = 1.5
"""Seconds a page waits."""
_MAX_CACHED = 4
"""Collections whose statistics stay in memory: 20 MB each at 100,000 pictures."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """Statistics of a collection at one moment.

    Attributes:
        ratings: Where pictures are rated; None where there are no ratings yet.
        comparisons: Where pictures are compared; None where there are no comparisons yet.
        at: When they were computed.
        exclusions: Who is excluded, and what that changes; None if nobody is.
    """

    ratings: RatingStatistics | None
    comparisons: ComparisonStatistics | None
    at: datetime
    exclusions: Exclusions | None = None


@dataclass(slots=True)
class _Entry:
    """The latest computation for a collection, and the last one before it that succeeded."""

    state: tuple[Any, ...] = ()
    result: Future[Statistics] | None = None
    previous: Statistics | None = None


class StatisticsCache:
    """The statistics of each collection, computed in a separate thread.

    Args:
        database: The database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="nimakit-rate-statistics")
        self._entries = lru_cache(_MAX_CACHED)(lambda _collection_id: _Entry())
        self._lock = threading.Lock()

    def of(
        self, session: Session, collection: Collection, *, patience: float | None = None
    ) -> tuple[Statistics | None, bool]:
        """The statistics of a collection.

        Args:
            session: From `Database.read`.
            collection: The collection.
            patience: Seconds to wait for them; None for as long as a page can wait.

        Returns:
            The latest available statistics, or None; and whether they are current. If not, the current ones
            are being computed.

        Raises:
            StorageError: The database cannot be read.
        """
        state = _state(session, collection)
        with self._lock:
            entry = self._entries(collection.id)
            result = entry.result
            if result is None or (result.done() and (entry.state != state or result.exception())):
                if result and not result.exception():
                    entry.previous = result.result()
                entry.state = state
                entry.result = result = self._pool.submit(self._compute, collection)
            known, previous = entry.state, entry.previous
        wait([result], _MAX_WAIT if patience is None else patience)
        return (result.result(), known == state) if result.done() else (previous, False)

    def _compute(self, collection: Collection) -> Statistics:
        with self._database.read() as session:
            if collection.compares:
                comparisons = comparison_statistics(session, collection)
                excluded = exclusions_of(session, collection, comparisons)
                return Statistics(None, comparisons, now(), excluded)
            ratings = rating_statistics(session, collection)
            return Statistics(ratings, None, now(), exclusions_of(session, collection, ratings))


def _state(session: Session, collection: Collection) -> tuple[Any, ...]:
    """A value that changes whenever the statistics may change.

    Events are never changed, and those of an erased rater, whose numbers may be given again, leave a note.
    """
    number, last = session.execute(
        select(func.count(), func.max(Event.id)).where(Event.collection_id == collection.id)
    ).one()
    erasures = session.scalar(
        select(func.count()).select_from(Erasure).where(Erasure.collection_id == collection.id)
    )
    excluded = session.scalars(
        select(Membership.rater_id)
        .where(Membership.collection_id == collection.id, Membership.excluded)
        .order_by(Membership.rater_id)
    ).all()
    return number, last, erasures, *excluded, collection.experiment, collection.low, collection.high
