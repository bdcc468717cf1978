"""Learning curves: how a figure grows with the number of examples, and what more of them would add."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nimakit.stats import bootstrap
from nimakit.stats.bootstrap import Interval
from nimakit.stats.correlation import mean_ranks
from nimakit.stats.histogram import FloatArray, IntArray

_EXPONENTS = (0.25, 0.5, 1.0)
"""A few sizes do not determine the exponent, so all of these count, and intervals cover their difference."""

_LEAST_SCALE = 1e-12
"""Product of two standard deviations of ranks below which a prediction is the same for all."""


@dataclass(frozen=True, slots=True, eq=False)
class PowerLaws:
    """Curves ``limit - loss * size ** -exponent``, as many as there are resamples and exponents.

    Attributes:
        limits: (S, exponents) float64.
        losses: (S, exponents) float64, not below 0.
        largest: Largest size that was measured.
    """

    limits: FloatArray
    losses: FloatArray
    largest: float

    def at(self, size: float) -> FloatArray:
        """(S, exponents): the figure at a size."""
        return np.asarray(self.limits - self.losses * size ** -np.array(_EXPONENTS))

    def gain(self, more: float) -> Interval:
        """What more examples than the largest size would add: the first row is the estimate.

        Args:
            more: Number of further examples.
        """
        gains = self.at(self.largest + more) - self.at(self.largest)
        return bootstrap.interval(float(gains[0].mean()), gains.ravel())


def fit(sizes: FloatArray, values: FloatArray) -> PowerLaws:
    """Fit power laws by least squares.

    Cortes, Jackel, Solla, Vapnik and Denker, "Learning Curves: Asymptotic Values and Rate of Convergence",
    1993.

    Args:
        sizes: (F,), above 0, at least two different ones.
        values: (S, F), the figure at each size; the first row is the measured one, others are resamples.
    """
    limits, losses = [], []
    for exponent in _EXPONENTS:
        x = np.asarray(sizes, np.float64) ** -exponent
        centred = x - x.mean()
        slope = np.minimum(values @ centred / (centred @ centred), 0)
        losses.append(-slope)
        limits.append(values.mean(axis=1) - slope * x.mean())
    return PowerLaws(np.stack(limits, axis=1), np.stack(losses, axis=1), float(max(sizes)))


def resampled_srcc(
    predictions: Sequence[FloatArray],
    truth: FloatArray,
    *,
    resamples: int = bootstrap.RESAMPLES,
    seed: int = 0,
) -> FloatArray:
    """SRCC of several predictions on the same resamples of the examples.

    Ranks are those among all examples, so that resamples are products of matrices.

    Args:
        predictions: K arrays (N,).
        truth: (N,).
        resamples: Number of resamples.
        seed: Seed of the resamples.

    Returns:
        (1 + resamples, K) float64, the first row without resampling; 0 where it is not defined.
    """
    count = len(truth)
    ranks = np.stack([mean_ranks(values) for values in predictions])
    x = (ranks - ranks.mean(axis=1, keepdims=True)) / count
    y = (mean_ranks(truth) - (count + 1) / 2) / count
    weights = np.concatenate([np.full((1, count), 1 / count), _resampling_weights(count, resamples, seed)])
    mean_x, mean_y = weights @ x.T, (weights @ y)[:, None]
    covariance = weights @ (x * y).T - mean_x * mean_y
    variances = (weights @ (x**2).T - mean_x**2) * ((weights @ y**2)[:, None] - mean_y**2)
    scale = np.sqrt(np.maximum(variances, 0))
    return np.asarray(np.divide(covariance, scale, out=np.zeros_like(covariance), where=scale > _LEAST_SCALE))


def _resampling_weights(count: int, resamples: int, seed: int) -> FloatArray:
    """(resamples, N): how often each example is drawn, as a share."""
    random = np.random.default_rng(seed)
    drawn: IntArray = random.integers(0, count, (resamples, count))
    return np.stack([np.bincount(row, minlength=count) for row in drawn]) / count
