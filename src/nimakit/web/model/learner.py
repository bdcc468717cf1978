"""Learn a collection's own model again as people rate, in the background."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from nimakit.errors import ModelError, NimakitError, StorageError
from nimakit.heads import learning_curve
from nimakit.serving.admission import Admission
from nimakit.web.db.database import Database
from nimakit.web.db.tables import OK, Collection, Image, Learned, LearningPoint, now
from nimakit.web.model import training_data
from nimakit.web.model.figures import FEWEST, figures_of
from nimakit.web.model.files import encoder_label, model_file, write_model
from nimakit.web.model.training_data import FeatureSource, TrainingData

_GROWTH = 1.1
"""Learned again at once with so many times the ratings; with fewer changes, when people pause."""
_RETRY_SECONDS = 600.0
"""A model that could not be learned is tried again by then, or with other ratings."""
_CLAIM = timedelta(minutes=5)
"""Another copy of the app learns if the one that began has not finished by then."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """Ratings that are not learned from, and since when."""

    state: str
    at: float


class Learner:
    """Learns the models of collections; a job of `nimakit.web.predictions.background.Background`.

    Args:
        database: The database.
        folder: Folder of the model files.
        decoding: Limits the memory of pictures being decoded.
        max_pixels: Largest width times height of a picture.
        pause: Seconds without a change after which a few new ratings are learned from.
    """

    def __init__(
        self,
        database: Database,
        folder: Path,
        decoding: Admission,
        max_pixels: int,
        *,
        pause: float = 10.0,
    ) -> None:
        self._database = database
        self._folder = folder
        self._source = FeatureSource(decoding, max_pixels)
        self._pause = pause
        self._seen: dict[int, _Seen] = {}
        self._failed: dict[int, _Seen] = {}

    def advance(self, collection: Collection) -> bool:
        """Compute some features, or learn the model if enough has changed.

        Args:
            collection: As currently stored.

        Returns:
            Whether anything was done, so that there may be more to do.

        Raises:
            StorageError: The database cannot be used.
        """
        if collection.compares or not (collection.encoder or collection.model_probe):
            return False
        with self._database.read() as session:
            ratings, state = training_data.state_of(session, collection)
            known = session.get(Learned, collection.id) or Learned(state="", basis={}, figures={})
        if ratings < FEWEST:
            return False
        attempt = f"{collection.encoder or collection.model} {state}"
        failed = self._failed.get(collection.id)
        if failed and failed.state == attempt and time.monotonic() - failed.at < _RETRY_SECONDS:
            return False
        try:
            return self._advance(collection, known, ratings, state)
        except StorageError:
            raise
        except NimakitError as error:
            self._failed[collection.id] = _Seen(attempt, time.monotonic())
            with self._locked(collection) as (session, row):
                row.problem, row.claimed_at = str(error), None
            return False

    def _advance(self, collection: Collection, known: Learned, ratings: int, state: str) -> bool:
        is_current = known.state == state and training_data.is_same_basis(
            known.basis, self._source.basis(collection)
        )
        file = model_file(self._folder, collection)
        if is_current and file.exists():
            return False
        if self._source.compute(self._database, collection):
            return True
        if not is_current and not self._is_due(collection, known, ratings, state):
            return False
        return self._learn(collection, state, is_measured=is_current)

    def _is_due(self, collection: Collection, known: Learned, ratings: int, state: str) -> bool:
        seen = self._seen.get(collection.id)
        if seen is None or seen.state != state:
            self._seen[collection.id] = seen = _Seen(state, time.monotonic())
        learned = known.figures.get("ratings", 0)
        return ratings >= _GROWTH * learned or time.monotonic() - seen.at >= self._pause

    def _learn(self, collection: Collection, state: str, *, is_measured: bool) -> bool:
        """Learn a model, unless another copy of the app does; whether it was learned.

        Where the figures are current, only the file is missing, as in another copy's data folder.
        """
        if not is_measured and not self._claim(collection, state):
            return False
        begin = time.perf_counter()
        data = training_data.read(self._database, self._source, collection)
        if len(data.images) < learning_curve.FEWEST_PICTURES or data.ratings.rating.std() == 0:
            raise ModelError(
                f"A model needs different ratings of at least {learning_curve.FEWEST_PICTURES} pictures with"
                f" features. Received: {len(data.images)}"
            )
        encoder = self._source.encoder(collection)
        if not is_measured:
            label = encoder_label(self._folder, collection, encoder)
            self._measure(collection, state, data, label, begin)
        write_model(self._folder, collection, encoder, data)
        return True

    def _measure(
        self, collection: Collection, state: str, data: TrainingData, encoder: str, begin: float
    ) -> None:
        curve = learning_curve.measure(data.features, data.ratings, collection.scale.bins)
        with self._database.read() as session:
            unrated = _unrated(session, collection)
        found = figures_of(
            curve,
            data.ratings,
            unrated=unrated,
            encoder=encoder,
            seconds=time.perf_counter() - begin,
        )
        with self._locked(collection) as (session, row):
            row.state, row.problem, row.claimed_at, row.figures = state, "", None, found.to_dict()
            point = LearningPoint(
                collection_id=collection.id,
                ratings=found.ratings,
                srcc=found.srcc,
                low=found.low,
                high=found.high,
                ceiling=found.ceiling,
            )
            session.add(point)

    def _claim(self, collection: Collection, state: str) -> bool:
        """Whether this copy of the app is to learn from these ratings."""
        basis = self._source.basis(collection)
        with self._locked(collection) as (session, row):
            is_claimed = row.claimed_at is not None and now() - row.claimed_at < _CLAIM
            is_same = training_data.is_same_basis(row.basis, basis)
            if is_claimed or (row.state == state and is_same):
                return False
            if not is_same:  # figures with other features say nothing about these
                session.execute(delete(LearningPoint).where(LearningPoint.collection_id == collection.id))
                row.figures = {}
            row.basis, row.claimed_at = basis, now()
        return True

    @contextmanager
    def _locked(self, collection: Collection) -> Iterator[tuple[Session, Learned]]:
        """The collection's row, locked, and added if it is new."""
        with self._database.write() as session:
            session.get(Collection, collection.id, with_for_update={"key_share": True})
            row = session.get(Learned, collection.id)
            if row is None:
                row = Learned(collection_id=collection.id, basis={}, state="", figures={}, problem="")
                session.add(row)
            yield session, row


def _unrated(session: Session, collection: Collection) -> int:
    wanted = select(func.count()).where(
        Image.collection_id == collection.id, Image.state == OK, Image.count == 0
    )
    return session.scalar(wanted) or 0
