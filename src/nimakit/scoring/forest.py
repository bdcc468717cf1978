"""Figures of several candidates one below the other, each with its interval, for the templates of reports."""

from typing import Any

import numpy as np

from nimakit.reports import plots
from nimakit.scoring.comparison import FIGURES, Comparison
from nimakit.stats.bootstrap import Interval


def forests(found: Comparison) -> list[dict[str, Any]]:
    """Each figure of all candidates: its values, and where they are, in per cent of the axis."""
    return [_forest(found, key) for key in FIGURES]


def number(value: float) -> str:
    """A figure with three decimals; a dash if it is not defined."""
    return "\N{EN DASH}" if np.isnan(value) else f"{value:.3f}"


def _forest(found: Comparison, key: str) -> dict[str, Any]:
    """A figure of all candidates: its values, and where they are, in per cent of the axis."""
    intervals = [row.figures[key] for row in found.rows]
    ends = np.array([[each.low, each.high] for each in intervals if not np.isnan(each.low)])
    low, high = plots.limits(ends) if len(ends) else (0.0, 1.0)

    def places(figure: Interval) -> list[float] | None:
        if np.isnan(figure.low):
            return None
        values = (figure.low, figure.value, figure.high)
        return [round(100 * (value - low) / (high - low), 2) for value in values]

    return {
        "key": key,
        "low": low,
        "high": high,
        "rows": [
            {
                "name": row.name,
                "is_reference": row.name == found.reference,
                "value": number(row.figures[key].value),
                "range": _range(row.figures[key]),
                "difference": "" if row.name == found.reference else _difference(row.differences[key]),
                "places": places(each),
            }
            for row, each in zip(found.rows, intervals, strict=True)
        ],
    }


def _range(figure: Interval) -> str:
    return "" if np.isnan(figure.low) else f"{figure.low:.3f} to {figure.high:.3f}"


def _difference(figure: Interval) -> str:
    if np.isnan(figure.low):
        return ""
    return f"{figure.value:+.3f} [{figure.low:+.3f}, {figure.high:+.3f}]".replace("-", "\N{MINUS SIGN}")
