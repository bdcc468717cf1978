"""Rating distributions and scores as arrays: normalise, summarise, compare, rank and choose.

A histogram is an array whose last axis runs over the bins; ``bins`` are the values of the bins, ascending (1
to 10 for AVA).
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
Float32Array = NDArray[np.float32]
IntArray = NDArray[np.intp]


def default_bins(count: int) -> FloatArray:
    """Bin values 1, 2, ... count, as in AVA.

    Args:
        count: Number of bins, at least 2.

    Returns:
        (count,) float64.

    Raises:
        ValueError: Fewer than two bins.

    >>> default_bins(3)
    array([1., 2., 3.])
    """
    if count < 2:
        raise ValueError(f"A histogram has at least 2 bins. Received: count={count}")
    return np.arange(1, count + 1, dtype=np.float64)


def normalise(histogram: ArrayLike) -> FloatArray:
    """Turn counts or frequencies into probabilities.

    Args:
        histogram: (..., bins), finite, no value below 0, each row with a sum above 0.

    Returns:
        (..., bins) float64, rows sum to 1.

    Raises:
        ValueError: A row with a negative or non-finite value, or a sum of 0.

    >>> normalise([1, 1, 2])
    array([0.25, 0.25, 0.5 ])
    """
    values = np.asarray(histogram, dtype=np.float64)
    if not np.isfinite(values).all() or (values < 0).any():
        raise ValueError("A histogram must have finite values, none below 0.")
    total = values.sum(axis=-1, keepdims=True)
    if (total <= 0).any():
        raise ValueError("A histogram needs at least one rating; all its values are 0.")
    return np.asarray(values / total)


def softmax(logits: ArrayLike) -> FloatArray:
    """(..., bins) probabilities, proportional to the exponentials of (..., bins) logits.

    >>> softmax([0, 0])
    array([0.5, 0.5])
    """
    values = np.asarray(logits, np.float64)
    weights = np.exp(values - values.max(axis=-1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))


def mean(histogram: ArrayLike, bins: ArrayLike) -> FloatArray:
    """Mean score of each distribution, on the scale of the bins.

    Args:
        histogram: (..., bins), rows sum to 1.
        bins: (bins,), the value of each bin.

    Returns:
        (...,) float64, between the first and the last bin.

    >>> float(mean([0.25, 0.25, 0.5], [1, 2, 3]))
    2.25
    """
    return np.asarray(np.asarray(histogram, np.float64) @ np.asarray(bins, np.float64))


def standard_deviation(histogram: ArrayLike, bins: ArrayLike) -> FloatArray:
    """Standard deviation of each distribution (how much raters disagree), on the scale of the bins.

    Args:
        histogram: (..., bins), rows sum to 1.
        bins: (bins,), the value of each bin.

    Returns:
        (...,) float64, not below 0.

    >>> float(standard_deviation([0.5, 0.0, 0.5], [1, 2, 3]))
    1.0
    """
    values = np.asarray(bins, np.float64)
    centre = mean(histogram, values)
    deviation = values - centre[..., None]
    return np.asarray(np.sqrt((np.asarray(histogram, np.float64) * deviation**2).sum(axis=-1)))


def emd(first: ArrayLike, second: ArrayLike, r: float = 1.0) -> FloatArray:
    """Earth mover's distance between distributions over the same ordered bins.

    ``(mean over bins of |CDF_first - CDF_second|^r)^(1/r)``: equation 1 of Talebi and Milanfar,
    "NIMA: Neural Image Assessment", 2018, who train with r=2 and report r=1.

    Args:
        first: (..., bins), rows sum to 1.
        second: (..., bins), rows sum to 1, as many bins.
        r: Exponent, at least 1.

    Returns:
        (...,) float64, from 0 (equal) to below 1.

    Raises:
        ValueError: Different numbers of bins.

    >>> float(emd([1, 0], [0, 1]))
    0.5
    """
    p, q = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if p.shape[-1] != q.shape[-1]:
        raise ValueError(
            f"EMD compares histograms over the same bins. Received: {p.shape[-1]} and {q.shape[-1]} bins"
        )
    gap = np.abs(np.cumsum(p, axis=-1) - np.cumsum(q, axis=-1))
    return np.asarray((gap**r).mean(axis=-1) ** (1.0 / r))


def max_entropy(mean_score: ArrayLike, bins: ArrayLike) -> FloatArray:
    """Maximum-entropy distributions over the bins with the given means.

    Each is ``p_i proportional to exp(t * bin_i)`` (Jaynes, "Information Theory and Statistical Mechanics",
    1957); t is found by bisection, because the mean rises with t. At an end of the scale, all is in that bin.

    Args:
        mean_score: (...,), means, from the first to the last bin.
        bins: (bins,), ascending.

    Returns:
        (..., bins) float64, rows sum to 1.

    Raises:
        ValueError: A mean outside the scale.

    >>> max_entropy(2.0, [1, 2, 3]).round(6)
    array([0.333333, 0.333333, 0.333333])
    """
    return tilt(np.ones(np.shape(bins)), mean_score, bins)


def tilt(histogram: ArrayLike, mean_score: ArrayLike, bins: ArrayLike) -> FloatArray:
    """The distributions with the given means that are nearest to given distributions.

    Each is ``q_i proportional to p_i * exp(t * bin_i)``, of least relative entropy to p (Kullback,
    "Information Theory and Statistics", 1959); t is found by bisection, because the mean rises with t.

    Args:
        histogram: (..., bins), none below 0; a bin of 0 stays 0.
        mean_score: (...,), means, from the lowest to the highest bin that is above 0.
        bins: (bins,), ascending.

    Returns:
        (..., bins) float64, rows sum to 1.

    Raises:
        ValueError: A mean outside the scale.

    >>> tilt([0.5, 0.25, 0.25], 2.0, [1, 2, 3]).round(6)
    array([0.369398, 0.261204, 0.369398])
    """
    values = np.asarray(bins, np.float64)
    target = np.asarray(mean_score, np.float64)
    if not ((values[0] <= target) & (target <= values[-1])).all():
        raise ValueError(
            f"The mean must lie between {values[0]:g} and {values[-1]:g}. Received: {mean_score!r}"
        )
    with np.errstate(divide="ignore"):
        logarithms = np.log(np.asarray(histogram, np.float64))

    def distribution(t: FloatArray) -> FloatArray:
        return softmax(t[..., None] * values + logarithms)

    # Beyond these t, all bins but the last are below the smallest float.
    top = np.full(target.shape, 750 / np.diff(values).min())
    bottom = -top
    for _ in range(80):
        middle = (bottom + top) / 2
        low = distribution(middle) @ values < target
        bottom, top = np.where(low, middle, bottom), np.where(low, top, middle)
    return distribution(bottom)


def quantiles(scores: ArrayLike, count: int = 101) -> FloatArray:
    """Evenly spaced quantiles of scores, lowest first, for `percentile`.

    Args:
        scores: (N,), N at least 1.
        count: Number of quantiles; 101 gives one for each per cent.

    Returns:
        (count,) float64, ascending.

    >>> quantiles([0.0, 10.0], 3)
    array([ 0.,  5., 10.])
    """
    return np.asarray(np.quantile(np.asarray(scores, np.float64), np.linspace(0, 1, count)))


def percentile(score: ArrayLike, reference_quantiles: ArrayLike) -> FloatArray:
    """Per cent of the reference scores that lie below a score, by linear interpolation.

    Args:
        score: (...,).
        reference_quantiles: (count,), from `quantiles`.

    Returns:
        (...,) float64, 0 to 100.

    >>> float(percentile(7.5, [0.0, 5.0, 10.0]))
    75.0
    """
    reference = np.asarray(reference_quantiles, np.float64)
    return np.asarray(
        np.interp(np.asarray(score, np.float64), reference, np.linspace(0, 100, len(reference)))
    )


def kolmogorov_smirnov(scores: ArrayLike, reference_quantiles: ArrayLike) -> float:
    """How far the distribution of scores is from that of the reference: the Kolmogorov-Smirnov statistic.

    It is the largest difference between the shares of both that lie below any score (Massey, "The
    Kolmogorov-Smirnov Test for Goodness of Fit", 1951).

    Args:
        scores: (N,), N at least 1.
        reference_quantiles: (count,), from `quantiles`.

    Returns:
        0 if both are the same, up to 1 if all scores are above or below the reference.

    >>> kolmogorov_smirnov([5.0, 6.0, 7.0, 8.0], [0.0, 5.0, 10.0])
    0.5
    """
    below = np.sort(percentile(scores, reference_quantiles)) / 100
    steps = np.linspace(0, 1, len(below) + 1)
    return float(max((steps[1:] - below).max(), (below - steps[:-1]).max()))


def min_max(scores: ArrayLike) -> FloatArray:
    """Stretch scores so that the lowest is 0 and the highest 1; 0.5 for all if they are equal.

    Args:
        scores: (N,).

    Returns:
        (N,) float64, 0 to 1.

    >>> min_max([4.0, 5.0, 6.0])
    array([0. , 0.5, 1. ])
    """
    values = np.asarray(scores, np.float64)
    if values.size == 0:
        return values
    low, high = values.min(), values.max()
    if high == low:
        return np.full_like(values, 0.5)
    return np.asarray((values - low) / (high - low))


def across_scale(means: FloatArray, count: int) -> IntArray:
    """Choose rows whose means lead from the lowest to the highest in even steps.

    Args:
        means: (N,) float64.
        count: Number of rows to choose, if there are as many.

    Returns:
        (min(count, N),) int, different rows in the order of their means, including both ends.

    >>> across_scale(np.array([3.0, 1.0, 1.1, 1.2, 5.0]), 3)
    array([1, 0, 4])
    """
    order = np.argsort(means, kind="stable")
    count = min(count, len(order))
    if not count:
        return order
    ascending, steps = means[order], np.arange(count)
    wanted = np.linspace(ascending[0], ascending[-1], count)
    above = np.searchsorted(ascending, wanted).clip(1, max(1, len(order) - 1)).clip(max=len(order) - 1)
    below = np.maximum(above - 1, 0)
    nearest = np.where(wanted - ascending[below] <= ascending[above] - wanted, below, above)
    # Each row only once: at least one place after the previous row, with room for those that follow.
    places = np.maximum.accumulate(nearest - steps) + steps
    return np.asarray(order[np.minimum(places, len(order) - count + steps)])
