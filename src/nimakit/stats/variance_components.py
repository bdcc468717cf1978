"""Variance components of a linear mixed model: how much each of several kernels explains, and the noise."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nimakit.stats.histogram import FloatArray

_ITERATIONS = 100
_TOLERANCE = 1e-4
"""Updates end when no component changes by more than this share; none falls below this share of all."""
_JITTER = 1e-10
_LARGEST_FALL = 0.9
"""Largest share of a variance that one step takes away."""


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
    J independent ones with diagonal covariance; all columns have the same variances. Newton steps with the
    average information: Gilmour, Thompson and Cullis, "Average Information REML", 1995. A step that would
    lower the likelihood is replaced by one that never does, which multiplies each variance by
    ``sqrt(y'P K P y / trace(P K))``: Zhou, Hu, Zhou and Lange, "MM Algorithms for Variance Components
    Models", 2019.

    Args:
        kernels: B positive semidefinite (N, N) matrices with a mean diagonal near 1; N at least 1.
        noises: J positive (N,) diagonals with a mean near 1.
        y: (N, outputs).
    """
    parts = [*kernels, *noises]
    start = max(float(y.var(axis=0).mean()), _JITTER) / 2
    sizes = [len(kernels)] * len(kernels) + [len(noises)] * len(noises)
    current = _Step.at(start / np.array(sizes, np.float64), parts, y)
    for _ in range(_ITERATIONS):
        following = _Step.at(_bounded(current.newton()), parts, y)
        if not following.likelihood >= current.likelihood:
            following = _Step.at(_bounded(current.safe()), parts, y)
        factors = following.variances / current.variances
        large = current.variances > 2 * _TOLERANCE * current.variances.sum()
        current = following
        if np.abs(factors[large] - 1).max(initial=0) < _TOLERANCE:
            break
    return Components(current.variances[: len(kernels)], current.variances[len(kernels) :])


def _bounded(variances: FloatArray) -> FloatArray:
    """The variances, none of them negligible, because a covariance without any noise may be singular."""
    return np.maximum(variances, _TOLERANCE * max(float(variances.sum()), _JITTER))


@dataclass(frozen=True, slots=True, eq=False)
class _Step:
    """Variances, and the likelihood there, per column.

    Attributes:
        variances: (B + J,) float64.
        likelihood: Logarithm of the restricted likelihood, but for a constant.
        squares: (B + J,), y'P V P y of each part V of the covariance.
        traces: (B + J,), trace(P V).
        information: (B + J, B + J), y'P V P W P y / 2 for each pair of parts.
    """

    variances: FloatArray
    likelihood: float
    squares: FloatArray
    traces: FloatArray
    information: FloatArray

    @classmethod
    def at(cls, variances: FloatArray, parts: Sequence[FloatArray], y: FloatArray) -> "_Step":
        kernels = [part for part in parts if part.ndim == 2]
        known = Components(variances[: len(kernels)], variances[len(kernels) :])
        total = covariance(kernels, parts[len(kernels) :], known)
        inverse = np.linalg.inv(total)
        column = inverse.sum(axis=0)
        projection = inverse - np.outer(column, column) / column.sum()
        weighted = projection @ y
        images = [part @ weighted if part.ndim == 2 else part[:, None] * weighted for part in parts]
        projected = [projection @ image for image in images]
        pairs = [[float((a * b).sum()) for b in projected] for a in images]
        traces = [
            float((projection * part).sum()) if part.ndim == 2 else float(part @ projection.diagonal())
            for part in parts
        ]
        fit = float((y * weighted).sum()) / y.shape[1]
        return cls(
            variances=variances,
            likelihood=-(np.linalg.slogdet(total)[1] + np.log(column.sum()) + fit) / 2,
            squares=np.array([float((weighted * image).sum()) for image in images]) / y.shape[1],
            traces=np.array(traces),
            information=np.array(pairs) / (2 * y.shape[1]),
        )

    def newton(self) -> FloatArray:
        """The variances after a Newton step, in which none falls below a tenth; the others make up for it."""
        least = -_LARGEST_FALL * self.variances
        is_held = np.zeros(len(least), np.bool_)
        while True:
            step = np.where(is_held, least, 0.0)
            rest = (self.squares - self.traces) / 2 - self.information @ step
            free = np.ix_(~is_held, ~is_held)
            step[~is_held] = np.linalg.pinv(self.information[free], hermitian=True) @ rest[~is_held]
            if not (step < least).any():
                return np.asarray(self.variances + step)
            is_held |= step < least

    def safe(self) -> FloatArray:
        """The variances after a step that never lowers the likelihood."""
        ratios = np.maximum(self.squares, 0) / np.maximum(self.traces, _JITTER)
        return np.asarray(self.variances * np.sqrt(ratios))


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
