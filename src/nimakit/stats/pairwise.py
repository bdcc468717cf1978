"""Logistic regression on the differences of two things that were compared (Bradley-Terry with covariates).

The chance that i is chosen over j is 1 / (1 + exp(-(x_i - x_j) @ coefficients)). There is no intercept: which
of the two comes first must not matter. With a feature per image that is 1 for this image and 0 for all
others, the coefficients are Bradley-Terry scores: `nimakit.stats.bradley_terry` also uses `most_likely`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from nimakit.errors import LabelError
from nimakit.stats.histogram import FloatArray, IntArray
from nimakit.stats.newton import minimise

_TOLERANCE = 1e-6
_TINY = float(np.finfo(np.float32).tiny)
_NODES = (
    np.polynomial.hermite_e.hermegauss(11)[0],
    np.polynomial.hermite_e.hermegauss(11)[1] / np.sqrt(2 * np.pi),
)
"""Gauss-Hermite nodes and weights of the standard normal distribution."""


class Differences(Protocol):
    """The (P, D) differences of features, as products: a sparse matrix needs no zeros for them."""

    def margins(self, coefficients: FloatArray) -> FloatArray:
        """(P,), the product with (D,) coefficients."""

    def gradient(self, residual: FloatArray) -> FloatArray:
        """(D,), the product of the transposed differences with (P,) residuals."""


class Dense:
    """Differences in an array.

    Args:
        differences: (P, D).
    """

    def __init__(self, differences: FloatArray) -> None:
        self._differences = differences

    def margins(self, coefficients: FloatArray) -> FloatArray:
        """(P,), the product with (D,) coefficients."""
        return np.asarray(self._differences @ coefficients)

    def gradient(self, residual: FloatArray) -> FloatArray:
        """(D,), the product of the transposed differences with (P,) residuals."""
        return np.asarray(residual @ self._differences)


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """The P pairs among n images that were compared, and the differences of a feature per image.

    Attributes:
        first: (P,) intp, index of one image.
        second: (P,) intp, index of the other.
        times: (P,) float64, how often they were compared.
        chosen: (P,) float64, how often the first was chosen; a tie counts half.
        images: n.
    """

    first: IntArray
    second: IntArray
    times: FloatArray
    chosen: FloatArray
    images: int

    @classmethod
    def count(
        cls, left: IntArray, right: IntArray, share: FloatArray, weight: FloatArray, images: int
    ) -> "Pairs":
        """Count comparisons of the same two images together.

        Args:
            left: (R,), index of one image of each comparison, from 0 to `images` - 1.
            right: (R,), index of the other.
            share: (R,), 1 if the left was chosen, 0 if the right was, 0.5 for a tie.
            weight: (R,), how much each comparison counts.
            images: n.
        """
        share_of_lower = np.where(left < right, share, 1 - share) * weight
        key = np.minimum(left, right) * images + np.maximum(left, right)
        pairs, pair = np.unique(key, return_inverse=True)
        return cls(
            first=pairs // max(images, 1),
            second=pairs % max(images, 1),
            times=np.asarray(np.bincount(pair, weight, len(pairs)), np.float64),
            chosen=np.asarray(np.bincount(pair, share_of_lower, len(pairs)), np.float64),
            images=images,
        )

    @classmethod
    def merged(cls, tables: Sequence["Pairs"]) -> "Pairs":
        """Count the pairs of several tables, of the same n images, together."""
        times, chosen = (np.concatenate([getattr(t, name) for t in tables]) for name in ("times", "chosen"))
        first, second = (np.concatenate([getattr(t, name) for t in tables]) for name in ("first", "second"))
        return cls.count(first, second, chosen / times, times, tables[0].images)

    def compact(self) -> tuple[IntArray, "Pairs"]:
        """The images that were compared, ascending, and the same pairs among only those."""
        images, places = np.unique(np.concatenate([self.first, self.second]), return_inverse=True)
        first, second = np.split(places, 2)
        return images, replace(self, first=first, second=second, images=len(images))

    def sum_by_image(self, of_first: FloatArray, of_second: FloatArray) -> FloatArray:
        """(n,), sums over the pairs of each image: `of_first` where it is the first, else `of_second`."""
        return np.asarray(
            np.bincount(self.first, of_first, self.images) + np.bincount(self.second, of_second, self.images)
        )

    def margins(self, coefficients: FloatArray) -> FloatArray:
        """(P,), the value of the first image minus that of the second, for (n,) values."""
        return np.asarray(coefficients[self.first] - coefficients[self.second])

    def gradient(self, residual: FloatArray) -> FloatArray:
        """(n,), sums of the (P,) residuals of each image's pairs, negative where it is the second."""
        return self.sum_by_image(residual, -residual)

    def information(self, margin: FloatArray) -> FloatArray:
        """(n, n), the observed Fisher information at (P,) margins: minus the log-likelihood's Hessian."""
        information = np.zeros((self.images, self.images))
        between = curvature(margin, self.times)
        information[self.first, self.second] = information[self.second, self.first] = -between
        np.fill_diagonal(information, -information.sum(axis=1))
        return information


@dataclass(frozen=True, slots=True, eq=False)
class OfFeatures:
    """The differences of the features of compared images, without an array of them.

    Attributes:
        pairs: The pairs among n images.
        features: (n, D) float64.
    """

    pairs: Pairs
    features: FloatArray

    def margins(self, coefficients: FloatArray) -> FloatArray:
        """(P,), the product with (D,) coefficients."""
        return self.pairs.margins(self.features @ coefficients)

    def gradient(self, residual: FloatArray) -> FloatArray:
        """(D,), the product of the transposed differences with (P,) residuals."""
        return np.asarray(self.pairs.gradient(residual) @ self.features)


def chance(margin: FloatArray) -> FloatArray:
    """The chance of being chosen by a margin; of the shape of the margins, 0 to 1."""
    return np.asarray(np.exp(-np.logaddexp(0, -margin)))


def curvature(margin: FloatArray, times: FloatArray) -> FloatArray:
    """(P,), minus the second derivative of the log-likelihood by the (P,) margins."""
    likely = chance(margin)
    return np.asarray(times * likely * (1 - likely))


def moderated_chance(margin: FloatArray, variance: FloatArray) -> FloatArray:
    """The chance of being chosen by a margin that is only known as a normal distribution; 0 to 1.

    MacKay, "The Evidence Framework Applied to Classification Networks", Neural Computation 4, 1992.

    Args:
        margin: Means, of any shape.
        variance: Variances, of the same shape.
    """
    return chance(margin / np.sqrt(1 + np.pi / 8 * variance))


def expected_information(margin: FloatArray, variance: FloatArray) -> FloatArray:
    """How much a comparison is expected to tell about a margin: their mutual information.

    The entropy of the outcome minus its expected entropy if the margin were known (Lindley, "On a Measure of
    the Information Provided by an Experiment", Annals of Mathematical Statistics 27, 1956).

    Args:
        margin: Means of the normal distribution of the margin, of any shape.
        variance: Its variances, of the same shape.

    Returns:
        Nats, of the same shape, 0 to log 2.

    >>> expected_information(np.array([0.0, 0.0, 5.0]), np.array([0.0, 4.0, 4.0])).round(3)
    array([0.   , 0.231, 0.044])
    """
    nodes, weights = _NODES
    drawn = chance(margin[..., None] + np.sqrt(variance)[..., None] * nodes)
    information = _entropy(drawn @ weights) - _entropy(drawn) @ weights
    return np.asarray(np.maximum(information, 0))


def _entropy(likely: FloatArray) -> FloatArray:
    """Of a choice between two; nats."""
    inside = np.clip(likely, _TINY, 1 - np.finfo(np.float64).eps)
    return np.asarray(-inside * np.log(inside) - (1 - inside) * np.log1p(-inside))


def loss(margin: FloatArray, times: FloatArray, chosen: FloatArray) -> float:
    """Minus the log-likelihood of P pairs that were compared `times` and of which the first was `chosen`."""
    return float((times * np.logaddexp(0, margin) - chosen * margin).sum())


def most_likely(
    differences: Differences,
    times: FloatArray,
    chosen: FloatArray,
    start: FloatArray,
    *,
    precision: float,
    scale: float,
    offset: FloatArray | float = 0.0,
) -> FloatArray:
    """Coefficients of maximum likelihood, or with a prior of maximum posterior probability.

    Args:
        differences: Of the features of P pairs, the first minus the second.
        times: (P,), how often each pair was compared.
        chosen: (P,), how often the first was chosen; a tie counts half.
        start: (D,), where the search starts.
        precision: Of the normal prior of each coefficient, around 0; 0 for none.
        scale: Divisor of the loss, so that the tolerance does not depend on the number of comparisons.
        offset: (P,), added to the margins.

    Returns:
        (D,) float64.

    Raises:
        LabelError: There is no maximum: without a prior, coefficients may diverge.
    """

    def value(point: FloatArray) -> tuple[float, FloatArray]:
        margin = differences.margins(point) + offset
        total = loss(margin, times, chosen) + precision / 2 * float(point @ point)
        slope = differences.gradient(times * chance(margin) - chosen) + precision * point
        return total / scale, slope / scale

    def hessian(point: FloatArray) -> Callable[[FloatArray], FloatArray]:
        between = curvature(differences.margins(point) + offset, times)
        return lambda vector: (
            (differences.gradient(between * differences.margins(vector)) + precision * vector) / scale
        )

    found, slope = minimise(value, hessian, start, tolerance=_TOLERANCE)
    if not slope < 100 * _TOLERANCE:  # rounding may keep it from reaching the tolerance itself
        raise LabelError("The scores of these comparisons cannot be fitted: they diverge.")
    return found


def fit_differences(
    differences: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    share: ArrayLike | None = None,
    prior_mean: ArrayLike | None = None,
    prior_precision: float,
) -> FloatArray:
    """Fit coefficients to comparisons, with a normal prior.

    Args:
        differences: (P, D), features of the chosen minus those of the other; P may be 0.
        weights: (P,), 0 or more, how often each comparison counts; None for once each.
        share: (P,), 0 to 1, the share of the first in the choice: 0.5 for a tie, 0 if the other was chosen;
            None if the first was chosen each time.
        prior_mean: (D,), the coefficients without comparisons; None for 0.
        prior_precision: Of each coefficient, above 0; features should be of similar size, because all have
            one prior.

    Returns:
        (D,) float64.

    >>> fit_differences([[1.0], [1.0], [-1.0]], prior_precision=1e-9).round(3)  # the log odds: log 2
    array([0.693])
    """
    if prior_precision <= 0:
        raise ValueError(f"prior_precision must be above 0. Received: {prior_precision}")
    x, times, chosen, mean = _checked(differences, weights, share, prior_mean)
    if not times.any():
        return mean
    start, scale = np.zeros(x.shape[1]), max(float((times @ np.abs(x)).mean()), _TINY)
    return mean + most_likely(
        Dense(x), times, chosen, start, precision=prior_precision, scale=scale, offset=x @ mean
    )


def _checked(
    differences: ArrayLike, weights: ArrayLike | None, share: ArrayLike | None, mean: ArrayLike | None
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """(P, D) differences, how often each was compared and the first chosen (P,), and the (D,) prior mean."""
    x = np.asarray(differences, np.float64)
    if x.ndim != 2 or not np.isfinite(x).all():
        raise ValueError(f"differences must be finite and of shape (P, D). Received: shape {x.shape}")
    times = np.ones(len(x)) if weights is None else np.asarray(weights, np.float64)
    chosen = times * (1.0 if share is None else np.asarray(share, np.float64))
    return x, times, chosen, np.zeros(x.shape[1]) if mean is None else np.asarray(mean, np.float64)
