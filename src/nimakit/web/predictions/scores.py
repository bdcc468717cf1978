"""Predict the scores of new pictures, and store them with the model's features."""

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Row, exists, select, update
from sqlalchemy.orm import Session

from nimakit.errors import ImageError, ImageUnreadError, NimakitError
from nimakit.features import KeptScorer
from nimakit.images.photo import decoded_bytes
from nimakit.models.engine import Model
from nimakit.models.loading import load_model
from nimakit.models.score import Score
from nimakit.progress import say
from nimakit.serving.admission import Admission
from nimakit.web.db.database import Database
from nimakit.web.db.features import (
    forget_scores,
    forget_unseen,
    is_scored_by,
    lock_collection,
    probe_of,
    write_features,
)
from nimakit.web.db.tables import BROKEN, MISSING, OK, Collection, Features, Image
from nimakit.web.predictions.tastes import forget_tastes

_BATCH = 32
_DELETED_AT_ONCE = 200
_Files = Sequence[Row[int, str, int]]


class Predictor:
    """Scores pictures that have no score yet, one batch at a time, with kept features where there are any.

    Args:
        database: The database.
        decoding: Limits the memory of pictures being decoded.
        max_pixels: Maximum width times height of a picture.
    """

    def __init__(self, database: Database, decoding: Admission, max_pixels: int) -> None:
        self._database = database
        self._decoding = decoding
        self._max_pixels = max_pixels
        self._models: dict[str, Model] = {}
        self._failed: dict[int, tuple[Any, str]] = {}
        self._complete: dict[int, Any] = {}
        self._compared: dict[int, str | None] = {}

    def advance(self, collection: Collection) -> bool:
        """Score one more batch of a collection.

        Args:
            collection: As currently stored.

        Returns:
            Whether anything was done, so that there may be more to do.

        Raises:
            StorageError: The database cannot be used.
        """
        if collection.model is None:
            return self._forget(collection)
        model = self._model(collection)  # even without pictures to score: a rater may upload one
        if model is None:
            return False
        if not self._compare(collection, model):
            return False
        rows = self._wanting(collection)
        return bool(rows) and self._score(collection, model, rows)

    def _compare(self, collection: Collection, model: Model) -> bool:
        """Delete the predictions of another model that had the same name before the app was started.

        Returns:
            Whether this is the collection's model; not if another copy of the app has since been started with
            a newer file of that name.
        """
        if self._compared.get(collection.id) == collection.model and collection.model_probe is not None:
            return is_scored_by(collection, model)
        with self._database.write() as session:
            current = lock_collection(session, collection)
            if current is None:
                return False
            if current.model_probe is not None and not is_scored_by(current, model):
                say(f"{collection.name}: {collection.model} has changed; all scores are predicted again.")
                forget_scores(session, current)
                forget_tastes(session, current)
            current.model_probe = probe_of(model)
        self._compared[collection.id] = collection.model
        return True

    def _score(self, collection: Collection, model: Model, rows: _Files) -> bool:
        """Score a batch; whether to continue at once, and not wait until the folder or machine recovers."""
        scorer = KeptScorer(model, max_pixels=self._max_pixels, admit=self._admit)
        results = list(scorer.score(Path(collection.folder, path) for _, path, _ in rows))
        unread = [result for result in results if isinstance(result, ImageUnreadError)]
        if unread:
            say(f"{collection.name}: {len(unread)} pictures will be scored later. {unread[0]}")
        low, width = float(model.bins[0]), float(model.bins[-1] - model.bins[0])
        root = Path(os.path.realpath(collection.folder))
        failed = [
            row.path for row, result in zip(rows, results, strict=True) if isinstance(result, ImageError)
        ]
        if failed and not _is_readable(root):
            return False
        # Before the transaction: a slow disk must not keep raters waiting for it.
        missing = {path for path in failed if not (root / path).exists()}
        seen = {}
        with self._database.write() as session:
            if lock_collection(session, collection, model) is None:
                return True
            for (key, path, mtime_ns), result in zip(rows, results, strict=True):
                if isinstance(result, ImageUnreadError):
                    continue
                values = _values(result, low, width, is_there=path not in missing)
                # If the file has changed meanwhile, the score is of another picture.
                same = update(Image).where(Image.id == key, Image.mtime_ns == mtime_ns).values(**values)
                changed = session.scalar(same.returning(Image.id))
                if changed is not None and not isinstance(result, ImageError):
                    seen[key] = np.asarray(result.features, np.float32)
            write_features(session, seen)
        return not unread

    def _admit(self, path: Path) -> AbstractContextManager[None]:
        """Wait until there is memory to decode a picture."""
        return self._decoding.admit(decoded_bytes(path, self._max_pixels), timeout=None)

    def _forget(self, collection: Collection) -> bool:
        """Delete some features of a removed model; whether there may be more."""
        stamp = _stamp(collection)
        if self._complete.get(collection.id) == stamp:
            return False
        with self._database.write() as session:
            is_more = forget_unseen(session, collection, _DELETED_AT_ONCE) > 0
        if not is_more:
            self._complete[collection.id] = stamp
        return is_more

    def _wanting(self, collection: Collection) -> _Files:
        """Some pictures without a score, or else without features."""
        with self._database.read() as session:
            rows = _files(session, collection, Image.position.is_(None))
            # Only versions that stored no features have left pictures without them. Looking for these is slow
            # and done once.
            stamp = _stamp(collection)
            if not rows and self._complete.get(collection.id) != stamp:
                rows = _files(session, collection, ~exists().where(Features.image_id == Image.id))
                if not rows:
                    self._complete[collection.id] = stamp
        return rows

    def loaded(self, collection: Collection) -> Model | None:
        """The collection's model; None where it has none, or it could not be loaded so far."""
        return self._models.get(collection.model or "")

    def retry(self) -> None:
        """Let models that could not be loaded be tried once more; thread-safe."""
        self._failed = {}

    def _model(self, collection: Collection) -> Model | None:
        """The collection's model; None where it cannot be loaded; the collection's note says why."""
        name, stamp, failed = collection.model or "", _stamp(collection), self._failed
        # A scan on request may have been done by another copy of the app; the stamp tells.
        if name not in self._models and failed.get(collection.id, (None, ""))[0] != stamp:
            try:
                self._models[name] = load_model(name, notify=say)
            except NimakitError as error:
                failed[collection.id] = stamp, str(error)
                say(f"{collection.name}: scores cannot be predicted. {error}")
        note = "" if name in self._models else failed[collection.id][1]
        if note != collection.model_note:
            own = update(Collection).where(Collection.id == collection.id, Collection.model == name)
            with self._database.write() as session:
                session.execute(own.values(model_note=note))
        return self._models.get(name)


def _stamp(collection: Collection) -> Any:
    """A value that changes when there may be new pictures to process."""
    return collection.scanned_at, collection.model


def _files(session: Session, collection: Collection, condition: ColumnElement[bool]) -> _Files:
    """Id, path and modification time of some pictures that fulfil a condition."""
    wanted = select(Image.id, Image.path, Image.mtime_ns).where(
        Image.collection_id == collection.id, Image.state == OK, condition
    )
    return session.execute(wanted.order_by(Image.id).limit(_BATCH)).all()


def _is_readable(folder: Path) -> bool:
    try:
        with os.scandir(folder):
            return True
    except OSError:
        return False


def _values(result: Score | ImageError, low: float, width: float, *, is_there: bool) -> dict[str, Any]:
    """The columns of a picture with its score, scaled to 0 to 1, or with the reason for having none."""
    if isinstance(result, ImageError):
        return {"state": BROKEN if is_there else MISSING, "problem": str(result)}
    return {
        "position": min(max((result.mean - low) / width, 0.0), 1.0),
        "spread": None if result.sd is None else result.sd / width,
    }
