"""Figures of each rater: level, use of the scale, and agreement with the others; and outliers.

Ratings are arrays as in `nimakit.stats.agreement`. Raters are numbered from 0; arrays of U raters contain NaN
where a figure is not defined.
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from nimakit.stats import agreement
from nimakit.stats.agreement import moments
from nimakit.stats.correlation import lcc
from nimakit.stats.histogram import FloatArray, IntArray

MIN_RATINGS = 5
"""Ratings of pictures that others rated too, before a rater may be called an outlier."""

_MAX_ITERATIONS = 200
_CONVERGED = 1e-4
_MIN_RATERS = 5
_MIN_PAIRS = 3
_OUTLIER_SCORE = 3.5
_NO_SPREAD = 1e-9
_MAD_OF_NORMAL = 0.6745
"""The median absolute deviation of a normal distribution with a standard deviation of 1."""


@dataclass(frozen=True, slots=True)
class Raters:
    """Figures of U raters, compared with the others who rated the same pictures.

    Attributes:
        counts: (U,) int, number of ratings.
        shared: (U,) int, number of ratings of pictures that others rated too.
        bias: (U,) float64, mean of each rating minus the others' mean for the picture: above 0 is more
            lenient.
        spread: (U,) float64, sample standard deviation of the ratings: 0 if all are the same.
        consistency: (U,) float64, Pearson's correlation of the ratings with the others' means, -1 to 1.
    """

    counts: IntArray
    shared: IntArray
    bias: FloatArray
    spread: FloatArray
    consistency: FloatArray


@dataclass(frozen=True, slots=True)
class Outliers:
    """Raters unlike the rest, each (U,) bool.

    Attributes:
        level: Far more lenient or stricter than most.
        taste: Agrees far less with the others than most.
        constant: Always gives the same rating.
    """

    level: NDArray[np.bool_]
    taste: NDArray[np.bool_]
    constant: NDArray[np.bool_]

    @property
    def any(self) -> NDArray[np.bool_]:
        """(U,) bool, an outlier in any of these."""
        return self.level | self.taste | self.constant

    def reasons(self, person: int) -> list[str]:
        """Names of the attributes in which a rater is an outlier."""
        return [field.name for field in fields(self) if getattr(self, field.name)[person]]


@dataclass(frozen=True, slots=True)
class Repeats:
    """How well raters agree with themselves when they rate a picture again.

    Attributes:
        ratings: Number of ratings of a picture by a rater who had rated it before.
        same: Share of them that are equal to the previous rating.
        difference: Mean absolute difference from the previous rating, in points of the scale.
        correlation: Pearson's correlation with the previous ratings; None if it is not defined.
    """

    ratings: int
    same: float
    difference: float
    correlation: float | None


def compare(image: IntArray, user: IntArray, rating: FloatArray) -> Raters:
    """Compare each rater with the others.

    Args:
        image: (R,), picture numbers.
        user: (R,), from 0 to U - 1, each with at least one rating, and at most one for each picture.
        rating: (R,).
    """
    counts = np.bincount(user)
    raters = np.bincount(image)[image]
    shared = raters > 1
    others = (np.bincount(image, rating)[image] - rating)[shared] / (raters[shared] - 1)
    person, own = user[shared], rating[shared]
    shared_counts = np.bincount(person, minlength=len(counts))
    return Raters(
        counts=counts,
        shared=shared_counts,
        bias=_means(person, own - others, shared_counts),
        spread=moments(user, rating).deviations,
        consistency=_correlations(person, own, others, shared_counts),
    )


def outliers(raters: Raters) -> Outliers:
    """Find raters so far from most others that their ratings deserve a look.

    The criterion is a modified z-score above 3.5: Iglewicz and Hoaglin, "How to Detect and Handle Outliers",
    1993; for correlations, after Fisher's transformation. Only raters with five shared ratings are compared,
    and only if there are five of them.
    """
    enough = raters.shared >= MIN_RATINGS
    with_taste = enough & np.isfinite(raters.consistency)
    taste = np.zeros(len(enough))
    taste[with_taste] = _modified_z_scores(np.arctanh(raters.consistency[with_taste].clip(-0.9999, 0.9999)))
    level = np.zeros(len(enough))
    level[enough] = _modified_z_scores(raters.bias[enough])
    return Outliers(
        level=np.abs(level) > _OUTLIER_SCORE,
        taste=taste < -_OUTLIER_SCORE,
        constant=(raters.counts >= MIN_RATINGS) & (raters.spread < _NO_SPREAD),
    )


def repeats(image: IntArray, user: IntArray, rating: FloatArray) -> Repeats | None:
    """Compare each rating with the previous one by the same rater for the same picture.

    Args:
        image: (R,).
        user: (R,).
        rating: (R,), in the order they were given.

    Returns:
        None if nobody rated a picture twice.
    """
    order = np.lexsort((np.arange(len(rating)), user, image))
    image, user, rating = image[order], user[order], rating[order]
    again = np.flatnonzero((image[1:] == image[:-1]) & (user[1:] == user[:-1]))
    if not len(again):
        return None
    before, after = rating[again], rating[again + 1]
    return Repeats(
        ratings=len(again),
        same=float((before == after).mean()),
        difference=float(np.abs(after - before).mean()),
        correlation=lcc(before, after) if len(again) >= _MIN_PAIRS else None,
    )


def levels(image: IntArray, user: IntArray, rating: FloatArray) -> FloatArray:
    """Predict how much more lenient each rater is than all raters, whatever pictures they rated.

    Mixed model: a rating is a mean, plus effects of its picture and its rater, plus noise. The prediction is
    the best linear unbiased one (Henderson, "Best Linear Unbiased Estimation and Prediction under a Selection
    Model", 1975) with the variances of `nimakit.stats.agreement.variances`, so that a rater with few ratings
    is judged cautiously.

    Args:
        image: (R,), picture numbers from 0.
        user: (R,), from 0 to U - 1.
        rating: (R,).

    Returns:
        (U,) float64, points of the scale: above 0 is more lenient. 0 if the variances are not defined.
    """
    variances = agreement.variances(image, user, rating)
    people = int(user.max()) + 1
    if variances is None or min(variances.user, variances.image, variances.rest) <= 0:
        return np.zeros(people)
    by_image = np.bincount(image) + variances.rest / variances.image
    by_user = np.bincount(user, minlength=people) + variances.rest / variances.user
    centred = rating - rating.mean()
    picture, person = np.zeros(len(by_image)), np.zeros(people)
    for _ in range(_MAX_ITERATIONS):
        picture = np.bincount(image, centred - person[user], len(by_image)) / by_image
        previous, person = person, np.bincount(user, centred - picture[image], people) / by_user
        centred = centred - (centred - picture[image] - person[user]).mean()
        if np.abs(person - previous).max() < _CONVERGED * np.sqrt(variances.user):
            break
    return person


def _sums(person: IntArray, values: FloatArray, people: int) -> FloatArray:
    return np.bincount(person, values, people).astype(np.float64)


def _means(person: IntArray, values: FloatArray, counts: IntArray) -> FloatArray:
    """(U,) float64; NaN for raters without values."""
    means = np.full(len(counts), np.nan)
    np.divide(_sums(person, values, len(counts)), counts, out=means, where=counts > 0)
    return means


def _correlations(person: IntArray, first: FloatArray, second: FloatArray, counts: IntArray) -> FloatArray:
    """Pearson's correlation of each rater's pairs; NaN for fewer than three, or if one side is constant."""
    a = first - _means(person, first, counts)[person]
    b = second - _means(person, second, counts)[person]
    products, squares_a, squares_b = (_sums(person, c, len(counts)) for c in (a * b, a * a, b * b))
    # Equal values leave rounding errors instead of 0 if their mean has no exact binary form.
    rounding = 1e-24 * max(np.abs(first).max(initial=0), np.abs(second).max(initial=0)) ** 2 * counts
    defined = (counts >= _MIN_PAIRS) & (squares_a > rounding) & (squares_b > rounding)
    correlations = np.full(len(counts), np.nan)
    np.divide(products, np.sqrt(squares_a * squares_b), out=correlations, where=defined)
    return np.asarray(correlations.clip(-1, 1))


def _modified_z_scores(values: FloatArray) -> FloatArray:
    """Modified z-scores; 0 if there are too few values, or most are equal."""
    if len(values) < _MIN_RATERS:
        return np.zeros(len(values))
    offsets = values - np.median(values)
    mad = float(np.median(np.abs(offsets)))
    return np.asarray(_MAD_OF_NORMAL * offsets / mad) if mad > 0 else np.zeros(len(values))
