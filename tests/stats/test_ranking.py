"""nimakit.stats.ranking: how certain a ranking is."""

import numpy as np
import pytest

from nimakit.stats.ranking import WANTED_CERTAINTY, certainty, forecast, rank_intervals, reliability


def test_ranks_of_well_known_scores_are_certain() -> None:
    """Far apart, each image has one rank; the two that are close share theirs."""
    low, high = rank_intervals(np.array([0.0, 9.0, 5.0, 5.01]), 0.01 * np.eye(4))
    assert low.tolist() == [4, 1, 2, 2]
    assert high.tolist() == [4, 1, 3, 3]


def test_intervals_contain_the_true_rank_as_often_as_they_say() -> None:
    """True scores drawn from the posterior itself, with correlated errors."""
    random = np.random.default_rng(0)
    root = random.normal(size=(30, 30)) / 6
    score, covariance = random.normal(size=30), root @ root.T + 0.05 * np.eye(30)
    low, high = rank_intervals(score, covariance)
    draws = random.multivariate_normal(score, covariance, 400)
    ranks = np.argsort(np.argsort(-draws, axis=1), axis=1) + 1
    assert ((low <= ranks) & (ranks <= high)).mean() == pytest.approx(0.96, abs=0.02)


def test_certainty_is_that_of_neighbours() -> None:
    """Equal scores are a coin toss; one known standard deviation apart, Phi(1), whatever the order given."""
    assert certainty(np.zeros(3), np.ones(3)) == 0.5
    assert certainty(np.array([2.0, 0.0, 4.0]), np.full(3, 2.0)) == pytest.approx(0.8413, abs=0.01)


def test_reliability_is_the_share_that_is_not_error() -> None:
    """Of scores that were measured with a known error; nothing is left where all of it may be error."""
    random = np.random.default_rng(0)
    truth = random.normal(0, 1, 4000)
    score = truth + random.normal(0, 0.5, 4000)
    expected = float(np.corrcoef(truth, score)[0, 1] ** 2)
    assert reliability(score, np.full(4000, 0.25)) == pytest.approx(expected, abs=0.02)
    some, variance = score[:9], np.full(9, 0.25)
    assert forecast(some, variance).reliability == reliability(some, variance)
    assert reliability(score, np.full(4000, 9.0)) == reliability(np.zeros(3), np.ones(3)) == 0


def test_the_forecast_is_the_number_that_is_needed() -> None:
    """Scores known as well as after so many more comparisons are certain enough, and no more so."""
    random = np.random.default_rng(1)
    truth = random.normal(0, 1.5, 20)
    score = truth + random.normal(0, 0.5, 20)
    found = forecast(score, np.full(20, 0.25))
    assert found.certainty < WANTED_CERTAINTY
    choice = 1 / (1 + np.exp(truth[:, None] - truth))
    added = 2 * found.more * (choice * (1 - choice)).sum() / (20 * 19) / 19
    variance = 1 / (1 / 0.25 + added)
    right = [
        (np.diff(truth[np.argsort(-(truth + random.normal(0, np.sqrt(variance), 20)))]) < 0).mean()
        for _ in range(200)
    ]
    assert np.mean(right) == pytest.approx(WANTED_CERTAINTY, abs=0.06)


def test_a_judgement_of_more_images_tells_more() -> None:
    """Of four images, three differences: a third of the comparisons; none where the order is certain."""
    score, variance = np.linspace(-2, 2, 10), np.full(10, 1.0)
    pairs = forecast(score, variance)
    fours = forecast(score, variance, differences=3)
    assert fours.more == pytest.approx(pairs.more / 3, rel=0.1)
    assert forecast(10 * score, 0.01 * variance).more == 0
