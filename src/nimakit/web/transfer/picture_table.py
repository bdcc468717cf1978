"""A table of pictures: what people's ratings or comparisons say of each, and what the model predicts."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from nimakit.errors import LabelError
from nimakit.stats.bradley_terry import fit
from nimakit.stats.histogram import FloatArray
from nimakit.web.db.queries import is_counted, is_shown
from nimakit.web.db.tables import FIRST, SKIP, Choice, Collection, Image, Rating
from nimakit.web.transfer.exports import Row, comparisons_of, image_ids

MAX_RANKED = 3000
"""Pictures that are ranked: their standard errors take seconds and 72 MB, and those of ten times as many
pictures minutes and gigabytes."""

PERCENTILES = (10, 25, 50, 75, 90)
_OF_ALL = ("image", "image_id", "n")
_RATED = ("mean", "sd", *(f"p{percent}" for percent in PERCENTILES))
_RANKED = ("score", "standard_error", "rank", "rank_low", "rank_high", "won", "lost", "tied")
_DIGITS = 6


def picture_columns(collection: Collection) -> tuple[str, ...]:
    """The columns of `picture_rows`."""
    figures = _RANKED if collection.response_table is Choice else _RATED
    return *_OF_ALL, *figures, "predicted"


def picture_rows(session: Session, collection: Collection) -> Iterator[Row]:
    """The pictures that were or are to be rated, sorted by path, without repeats and excluded raters.

    Args:
        session: From `Database.read`.
        collection: The collection.

    Yields:
        Rows of `picture_columns`; what is unknown is None.

    Raises:
        LabelError: Too many pictures were compared to rank them, or two of them share an image_id.
    """
    compares = collection.response_table is Choice
    found = _compared(session, collection) if compares else _rated(session, collection)
    columns = picture_columns(collection)
    wanted = (
        select(Image.id, Image.path, Image.image_id, Image.position)
        .where(Image.collection_id == collection.id, or_(is_shown(session, collection), Image.count > 0))
        .order_by(Image.path)
    )
    for key, path, image_id, position in session.execute(wanted):
        predicted = None if position is None else round(collection.scale.at(position), _DIGITS)
        known = {"image": path, "image_id": image_id, "n": 0, "predicted": predicted, **found.get(key, {})}
        yield {column: known.get(column) for column in columns}


def _rated(session: Session, collection: Collection) -> dict[int, Row]:
    """Picture id -> figures of its ratings."""
    wanted = select(Rating.image_id, Rating.value).where(
        Rating.collection_id == collection.id,
        Rating.round == FIRST,
        Rating.value.is_not(None),
        is_counted(collection, Rating),
    )
    rows = np.array([tuple(row) for row in session.execute(wanted)], np.float64).reshape(-1, 2)
    rows = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
    images, start, count = np.unique(rows[:, 0].astype(np.int64), return_index=True, return_counts=True)
    value = rows[:, 1]
    mean = np.add.reduceat(value, start) / count if len(value) else np.empty(0)
    squares = np.add.reduceat((value - np.repeat(mean, count)) ** 2, start) if len(value) else mean
    deviation = np.where(count > 1, np.sqrt(squares / np.maximum(count - 1, 1)), np.nan)
    quantiles = [_quantile(value, start, count, percent / 100) for percent in PERCENTILES]
    return {
        int(key): {"n": int(number), **dict(zip(_RATED, map(_plain, figures), strict=True))}
        for key, number, *figures in zip(images, count, mean, deviation, *quantiles, strict=True)
    }


def _quantile(value: FloatArray, start: Any, count: Any, share: float) -> FloatArray:
    """A quantile of each picture's ratings, which are sorted; between two of them by linear interpolation."""
    place = start + share * (count - 1)
    below = np.floor(place).astype(np.intp)
    above = np.ceil(place).astype(np.intp)
    return np.asarray(value[below] + (place - below) * (value[above] - value[below]))


def _compared(session: Session, collection: Collection) -> dict[int, Row]:
    """Picture id -> its place in the ranking, and how often it was shown in a comparison that counts."""
    try:
        comparisons = comparisons_of(session, collection)
    except LabelError:
        image_ids(session, collection)  # raises if that was the reason
        return {}
    if len(comparisons.image_ids) > MAX_RANKED:
        raise LabelError(
            f"A table ranks up to {MAX_RANKED:,} pictures. Received: {len(comparisons.image_ids):,} that were"
            " compared. Export the pairs, and rank them with nimakit data pairs."
        )
    keys = {name: key for key, name in image_ids(session, collection).items()}
    scores = fit(comparisons)
    order = np.argsort(-scores.score, kind="stable")
    rank = np.empty(len(order), np.intp)
    rank[order] = np.arange(1, len(order) + 1)
    columns = (
        scores.score,
        scores.standard_error,
        rank,
        scores.rank_low,
        scores.rank_high,
        scores.won,
        scores.lost,
        scores.tied,
    )
    shown = _times_shown(session, collection)
    return {
        keys[comparisons.image_ids[place]]: {
            "n": shown.get(keys[comparisons.image_ids[place]], 0),
            **dict(zip(_RANKED, map(_plain, figures), strict=True)),
        }
        for place, *figures in zip(scores.images.tolist(), *columns, strict=True)
    }


def _times_shown(session: Session, collection: Collection) -> dict[int, int]:
    """Picture id -> number of first comparisons that showed it, without skips."""
    rows = session.execute(
        select(Choice.shown, Choice.kind).where(
            Choice.collection_id == collection.id, Choice.round == FIRST, is_counted(collection, Choice)
        )
    )
    return Counter(image for shown, kind in rows if kind != SKIP for image in shown)


def _plain(value: Any) -> float | None:
    """A number for a table: whole numbers without a decimal point, and None for NaN."""
    number = round(float(value), _DIGITS)
    if np.isnan(number):
        return None
    return int(number) if number == int(number) else number
