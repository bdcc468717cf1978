"""nimakit.stats.correlation: correlation coefficients."""

import numpy as np
import pytest
from scipy.stats import rankdata, spearmanr

from nimakit.stats.correlation import lcc, mean_ranks, srcc


@pytest.mark.parametrize("decimals", [0, 1, 8])
def test_ranks_and_srcc_agree_with_scipy(decimals: int) -> None:
    """With many ties, some, and none."""
    first, second = np.random.default_rng(decimals).normal(size=(2, 500)).round(decimals)
    np.testing.assert_array_equal(mean_ranks(first), rankdata(first))
    assert srcc(first, second) == pytest.approx(spearmanr(first, second).statistic, abs=1e-12)


def test_is_undefined_without_variation() -> None:
    """A constant array and a single value have no correlation."""
    constant, rising = np.ones(3), np.arange(3.0)
    assert lcc(constant, rising) is srcc(rising, constant) is lcc(rising[:1], rising[:1]) is None
