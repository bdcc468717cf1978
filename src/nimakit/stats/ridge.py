"""Ridge regression in closed form: one person's ratings, and examples with noise of their own."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from nimakit.stats.histogram import FloatArray

_LEVEL_VARIANCE = 0.5
"""Prior variance of a person's level, as a multiple of the noise: two ratings go half of the way."""

_LOG_PENALTIES = np.arange(-1, 4.01, 0.5)
_PENALTIES = 10.0**_LOG_PENALTIES
_LOG_PENALTY_PRIOR = -((_LOG_PENALTIES - 0.5) ** 2) / 2 / 0.5**2
"""Prior of each penalty: log-normal around 3, with a factor of about 3 as its deviation."""
_TINY = float(np.finfo(np.float32).tiny)
_LEAST_FREEDOM = 1e-4
"""Least share of an example that others determine: below it, rounding would be divided by rounding."""


@dataclass(frozen=True, slots=True, eq=False)
class ByPenalty:
    """A person's ratings of K images, fitted with each of P penalties.

    Attributes:
        penalties: (P,) float64, of the weights of features: noise variance over prior variance.
        dual: (P, K) float64, dual weights, multiples of each image's features.
        log_evidence: (P,) float64, of the ratings, with the prior of the penalty, up to a constant.
        squares: (P,) float64, K times the noise variance that the ratings show.
        level: The person's level above the generic scores.
    """

    penalties: FloatArray
    dual: FloatArray
    log_evidence: FloatArray
    squares: FloatArray
    level: float


def fit_gram(gram: FloatArray, difference: FloatArray) -> tuple[FloatArray, float]:
    """Fit a person's ratings from the inner products of the images' features.

    Penalties are averaged by their evidence, so that few ratings neither overfit nor need a setting.

    Args:
        gram: (K, K), inner products of the centred features of K images; K is at least 1.
        difference: (K,), ratings minus the generic scores.

    Returns:
        (K,), dual weights, multiples of each image's features; and the person's level above the generic
        scores.
    """
    found = fit_penalties(gram, difference, float(np.trace(gram)) / len(gram))
    return shares(found.log_evidence) @ found.dual, found.level


def fit_penalties(gram: FloatArray, difference: FloatArray, length: float) -> ByPenalty:
    """As `fit_gram`, with each penalty.

    Args:
        gram: (K, K), inner products of the centred features of K images; K may be 0.
        difference: (K,), ratings minus the generic scores.
        length: Mean squared length of the features, to which penalties are relative.
    """
    count = len(gram)
    unit = 1 / length if length > _TINY else 0.0  # if all images have the same features
    level = float(difference.mean()) if count else 0.0
    values, vectors = np.linalg.eigh(gram * unit)
    rotated = vectors.T @ (difference - level)
    spread = np.maximum(values, 0) / _PENALTIES[:, None] + 1
    # Differences between images come from taste and noise only; their mean also from the level.
    squares = (rotated**2 / spread).sum(axis=1) + count * level**2 / (1 + _LEVEL_VARIANCE * count)
    evidence = -np.log(spread).sum(axis=1) / 2 - count / 2 * np.log(np.maximum(squares, _TINY))
    return ByPenalty(
        penalties=_PENALTIES * max(length, _TINY),
        dual=(rotated / spread / _PENALTIES[:, None]) @ vectors.T * unit,
        log_evidence=evidence + _LOG_PENALTY_PRIOR,
        squares=squares,
        level=level * _LEVEL_VARIANCE * count / (1 + _LEVEL_VARIANCE * count),
    )


def shares(log_evidence: FloatArray) -> FloatArray:
    """(P,) weights of an average over what has (P,) log evidence; they sum to 1."""
    share = np.exp(log_evidence - log_evidence.max())
    return np.asarray(share / share.sum())


@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """A ridge regression, with an intercept that is not penalised.

    Attributes:
        weights: (D, outputs) float64, of features; or (N, outputs), dual weights of examples.
        level: (outputs,) float64, the intercept.
        left_out: (N, outputs) float64, what a fit to all others predicts for each example.
    """

    weights: FloatArray
    level: FloatArray
    left_out: FloatArray


def solve_dual(covariance: FloatArray, noise: FloatArray, y: FloatArray) -> Solution:
    """Solve from the covariance of the examples: best with fewer examples than features.

    Args:
        covariance: (N, N), prior covariance of what is to be predicted.
        noise: (N,), above 0, variance of the noise of each example.
        y: (N, outputs).
    """
    inverse = np.linalg.inv(covariance + np.diag(noise))
    column = inverse.sum(axis=0)
    projection = inverse - np.outer(column, column) / column.sum()
    dual = projection @ y
    left_out = y - dual / np.maximum(projection.diagonal(), _TINY)[:, None]
    return Solution(dual, column @ y / column.sum(), left_out)


def solve_primal(chunks: Callable[[], Iterable[FloatArray]], noise: FloatArray, y: FloatArray) -> Solution:
    """Solve from the inner products of the features: best with more examples than features.

    Args:
        chunks: Gives the (N, D) features, in consecutive chunks of rows, each time it is called. They are
            scaled so that the prior variance of each weight is 1.
        noise: (N,), above 0, variance of the noise of each example.
        y: (N, outputs).
    """
    precision = 1 / noise
    total = precision.sum()

    def parts() -> Iterable[tuple[slice, FloatArray]]:
        start = 0
        for x in chunks():
            yield slice(start, start + len(x)), x
            start += len(x)

    middle = np.asarray(sum(precision[rows] @ x for rows, x in parts()) / total)
    level = precision @ y / total
    gram, product = np.eye(len(middle)), np.zeros((len(middle), y.shape[1]))
    for rows, x in parts():
        weighted = (x - middle) * precision[rows, None]
        gram += weighted.T @ (x - middle)
        product += weighted.T @ (y[rows] - level)
    inverse = np.linalg.inv(gram)
    weights = inverse @ product
    left_out = np.empty_like(y)
    for rows, x in parts():
        centred = x - middle
        leverage = precision[rows] * (((centred @ inverse) * centred).sum(axis=1) + 1 / total)
        missed = y[rows] - level - centred @ weights
        left_out[rows] = y[rows] - missed / np.maximum(1 - leverage, _LEAST_FREEDOM)[:, None]
    return Solution(weights, level - middle @ weights, left_out)
