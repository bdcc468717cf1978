"""Population models of a collection's raters, with which a few ratings predict a new rater's taste."""

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

MIN_RATERS = 100
"""Raters needed for a population; with fewer, a rater's own ratings alone predict better."""
MIN_RATINGS = 50
"""Ratings each of them needs; docs/personal.md has the measurements."""

_GROWTH = 1.25
_MAX_IMAGES = 5000
"""Pictures used; their principal components take seconds."""


@dataclass(frozen=True, slots=True)
class _Cached:
    """A population, its model, and the numbers of raters and pictures available when it was learned."""

    model: str | None
    raters: int
    images: int
    population: Population


class Populations:
    """The population of each collection, learned on first use, and again once there are 25 % more data.

    Args:
        database: The database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._cached: dict[int, _Cached] = {}

    def population(self, collection: Collection, model: "Model") -> Population | None:
        """The population of a collection, for ratings scaled to 0 to 1; None where there are too few.

        Args:
            collection: The collection.
            model: Its model.

        Raises:
            StorageError: The database cannot be used.
        """
        with self._database.read() as session:
            raters = _raters(session, collection)
            if len(raters) < MIN_RATERS:
                return None
            cached = self._cached.get(collection.id)
            images = session.scalar(select(func.count()).select_from(_most_rated(collection).subquery())) or 0
            if not images:
                return None
            if (
                cached
                and cached.model == collection.model
                and len(raters) < _GROWTH * cached.raters
                and images < _GROWTH * cached.images
            ):
                return cached.population
            try:
                learned = _learn(session, collection, model, raters)
            except TasteError:  # too few ratings of pictures that have features so far
                return None
        self._cached[collection.id] = _Cached(collection.model, len(raters), images, learned)
        return learned


def _raters(session: Session, collection: Collection) -> list[int]:
    """Raters with enough ratings who are not excluded."""
    excluded = select(Membership.rater_id).where(
        Membership.collection_id == collection.id, Membership.excluded
    )
    wanted = (
        select(Rating.rater_id)
        .where(Rating.collection_id == collection.id, Rating.round == FIRST, Rating.rater_id.not_in(excluded))
        .group_by(Rating.rater_id)
        .having(func.count(Rating.value) >= MIN_RATINGS)
    )
    return list(session.scalars(wanted))


def _most_rated(collection: Collection) -> Select[int, float | None]:
    """Pictures with features, and their predicted scores; those with most ratings first."""
    return (
        select(Image.id, Image.position)
        .where(Image.collection_id == collection.id, Image.state == OK, Image.position.is_not(None))
        .where(Image.count > 0)
        .order_by(Image.count.desc(), Image.id)
        .limit(_MAX_IMAGES)
    )


def _learn(session: Session, collection: Collection, model: "Model", raters: list[int]) -> Population:
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
