"""How certain a ranking is: intervals of ranks, and how many comparisons a certain order takes.

Both follow from the normal posterior of Bradley-Terry scores (`nimakit.stats.bradley_terry`).
"""

from dataclasses import dataclass
from math import ceil, floor, log10

import numpy as np

from nimakit.stats.histogram import FloatArray, IntArray
from nimakit.stats.pairwise import chance

WANTED_CERTAINTY = 0.8
"""Of the order of neighbours, at which a ranking counts as finished."""

_DRAWS = 1000
_FORECAST_DRAWS = 32
_TAILS = (0.025, 0.975)
_TOLERANCE = 1.01
_MOST = 1e12
_SLOPE = 1.702
"""Phi(x) is the logistic function of 1.702 x within 0.01 (Camilli, 1994; see `nimakit.stats.joint`)."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """How far a ranking is.

    Attributes:
        reliability: That of the scores, 0 to 1: see `reliability`.
        certainty: Mean probability that two neighbours in the ranking are in the right order, 0.5 to 1.
        more: About how many more comparisons are needed until `certainty` is `WANTED_CERTAINTY`, to two
            significant digits.
    """

    reliability: float
    certainty: float
    more: int


def rank_intervals(score: FloatArray, covariance: FloatArray) -> tuple[IntArray, IntArray]:
    """Intervals that contain the rank of each image with a probability of 95 %.

    The ranks are those of 1,000 draws from the posterior (Goldstein and Spiegelhalter, "League Tables and
    Their Limitations", Journal of the Royal Statistical Society A 159, 1996).

    Args:
        score: (n,), posterior means.
        covariance: (n, n), positive definite.

    Returns:
        (n,) intp each, the lowest and the highest rank; 1 is the best.
    """
    random = np.random.default_rng(0)
    draws = score + random.standard_normal((_DRAWS, len(score))) @ np.linalg.cholesky(covariance).T
    ranks = np.empty(draws.shape, np.int32)
    np.put_along_axis(ranks, np.argsort(-draws, axis=1), np.arange(1, len(score) + 1, dtype=np.int32), axis=1)
    ranks.sort(axis=0)
    low, high = (ranks[round(tail * (_DRAWS - 1))].astype(np.intp) for tail in _TAILS)
    return low, high


def reliability(score: FloatArray, variance: FloatArray) -> float:
    """Share of the variance of the scores that is not error, 0 to 1.

    This is the scale separation reliability ``1 - mean(v) / var(s)`` (Bramley, "Paired Comparison Methods",
    in "Techniques for Monitoring the Comparability of Examination Standards", 2007; Verhavert, De Maeyer,
    Donche and Coertjens, "Scale Separation Reliability", Applied Psychological Measurement 42, 2018). The
    prior of Bradley-Terry scores makes it cautious where there are few comparisons; pairs that are chosen by
    the scores so far make it larger than random ones would.

    Args:
        score: (n,), posterior means.
        variance: (n,), posterior variances around the mean of all scores.
    """
    spread = float(np.var(score))
    return max(1 - float(np.mean(variance)) / spread, 0.0) if spread else 0.0


def certainty(score: FloatArray, variance: FloatArray) -> float:
    """Mean probability that two neighbours in the ranking are in the right order, 0.5 to 1.

    With the images sorted by score, this is the mean of ``Phi((s_k - s_{k+1}) / sqrt(v_k + v_{k+1}))``.

    Args:
        score: (..., n), posterior means; over the leading axes the mean is taken as well.
        variance: (n,), posterior variances around the mean of all scores.
    """
    order = np.argsort(-score, axis=-1, kind="stable")
    gaps = -np.diff(np.take_along_axis(score, order, axis=-1))
    spread = variance[order]
    deviations = np.sqrt(spread[..., 1:] + spread[..., :-1])
    return float(chance(_SLOPE * gaps / deviations).mean())


def forecast(score: FloatArray, variance: FloatArray, *, differences: float = 1.0) -> Forecast:
    """Forecast how many more comparisons are needed until the order of neighbours is certain enough.

    m further comparisons of two are taken to be spread evenly over the pairs of n images. They add to the
    precision of each score ``2 m i / (n - 1)``, where ``i`` is the mean of ``p (1 - p)`` over pairs of images
    that are drawn from the posterior, so the variance ``v`` becomes ``v' = 1 / (1 / v + 2 m i / (n - 1))``.
    The scores move meanwhile: the new mean is drawn from a normal distribution around the present one with
    the variance ``v - v'`` (preposterior analysis; Raiffa and Schlaifer, "Applied Statistical Decision
    Theory", 1961). The forecast is the least m for which `certainty` is `WANTED_CERTAINTY` on average over
    such draws. Posterior covariances between images are neglected.

    Args:
        score: (n,), posterior means; n is at least 2.
        variance: (n,), posterior variances around the mean of all scores, above 0.
        differences: How many independent differences each of the comparisons tells: the weight of its pairs.
    """
    random = np.random.default_rng(0)
    noise = random.standard_normal((_FORECAST_DRAWS, len(score)))
    drawn = score + np.sqrt(variance) * noise
    choice = chance(drawn - np.roll(drawn, 1, axis=1))
    added = 2 * float((choice * (1 - choice)).mean()) / (len(score) - 1)

    def after(more: float) -> float:
        later = 1 / (1 / variance + added * more)
        return certainty(score + np.sqrt(variance - later) * noise, later)

    now, current = certainty(score, variance), reliability(score, variance)
    low, high = 0.0, 1.0
    if now >= WANTED_CERTAINTY:
        return Forecast(current, now, 0)
    while high < _MOST and after(high) < WANTED_CERTAINTY:
        low, high = high, 4 * high
    while high > _TOLERANCE * low + 1:
        middle = (low + high) / 2
        low, high = (middle, high) if after(middle) < WANTED_CERTAINTY else (low, middle)
    return Forecast(current, now, _rounded(high / differences))


def _rounded(number: float) -> int:
    """Two significant digits, rounded up: a forecast is no more exact."""
    unit = int(10.0 ** max(floor(log10(number)) - 1, 0))
    return ceil(number / unit) * unit
