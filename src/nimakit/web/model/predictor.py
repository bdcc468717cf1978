"""Make a learned model the one that predicts a collection's scores, and go back to the former one."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from nimakit.models.engine import Model
from nimakit.models.loading import load_model
from nimakit.web.collections.setup import change_collection
from nimakit.web.db.database import Database
from nimakit.web.db.features import Float32Array, features_of, lock_collection, probe_of
from nimakit.web.db.tables import Collection, Image, Learned
from nimakit.web.model.files import is_learned, keep_copy
from nimakit.web.model.training_data import is_same_basis

_AT_ONCE = 2000
_Score = tuple[float, float]
"""Mean and standard deviation, as shares of the scale."""


def use(database: Database, collection: Collection, file: Path) -> None:
    """Let a learned model predict the scores of a collection.

    If it uses the features that are stored with the present scores, the new ones follow from these and
    replace them at once; else all pictures are scored again in the background.

    Args:
        database: The database.
        collection: The collection.
        file: The model file.

    Raises:
        ModelError: The file cannot be used.
        OutputError: A copy of it could not be written.
        StorageError: The database cannot be used.
    """
    name = str(keep_copy(file))
    model = load_model(name)
    scores = _scores(database, collection, model)
    with database.write() as session:
        current = lock_collection(session, collection)
        if current is None or current.model == name:
            return
        if not is_learned(file.parent.parent, current):
            session.get_one(Learned, collection.id).former = current.model
        _change(session, current, model, name, scores)


def restore(database: Database, collection: Collection) -> None:
    """Let the former model predict scores again.

    Args:
        database: The database.
        collection: A collection whose scores a learned model predicts.

    Raises:
        StorageError: The database cannot be used.
    """
    with database.write() as session:
        current = lock_collection(session, collection)
        learned = session.get(Learned, collection.id)
        if current is not None and learned is not None:
            change_collection(session, current, model=learned.former)


def _change(
    session: Session, collection: Collection, model: Model, name: str, scores: dict[tuple[int, int], _Score]
) -> None:
    """Change the model, with new scores of those pictures that have not changed meanwhile."""
    wanted = select(Image.id, Image.mtime_ns).where(
        Image.collection_id == collection.id, Image.position.is_not(None)
    )
    unchanged = {(key, version) for key, version in session.execute(wanted)} & scores.keys()
    change_collection(session, collection, model=name)
    if unchanged:
        collection.model_probe = probe_of(model)
        rows = [
            {"id": key, "position": scores[key, version][0], "spread": scores[key, version][1]}
            for key, version in unchanged
        ]
        session.execute(update(Image), rows)


def _scores(database: Database, collection: Collection, model: Model) -> dict[tuple[int, int], _Score]:
    """Picture id and time of change -> score, from stored features; empty if the model uses others."""
    [network] = model.networks
    known = collection.model_probe
    if network.joined is None or known is None:
        return {}
    if not is_same_basis({"probe": known[1:]}, {"probe": probe_of(model)[1:]}):
        return {}
    low, width = float(model.bins[0]), float(model.bins[-1] - model.bins[0])
    found: dict[tuple[int, int], _Score] = {}
    for versions, vectors in _stored(database, collection):
        scores = model.score_outputs([network.score_parts([vectors])])
        found |= {
            version: ((score.mean - low) / width, (score.sd or 0.0) / width)
            for version, score in zip(versions, scores, strict=True)
        }
    return found


def _stored(
    database: Database, collection: Collection
) -> Iterator[tuple[list[tuple[int, int]], Float32Array]]:
    """Yield ids and times of change of some pictures, and their (n, D) stored features."""
    with database.read() as session:
        wanted = select(Image.id, Image.mtime_ns).where(
            Image.collection_id == collection.id, Image.position.is_not(None)
        )
        versions = {key: version for key, version in session.execute(wanted)}  # noqa: C416 - no plain tuples
        keys = sorted(versions)
        for start in range(0, len(keys), _AT_ONCE):
            vectors = features_of(session, keys[start : start + _AT_ONCE])
            if vectors:
                yield [(key, versions[key]) for key in vectors], np.stack([*vectors.values()])
