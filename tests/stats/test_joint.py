"""nimakit.stats.joint: ratings and comparisons in one fit."""

from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import norm

from nimakit.stats.joint import Posterior
from nimakit.stats.pairwise import Pairs

IMAGES, NOISE = 40, 0.8
_RANDOM = np.random.default_rng(0)
X = _RANDOM.normal(size=(IMAGES, 3))
MEANS = _RANDOM.normal(5, 1, IMAGES)
TASTE = np.array([1.0, -0.5, 0.2])
PRIOR = Posterior(np.array([0.3, 0.0, -0.2]), np.diag([1.0, 0.5, 2.0]), NOISE)


def _pairs(count: int) -> Pairs:
    """Choices between random images by somebody with `TASTE`, who judges each with noise."""
    left = _RANDOM.integers(0, IMAGES, count)
    right = (left + _RANDOM.integers(1, IMAGES, count)) % IMAGES
    liking = MEANS + X @ TASTE
    margin = liking[left] - liking[right] + NOISE * np.sqrt(2) * _RANDOM.normal(size=count)
    return Pairs.count(left, right, (margin > 0).astype(float), np.ones(count), IMAGES)


@pytest.mark.parametrize(
    ("logarithm", "tolerance"),
    [(norm.logcdf, 0.1), (lambda margin: -np.logaddexp(0, -1.702 * margin), 1e-3)],
    ids=["normal", "logistic"],
)
def test_finds_the_mode_of_the_posterior(logarithm: Any, tolerance: float) -> None:
    """The same as by SciPy from the density, and nearly that of a normal ogive."""
    pairs = _pairs(60)

    def loss(w: np.ndarray) -> float:
        margin = ((MEANS + X @ w)[pairs.first] - (MEANS + X @ w)[pairs.second]) / NOISE / np.sqrt(2)
        choices = pairs.chosen * logarithm(margin) + (pairs.times - pairs.chosen) * logarithm(-margin)
        return float(((w - PRIOR.mean) ** 2 / PRIOR.root.diagonal() ** 2).sum() / 2 - choices.sum())

    found, _ = PRIOR.given(pairs, X, MEANS)
    np.testing.assert_allclose(found, minimize(loss, np.zeros(3)).x, atol=tolerance)


def test_many_comparisons_recover_a_taste() -> None:
    """Whatever the prior is."""
    found, _ = PRIOR.given(_pairs(20_000), X, MEANS)
    np.testing.assert_allclose(found, TASTE, atol=0.05)


def test_the_evidence_prefers_the_prior_that_the_choices_came_from() -> None:
    """Over one of no taste, and one of tastes that are far too strong."""
    pairs = _pairs(300)
    evidence = {
        size: Posterior(np.zeros(3), size * np.eye(3), NOISE).given(pairs, X, MEANS)[1]
        for size in (0.01, 0.7, 50)
    }
    assert max(evidence, key=lambda size: evidence[size]) == 0.7


def test_pairs_are_counted_whichever_image_comes_first() -> None:
    """Their margins and sums are those of the images' indicators; merged tables are counted together."""
    pairs = Pairs.count(
        np.array([0, 3, 0]), np.array([3, 0, 1]), np.array([1.0, 1.0, 0.5]), np.array([1.0, 2.0, 1.0]), 4
    )
    assert (pairs.first.tolist(), pairs.second.tolist()) == ([0, 0], [1, 3])
    assert (pairs.times.tolist(), pairs.chosen.tolist()) == ([1.0, 3.0], [0.5, 1.0])
    images, compact = pairs.compact()
    assert images.tolist() == [0, 1, 3]
    assert (compact.second.tolist(), compact.images) == ([1, 2], 3)
    both = Pairs.merged([pairs, pairs])
    assert (both.times.tolist(), both.chosen.tolist()) == ([2.0, 6.0], [1.0, 2.0])
    assert pairs.margins(np.array([5.0, 4.0, 0.0, 1.0])) == pytest.approx([1, 4])
    assert pairs.gradient(np.array([1.0, 10.0])) == pytest.approx([11, -1, 0, -10])
