"""Each rater's own predictions: learned beside the raters, from what they rated."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from sqlalchemy import case, delete, func, select
from sqlalchemy.orm import Session

from nimakit.io.arrays import Arrays
from nimakit.io.atomic import named
from nimakit.models import taste
from nimakit.personal import fit
from nimakit.stats.histogram import FloatArray
from nimakit.web.db.database import Database
from nimakit.web.db.features import Float32Array, features_of, held, is_known_as, to_vector
from nimakit.web.db.queries import lock_raters
from nimakit.web.db.tables import FIRST, OK, Collection, Features, Image, Rater, Rating, Taste
from nimakit.web.predictions.population import Populations

if TYPE_CHECKING:
    from nimakit.models.engine import Model

FEWEST = 10
"""Ratings from which on a taste is learned."""
AGAIN = 5
"""New ratings, or changed ones, after which it is learned anew."""

_AT_ONCE = 20
_LEARNED_FROM = (Image.state == OK, Image.position.is_not(None))
_STORED = "<f4"
_ENDS = np.array([0.0, 1.0])


class _Due(NamedTuple):
    """A rater whose taste is to be learned.

    Attributes:
        rater_id: Who.
        code: Their pseudonym.
        event_id: Their latest event.
    """

    rater_id: int
    code: str
    event_id: int


class _Given(NamedTuple):
    """Ratings of one rater that can be learned from.

    Attributes:
        features: (K, D) of the pictures.
        positions: (K,), predicted for anybody, 0 to 1 of the scale.
        ratings: (K,), on the same scale.
    """

    features: Float32Array
    positions: FloatArray
    ratings: FloatArray


class TasteLearner:
    """Learns the taste of raters who gave new ratings, a few raters at a time.

    Args:
        database: Where ratings are, and tastes go.
        folder: Where each collection has a folder of users' files, as `nimakit serve --users-dir` takes it.
    """

    def __init__(self, database: Database, folder: Path) -> None:
        self._database = database
        self._folder = folder
        self._populations = Populations(database)

    def advance(self, collection: Collection, model: "Model") -> bool:
        """Learn the taste of a few more raters of a collection.

        Args:
            collection: One with personal predictions.
            model: The collection's.

        Returns:
            Whether somebody's was learned.

        Raises:
            StorageError: The database cannot be used.
            OutputError: A user's file cannot be written.
        """
        with self._database.read() as session:
            # The model may have changed since the round began.
            current = session.get_one(Collection, collection.id)
            if current.model != collection.model or not is_known_as(current, model):
                return False
            due = _due(session, collection)
        learned = False
        for rater in due:  # one after the other: what was seen in all they rated may be much
            with self._database.read() as session:
                given = _given(session, collection, rater.rater_id)
            if len(given.ratings) >= FEWEST:
                self._learn(collection, model, rater, given)
                learned = True
        return learned

    def _learn(self, collection: Collection, model: "Model", rater: _Due, given: _Given) -> None:
        population = self._populations.population(collection, model)
        method: taste.Method = "factors" if population else "head"
        arrays = population.place(*given) if population else fit.fit_head(*given)
        slope, constant = arrays["level"].tolist()
        kept = Taste(
            rater_id=rater.rater_id,
            collection_id=collection.id,
            method=method,
            ratings=len(given.ratings),
            event_id=rater.event_id,
            weights=arrays["weights"].astype(_STORED).tobytes(),
            slope=slope,
            constant=constant,
        )
        own = taste.Taste(
            method=method,
            base=model.probe()[0],
            base_name=model.name,
            ratings=len(given.ratings),
            arrays=_stretched(arrays, model.bins),
        )
        with self._database.write() as session:
            if held(session, collection, model) is None:
                return
            lock_raters(session, [rater.rater_id])
            session.merge(kept)
        if taste.USER_ID.fullmatch(rater.code):  # imported raters may have any name
            file = self._folder / collection.slug / f"{rater.code}{taste.SUFFIX}"
            with named(str(file)):
                file.parent.mkdir(parents=True, exist_ok=True)
            taste.write_taste(file, own)


def personal_positions(
    session: Session, collection: Collection, rater: Rater, images: Iterable[Image]
) -> dict[int, float]:
    """What a rater is predicted to say of pictures.

    Args:
        session: From `Database.read`.
        collection: Whose pictures.
        rater: Who.
        images: The pictures.

    Returns:
        0 to 1 of the scale by picture id; nothing where the collection does not learn tastes, or the rater
        has not rated enough yet.
    """
    learned = learned_of(session, collection, rater)
    scored = {image.id: image.position for image in images if image.position is not None}
    if learned is None or not scored:
        return {}
    weights = np.frombuffer(learned.weights, _STORED).astype(np.float64)
    # Another model may just have taken the place of the one it was learned with.
    seen = {key: row for key, row in features_of(session, scored).items() if row.shape == weights.shape}
    if not seen:
        return {}
    generic = np.array([scored[key] for key in seen])
    shift = np.stack([*seen.values()]) @ weights + learned.slope * generic + learned.constant
    return dict(zip(seen, taste.personal_means(generic, shift, _ENDS).tolist(), strict=True))


def learned_of(session: Session, collection: Collection, rater: Rater) -> Taste | None:
    """What a rater's ratings taught so far; None for nothing, or where a collection does not learn it."""
    return session.get(Taste, (rater.id, collection.id)) if collection.personal else None


def forget_tastes(session: Session, collection: Collection) -> None:
    """Forget what raters taught: another model sees other things."""
    session.execute(delete(Taste).where(Taste.collection_id == collection.id))


def _due(session: Session, collection: Collection) -> list[_Due]:
    """Raters who gave enough ratings that can be learned from, and enough that are not learned from yet.

    These are ratings that came since, and those whose pictures the model had not looked at by then.
    """
    more = func.count(Rating.value) - func.coalesce(func.max(Taste.ratings), 0)
    new = case((Rating.event_id > func.coalesce(Taste.event_id, 0), 1), else_=0)
    wanted = (
        select(Rater.id, Rater.code, func.max(Rating.event_id))
        .join(Rating, Rating.rater_id == Rater.id)
        .join(Image, Image.id == Rating.image_id)
        .join(Features, Features.image_id == Image.id)
        .outerjoin(Taste, (Taste.rater_id == Rater.id) & (Taste.collection_id == collection.id))
        .where(Rating.collection_id == collection.id, Rating.round == FIRST, *_LEARNED_FROM)
        .group_by(Rater.id, Rater.code)
        .having(func.count(Rating.value) >= FEWEST, (func.sum(new) >= AGAIN) | (more >= AGAIN))
        .order_by(func.max(Rating.event_id).desc())
        .limit(_AT_ONCE)
    )
    return [_Due(*row) for row in session.execute(wanted)]


def _given(session: Session, collection: Collection, rater_id: int) -> _Given:
    wanted = (
        select(Features.vector, Image.position, Rating.value)
        .join(Image, Image.id == Rating.image_id)
        .join(Features, Features.image_id == Image.id)
        .where(
            Rating.collection_id == collection.id,
            Rating.rater_id == rater_id,
            Rating.round == FIRST,
            Rating.value.is_not(None),
            *_LEARNED_FROM,
        )
    )
    rows = session.execute(wanted).all()
    scale = collection.scale
    return _Given(
        np.array([to_vector(content) for content, _, _ in rows], np.float32),
        np.array([position for _, position, _ in rows], np.float64),
        (np.array([value for _, _, value in rows], np.float64) - scale.low) / scale.width,
    )


def _stretched(arrays: Arrays, bins: FloatArray) -> Arrays:
    """From positions between 0 and 1 to the scale of a model."""
    low, width = float(bins[0]), float(bins[-1] - bins[0])
    slope, constant = arrays["level"].tolist()
    return taste.linear(arrays["weights"] * width, slope, constant * width - slope * low)
