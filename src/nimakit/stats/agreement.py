"""How far people agree on pictures: Krippendorff's alpha, intraclass correlation, split halves.

R ratings are arrays side by side: ``image`` (R,) int, a number from 0 per picture; ``user`` (R,) int, one per
person; ``rating`` (R,) float64, finite; R at least 1. A person rates a picture once
(`nimakit.labels.ratings.Ratings.latest`). Where people are unknown, as in a label file, ``weight`` (R,)
float64 says how often a rating was given to a picture.

A figure is None where it is not defined: one picture, one person, no two people on the same picture, or
everyone saying the same.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nimakit.stats.correlation import lcc
from nimakit.stats.histogram import FloatArray

IntArray = NDArray[np.intp]
Level = Literal["ordinal", "interval"]

SPLITS = 100
_NEXT_TO_0 = 1e-9
_FEWEST_PICTURES = 3
"""Through two points a correlation is always 1 or -1."""


@dataclass(frozen=True, slots=True)
class Moments:
    """The ratings of each picture that has any, in the order of its number.

    Attributes:
        images: (N,) int64, their numbers, ascending.
        counts: (N,) float64, ratings.
        means: (N,) float64.
        squares: (N,) float64, sums of squared deviations from the mean.
    """

    images: IntArray
    counts: FloatArray
    means: FloatArray
    squares: FloatArray

    @property
    def deviations(self) -> FloatArray:
        """(N,) float64, sample standard deviations; NaN for a picture with one rating."""
        deviations = np.full(len(self.counts), np.nan)
        several = self.counts > 1
        deviations[several] = np.sqrt(self.squares[several] / (self.counts[several] - 1))
        return deviations

    @property
    def within(self) -> float | None:
        """Variance among the ratings of one picture, pooled over all: the mean square within."""
        freedom = float(self.counts.sum() - len(self.counts))
        return float(self.squares.sum()) / freedom if freedom > 0 else None


@dataclass(frozen=True, slots=True)
class Icc:
    """An intraclass correlation coefficient.

    Attributes:
        single: Of one rating, up to 1; below 0 where ratings of one picture differ more than pictures do.
        average: Of a picture's mean rating; None where single is too far below 0.
        ratings: Ratings of a picture that ``average`` stands for: all pictures' number where it is equal,
            else Donner's average, a little less than the mean number.
    """

    single: float
    average: float | None
    ratings: float


@dataclass(frozen=True, slots=True)
class TwoWayIcc:
    """ICCs that tell people's differences in level from all other disagreement.

    Attributes:
        agreement: A person who rates higher throughout counts as disagreement: ICC(A,1) and ICC(A,k) of
            McGraw and Wong, (2,1) and (2,k) of Shrout and Fleiss.
        consistency: The level of a person does not count: ICC(C,1) and ICC(C,k), or (3,1) and (3,k).
    """

    agreement: Icc
    consistency: Icc


@dataclass(frozen=True, slots=True)
class SplitHalf:
    """Agreement of two halves of the people.

    Attributes:
        correlation: Pearson's correlation of the pictures' means by the one half and by the other, the mean
            over the splits.
        reliability: The same for all people together, stepped up by `spearman_brown`.
        splits: How many splits had three pictures rated by both halves.
    """

    correlation: float
    reliability: float | None
    splits: int


def moments(image: IntArray, rating: FloatArray, weight: FloatArray | None = None) -> Moments:
    """Count, mean and squared deviations of each picture's ratings."""
    images, place = np.unique(image, return_inverse=True)
    weights = np.ones(len(rating)) if weight is None else weight
    counts = np.bincount(place, weights).astype(np.float64)
    # Equal ratings become 0, which no rounding makes different from one another.
    values = rating - rating[0]
    means = np.bincount(place, weights * values) / counts
    squares = np.bincount(place, weights * (values - means[place]) ** 2).astype(np.float64)
    return Moments(images, counts, means + rating[0], squares)


def alpha(
    image: IntArray, rating: FloatArray, level: Level, weight: FloatArray | None = None
) -> float | None:
    """Krippendorff's alpha: 1 where people agree fully, 0 where as much as by chance, below 0 where less.

    Krippendorff, "Computing Krippendorff's Alpha-Reliability", 2011, by sums of squares, which need no table
    of values by values for each picture: over the n ratings of pictures u with m_u >= 2 ratings,
    ``1 - (n - 1) / n * sum_u(m_u / (m_u - 1) * SS_u) / SS``. His ordinal distance is the squared difference
    of mid-ranks among the n, so ordinal alpha is interval alpha of the mid-ranks.

    Args:
        image: (R,).
        rating: (R,).
        level: What steps of the scale mean: ``ordinal``, an order alone; ``interval``, equal distances.
        weight: (R,), counts; None for 1 each.
    """
    weights = np.ones(len(rating)) if weight is None else weight
    paired = np.bincount(image, weights)[image] > 1
    image, values, weights = image[paired], rating[paired], weights[paired]
    if not len(values) or values.min() == values.max() or image.min() == image.max():
        return None
    if level == "ordinal":
        values = _mid_ranks(values, weights)
    found = moments(image, values, weights)
    total = float(weights.sum())
    scatter = float(weights @ (values - weights @ values / total) ** 2)
    observed = float((found.counts / (found.counts - 1) * found.squares).sum())
    return 1 - (total - 1) / total * observed / scatter


def one_way_icc(found: Moments) -> Icc | None:
    """ICC(1) and ICC(1,k): the share of variance that is between pictures, whoever rated them.

    ``(MSB - MSW) / (MSB + (k - 1) MSW)``: Shrout and Fleiss, "Intraclass Correlations: Uses in Assessing
    Rater Reliability", 1979, case 1; McGraw and Wong, "Forming Inferences About Some Intraclass Correlation
    Coefficients", 1996. For unequal numbers of ratings, ``k = (sum m - sum m^2 / sum m) / (N - 1)``: Donner,
    "A Review of Inference Procedures for the Intraclass Correlation Coefficient in the One-Way Random
    Effects Model", 1986.
    """
    pictures, total, within = len(found.counts), float(found.counts.sum()), found.within
    if pictures < 2 or within is None:
        return None
    means = found.means - found.means[0]
    between = float(found.counts @ (means - found.counts @ means / total) ** 2) / (pictures - 1)
    ratings = _average_count(found.counts)
    return _icc((between - within) / ratings, within, ratings)


def two_way_icc(image: IntArray, user: IntArray, rating: FloatArray) -> TwoWayIcc | None:
    """ICCs from the variance of pictures, of people and of the rest, whether or not all rated everything.

    The variances are those under which one expects the sums of squares observed: Henderson, "Estimation of
    Variance and Covariance Components", 1953, method 1. Where each person rated each picture they are those
    of the analysis of variance, and the ICCs those of Shrout and Fleiss, and McGraw and Wong.
    """
    values = rating - rating[0]  # equal ratings become 0, as in `moments`
    values = values - values.mean()  # sums of squares keep their digits
    by_image, by_user = (np.unique(codes, return_inverse=True)[1] for codes in (image, user))
    of_images, of_users = np.bincount(by_image).astype(float), np.bincount(by_user).astype(float)
    total, images, users = len(values), len(of_images), len(of_users)
    image_share, user_share = of_images @ of_images / total, of_users @ of_users / total
    squares = [
        values @ values,
        (np.bincount(by_image, values) ** 2 / of_images).sum(),
        (np.bincount(by_user, values) ** 2 / of_users).sum(),
    ]
    expected = np.array(
        [
            [total - image_share, total - user_share, total - 1],
            [total - image_share, images - user_share, images - 1],
            [users - image_share, total - user_share, users - 1],
        ]
    )
    if np.linalg.matrix_rank(expected) < 3:
        return None
    of_image, of_user, rest = np.linalg.solve(expected, np.array(squares) - values.sum() ** 2 / total)
    ratings = _average_count(of_images)
    agreement, consistency = _icc(of_image, of_user + rest, ratings), _icc(of_image, rest, ratings)
    return TwoWayIcc(agreement, consistency) if agreement and consistency else None


def split_half(
    image: IntArray, user: IntArray, rating: FloatArray, *, splits: int = SPLITS, seed: int = 0
) -> SplitHalf | None:
    """How well the mean ratings by a random half of the people match those by the other half.

    Args:
        image: (R,).
        user: (R,).
        rating: (R,).
        splits: How often people are split anew.
        seed: Of the splits.
    """
    _, place = np.unique(image, return_inverse=True)
    users, person = np.unique(user, return_inverse=True)
    values = rating - rating[0]  # as in `moments`
    random = np.random.default_rng(seed)
    correlations = []
    for _ in range(splits):
        first = (random.permutation(len(users)) < len(users) // 2)[person]
        counts = [np.bincount(place[half], minlength=place.max() + 1) for half in (first, ~first)]
        sums = [np.bincount(place[half], values[half], place.max() + 1) for half in (first, ~first)]
        both = (counts[0] > 0) & (counts[1] > 0)
        if both.sum() >= _FEWEST_PICTURES:
            correlation = lcc(sums[0][both] / counts[0][both], sums[1][both] / counts[1][both])
            correlations += [] if correlation is None else [correlation]
    if not correlations:
        return None
    mean = float(np.mean(correlations))
    return SplitHalf(mean, spearman_brown(mean, 2) if mean >= 0 else None, len(correlations))


def spearman_brown(reliability: float, times: float) -> float | None:
    """Reliability of a mean of so many times the ratings: Spearman 1910, Brown 1910.

    Args:
        reliability: With the ratings there are, up to 1.
        times: Above 0.

    >>> spearman_brown(0.5, 2)
    0.6666666666666666
    """
    divisor = 1 + (times - 1) * reliability
    return times * reliability / divisor if divisor > _NEXT_TO_0 else None


def _mid_ranks(values: FloatArray, weights: FloatArray) -> FloatArray:
    _, place = np.unique(values, return_inverse=True)
    counts = np.bincount(place, weights)
    return np.asarray((np.cumsum(counts) - counts / 2)[place])


def _average_count(counts: FloatArray) -> float:
    """Donner's average number of ratings of N pictures, N at least 2."""
    total = float(counts.sum())
    return (total - float(counts @ counts) / total) / (len(counts) - 1)


def _icc(between: float, rest: float, ratings: float) -> Icc | None:
    """An ICC from variances; None where there is none of either, or estimates below 0 leave none."""
    if between + rest <= 0:
        return None
    single = float(between / (between + rest))
    return Icc(single, spearman_brown(single, ratings), ratings)
