"""nimakit.stats.learning_curve: what more examples would add."""

import numpy as np
import pytest

from nimakit.stats import learning_curve
from nimakit.stats.correlation import srcc

_SIZES = np.array([50.0, 100.0, 200.0, 400.0])


def test_foresees_what_more_examples_add() -> None:
    """Of a curve with an exponent that is among those tried, the interval contains the true gain."""
    random = np.random.default_rng(0)
    values = 0.8 - 2 * _SIZES**-0.5 + random.normal(0, 0.003, (200, 4))
    gain = learning_curve.fit(_SIZES, values).gain(400)
    true = 2 * (400**-0.5 - 800**-0.5)
    assert gain.low < true < gain.high
    assert gain.value == pytest.approx(true, abs=0.01)


def test_a_curve_that_falls_gains_nothing() -> None:
    """Noise may make it fall; more examples are not said to harm."""
    gain = learning_curve.fit(_SIZES, np.tile(0.5 - _SIZES / 1e4, (3, 1))).gain(1000)
    assert (gain.value, gain.low, gain.high) == (0, 0, 0)


def test_the_first_row_is_the_srcc_and_resamples_scatter_around_it() -> None:
    """With ties too; a prediction that is the same for all has none."""
    random = np.random.default_rng(1)
    truth = random.integers(1, 8, 300).astype(float)
    predictions = [truth + random.normal(0, spread, 300) for spread in (1, 4)]
    found = learning_curve.resampled_srcc([*predictions, np.ones(300)], truth, resamples=300)
    assert found[0, :2] == pytest.approx([srcc(one, truth) for one in predictions])
    assert found[1:, :2].mean(axis=0) == pytest.approx(found[0, :2], abs=0.01)
    assert found[1:, 1].std() == pytest.approx((1 - found[0, 1] ** 2) / 300**0.5, rel=0.3)
    assert not found[:, 2].any()
