"""Learn raters' tastes from their ratings and picks, and predict their personal scores."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from sqlalchemy import case, delete, func, select
from sqlalchemy.orm import Session

from nimakit.io.arrays import Arrays
from nimakit.io.atomic import output_errors
from nimakit.models import taste
from nimakit.personal import fit
from nimakit.stats.histogram import FloatArray
from nimakit.stats.joint import Choices
from nimakit.web.db.database import Database
from nimakit.web.db.features import Float32Array, features_of, is_scored_by, lock_collection, to_vector
from nimakit.web.db.queries import lock_raters
from nimakit.web.db.tables import (
    CULL,
    FIRST,
    OK,
    UNFLAG,
    Collection,
    Features,
    Flag,
    Image,
    Rater,
    Rating,
    Taste,
)
from nimakit.web.predictions.picks import choices_of
from nimakit.web.predictions.population import Populations

if TYPE_CHECKING:
    from nimakit.models.engine import Model

FEWEST = 10
"""Ratings, or comparisons by picks, needed to learn a taste."""
AGAIN = 5
"""New or changed ratings, or flags, after which it is learned again."""

_RATERS_AT_ONCE = 20
_LEARNED_FROM = (Image.state == OK, Image.position.is_not(None))
_STORED = "<f4"
_ENDS = np.array([0.0, 1.0])
_TrainingData = tuple[Float32Array, FloatArray, FloatArray]
"""Of K pictures a rater rated: features (K, D), and predicted and given ratings (K,), scaled to 0 to 1."""


class _Due(NamedTuple):
    """A rater whose taste is to be learned: their id and code, and their last event."""

    id: int
    code: str
    event_id: int


class TasteLearner:
    """Learns the tastes of raters who gave new ratings or flags, a few raters at a time.

    Args:
        database: The database.
        folder: Contains a folder of taste files for each collection, for `nimakit serve --users-dir`.
    """

    def __init__(self, database: Database, folder: Path) -> None:
        self._database = database
        self._folder = folder
        self._populations = Populations(database)

    def advance(self, collection: Collection, model: "Model") -> bool:
        """Learn the tastes of a few more raters of a collection.

        Args:
            collection: A collection with personal predictions.
            model: Its model.

        Returns:
            Whether any taste was learned.

        Raises:
            StorageError: The database cannot be used.
            OutputError: A taste file cannot be written.
        """
        with self._database.read() as session:
            # The model may have changed since the round began.
            current = session.get_one(Collection, collection.id)
            if current.model != collection.model or not is_scored_by(current, model):
                return False
            collection = current
            due = _due(session, collection)
            if collection.experiment == CULL:
                due = _merged(due, _due_by_flags(session, collection))
        learned = False
        for rater in due:  # one by one, because the features of all their pictures may take much memory
            with self._database.read() as session:
                given = _training_data(session, collection, rater.id)
                choices = choices_of(session, collection, rater.id)
            if len(given[0]) + (int(choices.pairs.times.sum()) if choices else 0) >= FEWEST:
                self._learn(collection, model, rater, given, choices)
                learned = True
        return learned

    def _learn(
        self,
        collection: Collection,
        model: "Model",
        rater: _Due,
        given: _TrainingData,
        choices: Choices | None,
    ) -> None:
        population = self._populations.population(collection, model) if len(given[0]) else None
        method: taste.Method = "factors" if population else "head"
        arrays = population.place(*given, choices) if population else fit.fit_head(*given, choices)
        slope, constant = arrays["level"].tolist()
        stored = Taste(
            rater_id=rater.id,
            collection_id=collection.id,
            method=method,
            ratings=len(given[0]),
            event_id=rater.event_id,
            weights=arrays["weights"].astype(_STORED).tobytes(),
            slope=slope,
            constant=constant,
        )
        own = taste.Taste(
            method=method,
            base=model.probe()[0],
            base_name=model.name,
            ratings=len(given[0]),
            comparisons=int(choices.pairs.times.sum()) if choices else 0,
            arrays=_to_model_scale(arrays, model.bins),
        )
        with self._database.write() as session:
            if lock_collection(session, collection, model) is None:
                return
            lock_raters(session, [rater.id])
            session.merge(stored)
        if taste.USER_ID.fullmatch(rater.code):  # imported raters may have any name
            file = self._folder / collection.slug / f"{rater.code}{taste.SUFFIX}"
            with output_errors(str(file)):
                file.parent.mkdir(parents=True, exist_ok=True)
            taste.write_taste(file, own)


def personal_positions(
    session: Session, collection: Collection, rater: Rater, images: Iterable[Image]
) -> dict[int, float]:
    """A rater's predicted ratings of pictures.

    Args:
        session: From `Database.read`.
        collection: The collection.
        rater: The rater.
        images: The pictures.

    Returns:
        Predictions by picture id, scaled to 0 to 1; empty where the collection does not learn tastes, or the
        rater has not rated enough yet.
    """
    learned = learned_of(session, collection, rater)
    scored = {image.id: image.position for image in images if image.position is not None}
    if learned is None or not scored:
        return {}
    weights = np.frombuffer(learned.weights, _STORED).astype(np.float64)
    # The model may just have been replaced by another.
    seen = {key: row for key, row in features_of(session, scored).items() if row.shape == weights.shape}
    if not seen:
        return {}
    generic = np.array([scored[key] for key in seen])
    shift = np.stack([*seen.values()]) @ weights + learned.slope * generic + learned.constant
    return dict(zip(seen, taste.personal_means(generic, shift, _ENDS).tolist(), strict=True))


def learned_of(session: Session, collection: Collection, rater: Rater) -> Taste | None:
    """A rater's taste; None if it is not learned yet, or the collection does not learn tastes."""
    return session.get(Taste, (rater.id, collection.id)) if collection.personal else None


def forget_tastes(session: Session, collection: Collection) -> None:
    """Delete the learned tastes, which are of no use for another model."""
    session.execute(delete(Taste).where(Taste.collection_id == collection.id))


def _due(session: Session, collection: Collection) -> list[_Due]:
    """Raters with enough ratings, and enough of them not learned from yet: id, code and last event_id.

    Those not learned from are newer ones, and those whose pictures had no features at that time.
    """
    more = func.count(Rating.value) - func.coalesce(func.max(Taste.ratings), 0)
    new = case((Rating.event_id > func.coalesce(Taste.event_id, 0), 1), else_=0)
    wanted = (
        select(Rater.id, Rater.code, func.max(Rating.event_id).label("event_id"))
        .join(Rating, Rating.rater_id == Rater.id)
        .join(Image, Image.id == Rating.image_id)
        .join(Features, Features.image_id == Image.id)
        .outerjoin(Taste, (Taste.rater_id == Rater.id) & (Taste.collection_id == collection.id))
        .where(Rating.collection_id == collection.id, Rating.round == FIRST, *_LEARNED_FROM)
        .group_by(Rater.id, Rater.code)
        .having(func.count(Rating.value) >= FEWEST, (func.sum(new) >= AGAIN) | (more >= AGAIN))
        .order_by(func.max(Rating.event_id).desc())
        .limit(_RATERS_AT_ONCE)
    )
    return [_Due(*row) for row in session.execute(wanted)]


def _due_by_flags(session: Session, collection: Collection) -> list[_Due]:
    """Raters with new flags, whether or not these imply enough comparisons."""
    new = case((Flag.event_id > func.coalesce(Taste.event_id, 0), 1), else_=0)
    wanted = (
        select(Rater.id, Rater.code, func.max(Flag.event_id).label("event_id"))
        .join(Flag, Flag.rater_id == Rater.id)
        .outerjoin(Taste, (Taste.rater_id == Rater.id) & (Taste.collection_id == collection.id))
        .where(Flag.collection_id == collection.id, Flag.kind != UNFLAG)
        .group_by(Rater.id, Rater.code)
        .having(func.sum(new) >= AGAIN)
        .order_by(func.max(Flag.event_id).desc())
        .limit(_RATERS_AT_ONCE)
    )
    return [_Due(*row) for row in session.execute(wanted)]


def _merged(*parts: Iterable[_Due]) -> list[_Due]:
    """Each rater once, with their last event."""
    last: dict[int, _Due] = {}
    for one in (one for part in parts for one in part):
        last[one.id] = max(one, last.get(one.id, one), key=lambda due: due.event_id)
    return [*last.values()]


def _training_data(session: Session, collection: Collection, rater_id: int) -> _TrainingData:
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
    width = int((collection.model_probe or [0])[-1])
    scale = collection.scale
    features = np.array([to_vector(content) for content, _, _ in rows], np.float32)
    return (
        features if rows else np.zeros((0, width), np.float32),
        np.array([position for _, position, _ in rows], np.float64),
        (np.array([value for _, _, value in rows], np.float64) - scale.low) / scale.width,
    )


def _to_model_scale(arrays: Arrays, bins: FloatArray) -> Arrays:
    """Convert a taste from ratings between 0 and 1 to the scale of a model."""
    low, width = float(bins[0]), float(bins[-1] - bins[0])
    slope, constant = arrays["level"].tolist()
    return taste.linear(arrays["weights"] * width, slope, constant * width - slope * low)
