"""A queue that writes many raters' events in one transaction (group commit)."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import Select, bindparam, func, select, tuple_
from sqlalchemy.orm import Session

from nimakit.errors import StorageError
from nimakit.web.db.database import Database
from nimakit.web.db.tables import FIRST, Choice, Rating, table_of
from nimakit.web.rating.validation import Batch, Outcome, record

_MOST_EVENTS = 1000
"""Most events per transaction, unless one batch has more: a statement has a limited number of parameters."""


@dataclass(frozen=True, slots=True)
class Written:
    """The result of a batch that is on disk.

    Attributes:
        outcome: Which of its events were accepted.
        done: Number of pictures, or comparisons, the rater has done in the collection.
    """

    outcome: Outcome
    done: int


@dataclass(eq=False, slots=True)
class _Job:
    """A waiting batch. `woken` is set when it is written, or when its thread must write next."""

    batch: Batch
    woken: threading.Event = field(default_factory=threading.Event)
    written: Written | None = None
    error: Exception | None = None


class WriteQueue:
    """Writes events from raters to the database.

    A commit waits for the disk, and SQLite has one writer: with a transaction per batch, fifty raters would
    wait for each other. The first thread to arrive writes all waiting batches in one transaction; threads
    that arrive meanwhile wait, and the first of them writes next.

    Args:
        database: The database to write to.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._guard = threading.Lock()
        self._waiting: list[_Job] = []
        self._is_writing = False

    def write(self, batch: Batch) -> Written:
        """Write a batch and return once it is on disk.

        Raises:
            StorageError: The database cannot be written; nothing of the batch is stored.
        """
        job = _Job(batch)
        with self._guard:
            self._waiting.append(job)
            writes, self._is_writing = not self._is_writing, True
        if not writes:
            job.woken.wait()
        if job.written is None and job.error is None:
            self._write_waiting()
        if job.error is not None:
            raise job.error
        assert job.written is not None  # noqa: S101 - for mypy: either is set
        return job.written

    def _write_waiting(self) -> None:
        """Write the waiting batches, the caller's among them, then wake the first that arrived meanwhile."""
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
        jobs = [self._waiting.pop(0)]
        events = len(jobs[0].batch.events)
        while self._waiting and (events := events + len(self._waiting[0].batch.events)) <= _MOST_EVENTS:
            jobs.append(self._waiting.pop(0))
        return jobs

    def _write(self, jobs: Sequence[_Job]) -> None:
        try:
            with self._database.write() as session:
                results = _record(session, [job.batch for job in jobs])
            for job, written in zip(jobs, results, strict=True):
                job.written = written
        except Exception as error:  # noqa: BLE001 - raised again in the threads of the batches
            # A database that is full or away would fail again for each batch, after a timeout each.
            if len(jobs) == 1 or isinstance(error, StorageError):
                for job in jobs:
                    job.error = error
                return
            for job in jobs:
                self._write([job])


def _record(session: Session, batches: Sequence[Batch]) -> list[Written]:
    outcomes, done = record(session, batches), _done(session, batches)
    return [
        Written(outcome, done.get((batch.collection.id, batch.rater.id), 0))
        for batch, outcome in zip(batches, outcomes, strict=True)
    ]


def _done(session: Session, batches: Sequence[Batch]) -> dict[tuple[int, int], int]:
    """(collection id, rater id) -> number of pictures or comparisons done."""
    counts: dict[tuple[int, int], int] = {}
    for table in (Rating, Choice):
        named = {
            (batch.collection.id, batch.rater.id)
            for batch in batches
            if batch.collection.response_table is table
        }
        if named:
            rows = session.connection().execute(_DONE[table], {"named": list(named)})
            counts.update({(collection, rater): count for collection, rater, count in rows})
    return counts


def _counting(table: type[Rating | Choice]) -> Select[int, int, int]:
    columns = table_of(table).c
    keys = (columns.collection_id, columns.rater_id)
    named = tuple_(*keys).in_(bindparam("named", expanding=True))
    return select(*keys, func.count()).where(named, columns.round == FIRST).group_by(*keys)


_DONE = {table: _counting(table) for table in (Rating, Choice)}
"""Table -> statement that counts what each rater has done in a collection; built once."""
