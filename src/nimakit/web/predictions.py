"""Predicted scores, and what the model sees, ahead of the raters who will see them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Row, or_, select, update
from sqlalchemy.orm import Session

from nimakit.engine import Model, Scorer
from nimakit.errors import ImageError, NimakitError
from nimakit.progress import say
from nimakit.score import Score
from nimakit.web.database import Database
from nimakit.web.features import write_features
from nimakit.web.models import BROKEN, OK, Collection, Features, Image
from nimakit.zoo import load_model

_BATCH = 32


class Predictor:
    """Scores pictures that have no score yet, a batch at a time.

    Args:
        database: Where pictures are, and scores go.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._models: dict[str, Model | None] = {}

    def advance(self, collection: Collection) -> bool:
        """Score one more batch of a collection.

        Returns:
            Whether there may be more to score.

        Raises:
            StorageError: The database cannot be used.
        """
        with self._database.read() as session:
            # The model may have changed since the round began, which can be hours ago.
            collection = session.get_one(Collection, collection.id)
            rows = [] if collection.model is None else _unscored(session, collection)
        model = self.model(collection)  # before there is a picture: somebody may bring one of their own
        if model is None or not rows:
            return False
        results = list(Scorer(model).score(Path(collection.folder, path) for _, path, _ in rows))
        low, width = float(model.bins[0]), float(model.bins[-1] - model.bins[0])
        seen = {}
        with self._database.write() as session:
            held = select(Collection.model).where(Collection.id == collection.id).with_for_update(read=True)
            if session.scalar(held) != collection.model:
                return True
            for (key, _, mtime_ns), result in zip(rows, results, strict=True):
                values = _values(result, low, width)
                # Not where the file changed meanwhile: then this is the score of another picture.
                same = update(Image).where(Image.id == key, Image.mtime_ns == mtime_ns).values(**values)
                changed = session.scalar(same.returning(Image.id))
                if changed is not None and not isinstance(result, ImageError):
                    seen[key] = np.asarray(result.features, np.float32)
            write_features(session, seen)
        return True

    def loaded(self, collection: Collection) -> Model | None:
        """The collection's model; None where it has none, or none that could be loaded so far."""
        return self._models.get(collection.model or "")

    def model(self, collection: Collection) -> Model | None:
        """The collection's model; None where it has none, or it cannot be loaded, which is said once."""
        name = collection.model
        if name is None:
            return None
        if name not in self._models:
            try:
                self._models[name] = load_model(name, notify=say)
            except NimakitError as error:
                self._models[name] = None
                say(f"{collection.name}: no scores are predicted. {error}")
                with self._database.write() as session:
                    session.execute(
                        update(Collection).where(Collection.id == collection.id).values(model_note=str(error))
                    )
        return self._models[name]


def _unscored(session: Session, collection: Collection) -> Sequence[Row[int, str, int]]:
    """Id, path and last change of pictures without a score, or without what the model sees."""
    wanted = (
        select(Image.id, Image.path, Image.mtime_ns)
        .outerjoin(Features, Features.image_id == Image.id)
        .where(
            Image.collection_id == collection.id,
            Image.state == OK,
            or_(Image.position.is_(None), Features.image_id.is_(None)),
        )
    )
    return session.execute(wanted.order_by(Image.id).limit(_BATCH)).all()


def _values(result: Score | ImageError, low: float, width: float) -> dict[str, Any]:
    """The columns of a picture that hold its score, on a scale from 0 to 1."""
    if isinstance(result, ImageError):
        return {"state": BROKEN, "problem": str(result)}
    return {
        "position": min(max((result.mean - low) / width, 0.0), 1.0),
        "spread": None if result.sd is None else result.sd / width,
    }
