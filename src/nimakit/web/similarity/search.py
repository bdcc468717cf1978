"""Find pictures to compare: random ones, the most similar ones, or by name."""

from collections.abc import Collection as Ids
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from nimakit.web.db.features import Float32Array
from nimakit.web.db.tables import OK, Collection, Image
from nimakit.web.similarity.index import Index

_CHUNK = 32
_GROWTH = 4


@dataclass(frozen=True, slots=True)
class Match:
    """A picture that a search found.

    Attributes:
        image: The picture.
        similarity: Cosine similarity, -1 to 1.
    """

    image: Image
    similarity: float


def random_pictures(session: Session, index: Index, count: int, *, without: Ids[int] = ()) -> list[Image]:
    """Draw random pictures from those that can be shown and have features.

    Args:
        session: From `Database.read`.
        index: Index of the collection.
        count: Maximum number of pictures.
        without: Ids to exclude.
    """
    shuffled = np.random.default_rng().permutation(index.images()).tolist()
    ids = [image for image in shuffled if image not in without]
    found: list[Image] = []
    for start in range(0, len(ids), _CHUNK):
        found += _shown(session, ids[start : start + _CHUNK])
        if len(found) >= count:
            break
    return found[:count]


def most_similar(
    session: Session, index: Index, features: Float32Array, count: int, *, without: Ids[int] = ()
) -> list[Match]:
    """The most similar pictures that can be shown, the most similar first.

    Args:
        session: From `Database.read`.
        index: Index of the collection.
        features: (D,) of the picture to compare with.
        count: Maximum number of pictures.
        without: Ids to exclude.
    """
    n_candidates = count + len(without)
    while True:
        scores = index.nearest(features, n_candidates)
        shown = _shown(session, [image for image in scores if image not in without])
        if len(shown) >= count or n_candidates >= len(index):
            return [Match(image, scores[image.id]) for image in shown[:count]]
        n_candidates *= _GROWTH  # the index may be seconds old, and some of its pictures gone


def pictures_by_name(
    session: Session, collection: Collection, *, text: str, after: int, count: int
) -> list[Image]:
    """One page of the pictures that can be compared, by id.

    Args:
        session: From `Database.read`.
        collection: The collection.
        text: Part of a name; empty for all pictures.
        after: Last id of the previous page; 0 for the first page.
        count: Maximum number of pictures.
    """
    wanted = select(Image).where(
        Image.collection_id == collection.id,
        Image.state == OK,
        Image.position.is_not(None),
        Image.id > after,
    )
    if text:
        wanted = wanted.where(Image.is_named(text))
    return list(session.scalars(wanted.order_by(Image.id).limit(count)))


def _shown(session: Session, ids: Sequence[int]) -> list[Image]:
    """The pictures of these ids that can be shown, in this order."""
    wanted = select(Image).where(Image.id.in_(ids), Image.state == OK)
    found = {image.id: image for image in session.scalars(wanted)}
    return [found[image] for image in ids if image in found]
