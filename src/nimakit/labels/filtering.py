"""Which images of a label file stay, and why the others do not."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nimakit.errors import UsageError
from nimakit.labels import sets
from nimakit.labels.label_file import Labels
from nimakit.stats.histogram import FloatArray

Chosen = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class RatingRange:
    """Mean ratings from low to high, both included."""

    low: float
    high: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Criteria:
    """What an image must be to stay.

    Attributes:
        keep: Image ids, of which it must be one; None for any.
        drop: Image ids, of which it must be none; None for no such.
        min_raters: By how many people it must be rated.
        keep_ratings: Its mean rating must be in one of these; empty for any.
        drop_ratings: Its mean rating must be in none of these.
        bins: (bins,), the rating each bin stands for; None for 1, 2, ...
        tags: N sets, the tags of each image.
        with_tags: Of which it must have one; empty for any.
        without_tags: Of which it must have none.
    """

    keep: Collection[str] | None = None
    drop: Collection[str] | None = None
    min_raters: int = 0
    keep_ratings: Sequence[RatingRange] = ()
    drop_ratings: Sequence[RatingRange] = ()
    bins: FloatArray | None = None
    tags: Sequence[Collection[str]] = ()
    with_tags: Collection[str] = ()
    without_tags: Collection[str] = ()


def parse_range(text: str) -> RatingRange:
    """A span of ratings from its text.

    Raises:
        UsageError: It is none.

    >>> parse_range("4:6"), parse_range(":4")
    (RatingRange(low=4.0, high=6.0), RatingRange(low=-inf, high=4.0))
    """
    low, colon, high = text.partition(":")
    try:
        span = RatingRange(float(low or "-inf"), float(high or "inf"))
    except ValueError:
        span = RatingRange(np.nan, np.nan)
    if not colon or not span.low <= span.high:
        raise UsageError(f"Ratings are LOW:HIGH, LOW: or :HIGH, as 4:6, 6:, :4. Received: {text}")
    return span


def dropped(labels: Labels, path: Path, criteria: Criteria) -> dict[str, Chosen]:
    """Which images do not stay.

    Args:
        labels: N images.
        path: Their file, for messages.
        criteria: What they must be.

    Returns:
        Reason -> (N,) bool; an image that several criteria drop has the first reason alone.

    Raises:
        UsageError: The label file does not hold what the criteria need.
    """
    reasons: dict[str, Chosen] = {}
    if criteria.keep is not None:
        reasons["not_in_keep"] = ~_named(labels, criteria.keep)
    if criteria.drop is not None:
        reasons["in_drop"] = _named(labels, criteria.drop)
    if criteria.min_raters:
        reasons["too_few_raters"] = sets.raters(labels, path) < criteria.min_raters
    if criteria.keep_ratings or criteria.drop_ratings:
        means = sets.mean_ratings(labels, path, criteria.bins)
        if criteria.keep_ratings:
            reasons["not_in_keep_ratings"] = ~_within(means, criteria.keep_ratings)
        if criteria.drop_ratings:
            reasons["in_drop_ratings"] = _within(means, criteria.drop_ratings)
    if criteria.with_tags:
        reasons["without_tag"] = ~_tagged(criteria.tags, criteria.with_tags)
    if criteria.without_tags:
        reasons["with_dropped_tag"] = _tagged(criteria.tags, criteria.without_tags)
    left = np.ones(len(labels.image_ids), np.bool_)
    for reason, chosen in reasons.items():
        reasons[reason] = chosen & left
        left &= ~chosen
    return reasons


def _named(labels: Labels, names: Collection[str]) -> Chosen:
    wanted = frozenset(names)
    return np.array([name in wanted for name in labels.image_ids])


def _within(means: FloatArray, spans: Sequence[RatingRange]) -> Chosen:
    chosen = np.zeros(len(means), np.bool_)
    for span in spans:
        chosen |= (means >= span.low) & (means <= span.high)
    return chosen


def _tagged(tags: Sequence[Collection[str]], wanted: Collection[str]) -> Chosen:
    names = frozenset(wanted)
    return np.array([not names.isdisjoint(of_image) for of_image in tags])
