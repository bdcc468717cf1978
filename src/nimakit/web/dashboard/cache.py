"""Figures on collections, computed once for each state they are in, and never longer than a page can wait."""

import threading
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from nimakit.web.dashboard.statistics import (
    ComparisonStatistics,
    RatingStatistics,
    comparison_statistics,
    rating_statistics,
)
from nimakit.web.db.database import Database
from nimakit.web.db.tables import Collection, Event, Membership, now

_PATIENCE = 1.5
"""Seconds a page waits."""
_MOST_KEPT = 4
"""Collections whose figures are kept: those of 100,000 pictures are 20 MB."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """Figures of one moment; None where there was nothing to compute them of.

    Attributes:
        ratings: Where pictures are rated.
        choices: Where they are compared.
        at: When they were computed.
    """

    ratings: RatingStatistics | None
    choices: ComparisonStatistics | None
    at: datetime


@dataclass(frozen=True, slots=True)
class _Work:
    state: tuple[Any, ...]
    result: "Future[Statistics]"
    before: Statistics | None


class StatisticsCache:
    """The figures of each collection, computed in a thread of its own.

    Args:
        database: Where ratings are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="nimakit-rate-figures")
        self._kept: OrderedDict[int, _Work] = OrderedDict()
        self._lock = threading.Lock()

    def of(
        self, session: Session, collection: Collection, *, patience: float | None = None
    ) -> tuple[Statistics | None, bool]:
        """A collection's figures.

        Args:
            session: From `Database.read`.
            collection: Whose.
            patience: Seconds to wait for them; None for as long as a page can.

        Returns:
            The latest there are, or None; and whether they are of now. Where they are not, those of now are
            being computed.

        Raises:
            StorageError: The database cannot be read.
        """
        state = _state(session, collection)
        with self._lock:
            work = self._kept.get(collection.id)
            if work is None or (work.result.done() and (work.state != state or work.result.exception())):
                work = _Work(state, self._pool.submit(self._analyse, collection), _latest(work))
                self._kept[collection.id] = work
            self._kept.move_to_end(collection.id)
            while len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)
        wait([work.result], _PATIENCE if patience is None else patience)
        if not work.result.done():
            return work.before, False
        return work.result.result(), work.state == state

    def _analyse(self, collection: Collection) -> Statistics:
        with self._database.read() as session:
            if collection.experiment == "preference":
                return Statistics(None, comparison_statistics(session, collection), now())
            return Statistics(rating_statistics(session, collection), None, now())


def _latest(work: _Work | None) -> Statistics | None:
    if work is None:
        return None
    return work.before if work.result.exception() else work.result.result()


def _state(session: Session, collection: Collection) -> tuple[Any, ...]:
    """What figures follow from: they are the same while this is. Events are only ever added."""
    number, last = session.execute(
        select(func.count(), func.max(Event.id)).where(Event.collection_id == collection.id)
    ).one()
    excluded = session.scalars(
        select(Membership.rater_id)
        .where(Membership.collection_id == collection.id, Membership.excluded)
        .order_by(Membership.rater_id)
    ).all()
    return number, last, *excluded, collection.experiment, collection.low, collection.high
