"""nimakit.stats.newton: the minimum of a smooth convex function."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.optimize import minimize

from nimakit.stats.histogram import FloatArray
from nimakit.stats.newton import minimise

TARGET = np.array([1.0, -2.0, 3.0, 0.5])
WEIGHT = np.array([1.0, 10.0, 1e4, 1e-3])


def quartic(point: FloatArray) -> tuple[float, FloatArray]:
    """A function that is steep far away, with variables of very different scale."""
    gap = point - TARGET
    return float(WEIGHT @ (gap**2 + gap**4)), WEIGHT * (2 * gap + 4 * gap**3)


def hessian(point: FloatArray) -> Callable[[FloatArray], FloatArray]:
    """The products of the Hessian of `quartic` with steps."""
    return lambda step: WEIGHT * (2 + 12 * (point - TARGET) ** 2) * step


@pytest.mark.parametrize("start", [0.0, 50.0, -1000.0])
def test_newton_finds_the_minimum_from_afar(start: float) -> None:
    """However far away the start and however different the scales are."""
    point, slope = minimise(quartic, hessian, np.full(4, start), tolerance=1e-9)
    np.testing.assert_allclose(point, TARGET, atol=1e-6)
    assert slope <= 1e-9


def test_newton_agrees_with_scipy() -> None:
    """A logistic fit of random data with many variables."""
    random = np.random.default_rng(3)
    rows = random.normal(size=(400, 30)) * np.linspace(0.1, 3, 30)
    signs = np.where(random.random(400) < 0.5, 1.0, -1.0)

    def loss(weights: FloatArray) -> tuple[float, FloatArray]:
        margin = signs * (rows @ weights)
        chance = np.exp(-np.logaddexp(0, margin))
        return float(np.logaddexp(0, -margin).sum()), -rows.T @ (signs * chance)

    def products(weights: FloatArray) -> Callable[[FloatArray], FloatArray]:
        chance = np.exp(-np.logaddexp(0, rows @ weights))
        return lambda step: rows.T @ (chance * (1 - chance) * (rows @ step))

    expected = minimize(loss, np.zeros(30), jac=True, method="BFGS", options={"gtol": 1e-8}).x
    found, _ = minimise(loss, products, np.zeros(30), tolerance=1e-8)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_function_without_a_minimum_is_recognised_by_its_slope() -> None:
    """The remaining slope is above the tolerance."""
    _, slope = minimise(
        lambda x: (float(x.sum()), np.ones(2)), lambda _: lambda step: 0 * step, np.zeros(2), tolerance=1e-6
    )
    assert slope == 1
