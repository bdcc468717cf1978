"""Agreement between raters: Krippendorff's alpha, intraclass correlation, split halves.

R ratings are parallel arrays: ``image`` (R,) int, picture numbers from 0; ``user`` (R,) int, rater numbers;
``rating`` (R,) float64, finite; R at least 1. Each rater rates a picture at most once
(`nimakit.labels.ratings.Ratings.latest`). If raters are unknown, as in a label file, ``weight`` (R,) float64
is how often a rating was given to a picture.

A figure is None if it is not defined: with one picture, one rater, no picture with two raters, or equal
ratings only.

Alpha is computed by sums of squares rather than by the package krippendorff, whose table for each picture
grows with the square of the number of different ratings: gigabytes if ratings are fractions.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from nimakit.stats.correlation import lcc, mean_ranks
from nimakit.stats.histogram import FloatArray, IntArray

Level = Literal["ordinal", "interval"]

SPLITS = 100
_EPSILON = 1e-9
_MIN_PICTURES = 3
"""The correlation of two points is always 1 or -1."""


@dataclass(frozen=True, slots=True)
class Moments:
    """Counts, means and deviations of the ratings of N pictures, in the order of their numbers.

    Attributes:
        images: (N,) int64, picture numbers, ascending.
        counts: (N,) float64, numbers of ratings.
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
        """Variance of the ratings of a picture, pooled over all pictures: the mean square within."""
        freedom = float(self.counts.sum() - len(self.counts))
        return float(self.squares.sum()) / freedom if freedom > 0 else None


@dataclass(frozen=True, slots=True)
class Icc:
    """An intraclass correlation coefficient.

    Attributes:
        single: Reliability of one rating, up to 1; below 0 if ratings of the same picture differ more than
            pictures do.
        average: Reliability of a picture's mean rating; None if single is too far below 0.
        ratings: Ratings per picture that ``average`` refers to: their number if it is the same for all
            pictures, else Donner's average, slightly below the mean number.
    """

    single: float
    average: float | None
    ratings: float


@dataclass(frozen=True, slots=True)
class TwoWayIcc:
    """ICCs that separate differences in the raters' levels from all other disagreement.

    Attributes:
        agreement: Counts differences in level as disagreement: ICC(A,1) and ICC(A,k) of McGraw and Wong,
            (2,1) and (2,k) of Shrout and Fleiss.
        consistency: Ignores differences in level: ICC(C,1) and ICC(C,k), or (3,1) and (3,k).
    """

    agreement: Icc
    consistency: Icc


@dataclass(frozen=True, slots=True)
class Variances:
    """Where the variance of ratings comes from.

    Attributes:
        image: Variance of the pictures.
        user: Variance of the raters' levels.
        rest: Variance of what remains: taste and chance.
    """

    image: float
    user: float
    rest: float


@dataclass(frozen=True, slots=True)
class SplitHalf:
    """Agreement between random halves of the raters.

    Attributes:
        correlation: Pearson's correlation between the pictures' mean ratings by the two halves, averaged over
            the splits.
        reliability: Reliability of the mean ratings by all raters: `spearman_brown` of the correlation.
        splits: Number of splits with at least three pictures rated by both halves.
    """

    correlation: float
    reliability: float | None
    splits: int


def moments(image: IntArray, rating: FloatArray, weight: FloatArray | None = None) -> Moments:
    """Count, mean and squared deviations of each picture's ratings."""
    images, place = np.unique(image, return_inverse=True)
    weights = np.ones(len(rating)) if weight is None else weight
    counts = np.bincount(place, weights).astype(np.float64)
    # With equal ratings all values are exactly 0, so rounding cannot make them differ.
    values = rating - rating[0]
    means = np.bincount(place, weights * values) / counts
    squares = np.bincount(place, weights * (values - means[place]) ** 2).astype(np.float64)
    return Moments(images, counts, means + rating[0], squares)


def alpha(
    image: IntArray, rating: FloatArray, level: Level, weight: FloatArray | None = None
) -> float | None:
    """Krippendorff's alpha: 1 for full agreement, 0 for agreement by chance, below 0 for less.

    Krippendorff, "Computing Krippendorff's Alpha-Reliability", 2011, by sums of squares: over the n ratings
    of pictures u with m_u >= 2 ratings,
    ``1 - (n - 1) / n * sum_u(m_u / (m_u - 1) * SS_u) / SS``. His ordinal distance is the squared difference
    of mean ranks among the n, so ordinal alpha is interval alpha of the mean ranks.

    Args:
        image: (R,).
        rating: (R,).
        level: Meaning of the scale: ``ordinal``, an order only; ``interval``, equal distances.
        weight: (R,), counts; None for 1 each.
    """
    weights = np.ones(len(rating)) if weight is None else weight
    paired = np.bincount(image, weights)[image] > 1
    image, values, weights = image[paired], rating[paired], weights[paired]
    if not len(values) or values.min() == values.max() or image.min() == image.max():
        return None
    if level == "ordinal":
        values = mean_ranks(values, weights)
    found = moments(image, values, weights)
    total = float(weights.sum())
    scatter = float(weights @ (values - weights @ values / total) ** 2)
    observed = float((found.counts / (found.counts - 1) * found.squares).sum())
    return 1 - (total - 1) / total * observed / scatter


def one_way_icc(found: Moments) -> Icc | None:
    """ICC(1) and ICC(1,k): the share of the variance that lies between pictures, ignoring who rated them.

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
    """ICCs from the variances of pictures, raters and residuals; some ratings may be missing.

    If every rater rated every picture, they are those of Shrout and Fleiss, and of McGraw and Wong.
    """
    found = variances(image, user, rating)
    if found is None:
        return None
    ratings = _average_count(np.bincount(np.unique(image, return_inverse=True)[1]).astype(float))
    agreement = _icc(found.image, found.user + found.rest, ratings)
    consistency = _icc(found.image, found.rest, ratings)
    return TwoWayIcc(agreement, consistency) if agreement and consistency else None


def icc_of_means(image: IntArray, user: IntArray, rating: FloatArray) -> Icc | None:
    """Reliability of the pictures' mean ratings, where it is known who rated which picture.

    How lenient the raters are moves the mean of a picture only as far as other pictures have other raters:
    not at all if everyone rated every picture, and as much as any disagreement if no rater rated two. The
    variance of the raters' levels is multiplied by that share of it which is left between pictures.

    Returns:
        ``single`` is the reliability of one rating by a rater who rates every picture, ``average`` that of
        the means as they are. If raters and pictures cannot be separated, that of `one_way_icc`.
    """
    found = variances(image, user, rating)
    if found is None:
        return one_way_icc(moments(image, rating))
    place = np.unique(image, return_inverse=True)[1]
    person = np.unique(user, return_inverse=True)[1]
    counts = np.bincount(place).astype(float)
    share = np.bincount(person, 1 / counts[place]) / len(counts)
    left = ((1 / counts).mean() - share @ share) * len(counts) / (len(counts) - 1)
    ratings = _average_count(counts)
    single = _icc(found.image, found.rest, ratings)
    moved = found.rest / ratings + max(found.user, 0.0) * left
    if single is None or found.image + moved <= 0:
        return None
    return Icc(single.single, float(found.image / (found.image + moved)), ratings)


def variances(image: IntArray, user: IntArray, rating: FloatArray) -> Variances | None:
    """Variances of pictures, raters and residuals; some ratings may be missing.

    They equate the observed sums of squares with their expectations: Henderson, "Estimation of Variance and
    Covariance Components", 1953, method 1. If every rater rated every picture, they are those of the analysis
    of variance. An estimate may be below 0.
    """
    values = rating - rating[0]  # exactly 0 for equal ratings, as in `moments`
    values = values - values.mean()  # keeps the sums of squares precise
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
    return Variances(*np.linalg.solve(expected, np.array(squares) - values.sum() ** 2 / total).tolist())


def split_half(
    image: IntArray, user: IntArray, rating: FloatArray, *, splits: int = SPLITS, seed: int = 0
) -> SplitHalf | None:
    """Correlate the mean ratings by random halves of the raters.

    Args:
        image: (R,).
        user: (R,).
        rating: (R,).
        splits: Number of random splits.
        seed: Seed of the splits.
    """
    _, place, raters = np.unique(image, return_inverse=True, return_counts=True)
    users, person = np.unique(user, return_inverse=True)
    several = raters[place] > 1  # a picture with one rating is never in both halves
    images, place = np.unique(place[several], return_inverse=True)
    person, values = person[several], rating[several] - rating[0]  # as in `moments`
    random = np.random.default_rng(seed)
    correlations = []
    for _ in range(splits):
        half = (random.permutation(len(users)) < len(users) // 2)[person]
        group = half * len(images) + place
        counts = np.bincount(group, minlength=2 * len(images)).reshape(2, -1)
        sums = np.bincount(group, values, 2 * len(images)).reshape(2, -1)
        both = np.flatnonzero(counts.all(axis=0))
        if len(both) >= _MIN_PICTURES:
            correlation = lcc(*(sums[:, both] / counts[:, both]))
            correlations += [] if correlation is None else [correlation]
    if not correlations:
        return None
    mean = float(np.mean(correlations))
    return SplitHalf(mean, spearman_brown(mean, 2) if mean >= 0 else None, len(correlations))


def spearman_brown(reliability: float, times: float) -> float | None:
    """Reliability of a mean of more ratings: Spearman 1910, Brown 1910.

    Args:
        reliability: Reliability with the present number of ratings, up to 1.
        times: Factor by which that number changes, above 0.

    >>> spearman_brown(0.5, 2)
    0.6666666666666666
    """
    divisor = 1 + (times - 1) * reliability
    return times * reliability / divisor if divisor > _EPSILON else None


def _average_count(counts: FloatArray) -> float:
    """Donner's average number of ratings per picture; at least two pictures."""
    total = float(counts.sum())
    return (total - float(counts @ counts) / total) / (len(counts) - 1)


def _icc(between: float, rest: float, ratings: float) -> Icc | None:
    """An ICC from variances; None if their sum is not above 0, which estimates may be."""
    if between + rest <= 0:
        return None
    single = float(between / (between + rest))
    return Icc(single, spearman_brown(single, ratings), ratings)
