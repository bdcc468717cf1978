"""nimakit.stats.conformal: intervals from errors on examples that were not learned from."""

import numpy as np
import pytest

from nimakit.stats.conformal import half_width, kept_errors
from nimakit.stats.head import fit_linear


@pytest.mark.parametrize("coverage", [0.5, 0.9])
def test_new_truths_are_inside_as_often_as_the_coverage_says(coverage: float) -> None:
    """On average over sets of skewed errors: at least the coverage, and at most 1 / (N + 1) more."""
    random = np.random.default_rng(0)
    count, sets = 39, 4000
    errors = random.standard_exponential((sets, count)) - 1
    new = np.abs(random.standard_exponential(sets) - 1)
    widths = [half_width(kept_errors(each), coverage) for each in errors]
    inside = np.mean([error <= (width or 0) for error, width in zip(new, widths, strict=True)])
    assert coverage - 0.02 <= inside <= coverage + 1 / (count + 1) + 0.02


@pytest.mark.parametrize(("count", "expected"), [(40, 0.88), (100, 0.9)])
def test_leave_one_out_errors_of_a_head_cover_new_examples(count: int, expected: float) -> None:
    """Which are what a head has without a validation set; with few examples, less often than it says."""
    inside = []
    for seed in range(40):
        random = np.random.default_rng(seed)
        features = random.normal(size=(count + 200, 30))
        truth = features @ random.normal(size=30) / 5 + random.normal(size=count + 200)
        found = fit_linear([features[None, :count].astype(np.float32)], truth[:count, None])
        width = half_width(kept_errors(found.left_out[:, 0] - truth[:count]), 0.9)
        predicted = found.head([features[count:].astype(np.float32)])[:, 0]
        inside.append(np.mean(np.abs(predicted - truth[count:]) <= (width or 0)))
    assert np.mean(inside) == pytest.approx(expected, abs=0.02)


def test_the_rank_has_the_finite_sample_correction() -> None:
    """Of 9 errors the largest has a coverage of 0.9; a larger coverage needs more errors."""
    errors = np.arange(1, 10.0)
    assert half_width(errors, 0.9) == 9
    assert half_width(errors, 0.8) == 8
    assert half_width(errors, 0.91) is None


def test_some_of_many_errors_give_intervals_as_wide_or_wider() -> None:
    """Signs do not matter."""
    errors = np.random.default_rng(0).normal(size=1234)
    kept = kept_errors(errors, 99)
    assert len(kept) == 99
    everything = kept_errors(errors, 2000)
    np.testing.assert_array_equal(everything, np.sort(np.abs(errors)))
    for coverage in (0.01, 0.333, 0.5, 0.905, 0.99):
        few, all_ = half_width(kept, coverage), half_width(everything, coverage)
        assert few is not None
        assert all_ is not None
        assert all_ <= few <= all_ + 0.1
    assert half_width(kept, 0.5) == half_width(everything, 0.5)
