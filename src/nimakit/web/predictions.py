"""Predicted scores, ahead of the raters who will see them."""

from pathlib import Path
from typing import Any

from sqlalchemy import select, update

from nimakit.engine import Model, Scorer
from nimakit.errors import ImageError, NimakitError
from nimakit.progress import say
from nimakit.web.database import Database
from nimakit.web.models import BROKEN, OK, Collection, Image
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
        if collection.model is None:
            return False
        wanted = select(Image.id, Image.path, Image.mtime_ns).where(
            Image.collection_id == collection.id,
            Image.state == OK,
            Image.position.is_(None),
        )
        with self._database.read() as session:
            rows = session.execute(wanted.order_by(Image.id).limit(_BATCH)).all()
        if not rows:
            return False
        model = self._model(collection)
        if model is None:
            return False
        results = list(Scorer(model).score(Path(collection.folder, path) for _, path, _ in rows))
        low, width = float(model.bins[0]), float(model.bins[-1] - model.bins[0])
        with self._database.write() as session:
            for (key, _, mtime_ns), result in zip(rows, results, strict=True):
                values: dict[str, Any]
                if isinstance(result, ImageError):
                    values = {"state": BROKEN, "problem": str(result)}
                else:
                    values = {
                        "position": min(max((result.mean - low) / width, 0.0), 1.0),
                        "spread": None if result.sd is None else result.sd / width,
                    }
                # Not where the file changed meanwhile: then this is the score of another picture.
                session.execute(
                    update(Image).where(Image.id == key, Image.mtime_ns == mtime_ns).values(**values)
                )
        return True

    def _model(self, collection: Collection) -> Model | None:
        """The collection's model; None where it cannot be loaded, which is said once."""
        name = collection.model or ""
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
