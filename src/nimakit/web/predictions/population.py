"""How the raters of a collection differ: what places a new one among them by a few ratings."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from nimakit.errors import TasteError
from nimakit.personal import fit
from nimakit.personal.population import Population
from nimakit.web.db.database import Database
from nimakit.web.db.features import features_of
from nimakit.web.db.tables import FIRST, OK, Collection, Image, Membership, Rating

if TYPE_CHECKING:
    from nimakit.models.engine import Model

FEWEST = 100
"""Raters from which on a new one is placed among them: then they know more than the new one's own ratings."""
FEWEST_RATINGS = 50
"""Of each of them: see docs/personal.md."""

_GROWTH = 1.25
_MOST_IMAGES = 5000
"""The principal components of as many pictures take seconds."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """A population, what it was learned with, and from how many raters and pictures at most."""

    model: str | None
    raters: int
    images: int
    population: Population


class Populations:
    """The population of each collection, learned when it is first asked for, and anew once it has grown.

    Args:
        database: Where ratings are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._kept: dict[int, _Kept] = {}

    def population(self, collection: Collection, model: "Model") -> Population | None:
        """How people differ, on positions from 0 to 1; None where too few rate.

        Args:
            collection: Whose raters.
            model: The collection's.

        Raises:
            StorageError: The database cannot be used.
        """
        with self._database.read() as session:
            raters = _raters(session, collection)
            if len(raters) < FEWEST:
                return None
            kept = self._kept.get(collection.id)
            images = session.scalar(select(func.count()).select_from(_most_rated(collection).subquery())) or 0
            if not images:
                return None
            if (
                kept
                and kept.model == collection.model
                and len(raters) < _GROWTH * kept.raters
                and images < _GROWTH * kept.images
            ):
                return kept.population
            try:
                learned = _learn(session, collection, model, raters)
            except TasteError:  # too few of them rated what the model has looked at by now
                return None
        self._kept[collection.id] = _Kept(collection.model, len(raters), images, learned)
        return learned


def _raters(session: Session, collection: Collection) -> list[int]:
    """Those with enough ratings, who are not left out."""
    excluded = select(Membership.rater_id).where(
        Membership.collection_id == collection.id, Membership.excluded
    )
    wanted = (
        select(Rating.rater_id)
        .where(Rating.collection_id == collection.id, Rating.round == FIRST, Rating.rater_id.not_in(excluded))
        .group_by(Rating.rater_id)
        .having(func.count(Rating.value) >= FEWEST_RATINGS)
    )
    return list(session.scalars(wanted))


def _most_rated(collection: Collection) -> Select[int, float | None]:
    """Pictures the model has looked at, and what it predicts, those with most ratings first."""
    return (
        select(Image.id, Image.position)
        .where(Image.collection_id == collection.id, Image.state == OK, Image.position.is_not(None))
        .where(Image.count > 0)
        .order_by(Image.count.desc(), Image.id)
        .limit(_MOST_IMAGES)
    )


def _learn(session: Session, collection: Collection, model: "Model", raters: list[int]) -> Population:
    """From their ratings of the pictures that have most."""
    positions = dict(session.execute(_most_rated(collection)).all())
    seen = features_of(session, positions)
    images = np.array(sorted(seen), np.intp)
    wanted = select(Rating.image_id, Rating.rater_id, Rating.value).where(
        Rating.collection_id == collection.id, Rating.round == FIRST, Rating.value.is_not(None)
    )
    rows = np.array([tuple(row) for row in session.execute(wanted)], np.float64)
    image, user = rows[:, 0].astype(np.intp), rows[:, 1].astype(np.intp)
    chosen = np.isin(image, images) & np.isin(user, raters)
    _, user = np.unique(user[chosen], return_inverse=True)
    return fit.learn(
        np.stack([seen[key] for key in images.tolist()]),
        np.array([positions[key] for key in images.tolist()], np.float64),
        np.searchsorted(images, image[chosen]),
        user,
        (rows[chosen, 2] - collection.scale.low) / collection.scale.width,
        base=model.probe()[0],
        base_name=model.name,
    )
