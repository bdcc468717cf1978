"""Where what raters did is written: all that comes while one transaction is written goes into the next."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import func, select, tuple_
from sqlalchemy.orm import Session

from nimakit.errors import StorageError
from nimakit.web.db.database import Database
from nimakit.web.db.tables import FIRST, Choice, Rating
from nimakit.web.rating.validation import Batch, Outcome, record

_MOST_EVENTS = 1000
"""Events a transaction takes, unless one batch has more: a statement takes only so many values."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What is on the disk of a batch.

    Attributes:
        outcome: Which of its events were taken in.
        done: Pictures, or comparisons, the rater has done in the collection.
    """

    outcome: Outcome
    done: int


@dataclass(eq=False, slots=True)
class _Job:
    """A batch that waits; whoever brought it is woken when it is written, or when it is theirs to write."""

    batch: Batch
    woken: threading.Event = field(default_factory=threading.Event)
    taken: Taken | None = None
    error: Exception | None = None


class Intake:
    """Writes what raters did.

    A commit waits for the disk, and SQLite has one writer: were each batch a transaction of its own, fifty
    raters would wait for each other. Whoever comes while nobody writes does so, for all that wait; who comes
    meanwhile waits, and the first of these writes next.

    Args:
        database: Where to.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._guard = threading.Lock()
        self._waiting: list[_Job] = []
        self._is_writing = False

    def take(self, batch: Batch) -> Taken:
        """Write a batch; once this returns it is on the disk.

        Raises:
            StorageError: The database cannot be written; nothing of the batch is kept.
        """
        job = _Job(batch)
        with self._guard:
            self._waiting.append(job)
            writes, self._is_writing = not self._is_writing, True
        if not writes:
            job.woken.wait()
        if job.taken is None and job.error is None:
            self._write_waiting()
        if job.error is not None:
            raise job.error
        assert job.taken is not None  # noqa: S101 - for mypy: there is one or the other
        return job.taken

    def _write_waiting(self) -> None:
        """Write what waits, the caller's own among it, and hand over to the first who came meanwhile."""
        with self._guard:
            jobs = self._next()
        try:
            self._write(jobs)
        finally:
            with self._guard:
                self._is_writing = bool(self._waiting)
                if self._waiting:
                    self._waiting[0].woken.set()
            for job in jobs:
                job.woken.set()

    def _next(self) -> list[_Job]:
        jobs, events = [self._waiting.pop(0)], 0
        while self._waiting and events <= _MOST_EVENTS:
            events = sum(len(job.batch.events) for job in jobs) + len(self._waiting[0].batch.events)
            if events <= _MOST_EVENTS:
                jobs.append(self._waiting.pop(0))
        return jobs

    def _write(self, jobs: Sequence[_Job]) -> None:
        try:
            with self._database.write() as session:
                taken = _record(session, [job.batch for job in jobs])
        except StorageError as error:
            # It would be as full, or as far away, for each alone, and each would wait for it to say so.
            for job in jobs:
                job.error = error
            return
        except Exception as error:  # noqa: BLE001 - each hears what became of its own
            if len(jobs) == 1:
                jobs[0].error = error
                return
            for job in jobs:
                self._write([job])
            return
        for job, one in zip(jobs, taken, strict=True):
            job.taken = one


def _record(session: Session, batches: Sequence[Batch]) -> list[Taken]:
    outcomes, done = record(session, batches), _done(session, batches)
    return [
        Taken(outcome, done.get((batch.collection.id, batch.rater.id), 0))
        for batch, outcome in zip(batches, outcomes, strict=True)
    ]


def _done(session: Session, batches: Sequence[Batch]) -> dict[tuple[int, int], int]:
    """How much each rater has done, by collection and rater."""
    counts: dict[tuple[int, int], int] = {}
    for table in (Rating, Choice):
        named = {
            (batch.collection.id, batch.rater.id)
            for batch in batches
            if (batch.collection.experiment == "preference") == (table is Choice)
        }
        if named:
            keys = (table.collection_id, table.rater_id)
            rows = session.execute(
                select(*keys, func.count())
                .where(tuple_(*keys).in_(named), table.round == FIRST)
                .group_by(*keys)
            )
            counts.update({(collection, rater): count for collection, rater, count in rows})
    return counts
