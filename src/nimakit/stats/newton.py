"""The minimum of a smooth convex function, by Newton's method.

In NumPy rather than SciPy, which would add 140 MB to the image of the rating app. Steps of conjugate
gradients need no square matrix, unlike a solved one.
"""

from collections.abc import Callable

import numpy as np

from nimakit.stats.histogram import FloatArray

Loss = Callable[[FloatArray], tuple[float, FloatArray]]
"""Value and (n,) gradient at a point."""
Hessian = Callable[[FloatArray], Callable[[FloatArray], FloatArray]]
"""At a point, the (n,) products of the Hessian with vectors."""

_MAX_ITERATIONS = 200
_MAX_HALVINGS = 40
_SUFFICIENT_DECREASE = 1e-4
_ROUNDING = 1e-14


def minimise(
    loss: Loss, hessian: Hessian, start: FloatArray, *, tolerance: float
) -> tuple[FloatArray, float]:
    """Minimise a smooth convex function by Newton's method with conjugate gradients and a line search.

    Nocedal and Wright, "Numerical Optimization", 2006, algorithm 7.1. Memory grows only with n.

    Args:
        loss: The function.
        hessian: Products of its Hessian and vectors.
        start: (n,) float64.
        tolerance: Stop where no element of the gradient is larger.

    Returns:
        (n,) float64, the minimum, and the largest element of the gradient there: above `tolerance` if
        rounding prevented more, or the function has no minimum.
    """
    point = start
    value, gradient = loss(point)
    for _ in range(_MAX_ITERATIONS):
        if np.abs(gradient).max() <= tolerance:
            break
        step = _newton_step(hessian(point), gradient)
        decrease = float(gradient @ step)
        for halvings in range(_MAX_HALVINGS):
            length = 0.5**halvings
            new_value, new_gradient = loss(point + length * step)
            if new_value <= value + _SUFFICIENT_DECREASE * length * decrease + _ROUNDING * abs(value):
                break
        else:
            break
        point, value, gradient = point + length * step, new_value, new_gradient
    return point, float(np.abs(gradient).max())


def _newton_step(hessian: Callable[[FloatArray], FloatArray], gradient: FloatArray) -> FloatArray:
    """Solve for the Newton step, more precisely the smaller the gradient is."""
    step, residual = np.zeros_like(gradient), -gradient
    direction, size = residual, float(residual @ residual)
    enough = size * min(0.25, np.sqrt(size))
    for _ in range(len(gradient)):
        product = hessian(direction)
        curvature = float(direction @ product)
        if curvature <= 0:  # flat, up to rounding
            return step if step.any() else residual
        step = step + size / curvature * direction
        residual = residual - size / curvature * product
        previous_size, size = size, float(residual @ residual)
        if size <= enough:
            break
        direction = residual + size / previous_size * direction
    return step
