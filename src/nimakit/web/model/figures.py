"""How good a collection's own model is, and what more ratings would add."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from nimakit.heads.learning_curve import LearningCurve
from nimakit.labels.ratings import Ratings
from nimakit.scoring.comparison import ceiling
from nimakit.stats.agreement import icc_of_means
from nimakit.stats.bootstrap import Interval

FEWEST = 30
"""Ratings from which a model is learned."""
ADVISED = 100
"""Ratings from which the page gives advice."""

_WORTH = 0.02
"""The gain that advice names the number of ratings for."""
_NOTHING = 0.01
"""More ratings do not help if twice as many add less than this, even at the upper end of the interval."""
_FEWEST_MORE = 50
_STEPS = (1, 1.5, 2, 3, 5, 7)


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """Figures of one fit.

    Attributes:
        ratings: Number of ratings.
        pictures: Number of pictures.
        raters: Number of raters.
        srcc: Cross-validated SRCC with people's mean ratings.
        low: Lower end of its 95 % interval.
        high: Upper end.
        ceiling: What a perfect model would reach with these ratings; None if unknown.
        parts: Numbers of ratings, and the SRCC of models that learned from random parts of that size.
        advice: What more ratings would add.
        encoder: Name and input size of the encoder.
        seconds: Time it took.
    """

    ratings: int
    pictures: int
    raters: int
    srcc: float
    low: float
    high: float
    ceiling: float | None
    parts: list[tuple[int, float]]
    advice: str
    encoder: str
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def figures_of(
    curve: LearningCurve, ratings: Ratings, *, unrated: int, encoder: str, seconds: float
) -> Figures:
    """The figures of a fit.

    Args:
        curve: Its learning curve.
        ratings: What it learned from.
        unrated: Number of pictures without a rating.
        encoder: Name of the encoder.
        seconds: Time it took.
    """
    return Figures(
        ratings=len(ratings),
        pictures=len(ratings.image_ids),
        raters=len(ratings.user_ids),
        srcc=curve.srcc.value,
        low=curve.srcc.low,
        high=curve.srcc.high,
        ceiling=ceiling(icc_of_means(ratings.image, ratings.user, ratings.rating)),
        parts=[(int(size), float(value)) for size, value in zip(curve.sizes, curve.values, strict=True)],
        advice=advice(curve, unrated),
        encoder=encoder,
        seconds=seconds,
    )


def advice(curve: LearningCurve, unrated: int) -> str:
    """What more ratings would add, by the learning curve; empty for too few to tell.

    Args:
        curve: The learning curve.
        unrated: Number of pictures without a rating.
    """
    if curve.laws is None or curve.ratings < ADVISED:
        return ""
    twice = curve.laws.gain(curve.ratings)
    if twice.high < _NOTHING:
        others = "" if unrated else " Ratings of other pictures might."
        return (
            f"More ratings of these pictures will not help: twice as many would add {_range(twice)}.{others}"
        )
    for more in _round_numbers(2 * curve.ratings):
        gain = curve.laws.gain(more)
        if gain.value >= _WORTH:
            return f"About {more:,} more ratings would add {gain.value:.2f} ({_range(gain)})."
    return f"Twice as many ratings would add about {twice.value:.2f} ({_range(twice)})."


def _range(gain: Interval) -> str:
    low, high = (round(max(value, 0.0), 2) for value in (gain.low, gain.high))
    return f"{low:.2f} to {high:.2f}" if high >= _NOTHING else f"less than {_NOTHING}"


def _round_numbers(most: int) -> list[int]:
    """50, 70, 100, 150 ... up to a number."""
    numbers = [int(step * power) for power in 10 ** np.arange(1, 8) for step in _STEPS]
    return [number for number in numbers if _FEWEST_MORE <= number <= most]
