"""Bootstrap intervals of figures, and of the differences between them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nimakit.stats.histogram import FloatArray, IntArray

RESAMPLES = 1000
_COVERAGE = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its interval; NaN if not defined.

    Attributes:
        value: The figure.
        low: Lower end of its 95 % interval.
        high: Upper end.
    """

    value: float
    low: float
    high: float

    @property
    def is_defined(self) -> bool:
        """Whether the figure is a number."""
        return not np.isnan(self.value)


def resampled(
    figures: Callable[[IntArray], FloatArray],
    count: int,
    *,
    groups: IntArray | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> FloatArray:
    """Compute figures on resamples of the examples.

    Efron, "Bootstrap Methods: Another Look at the Jackknife", 1979; with groups, whole groups are drawn,
    because the examples in one are not independent.

    Args:
        figures: Computes K figures from examples, whose numbers may repeat.
        count: N, the number of examples; at least 1.
        groups: (N,), the group of each example; None if each is one of its own.
        resamples: Number of resamples.
        seed: Seed of the resamples.

    Returns:
        (resamples, K) float64.
    """
    random = np.random.default_rng(seed)
    if groups is None:
        return np.stack([figures(random.integers(0, count, count)) for _ in range(resamples)])
    _, place = np.unique(groups, return_inverse=True)
    members = np.split(np.argsort(place, kind="stable"), np.cumsum(np.bincount(place))[:-1])
    return np.stack(
        [
            figures(np.concatenate([members[i] for i in random.integers(0, len(members), len(members))]))
            for _ in range(resamples)
        ]
    )


def interval(value: float, samples: FloatArray) -> Interval:
    """The percentile interval of a figure.

    Args:
        value: The figure on all examples.
        samples: (resamples,), the figure on each resample; NaN where it is not defined.
    """
    known = samples[np.isfinite(samples)]
    if not len(known) or not np.isfinite(value):
        return Interval(value, np.nan, np.nan)
    low, high = np.quantile(known, [(1 - _COVERAGE) / 2, (1 + _COVERAGE) / 2])
    return Interval(value, float(low), float(high))
