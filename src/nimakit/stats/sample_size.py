"""How many more ratings pictures need for reliable mean ratings."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from nimakit.stats.agreement import Icc, Moments
from nimakit.stats.histogram import FloatArray

Goal = Literal["reliability", "standard_error"]


@dataclass(frozen=True, slots=True)
class Goals:
    """Targets for the precision of mean ratings.

    Attributes:
        reliabilities: Each above 0 and below 1.
        standard_errors: Each above 0, in points of the scale; empty to choose one by the scale.
    """

    reliabilities: tuple[float, ...] = (0.8, 0.9, 0.95)
    standard_errors: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Need:
    """The ratings needed to reach a target.

    Attributes:
        goal: Kind of target; a standard error is in points of the scale.
        wanted: Value of the target.
        ratings_per_image: Ratings that each picture needs.
        images_short: Number of pictures with fewer.
        ratings_missing: Ratings these pictures lack in total.
    """

    goal: Goal
    wanted: float
    ratings_per_image: int
    images_short: int
    ratings_missing: int


def ratings_needed(found: Moments, icc: Icc | None, goals: Goals, bins: FloatArray) -> tuple[Need, ...]:
    """Estimate how many more ratings reach each target, if future raters are like the present ones.

    Args:
        found: Moments of the present ratings.
        icc: Their reliability.
        goals: The targets.
        bins: (bins,), the scale.

    Returns:
        A `Need` for each target, reliabilities first; none if the ratings do not allow an estimate.
    """
    needed: list[tuple[Goal, float, float]] = []
    if icc and icc.single > 0:
        needed += [("reliability", goal, for_reliability(icc.single, goal)) for goal in goals.reliabilities]
    if found.within is not None:
        errors = goals.standard_errors or (_default_error(bins),)
        needed += [("standard_error", goal, for_standard_error(found.within, goal)) for goal in errors]
    return tuple(_need(goal, wanted, ratings, found.counts) for goal, wanted, ratings in needed)


def for_reliability(single: float, wanted: float) -> float:
    """Ratings per picture for a reliability of their mean, by the Spearman-Brown formula.

    Args:
        single: Reliability of one rating, such as `nimakit.stats.agreement.Icc.single`; above 0.
        wanted: Above 0, below 1.

    >>> round(for_reliability(0.5, 0.9), 9)
    9.0
    """
    return wanted * (1 - single) / (single * (1 - wanted))


def for_standard_error(within: float, wanted: float) -> float:
    """Ratings per picture for a standard error of their mean.

    Args:
        within: Variance of the ratings of a picture (`nimakit.stats.agreement.Moments.within`).
        wanted: In points of the scale, above 0.

    >>> for_standard_error(4.0, 0.5)
    16.0
    """
    return within / wanted**2


def _need(goal: Goal, wanted: float, ratings: float, counts: FloatArray) -> Need:
    per_image = max(1, math.ceil(ratings - 1e-9))  # 9.000000000000002 ratings are 9
    missing = np.maximum(per_image - counts, 0)
    return Need(goal, wanted, per_image, int((missing > 0).sum()), int(missing.sum()))


def _default_error(bins: FloatArray) -> float:
    """A round standard error (0.1, 0.2, 0.5, 1 ...) of at most a twentieth of the scale."""
    most = float(bins[-1] - bins[0]) / 20
    power = 10.0 ** math.floor(math.log10(most))
    return max(step * power for step in (1, 2, 5) if step * power <= most * (1 + 1e-9))
