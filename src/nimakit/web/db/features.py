"""What models see in a collection's pictures: kept with the predicted scores, read as arrays.

They hold with the score alone: another model takes a hundred thousand scores back in a moment, and what the
old one saw goes little by little, as nobody could rate while so much is deleted.
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
    """Keep what the model sees in pictures, in place of what was kept before.

    Args:
        session: From `Database.write`, after the pictures' own rows were written: they are the lock.
        found: (D,) float32 by picture id.
    """
    if found:
        forget_pictures(session, found)
        rows = [{"image_id": key, "vector": _to_bytes(vector)} for key, vector in found.items()]
        session.execute(insert(Features), rows)


def forget_pictures(session: Session, images: Ids[int]) -> None:
    """Forget what the model saw in some pictures.

    Args:
        session: From `Database.write`.
        images: Their ids.
    """
    session.execute(delete(Features).where(Features.image_id.in_(images)))


def held(session: Session, collection: Collection, model: "Model | None" = None) -> Collection | None:
    """A collection as it is now, locked against changes, not against ratings, until the session ends.

    Args:
        session: From `Database.write`.
        collection: As it was when a model was chosen for it.
        model: What was loaded under that name; None where that does not matter.

    Returns:
        The collection; None where it has another model by now, be it under the same name.
    """
    found = session.get_one(Collection, collection.id, with_for_update={"key_share": True})
    if found.model != collection.model or (model is not None and not is_known_as(found, model)):
        return None
    return found


def probe_of(model: "Model") -> list[float]:
    """`Collection.model_probe` of a collection whose scores are by this model."""
    averages, width = model.probe()
    return [*averages.tolist(), float(width)]


def is_known_as(collection: Collection, model: "Model") -> bool:
    """Whether a collection's scores are by this very model, not by another of its name."""
    known = collection.model_probe
    return known is not None and is_same_base(known, probe_of(model))


def forget_scores(session: Session, collection: Collection) -> None:
    """Take back what a model predicted and saw: another one takes its place.

    Args:
        session: From `Database.write`.
        collection: Whose pictures.
    """
    own = update(Image).where(Image.collection_id == collection.id, Image.position.is_not(None))
    session.execute(own.values(position=None, spread=None))
    collection.model_probe = None


def forget_unseen(session: Session, collection: Collection, count: int) -> int:
    """Forget what an earlier model saw, in pictures that have no score any more.

    Args:
        session: From `Database.write`.
        collection: Whose pictures.
        count: How many at most.

    Returns:
        How many were forgotten.
    """
    wanted = select(Features.image_id).join(Image, Image.id == Features.image_id)
    own = wanted.where(Image.collection_id == collection.id, Image.position.is_(None)).limit(count)
    found = session.scalars(own).all()
    if found:
        forget_pictures(session, found)
    return len(found)


def features_of(session: Session, images: Ids[int]) -> dict[int, Float32Array]:
    """What the model sees in some pictures.

    Args:
        session: From `Database.read`.
        images: Their ids.

    Returns:
        (D,) float32 by id; a picture that was not scored yet is left out.
    """
    wanted = (
        select(Features.image_id, Features.vector)
        .join(Image, Image.id == Features.image_id)
        .where(Features.image_id.in_(images), Image.position.is_not(None))
    )
    return {key: to_vector(content) for key, content in session.execute(wanted)}


def all_features(session: Session, collection: Collection) -> tuple[NDArray[np.int64], Float32Array]:
    """What the model sees in all pictures of a collection that can be shown.

    Args:
        session: From `Database.read`.
        collection: Whose pictures.

    Returns:
        (N,) int64, their ids, ascending, and (N, D) float32; N is 0 where none was scored yet.
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
