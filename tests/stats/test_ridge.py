"""nimakit.stats.ridge: regression in closed form."""

import numpy as np
import pytest

from nimakit.stats.histogram import FloatArray
from nimakit.stats.ridge import Solution, solve_dual, solve_primal

_X = np.random.default_rng(0).normal(size=(30, 8)) + 2
_Y = _X @ np.random.default_rng(1).normal(size=(8, 2)) + np.random.default_rng(2).normal(size=(30, 2))
_NOISE = np.linspace(0.5, 2, 30)


def _primal(x: FloatArray, noise: FloatArray, y: FloatArray) -> Solution:
    return solve_primal(lambda: np.array_split(x, 3), noise, y)


def test_both_ways_give_the_same() -> None:
    """From inner products of examples or of features, the fit and what it predicts are one."""
    primal, dual = _primal(_X, _NOISE, _Y), solve_dual(_X @ _X.T, _NOISE, _Y)
    np.testing.assert_allclose(_X.T @ dual.weights, primal.weights, rtol=1e-6)
    np.testing.assert_allclose(dual.level, primal.level, rtol=1e-6)
    np.testing.assert_allclose(dual.left_out, primal.left_out, rtol=1e-6)


def test_solves_the_penalised_problem() -> None:
    """The gradient of the penalised squared error is 0."""
    found = _primal(_X, _NOISE, _Y)
    missed = (_Y - _X @ found.weights - found.level) / _NOISE[:, None]
    np.testing.assert_allclose(_X.T @ missed, found.weights, atol=1e-8)
    np.testing.assert_allclose(missed.sum(axis=0), 0, atol=1e-8)


@pytest.mark.parametrize("row", [0, 17])
def test_predicts_an_example_as_a_fit_to_all_others_does(row: int) -> None:
    """The shortcut for leaving one out is exact."""
    rest = np.delete(np.arange(30), row)
    other = _primal(_X[rest], _NOISE[rest], _Y[rest])
    expected = _X[row] @ other.weights + other.level
    np.testing.assert_allclose(_primal(_X, _NOISE, _Y).left_out[row], expected, rtol=1e-8)
