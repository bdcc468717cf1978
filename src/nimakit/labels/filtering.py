"""Selection of images of a label file by lists, ratings and tags."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nimakit.errors import UsageError
from nimakit.labels import sets
from nimakit.labels.label_file import Labels
from nimakit.stats.histogram import FloatArray

Chosen = NDArray[np.bool_]


class RatingRange(NamedTuple):
    """Mean ratings from low to high, both included."""

    low: float
    high: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Criteria:
    """The conditions an image must meet to be kept.

    Attributes:
        keep: Image ids to keep; None for all.
        drop: Image ids to drop; None for none.
        min_raters: Lowest number of ratings.
        keep_ratings: Ranges, one of which must include its mean rating; empty for any rating.
        drop_ratings: Ranges, none of which may include its mean rating.
        bins: (bins,), the rating of each bin; None for 1, 2, ...
        tags: N sets, the tags of each image.
        with_tags: Tags, of which it must have at least one; empty for any.
        without_tags: Tags, of which it must have none.
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
    """Parse a range of ratings.

    Raises:
        UsageError: It is not a range.

    >>> parse_range("4:6"), parse_range(":4")
    (RatingRange(low=4.0, high=6.0), RatingRange(low=-inf, high=4.0))
    """
    low, colon, high = text.partition(":")
    try:
        limits = RatingRange(float(low or "-inf"), float(high or "inf"))
    except ValueError:
        limits = RatingRange(np.nan, np.nan)
    if not colon or not limits.low <= limits.high:
        raise UsageError(f"A range of ratings must be LOW:HIGH, LOW: or :HIGH, such as 4:6. Received: {text}")
    return limits


def dropped(labels: Labels, path: Path, criteria: Criteria) -> dict[str, Chosen]:
    """Which images to drop.

    Args:
        labels: N images.
        path: Their file, for messages.
        criteria: The conditions.

    Returns:
        Reason -> (N,) bool; an image that fails several conditions is only listed under the first.

    Raises:
        UsageError: The label file lacks what the conditions need.
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


def _within(means: FloatArray, ranges: Sequence[RatingRange]) -> Chosen:
    return np.asarray(np.any([(means >= low) & (means <= high) for low, high in ranges], axis=0))


def _tagged(tags: Sequence[Collection[str]], wanted: Collection[str]) -> Chosen:
    names = frozenset(wanted)
    return np.array([not names.isdisjoint(of_image) for of_image in tags])
