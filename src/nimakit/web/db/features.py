"""Feature vectors of pictures, stored with their predicted scores and read as arrays.

Features are valid only while the picture has a score. When the model changes, all scores are cleared at once,
and the old features are deleted in small steps: deleting 100,000 rows would block the raters.
"""

from collections.abc import Collection as Ids
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from nimakit.models.taste import is_same_base
from nimakit.web.db.tables import OK, Collection, Features, Image

if TYPE_CHECKING:
    from nimakit.models.engine import Model

Float32Array = NDArray[np.float32]

_STORED = "<f2"
_LARGEST = float(np.finfo(np.float16).max)


def write_features(session: Session, found: Mapping[int, Float32Array]) -> None:
    """Store feature vectors of pictures, replacing earlier ones.

    Args:
        session: From `Database.write`, after the rows of the pictures were written, which locks them.
        found: Picture id -> (D,) float32.
    """
    if found:
        forget_pictures(session, found)
        rows = [{"image_id": key, "vector": _to_bytes(vector)} for key, vector in found.items()]
        session.execute(insert(Features), rows)


def forget_pictures(session: Session, images: Ids[int]) -> None:
    """Delete the features of pictures.

    Args:
        session: From `Database.write`.
        images: Ids of the pictures.
    """
    session.execute(delete(Features).where(Features.image_id.in_(images)))


def lock_collection(
    session: Session, collection: Collection, model: "Model | None" = None
) -> Collection | None:
    """Lock a collection against changes, but not against ratings, until the session ends.

    Args:
        session: From `Database.write`.
        collection: The collection as it was when its model was loaded.
        model: The loaded model; None to compare only its name.

    Returns:
        The collection as it is now; None if it has another model by now, even one of the same name.
    """
    found = session.get_one(Collection, collection.id, with_for_update={"key_share": True})
    if found.model != collection.model or (model is not None and not is_scored_by(found, model)):
        return None
    return found


def probe_of(model: "Model") -> list[float]:
    """The `Collection.model_probe` of collections scored by a model."""
    averages, width = model.probe()
    return [*averages.tolist(), float(width)]


def is_scored_by(collection: Collection, model: "Model") -> bool:
    """Whether a collection's scores are from this model, not from another of the same name."""
    known = collection.model_probe
    return known is not None and is_same_base(known, probe_of(model))


def forget_scores(session: Session, collection: Collection) -> None:
    """Clear the scores of a collection's pictures, because another model is to predict them.

    Args:
        session: From `Database.write`.
        collection: The collection.
    """
    own = update(Image).where(Image.collection_id == collection.id, Image.position.is_not(None))
    session.execute(own.values(position=None, spread=None))
    collection.model_probe = None


def forget_unseen(session: Session, collection: Collection, count: int) -> int:
    """Delete features of an earlier model: those of pictures without a score.

    Args:
        session: From `Database.write`.
        collection: The collection.
        count: Most rows to delete.

    Returns:
        Number of deleted rows.
    """
    wanted = select(Features.image_id).join(Image, Image.id == Features.image_id)
    own = wanted.where(Image.collection_id == collection.id, Image.position.is_(None)).limit(count)
    found = session.scalars(own).all()
    if found:
        forget_pictures(session, found)
    return len(found)


def features_of(session: Session, images: Ids[int]) -> dict[int, Float32Array]:
    """Features of some pictures.

    Args:
        session: From `Database.read`.
        images: Ids of the pictures.

    Returns:
        Picture id -> (D,) float32, without pictures that have no score yet.
    """
    wanted = (
        select(Features.image_id, Features.vector)
        .join(Image, Image.id == Features.image_id)
        .where(Features.image_id.in_(images), Image.position.is_not(None))
    )
    return {key: to_vector(content) for key, content in session.execute(wanted)}


def all_features(session: Session, collection: Collection) -> tuple[NDArray[np.int64], Float32Array]:
    """Features of all scored pictures of a collection that can be shown.

    Args:
        session: From `Database.read`.
        collection: The collection.

    Returns:
        (N,) int64 ascending picture ids, and (N, D) float32 features.
    """
    wanted = (
        select(Features.image_id, Features.vector)
        .join(Image, Image.id == Features.image_id)
        .where(Image.collection_id == collection.id, Image.state == OK, Image.position.is_not(None))
        .order_by(Features.image_id)
    )
    rows = session.execute(wanted).all()
    if not rows:
        return np.zeros(0, np.int64), np.zeros((0, 0), np.float32)
    joined = np.frombuffer(b"".join(content for _, content in rows), _STORED)
    return np.array([key for key, _ in rows]), joined.reshape(len(rows), -1).astype(np.float32)


def _to_bytes(vector: Float32Array) -> bytes:
    return np.clip(vector, -_LARGEST, _LARGEST).astype(_STORED).tobytes()


def to_vector(content: bytes) -> Float32Array:
    """(D,) float32, from `Features.vector`."""
    return np.frombuffer(content, _STORED).astype(np.float32)
