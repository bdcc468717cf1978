"""What goes on beside the raters: looking for new pictures, predicting scores, learning tastes."""

import os
import threading
import time
from pathlib import Path

from sqlalchemy import select, update

from nimakit.engine import Model
from nimakit.errors import NimakitError
from nimakit.progress import say
from nimakit.web.database import Database
from nimakit.web.inventory import Walk, synchronise
from nimakit.web.models import Collection
from nimakit.web.predictions import Predictor
from nimakit.web.selection import Stocks
from nimakit.web.tastes import Tastes

_SECONDS_BETWEEN = 15.0
_SECONDS_FULL = 600.0
"""After that long a folder is read whole again: a file changed in place leaves no trace in its folder."""

_NICENESS = 10


class Background(threading.Thread):
    """One thread for all collections of a process; several processes may each have theirs.

    Args:
        database: Where collections are.
        stocks: Told when pictures came or went.
        users_dir: Where users' files of the raters are written.
    """

    def __init__(self, database: Database, stocks: Stocks, users_dir: Path) -> None:
        super().__init__(name="nimakit-rate-background", daemon=True)
        self._database = database
        self._stocks = stocks
        self._predictor = Predictor(database)
        self._tastes = Tastes(database, users_dir)
        self._walks: dict[int, tuple[float, Walk]] = {}
        self._wake = threading.Event()
        self._stopped = threading.Event()

    def run(self) -> None:
        """Work until stopped."""
        _step_back()
        while not self._stopped.is_set():
            self._wake.clear()
            try:
                self.once()
            except NimakitError as error:
                say(str(error))  # the next round may find the database again
            self._wake.wait(_SECONDS_BETWEEN)

    def wake(self, collection_id: int | None = None) -> None:
        """Work now; look through that collection's folder whether it seems changed or not."""
        if collection_id is not None:
            self._walks.pop(collection_id, None)
        self._wake.set()

    def model(self, collection: Collection) -> Model | None:
        """A collection's model; None where it has none, or while it is not loaded."""
        return self._predictor.loaded(collection)

    def stop(self) -> None:
        """End soon."""
        self._stopped.set()
        self._wake.set()

    def once(self) -> None:
        """One round over all collections.

        Raises:
            StorageError: The database cannot be used.
        """
        with self._database.read() as session:
            collections = list(session.scalars(select(Collection).order_by(Collection.id)))
        for collection in collections:
            if not self._stopped.is_set():
                self._look(collection)
        is_busy = True
        while is_busy and not self._stopped.is_set():
            is_busy = sum(self._advance(collection) for collection in collections) > 0

    def _advance(self, collection: Collection) -> bool:
        """A batch of scores, and some tastes; the first must not keep the second waiting for hours."""
        is_scored = self._predictor.advance(collection)
        model = self._predictor.model(collection) if collection.personal else None
        is_learned = model is not None and self._tastes.advance(collection, model)
        return is_scored or is_learned

    def _look(self, collection: Collection) -> None:
        seen = self._walks.get(collection.id)
        if seen and time.monotonic() - seen[0] < _SECONDS_FULL and not seen[1].changed():
            return
        started = time.monotonic()
        try:
            walk = synchronise(self._database, collection)
        except OSError as error:
            note = f"The folder cannot be read: {error.strerror}."
            self._walks.pop(collection.id, None)
        else:
            note = _note(walk)
            self._walks[collection.id] = (started, walk)
            self._stocks.forget(collection.id)
        if note != collection.note:
            with self._database.write() as session:
                session.execute(update(Collection).where(Collection.id == collection.id).values(note=note))


def _note(walk: Walk) -> str:
    if not walk.refused:
        return ""
    more = len(walk.refused) - 1
    return f"Left alone: {walk.refused[0]}" + (f"; and {more} more" if more else "")


def _step_back() -> None:
    """Leave the cores to raters where both want them; on Linux a thread has a niceness of its own."""
    if Path("/proc/self/task").exists():
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
