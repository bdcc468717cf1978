"""Correlation coefficients of two arrays of scores, and how to print them."""

import numpy as np

from nimakit.stats.histogram import FloatArray

FEW_IMAGES = 30
"""With fewer images, figures are printed with two decimals and a warning."""


def format_figure(value: float | None, images: int, decimals: int) -> str:
    """Format a figure with as many decimals as the number of images supports; empty for None.

    Example:
        >>> format_figure(0.98765, 500, 4), format_figure(0.98765, 12, 4)
        ('0.9877', '0.99')
    """
    return "" if value is None else f"{value:.{min(decimals, 2) if images < FEW_IMAGES else decimals}f}"


def lcc(first: FloatArray, second: FloatArray) -> float | None:
    """Pearson's linear correlation coefficient of two (N,) arrays; None if it is not defined."""
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(np.corrcoef(first, second)[0, 1])


def srcc(first: FloatArray, second: FloatArray) -> float | None:
    """Spearman's rank correlation coefficient of two (N,) arrays; None if it is not defined."""
    return lcc(mean_ranks(first), mean_ranks(second))


def mean_ranks(values: FloatArray, weights: FloatArray | None = None) -> FloatArray:
    """(N,) ranks from 1; equal values share their mean rank.

    Args:
        values: (N,).
        weights: (N,), how often each value counts; None for once.

    >>> mean_ranks(np.array([3.0, 1.0, 3.0]))
    array([2.5, 1. , 2.5])
    """
    _, place = np.unique(values, return_inverse=True)
    counts = np.bincount(place, weights)
    return np.asarray((np.cumsum(counts) - counts / 2 + 0.5)[place])
