"""nimakit.scoring.comparison: candidates side by side."""

import json
from typing import Any

import numpy as np
import pytest

from nimakit.scoring.comparison import FIGURES, Comparison, Predictions, ceiling, compare, reliability
from nimakit.stats.correlation import lcc, srcc
from nimakit.stats.histogram import FloatArray, mean, normalise

_BINS = np.arange(1, 8.0)


def _rated(seed: int, images: int = 80, ratings: int = 12) -> tuple[FloatArray, FloatArray]:
    """True qualities, and the labels that people gave."""
    random = np.random.default_rng(seed)
    quality = random.normal(4, 0.7, images)
    given = np.clip(np.rint(quality[:, None] + random.normal(0, 1.2, (images, ratings))), 1, 7)
    return quality, normalise((given[:, :, None] == _BINS).sum(axis=1))


def _noisy(quality: FloatArray, noise: float, seed: int, name: str = "model") -> Predictions:
    means = quality + np.random.default_rng(seed).normal(0, noise, len(quality))
    return Predictions(name=name, means=means)


def _compare(quality: FloatArray, labels: FloatArray, *candidates: Predictions, **options: Any) -> Comparison:
    return compare(candidates, labels, _BINS, **{"counts": np.full(len(quality), 12.0), **options})


def test_a_difference_is_found_with_an_interval_of_its_own() -> None:
    """Of two candidates with the same errors, one of which adds some, the difference is clear."""
    quality, labels = _rated(0, images=200)
    first = _noisy(quality, 0.5, 1, "first")
    second = Predictions(name="second", means=first.means + np.random.default_rng(2).normal(0, 0.3, 200))
    found = _compare(quality, labels, first, second, resamples=100)
    assert found.best == "first"
    a, b = (row.figures["srcc"] for row in found.rows)
    assert a.low < b.high
    difference = found.rows[1].differences["srcc"]
    assert difference.high < 0
    assert difference.low < difference.value < difference.high
    assert difference.high - difference.low < b.high - b.low
    assert found.rows[0].differences["srcc"].value == 0


@pytest.mark.slow
def test_intervals_contain_the_truth_about_as_often_as_they_say() -> None:
    """That of a figure, and that of the difference of two candidates, whose errors are partly the same.

    The truth is the figure on many images of the same kind. With 95 % intervals, 35 of 40 or fewer would be
    inside in about one run of twenty, so 34 are enough.
    """

    def pair(quality: FloatArray, seed: int) -> tuple[Predictions, Predictions]:
        first = _noisy(quality, 0.5, seed, "first")
        return first, Predictions(name="second", means=_noisy(first.means, 0.5, seed + 500).means)

    quality, labels = _rated(99, images=4000)
    truth = mean(labels, _BINS)
    first, second = pair(quality, 98)
    true_lcc = lcc(first.means, truth) or 0
    true_difference = (srcc(second.means, truth) or 0) - (srcc(first.means, truth) or 0)
    inside = np.zeros(2, int)
    for seed in range(40):
        quality, labels = _rated(seed)
        found = _compare(quality, labels, *pair(quality, 1000 + seed), resamples=150, seed=seed)
        figure, difference = found.rows[0].figures["lcc"], found.rows[1].differences["srcc"]
        inside += [
            figure.low <= true_lcc <= figure.high,
            difference.low <= true_difference <= difference.high,
        ]
    assert (inside >= 34).all(), inside


def test_folds_have_figures_of_their_own() -> None:
    """The SRCC within each; it is not defined in a fold where all predictions are equal."""
    quality, labels = _rated(0)
    truth, folds = mean(labels, _BINS), np.arange(80) % 4
    flat = np.where(folds == 2, 4.0, truth)
    row = _compare(quality, labels, Predictions(name="a", means=flat), folds=folds, resamples=5).rows[0]
    assert [value > 0.999 for value in row.folds] == [True, True, False, True]
    assert np.isnan(row.folds[2])
    assert row.median == pytest.approx(1)
    assert _compare(quality, labels, Predictions(name="a", means=flat), resamples=5).rows[0].folds == ()


def test_the_ceiling_is_what_a_perfect_model_reaches() -> None:
    """The correlation of the true qualities with mean ratings, on average over simulations."""
    pairs = []
    for seed in range(20):
        quality, labels = _rated(seed)
        reached = lcc(quality, mean(labels, _BINS))
        pairs.append((reached, ceiling(reliability(labels, _BINS, np.full(len(labels), 12.0)))))
    reached, predicted = np.mean(np.array(pairs, float), axis=0)
    assert reached == pytest.approx(predicted, abs=0.02)
    assert 0.8 < reached < 0.95


def test_pairs_are_those_on_which_people_agree() -> None:
    """A model that is right about all of them has 1, a reversed one 0, one that ties a half."""
    quality, labels = _rated(0)
    truth = mean(labels, _BINS)
    flat = Predictions(name="flat", means=np.full(80, 4.0), histograms=labels)
    best, worst = (Predictions(name=n, means=m) for n, m in (("best", truth), ("worst", 8 - truth)))
    found = _compare(quality, labels, best, worst, flat, resamples=20)
    assert [row.figures["pairs"].value for row in found.rows] == [1, 0, 0.5]
    everything = compare([best], labels, _BINS, resamples=20)
    assert 0 < found.agreed_pairs < everything.agreed_pairs
    assert everything.ceiling is None
    assert np.isnan(found.rows[2].figures["srcc"].value)
    assert found.rows[2].figures["emd"].value == 0


def test_gives_plain_json() -> None:
    """A figure that is not defined is null."""
    quality, labels = _rated(0)
    values = json.loads(json.dumps(_compare(quality, labels, _noisy(quality, 1, 1), resamples=5).to_dict()))
    assert set(values["rows"][0]["figures"]) == set(FIGURES)
    assert values["rows"][0]["figures"]["emd"] == {"value": None, "low": None, "high": None}
