"""nimakit.stats.ridge: a head fitted to features in closed form."""

import tracemalloc
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nimakit.stats import ridge
from nimakit.stats.histogram import normalise
from nimakit.stats.ridge import ridge_head


def _normal(*shape: int, seed: int = 0) -> NDArray[Any]:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_recovers_a_linear_relation() -> None:
    """Many noiseless examples give back the kernel and the bias they were made with."""
    x, kernel = _normal(400, 1, 6) * [1, 2, 3, 1, 1, 1] + 5, _normal(6, 1, seed=1)
    y = x[:, 0] @ kernel + 4
    found, bias = ridge_head(x, y, blocks=[6], is_distribution=False)
    assert found.dtype == bias.dtype == np.dtype(np.float32)
    np.testing.assert_allclose(found, kernel, atol=0.02)
    np.testing.assert_allclose(x[:, 0] @ found + bias, y, atol=0.02)


def test_averages_the_views() -> None:
    """Picture and mirror image count as one example."""
    x = _normal(50, 2, 3)
    y = x.mean(axis=1).sum(axis=1, keepdims=True)
    both = ridge_head(x, y, blocks=[3], is_distribution=False)
    mean = ridge_head(x.mean(axis=1, keepdims=True), y, blocks=[3], is_distribution=False)
    np.testing.assert_allclose(both[0], mean[0], rtol=1e-5)


def test_chooses_the_penalty_that_predicts_what_was_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the one with the least error when each example is predicted by a fit to all others."""
    x, noise = _normal(40, 1, 20), 2 * _normal(40, 1, seed=2)
    y = x[:, 0, :3].sum(axis=1, keepdims=True) + noise

    def left_out(penalty: float) -> float:
        monkeypatch.setattr(ridge, "_HEAD_PENALTIES", (penalty,))
        errors = []
        for index in range(len(x)):
            others = np.delete(np.arange(len(x)), index)
            kernel, bias = ridge_head(x[others], y[others], blocks=[20], is_distribution=False)
            errors.append((x[index, 0] @ kernel + bias - y[index]) ** 2)
        return float(np.mean(errors))

    penalties = (1e-3, 0.1, 1.0, 10.0, 1000.0)
    best = min(penalties, key=left_out)
    monkeypatch.setattr(ridge, "_HEAD_PENALTIES", (best,))
    expected = ridge_head(x, y, blocks=[20], is_distribution=False)
    monkeypatch.setattr(ridge, "_HEAD_PENALTIES", penalties)
    chosen = ridge_head(x, y, blocks=[20], is_distribution=False)
    assert best not in (penalties[0], penalties[-1])
    np.testing.assert_array_equal(chosen[0], expected[0])


def test_blocks_count_alike_whatever_their_scale() -> None:
    """A block whose features are a thousand times larger gives the same predictions."""
    x = _normal(60, 1, 8)
    y = x[:, 0].sum(axis=1, keepdims=True) + _normal(60, 1, seed=3)
    scale = np.repeat([1.0, 1000.0], [5, 3])
    plain = ridge_head(x, y, blocks=[5, 3], is_distribution=False)
    scaled = ridge_head((x * scale).astype(np.float32), y, blocks=[5, 3], is_distribution=False)
    np.testing.assert_allclose(scaled[0][:, 0] * scale, plain[0][:, 0], rtol=1e-3, atol=1e-5)
    one_block = ridge_head((x * scale).astype(np.float32), y, blocks=[8], is_distribution=False)
    assert np.abs(one_block[0][:5] - plain[0][:5]).max() > 0.01


def test_a_distribution_head_comes_near_the_labels() -> None:
    """A softmax of kernel and bias gives the labels that depend on the features."""
    x = _normal(300, 1, 4)
    logits = x[:, 0] @ _normal(4, 5, seed=1)
    labels = normalise(np.exp(logits)).astype(np.float32)
    kernel, bias = ridge_head(x, labels, blocks=[4], is_distribution=True)
    predicted = np.exp(x[:, 0] @ kernel + bias)
    predicted /= predicted.sum(axis=1, keepdims=True)
    worst = np.abs(predicted - labels).mean()
    assert worst < 0.25 * np.abs(labels.mean(axis=0) - labels).mean()


@pytest.mark.parametrize("shape", [(1, 1, 6), (3, 2, 6), (5, 1, 6)])
def test_takes_fewer_examples_than_features(shape: tuple[int, int, int]) -> None:
    """Down to one picture, whose rating is then the prediction; and features that never change."""
    x, y = _normal(*shape), np.linspace(2, 4, shape[0], dtype=np.float32)[:, None]
    for values in (x, np.ones_like(x)):
        kernel, bias = ridge_head(values, y, blocks=[6], is_distribution=False)
        assert np.isfinite(kernel).all()
        predicted = values.mean(axis=1) @ kernel + bias
        assert float(predicted.mean()) == pytest.approx(float(y.mean()), abs=1e-3)


def test_many_examples_are_drawn_from_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Label files are often sorted, so the first ones alone would not do; a seed draws the same ones."""
    x = _normal(400, 1, 1)
    y = x[:, 0] * np.repeat([1.0, 3.0], 200)[:, None]
    monkeypatch.setattr(ridge, "_MAX_EXAMPLES", 200)
    found = [ridge_head(x, y, blocks=[1], is_distribution=False, seed=seed)[0].item() for seed in (0, 0, 1)]
    assert found[0] == found[1] != found[2]
    assert all(1.5 < slope < 2.5 for slope in found)


def test_fits_as_the_solution_in_closed_form_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """With fewer examples than features and with more, in several rounds, by one penalty."""
    monkeypatch.setattr(ridge, "_CHUNK", 16)
    monkeypatch.setattr(ridge, "_HEAD_PENALTIES", (0.1,))
    for count in (30, 100):
        x, y = _normal(count, 2, 40), _normal(count, 3, seed=1)
        kernel, bias = ridge_head(x, y, blocks=[40], is_distribution=False)
        seen = x.astype(np.float64).mean(axis=1)
        seen, level = seen - (centre := seen.mean(axis=0)), y.astype(np.float64).mean(axis=0)
        penalty = 0.1 * (seen**2).sum(axis=1).mean()
        expected = np.linalg.solve(seen.T @ seen + penalty * np.eye(40), seen.T @ (y - level))
        np.testing.assert_allclose(kernel, expected, atol=1e-5)
        np.testing.assert_allclose(bias, level - centre @ expected, atol=1e-5)


def test_fitting_a_head_takes_no_memory_of_each_example() -> None:
    """Ten times the examples need hardly more, whatever the number of features."""
    peaks = []
    for count in (500, 5000):
        x, y = np.ones((count, 2, 200), np.float32), np.ones((count, 1), np.float32)
        tracemalloc.start()
        ridge_head(x, y, blocks=[200], is_distribution=False)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 100 * 4500
