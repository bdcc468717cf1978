"""nimakit.stats.bootstrap: intervals."""

from functools import partial

import numpy as np

from nimakit.stats.bootstrap import interval, resampled
from nimakit.stats.histogram import FloatArray, IntArray


def _mean(values: FloatArray, rows: IntArray) -> FloatArray:
    return np.array([values[rows].mean()])


def test_intervals_contain_the_truth_as_often_as_they_say() -> None:
    """Of 200 samples with a mean of 0, about 95 % have an interval around it."""
    random = np.random.default_rng(0)
    inside = 0
    for number in range(120):
        values = random.normal(size=60)
        samples = resampled(partial(_mean, values), 60, resamples=100, seed=number)
        found = interval(float(values.mean()), samples[:, 0])
        inside += found.low <= 0 <= found.high
    assert 0.9 <= inside / 120 <= 0.98


def test_whole_groups_are_drawn() -> None:
    """Examples of a group that are all alike tell no more than one of them, so the interval is wider."""
    groups = np.repeat(np.arange(12), 10)
    values = np.random.default_rng(0).normal(size=12)[groups]

    def width(given: np.ndarray | None) -> float:
        samples = resampled(lambda rows: np.array([values[rows].mean()]), 120, groups=given, resamples=300)
        found = interval(float(values.mean()), samples[:, 0])
        return found.high - found.low

    assert width(groups) > 2 * width(None)


def test_a_figure_that_is_not_defined_has_no_interval() -> None:
    """Resamples on which it is not defined are left out."""
    assert np.isnan(interval(np.nan, np.ones(3)).low)
    assert interval(1.0, np.array([np.nan, 1.0])).low == 1
