"""Pictures to compare: some at random, the most similar ones, and those one may look up."""

from collections.abc import Collection as Ids
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from nimakit.web.db.features import Float32Array
from nimakit.web.db.tables import OK, Collection, Image
from nimakit.web.similarity.index import Index

_TRIED = 32
_PER_MORE = 4


@dataclass(frozen=True, slots=True)
class Match:
    """A picture, and how similar it is.

    Attributes:
        image: The picture.
        similarity: Cosine similarity, -1 to 1.
    """

    image: Image
    similarity: float


def random_pictures(session: Session, index: Index, count: int, *, without: Ids[int] = ()) -> list[Image]:
    """Pictures at random, of those with features that can be shown.

    Args:
        session: From `Database.read`.
        index: Their features.
        count: How many; there may be fewer.
        without: Ids that are not wanted.
    """
    shuffled = np.random.default_rng().permutation(index.images()).tolist()
    ids = [image for image in shuffled if image not in without]
    found: list[Image] = []
    for start in range(0, len(ids), _TRIED):
        found += _shown(session, ids[start : start + _TRIED])
        if len(found) >= count:
            break
    return found[:count]


def most_similar(
    session: Session, index: Index, features: Float32Array, count: int, *, without: Ids[int] = ()
) -> list[Match]:
    """The pictures a model sees most alike, the most similar first.

    Args:
        session: From `Database.read`.
        index: Of a collection.
        features: (D,) of what is compared.
        count: How many; there may be fewer.
        without: Ids that are not wanted.
    """
    asked = count + len(without)
    while True:
        near = [one for one in index.nearest(features, asked) if one.image not in without]
        scores = {one.image: one.similarity for one in near}
        matches = [Match(image, scores[image.id]) for image in _shown(session, list(scores))]
        if len(matches) >= count or asked >= len(index):
            return matches[:count]
        asked *= _PER_MORE


def pictures_by_name(
    session: Session, collection: Collection, *, text: str, after: int, count: int
) -> list[Image]:
    """Pictures that can be shown, in the order they were found in.

    Args:
        session: From `Database.read`.
        collection: Whose pictures.
        text: Part of a name; empty for all.
        after: The id the last page ended with; 0 for the first page.
        count: How many; there may be fewer.
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
    """Those of the pictures that can be shown, in that order."""
    wanted = select(Image).where(Image.id.in_(ids), Image.state == OK)
    found = {image.id: image for image in session.scalars(wanted)}
    return [found[image] for image in ids if image in found]
