"""The people who rate: who is kinder or harsher than the rest, who uses the scale, who agrees.

Ratings are arrays as in `nimakit.stats.agreement`. People are numbered from 0; arrays of U people hold NaN
where a figure is not defined.
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from nimakit.stats.agreement import IntArray, moments
from nimakit.stats.correlation import lcc
from nimakit.stats.histogram import FloatArray

FEWEST_RATINGS = 5
"""Shared with others, before a person may be called unlike them."""

_FEWEST_PEOPLE = 5
_FEWEST_PAIRS = 3
_FAR = 3.5
_NO_SPREAD = 1e-9
_MAD_OF_NORMAL = 0.6745
"""The median absolute deviation of a normal distribution with a standard deviation of 1."""


@dataclass(frozen=True, slots=True)
class Raters:
    """U people beside the others who rated the same pictures.

    Attributes:
        counts: (U,) int, ratings.
        shared: (U,) int, of those, ratings of pictures that others rated too.
        bias: (U,) float64, mean of rating minus the others' mean of that picture: above 0 is kinder.
        spread: (U,) float64, sample standard deviation of the ratings: 0 is always the same.
        consistency: (U,) float64, Pearson's correlation of the ratings with the others' means, -1 to 1.
    """

    counts: IntArray
    shared: IntArray
    bias: FloatArray
    spread: FloatArray
    consistency: FloatArray


@dataclass(frozen=True, slots=True)
class Outliers:
    """People unlike the rest, each (U,) bool.

    Attributes:
        level: Far kinder or harsher than most.
        taste: Far less in agreement with the others than most.
        constant: Always the same rating.
    """

    level: NDArray[np.bool_]
    taste: NDArray[np.bool_]
    constant: NDArray[np.bool_]

    @property
    def any(self) -> NDArray[np.bool_]:
        """(U,) bool, unlike the rest in any of these."""
        return self.level | self.taste | self.constant

    def reasons(self, person: int) -> list[str]:
        """In which of these somebody is unlike the rest."""
        return [field.name for field in fields(self) if getattr(self, field.name)[person]]


@dataclass(frozen=True, slots=True)
class Repeats:
    """How far people agree with themselves, when they rate a picture again.

    Attributes:
        ratings: Ratings of a picture by someone who had rated it before.
        same: Share of them that repeat the rating before.
        difference: Mean absolute difference from the rating before, in points of the scale.
        correlation: Pearson's, of ratings and ratings before; None where it is not defined.
    """

    ratings: int
    same: float
    difference: float
    correlation: float | None


def compare(image: IntArray, user: IntArray, rating: FloatArray) -> Raters:
    """Each person beside the others.

    Args:
        image: (R,), numbers of pictures.
        user: (R,), from 0 to U - 1, each with at least one rating, and at most one of a picture.
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
    """Who is so far from most people that their ratings deserve a look.

    Far is a modified z-score above 3.5: Iglewicz and Hoaglin, "How to Detect and Handle Outliers", 1993; of
    correlations, after Fisher's transformation. Only people with five shared ratings are compared, and only
    where there are five of them.
    """
    enough = raters.shared >= FEWEST_RATINGS
    with_taste = enough & np.isfinite(raters.consistency)
    taste = np.zeros(len(enough))
    taste[with_taste] = _distances(np.arctanh(raters.consistency[with_taste].clip(-0.9999, 0.9999)))
    level = np.zeros(len(enough))
    level[enough] = _distances(raters.bias[enough])
    return Outliers(
        level=np.abs(level) > _FAR,
        taste=taste < -_FAR,
        constant=(raters.counts >= FEWEST_RATINGS) & (raters.spread < _NO_SPREAD),
    )


def repeats(image: IntArray, user: IntArray, rating: FloatArray) -> Repeats | None:
    """Compare each rating with the one before by the same person of the same picture.

    Args:
        image: (R,).
        user: (R,).
        rating: (R,), in the order in which they were given.

    Returns:
        None where nobody rated a picture twice.
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
        correlation=lcc(before, after) if len(again) >= _FEWEST_PAIRS else None,
    )


def _sums(person: IntArray, values: FloatArray, people: int) -> FloatArray:
    return np.bincount(person, values, people).astype(np.float64)


def _means(person: IntArray, values: FloatArray, counts: IntArray) -> FloatArray:
    """(U,) float64; NaN for people without values."""
    means = np.full(len(counts), np.nan)
    np.divide(_sums(person, values, len(counts)), counts, out=means, where=counts > 0)
    return means


def _correlations(person: IntArray, first: FloatArray, second: FloatArray, counts: IntArray) -> FloatArray:
    """Pearson's correlation of each person's pairs; NaN below three, or where one side is constant."""
    a = first - _means(person, first, counts)[person]
    b = second - _means(person, second, counts)[person]
    products, squares_a, squares_b = (_sums(person, c, len(counts)) for c in (a * b, a * a, b * b))
    # Equal values leave rounding errors in place of 0 where their mean has no exact binary form.
    rounding = 1e-24 * max(np.abs(first).max(initial=0), np.abs(second).max(initial=0)) ** 2 * counts
    defined = (counts >= _FEWEST_PAIRS) & (squares_a > rounding) & (squares_b > rounding)
    correlations = np.full(len(counts), np.nan)
    np.divide(products, np.sqrt(squares_a * squares_b), out=correlations, where=defined)
    return np.asarray(correlations.clip(-1, 1))


def _distances(values: FloatArray) -> FloatArray:
    """Modified z-scores; 0 where there are too few values, or most are equal."""
    if len(values) < _FEWEST_PEOPLE:
        return np.zeros(len(values))
    offsets = values - np.median(values)
    usual = float(np.median(np.abs(offsets)))
    return np.asarray(_MAD_OF_NORMAL * offsets / usual) if usual > 0 else np.zeros(len(values))
