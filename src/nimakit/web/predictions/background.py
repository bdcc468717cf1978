"""What goes on beside the raters: looking for new pictures, predicting scores, learning tastes."""

import os
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import select, update

from nimakit.errors import NimakitError
from nimakit.models.engine import Model
from nimakit.progress import say
from nimakit.web.db.database import Database
from nimakit.web.db.tables import Collection
from nimakit.web.pictures.inventory import Walk, synchronise
from nimakit.web.predictions.scores import Predictor
from nimakit.web.predictions.tastes import TasteLearner

_SECONDS_BETWEEN = 15.0
_SECONDS_FULL = 600.0
"""After that long a folder is read whole again: a file changed in place leaves no trace in its folder."""

_NICENESS = 10


class Background(threading.Thread):
    """One thread for all collections of a process; several processes may each have theirs.

    Args:
        database: Where collections are.
        on_change: Called with a collection's id after pictures were added or removed.
        users_dir: Where users' files of the raters are written.
        predictor: Predicts scores.
    """

    def __init__(
        self,
        database: Database,
        on_change: Callable[[int], None],
        users_dir: Path,
        predictor: Predictor,
    ) -> None:
        super().__init__(name="nimakit-rate-background", daemon=True)
        self._database = database
        self._on_change = on_change
        self._predictor = predictor
        self._tastes = TasteLearner(database, users_dir)
        self._walks: dict[int, tuple[float, Walk]] = {}
        self._wake = threading.Event()
        self._stopped = threading.Event()

    def run(self) -> None:
        """Work until stopped."""
        _step_back()
        while not self._stopped.is_set():
            is_more = False
            try:
                is_more = self.once()
            except Exception as error:  # noqa: BLE001 - the next round may find the database again
                _tell(error)
            if not is_more:
                self._wake.wait(_SECONDS_BETWEEN)

    def wake(self, collection_id: int | None = None) -> None:
        """Work now, also with models that failed; look through that collection's folder, changed or not."""
        self._predictor.retry()
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

    def once(self) -> bool:
        """One round over all collections; it ends early where it is time to look at the folders again.

        Returns:
            Whether it ended early, with work left.

        Raises:
            StorageError: The database cannot be used.
        """
        self._wake.clear()
        until = time.monotonic() + _SECONDS_BETWEEN
        with self._database.read() as session:
            collections = list(session.scalars(select(Collection).order_by(Collection.id)))
        busy = [one for one in collections if self._try(self._look, one)]
        while busy and not self._wake.is_set() and time.monotonic() < until:
            busy = [one for one in busy if self._try(self._advance, one)]
        return bool(busy)

    def _try(self, work: Callable[[Collection], bool], collection: Collection) -> bool:
        """Work on a collection; whatever is wrong with it, the others have their turn."""
        if self._stopped.is_set():
            return False
        try:
            return work(collection)
        except Exception as error:  # noqa: BLE001 - the thread must outlive mistakes of ours
            _tell(error, f"{collection.name}: ")
            return False

    def _advance(self, collection: Collection) -> bool:
        """A batch of scores, and some tastes; the first must not keep the second waiting for hours."""
        with self._database.read() as session:
            # Its settings may have changed since the round began.
            collection = session.get_one(Collection, collection.id)
        is_scored = self._predictor.advance(collection)
        model = self._predictor.loaded(collection) if collection.personal else None
        is_learned = model is not None and self._tastes.advance(collection, model)
        return is_scored or is_learned

    def _look(self, collection: Collection) -> bool:
        """Look through a folder, where that is due; whether it can be read."""
        seen = self._walks.get(collection.id)
        if seen and time.monotonic() - seen[0] < _SECONDS_FULL and not seen[1].changed():
            return True
        started = time.monotonic()
        try:
            # They may have been read at a bad moment. Once more after a start, where somebody asks for it,
            # and when a folder was away: what is really broken costs no more than that.
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


def _tell(error: Exception, where: str = "") -> None:
    """What was raised on purpose says what to do; of anything else its place in the code is needed."""
    is_ours = isinstance(error, NimakitError)
    say(where + (str(error) if is_ours else "".join(traceback.format_exception(error)).rstrip()))


def _note(walk: Walk) -> str:
    notes = []
    if walk.refused:
        more = len(walk.refused) - 1
        notes.append(f"Not read: {walk.refused[0]}" + (f" and {more} more" if more else ""))
    if left_out := str(walk.left_out):
        notes.append(f"Not shown: {left_out}")
    return ". ".join(notes)


def _step_back() -> None:
    """Leave the cores to raters where both want them; on Linux a thread has a niceness of its own."""
    if Path("/proc/self/task").exists():
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
