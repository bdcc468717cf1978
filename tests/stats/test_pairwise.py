"""nimakit.stats.pairwise: logistic regression on differences."""

import numpy as np
import pytest
from scipy.optimize import minimize

from nimakit.stats import bradley_terry
from nimakit.stats.bradley_terry import Comparisons
from nimakit.stats.pairwise import fit_differences

TASTE = np.array([1.5, -1.0, 0.5, 0.0])


def _choices(count: int, coefficients: np.ndarray, seed: int = 0) -> np.ndarray:
    """(count, D) differences, of what a person with these coefficients chose minus the other."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(count, len(coefficients)))
    chosen = random.random(count) < 1 / (1 + np.exp(-x @ coefficients))
    return np.where(chosen[:, None], x, -x)


def test_recovers_coefficients() -> None:
    """From many comparisons."""
    x = _choices(4000, TASTE)
    found = fit_differences(x, prior_precision=1.0)
    np.testing.assert_allclose(found, TASTE, atol=0.15)


@pytest.mark.parametrize("count", [5, 300])
def test_agrees_with_scipy(count: int) -> None:
    """With weights, ties, a prior mean, and fewer or more comparisons than features."""
    random = np.random.default_rng(1)
    x, weights, share = _choices(count, TASTE), random.random(count) * 3, random.choice([0, 0.5, 1], count)
    mean = np.array([0.5, 0.0, 0.0, -0.5])

    def loss(w: np.ndarray) -> float:
        margin = x @ w
        own = share * np.logaddexp(0, -margin) + (1 - share) * np.logaddexp(0, margin)
        return float(weights @ own + 0.7 / 2 * ((w - mean) ** 2).sum())

    expected = minimize(loss, np.zeros(4), options={"gtol": 1e-8}).x
    found = fit_differences(x, weights=weights, share=share, prior_mean=mean, prior_precision=0.7)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_bradley_terry_is_the_case_of_indicators() -> None:
    """A feature per image gives its scores."""
    random = np.random.default_rng(2)
    left = random.integers(0, 6, 80)
    right = (left + random.integers(1, 6, 80)) % 6
    share = random.choice([0, 0.5, 1], 80)
    scores = bradley_terry.fit(
        Comparisons(image_ids=tuple("abcdef"), left=left, right=right, share=share), prior_sd=2.0
    )
    found = fit_differences(np.eye(6)[left] - np.eye(6)[right], share=share, prior_precision=0.25)
    np.testing.assert_allclose(found, scores.score, atol=1e-5)


def test_without_comparisons_the_prior_stays() -> None:
    """Its mean is returned."""
    none = np.empty((0, 4))
    np.testing.assert_array_equal(fit_differences(none, prior_precision=1.0), 0 * TASTE)
    found = fit_differences(none, prior_mean=TASTE, prior_precision=1.0)
    np.testing.assert_array_equal(found, TASTE)


def test_one_comparison_decides_nothing_alone() -> None:
    """The more precise the prior, the less it moves; many features are fine."""
    x = np.random.default_rng(0).normal(size=(1, 3000))
    margins = [float(x[0] @ fit_differences(x, prior_precision=p)) for p in (1e5, 1e3)]
    assert 0 < margins[0] < margins[1]


def test_refuses_differences_that_are_none() -> None:
    """NaN, other shapes, and no prior."""
    with pytest.raises(ValueError, match="finite"):
        fit_differences([[np.nan]], prior_precision=1.0)
    with pytest.raises(ValueError, match=r"shape \(2,\)"):
        fit_differences([1.0, 2.0], prior_precision=1.0)
    with pytest.raises(ValueError, match="above 0"):
        fit_differences([[1.0]], prior_precision=0)
