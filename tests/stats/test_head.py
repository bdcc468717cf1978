"""nimakit.stats.head: heads fitted to blocks of features in closed form."""

import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nimakit.stats import head
from nimakit.stats.correlation import lcc
from nimakit.stats.head import fit_gaussian, fit_linear, log_histograms
from nimakit.stats.histogram import normalise, softmax

FITS = pytest.mark.parametrize("fit", [fit_linear, fit_gaussian])


def _normal(*shape: int, seed: int = 0) -> NDArray[Any]:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_recovers_a_linear_relation() -> None:
    """Many noiseless examples give back the kernel and the bias they were made with."""
    x, kernel = _normal(1, 400, 6) * [1, 2, 3, 1, 1, 1] + 5, _normal(6, 1, seed=1)
    y = x[0] @ kernel + 4
    found = fit_linear([x], y).head
    assert found.kernel.dtype == found.bias.dtype == np.dtype(np.float32)
    np.testing.assert_allclose(found.kernel, kernel, atol=0.02)
    np.testing.assert_allclose(found([x[0]]), y, atol=0.02)


def test_learns_what_is_not_linear() -> None:
    """Similarity to examples predicts a product of features, which a dense layer cannot."""
    x = _normal(1, 200, 2)
    y = x[0, :, :1] * x[0, :, 1:]
    gaussian, linear = (fit([x[:, :120]], y[:120]).head([x[0, 120:]]) for fit in (fit_gaussian, fit_linear))
    assert (lcc(gaussian[:, 0], y[120:, 0]) or 0) > 0.8
    assert abs(lcc(linear[:, 0], y[120:, 0]) or 0) < 0.4


@FITS
def test_averages_the_views(fit: Any) -> None:
    """Picture and mirror image count as one example."""
    x = _normal(2, 50, 3)
    y = x.mean(axis=0).sum(axis=1, keepdims=True)
    both, mean = fit([x], y), fit([x.mean(axis=0, keepdims=True)], y)
    np.testing.assert_allclose(both.left_out, mean.left_out, rtol=1e-4, atol=1e-5)


@FITS
def test_gives_a_block_that_explains_more_a_larger_share(fit: Any) -> None:
    """Whatever the scale of its features."""
    useful, useless = _normal(1, 120, 6), 1000 * _normal(1, 120, 6, seed=1)
    y = useful[0].sum(axis=1, keepdims=True) + _normal(120, 1, seed=2)
    found = fit([useful, useless], y)
    assert found.shares[0] > 0.9
    assert found.shares.sum() == pytest.approx(1)


@FITS
def test_left_out_predictions_are_those_of_a_fit_to_the_others(fit: Any) -> None:
    """Nearly, because the variances are estimated from all."""
    x = _normal(1, 60, 4)
    y = np.tanh(x[0].sum(axis=1, keepdims=True)) + 0.3 * _normal(60, 1, seed=1)
    found = fit([x], y)
    rest = np.arange(1, 60)
    other = fit([x[:, rest]], y[rest]).head([x[0, :1]])
    np.testing.assert_allclose(found.left_out[0], other[0], atol=0.05)
    fitted = found.head([x[0]])
    assert np.abs(found.left_out - y).mean() > np.abs(fitted - y).mean()


@FITS
def test_trusts_examples_with_many_ratings_more(fit: Any) -> None:
    """If the noise falls with the number of ratings, counts bring the fit nearer to the truth."""
    x, random = _normal(1, 100, 10), np.random.default_rng(1)
    truth = x[0].sum(axis=1, keepdims=True)
    counts = np.where(np.arange(100) % 2, 1.0, 100.0)
    y = truth + 6 * random.normal(size=(100, 1)) / np.sqrt(counts)[:, None]
    fresh = _normal(100, 10, seed=5)
    known, unknown = (
        np.abs(fit([x], y, counts=given).head([fresh])[:, 0] - fresh.sum(axis=1)).mean()
        for given in (counts, None)
    )
    assert known < 0.8 * unknown


def test_weights_count_as_repetitions_do() -> None:
    """An example of twice the weight pulls as two of the same kind would."""
    x = _normal(1, 40, 1)
    y = np.where(np.arange(40) < 20, 0.0, 1.0)[:, None] + 0 * x[0]
    heavy = np.where(np.arange(40) < 20, 9.0, 1.0)
    plain, weighted = fit_linear([x], y).head, fit_linear([x], y, weights=heavy).head
    assert plain.bias.item() == pytest.approx(0.5, abs=0.1)
    assert weighted.bias.item() == pytest.approx(0.1, abs=0.1)


def test_a_head_on_logarithms_comes_near_the_labels() -> None:
    """A softmax of its outputs gives the labels that depend on the features."""
    x = _normal(1, 300, 4)
    labels = normalise(np.exp(x[0] @ _normal(4, 5, seed=1)))
    predicted = softmax(fit_linear([x], log_histograms(labels)).head([x[0]]))
    worst = np.abs(predicted - labels).mean()
    assert worst < 0.25 * np.abs(labels.mean(axis=0) - labels).mean()


@FITS
@pytest.mark.parametrize("count", [1, 3])
def test_takes_the_fewest_examples(fit: Any, count: int) -> None:
    """Down to one picture, whose rating is then the prediction; and features that never change."""
    x, y = _normal(1, count, 6), np.linspace(2, 4, count)[:, None]
    for values in (x, np.ones_like(x)):
        predicted = fit([values], y).head([values[0]])
        assert float(predicted.mean()) == pytest.approx(float(y.mean()), abs=1e-3)


def test_many_examples_are_drawn_from_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Label files are often sorted, so the first ones alone would not do; a seed draws the same ones."""
    x = _normal(1, 400, 1)
    y = x[0] * np.repeat([1.0, 3.0], 200)[:, None]
    monkeypatch.setattr(head, "MAX_EXAMPLES", 200)
    found = [fit_linear([x], y, seed=seed).head.kernel.item() for seed in (0, 0, 1)]
    assert found[0] == found[1] != found[2]
    assert all(1.5 < slope < 2.5 for slope in found)


def test_few_centres_are_nearly_as_good_as_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """With more examples than may be stored, those that are stored carry what the others taught."""
    x = _normal(1, 150, 3)
    y = np.sin(x[0]).sum(axis=1, keepdims=True) + 0.3 * _normal(150, 1, seed=1)
    whole = fit_gaussian([x], y)
    monkeypatch.setattr(head, "_MAX_CENTRES", 60)
    part = fit_gaussian([x], y)
    assert part.head.weights.shape == (60, 1)
    fresh = _normal(200, 3, seed=2)
    assert np.abs(part.head([fresh]) - whole.head([fresh])).mean() < 0.05
    assert (lcc(part.left_out[:, 0], whole.left_out[:, 0]) or 0) > 0.99


def test_a_linear_fit_takes_no_memory_of_each_example(monkeypatch: pytest.MonkeyPatch) -> None:
    """More examples need hardly more, whatever the number of features."""
    monkeypatch.setattr(head, "_MAX_FOR_VARIANCES", 20)
    peaks = []
    for count in (1500, 5000):
        x, y = np.ones((1, count, 200), np.float32), np.ones((count, 1))
        tracemalloc.start()
        fit_linear([x], y)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 200 * 3500


@FITS
def test_variances_of_an_earlier_fit_give_the_same_head(fit: Any) -> None:
    """They are what takes the time; those of other examples are used as they are."""
    random = np.random.default_rng(0)
    x = random.normal(size=(1, 40, 5)).astype(np.float32)
    y, counts = random.normal(size=(40, 3)), random.integers(1, 9, 40).astype(float)
    first = fit([x], y, counts=counts)
    again = fit([x], y, counts=counts, variances=first.variances)
    np.testing.assert_array_equal(first.left_out, again.left_out)
    noisy = replace(first.variances, per_rating=100.0)
    flat = fit([x], y, counts=counts, variances=noisy)
    assert np.ptp(flat.left_out) < np.ptp(first.left_out)
