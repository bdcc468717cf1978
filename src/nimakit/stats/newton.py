"""The lowest point of a smooth convex function of many variables."""

from collections.abc import Callable

import numpy as np

from nimakit.stats.histogram import FloatArray

Loss = Callable[[FloatArray], tuple[float, FloatArray]]
"""Value and (n,) slope at a point."""
Bend = Callable[[FloatArray, FloatArray], FloatArray]
"""(n,) second derivatives at a point, times a step."""

_MOST_STEPS = 200
_MOST_HALVINGS = 40
_ENOUGH = 1e-4
_ROUNDING = 1e-14


def minimise(loss: Loss, bend: Bend, start: FloatArray, *, tolerance: float) -> tuple[FloatArray, float]:
    """Newton's method, each step found by conjugate gradients and shortened until it leads down.

    Nocedal and Wright, "Numerical Optimization", 2006, algorithm 7.1. Memory grows with n alone.

    Args:
        loss: Convex.
        bend: Its second derivatives.
        start: (n,) float64.
        tolerance: The largest slope of any variable at which a point is taken for the lowest.

    Returns:
        (n,) float64, the point, and the largest slope there: above `tolerance` where rounding, or a function
        without a lowest point, kept it from less.
    """
    point = start
    value, slope = loss(point)
    for _ in range(_MOST_STEPS):
        if np.abs(slope).max() <= tolerance:
            break
        step = _step(bend, point, slope)
        fall = float(slope @ step)
        for halvings in range(_MOST_HALVINGS):
            length = 0.5**halvings
            lower, there = loss(point + length * step)
            if lower <= value + _ENOUGH * length * fall + _ROUNDING * abs(value):
                break
        else:
            break
        point, value, slope = point + length * step, lower, there
    return point, float(np.abs(slope).max())


def _step(bend: Bend, point: FloatArray, slope: FloatArray) -> FloatArray:
    """Where the function would be lowest if it were a parabola, the more precisely the smaller the slope."""
    step, rest = np.zeros_like(slope), -slope
    direction, size = rest, float(rest @ rest)
    enough = size * min(0.25, np.sqrt(size))
    for _ in range(len(slope)):
        change = bend(point, direction)
        curvature = float(direction @ change)
        if curvature <= 0:  # flat, but for rounding
            return step if step.any() else rest
        step = step + size / curvature * direction
        rest = rest - size / curvature * change
        before, size = size, float(rest @ rest)
        if size <= enough:
            break
        direction = rest + size / before * direction
    return step
