"""A head fitted to ratings, joined with its encoders."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from nimakit.labels.balancing import rating_groups
from nimakit.stats import head, histogram
from nimakit.stats.head import Fitted, GaussianHead, LinearHead, Variances
from nimakit.stats.histogram import Float32Array, FloatArray, IntArray

_RATING_GROUPS = 10


@dataclass(frozen=True, slots=True, eq=False)
class FittedHead:
    """A head, and how it does on images that it has not seen.

    Attributes:
        fitted: The head, and from which encoders it learned how much.
        rows: (M,) int, the images that it was fitted to, ascending: all, or random ones.
        left_out_means: (M,) float64, for each of them the mean score by a fit to all others.
        left_out_histograms: (M, bins) float64, rows sum to 1: their histograms; None for a regression head.
    """

    fitted: Fitted[LinearHead] | Fitted[GaussianHead]
    rows: IntArray
    left_out_means: FloatArray
    left_out_histograms: FloatArray | None


def fit(
    blocks: Sequence[Float32Array],
    labels: FloatArray,
    bins: FloatArray,
    *,
    kernel: Literal["gaussian", "linear"] = "gaussian",
    counts: FloatArray | None = None,
    is_regression: bool = False,
    balanced: bool = False,
    variances: Variances | None = None,
    most: int | None = None,
    seed: int = 0,
) -> FittedHead:
    """Fit a head.

    Args:
        blocks: (views, N, D_b) float32 of each encoder; the views are averaged.
        labels: (N, bins) float64, rows sum to 1.
        bins: (bins,), their values.
        kernel: "gaussian", or "linear", with which a score is a sum over the parts of an image.
        counts: (N,), above 0: numbers of ratings; None if unknown.
        is_regression: Whether the head gives the mean score only.
        balanced: Whether images with rare mean ratings weigh as much as those with common ones.
        variances: Those of an earlier fit to similar images; None to estimate them.
        most: If there are more images, so many random ones are used; None for
            `nimakit.stats.head.MAX_EXAMPLES`.
        seed: Seed of the choice of images where there are too many.
    """
    means = histogram.mean(labels, bins)
    targets = means[:, None] if is_regression else head.log_histograms(labels)
    weights = balanced_weights(means) if balanced else None
    solve = head.fit_gaussian if kernel == "gaussian" else head.fit_linear
    found = solve(blocks, targets, counts=counts, weights=weights, variances=variances, most=most, seed=seed)
    if is_regression:
        return FittedHead(found, found.rows, np.clip(found.left_out[:, 0], bins[0], bins[-1]), None)
    shares = histogram.softmax(found.left_out)
    return FittedHead(found, found.rows, histogram.mean(shares, bins), shares)


def balanced_weights(means: FloatArray) -> FloatArray:
    """(N,): weights with which each tenth of the range of mean ratings counts alike; their mean is 1."""
    groups = rating_groups(means, _RATING_GROUPS)
    weights = 1 / np.bincount(groups)[groups]
    return np.asarray(weights / weights.mean())
