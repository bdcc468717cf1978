"""Variance components of a linear mixed model: how much each of several kernels explains, and the noise."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nimakit.stats.histogram import FloatArray

_ITERATIONS = 100
_TOLERANCE = 1e-4
"""Updates end when no component changes by more than this share."""
_JITTER = 1e-10


@dataclass(frozen=True, slots=True)
class Components:
    """Estimated variances.

    Attributes:
        kernels: (B,) float64, of each kernel; none below 0.
        noises: (J,) float64, of each part of the noise; none below 0.
    """

    kernels: FloatArray
    noises: FloatArray


def estimate(kernels: Sequence[FloatArray], noises: Sequence[FloatArray], y: FloatArray) -> Components:
    """Estimate the variances by restricted maximum likelihood (REML).

    Model: each column of y is a mean, plus B Gaussian vectors with covariance proportional to a kernel, plus
    J independent ones with diagonal covariance; all columns have the same variances. Each update multiplies
    a variance by ``sqrt(y'P K P y / trace(P K))`` and never lowers the likelihood: Zhou, Hu, Zhou and Lange,
    "MM Algorithms for Variance Components Models", 2019.

    Args:
        kernels: B positive semidefinite (N, N) matrices with a mean diagonal near 1; N at least 1.
        noises: J positive (N,) diagonals with a mean near 1.
        y: (N, outputs).
    """
    columns = y.shape[1]
    start = max(float(y.var(axis=0).mean()), _JITTER) / 2
    found = Components(np.full(len(kernels), start / len(kernels)), np.full(len(noises), start / len(noises)))
    for _ in range(_ITERATIONS):
        projection = restricted(covariance(kernels, noises, found))
        weighted = projection @ y
        squares = [float((weighted * (kernel @ weighted)).sum()) / columns for kernel in kernels]
        traces = [float((projection * kernel).sum()) for kernel in kernels]
        squares += [float((noise @ weighted**2).sum()) / columns for noise in noises]
        traces += [float(noise @ projection.diagonal()) for noise in noises]
        factors = np.sqrt(np.maximum(squares, 0) / np.maximum(traces, _JITTER))
        found = Components(found.kernels * factors[: len(kernels)], found.noises * factors[len(kernels) :])
        total = found.kernels.sum() + found.noises.sum()
        large = np.concatenate([found.kernels, found.noises]) > _TOLERANCE * total
        if np.abs(factors[large] - 1).max(initial=0) < _TOLERANCE:
            break
    return found


def covariance(
    kernels: Sequence[FloatArray], noises: Sequence[FloatArray], components: Components
) -> FloatArray:
    """(N, N): the covariance of the examples."""
    total = sum(variance * kernel for variance, kernel in zip(components.kernels, kernels, strict=True))
    diagonal = sum(variance * noise for variance, noise in zip(components.noises, noises, strict=True))
    floor = _JITTER * (1 + float(np.mean(diagonal)))
    return np.asarray(total + np.diag(diagonal + floor))


def restricted(covariance: FloatArray) -> FloatArray:
    """(N, N): the inverse of a covariance, with the mean, which is estimated too, projected out."""
    inverse = np.linalg.inv(covariance)
    column = inverse.sum(axis=0)
    return np.asarray(inverse - np.outer(column, column) / column.sum())
