"""Conformal prediction intervals from the errors on examples that were not learned from."""

import math

import numpy as np
from numpy.typing import ArrayLike

from nimakit.stats.histogram import FloatArray

MOST = 199
"""Errors that are kept of more: enough for coverages up to 99.5 %."""


def kept_errors(errors: ArrayLike, most: int = MOST) -> FloatArray:
    """The absolute errors, or some of them that give intervals at least as wide.

    Args:
        errors: (N,) differences between predictions and truths; at least one.
        most: Largest number to keep.

    Returns:
        (M,) float64, ascending, M at most `most`: the errors at the ranks ceil(k (N + 1) / (M + 1)) for k
        from 1 to M. With them `half_width` never gives less than with all, and the same where the coverage is
        k / (M + 1).
    """
    ordered = np.sort(np.abs(np.asarray(errors, np.float64)))
    count = min(len(ordered), most)
    ranks = [-(-k * (len(ordered) + 1) // (count + 1)) for k in range(1, count + 1)]
    return np.asarray(ordered[np.array(ranks) - 1])


def half_width(errors: ArrayLike, coverage: float) -> float | None:
    """By how much a new truth is above or below its prediction at most, with a probability.

    Split conformal prediction with the finite-sample correction: of N absolute errors the one at rank
    ceil((N + 1) coverage). If the N examples and the new one are exchangeable, and none was learned from, the
    probability is at least the coverage, and at most 1 / (N + 1) more unless errors are equal (Vovk,
    Gammerman and Shafer, "Algorithmic Learning in a Random World", 2005; Lei, G'Sell, Rinaldo, Tibshirani and
    Wasserman, "Distribution-Free Predictive Inference for Regression", 2018, section 2.2).

    Args:
        errors: (N,) absolute errors, ascending.
        coverage: The probability, above 0 and below 1.

    Returns:
        The half width; None if there are too few errors for the coverage, which needs N / (N + 1) or less.

    >>> half_width([0.1, 0.2, 0.3, 0.4], 0.8), half_width([0.1, 0.2, 0.3, 0.4], 0.9)
    (0.4, None)
    """
    ordered = np.asarray(errors, np.float64)
    rank = math.ceil(round((len(ordered) + 1) * coverage, 9))  # 0.9 times 10 is 9, and not a little more
    return float(ordered[rank - 1]) if rank <= len(ordered) else None
