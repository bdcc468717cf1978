"""Background work: scan folders for new pictures, predict scores, learn raters' tastes, and other jobs."""

import os
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from sqlalchemy import select, update

from nimakit.errors import NimakitError
from nimakit.models.engine import Model
from nimakit.progress import say
from nimakit.web.db.database import Database
from nimakit.web.db.queries import is_listed
from nimakit.web.db.tables import Collection
from nimakit.web.pictures.inventory import FolderScan, synchronise
from nimakit.web.predictions.scores import Predictor
from nimakit.web.predictions.tastes import TasteLearner

_SCAN_INTERVAL = 15.0
_FULL_SCAN_INTERVAL = 600.0
"""Seconds between full scans, which find files that changed in place: their folder's time stays the same."""

_NICENESS = 10


Job = Callable[[Collection], bool]
"""Does a part of its work for a collection as currently stored; returns whether there may be more."""

Chore = Callable[[], bool]
"""Does a part of its work, which is about no collection in use; returns whether there may be more."""


class Background(threading.Thread):
    """The background thread of a process; several processes may share a database.

    Args:
        database: The database.
        on_change: Called with a collection's id after pictures were added or removed.
        users_dir: Folder for the raters' taste files.
        predictor: Predicts scores.
        jobs: Further work, after scores and tastes.
        chores: Further work that is about no collection in use.
    """

    def __init__(
        self,
        database: Database,
        on_change: Callable[[int], None],
        users_dir: Path,
        predictor: Predictor,
        *,
        jobs: Sequence[Job] = (),
        chores: Sequence[Chore] = (),
    ) -> None:
        super().__init__(name="nimakit-rate-background", daemon=True)
        self._database = database
        self._on_change = on_change
        self._predictor = predictor
        self._jobs = jobs
        self._chores = chores
        self._tastes = TasteLearner(database, users_dir)
        self._walks: dict[int, tuple[float, FolderScan]] = {}
        self._wake = threading.Event()
        self._stopped = threading.Event()

    def run(self) -> None:
        """Work until stopped."""
        _lower_priority()
        while not self._stopped.is_set():
            is_more = False
            try:
                is_more = self.once()
            except Exception as error:  # noqa: BLE001 - the database may be back in the next round
                _log(error)
            if not is_more:
                self._wake.wait(_SCAN_INTERVAL)

    def wake(self, collection_id: int | None = None) -> None:
        """Start a round now, retry models that failed to load, and scan this collection's folder in full."""
        self._predictor.retry()
        if collection_id is not None:
            self._walks.pop(collection_id, None)
        self._wake.set()

    def model(self, collection: Collection) -> Model | None:
        """The model of a collection; None where it has none, or it is not loaded yet."""
        return self._predictor.loaded(collection)

    def stop(self) -> None:
        """Ask the thread to end soon."""
        self._stopped.set()
        self._wake.set()

    def once(self) -> bool:
        """One round over the collections in use, which ends early when the next scan of the folders is due.

        Returns:
            Whether it ended early, with work left.

        Raises:
            StorageError: The database cannot be used.
        """
        self._wake.clear()
        until = time.monotonic() + _SCAN_INTERVAL
        with self._database.read() as session:
            wanted = select(Collection).where(is_listed()).order_by(Collection.id)
            collections = list(session.scalars(wanted))
        busy = [collection for collection in collections if self._try(self._scan, collection)]
        chores = list(self._chores)
        while (busy or chores) and not self._wake.is_set() and time.monotonic() < until:
            busy = [collection for collection in busy if self._try(self._advance, collection)]
            chores = [chore for chore in chores if self._try_chore(chore)]
        return bool(busy or chores)

    def _try(self, work: Callable[[Collection], bool], collection: Collection) -> bool:
        """Work on a collection; an error must not keep the others from their turn."""
        if self._stopped.is_set():
            return False
        try:
            return work(collection)
        except Exception as error:  # noqa: BLE001 - the thread must survive bugs
            _log(error, f"{collection.name}: ")
            return False

    def _try_chore(self, chore: Chore) -> bool:
        """Do a part of a chore; an error must not keep others from their turn."""
        try:
            return not self._stopped.is_set() and chore()
        except Exception as error:  # noqa: BLE001 - the thread must survive bugs
            _log(error)
            return False

    def _advance(self, collection: Collection) -> bool:
        """Predict a batch of scores, learn some tastes, and so on in turn, so that none waits for hours."""
        with self._database.read() as session:
            # The settings may have changed since the round began.
            collection = session.get_one(Collection, collection.id)
        is_scored = self._predictor.advance(collection)
        model = self._predictor.loaded(collection) if collection.personal else None
        is_learned = model is not None and self._tastes.advance(collection, model)
        return any([is_scored, is_learned, *(job(collection) for job in self._jobs)])

    def _scan(self, collection: Collection) -> bool:
        """Scan a folder if that is due; whether it can be read."""
        seen = self._walks.get(collection.id)
        if seen and time.monotonic() - seen[0] < _FULL_SCAN_INTERVAL and not seen[1].changed():
            return True
        started = time.monotonic()
        try:
            # A picture may have been read at a bad moment. Broken ones are retried after a start, on request,
            # and after the folder was unreadable; more often would waste time on those that stay broken.
            walk = synchronise(self._database, collection, retry_broken=seen is None)
        except OSError as error:
            note = f"The folder cannot be read: {error.strerror}."
            self._walks.pop(collection.id, None)
        else:
            note = _note(walk)
            if seen is None and (left_out := str(walk.left_out)):
                say(f"left out of {collection.folder}: {left_out}")
            self._walks[collection.id] = (started, walk)
            self._on_change(collection.id)
        if note != collection.note:
            with self._database.write() as session:
                session.execute(update(Collection).where(Collection.id == collection.id).values(note=note))
        return collection.id in self._walks


def _log(error: Exception, where: str = "") -> None:
    """Log an error: the message of our own errors, the traceback of any other."""
    is_ours = isinstance(error, NimakitError)
    say(where + (str(error) if is_ours else "".join(traceback.format_exception(error)).rstrip()))


def _note(walk: FolderScan) -> str:
    notes = []
    if walk.refused:
        more = len(walk.refused) - 1
        notes.append(f"Not read: {walk.refused[0]}" + (f" and {more} more" if more else ""))
    if left_out := str(walk.left_out):
        notes.append(f"Not shown: {left_out}")
    return ". ".join(notes)


def _lower_priority() -> None:
    """Let requests go first on busy cores; Linux has a niceness for each thread."""
    if Path("/proc/self/task").exists():
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
