"""Charts of people's ratings, as functions that draw on given axes."""

from typing import TYPE_CHECKING, Any

import numpy as np

from nimakit.reports.plots import BAR, PEOPLE, SOFT, bars, limits, points
from nimakit.stats.histogram import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.container import BarContainer
    from numpy.typing import NDArray

_MOST_TICKS = 12


def mean_ratings(means: FloatArray, bins: FloatArray, axes: "Axes") -> None:
    """Histogram of the mean ratings.

    Args:
        means: (N,) float64; N at least 1.
        bins: (bins,), the scale, which is shown whole.
        axes: Where to draw.
    """
    _histogram(means, np.linspace(bins[0], bins[-1], bars(means) + 1), axes, BAR)
    axes.axvline(float(means.mean()), color=SOFT, linestyle="--", linewidth=1)
    axes.set(xlabel="mean rating (dashed: their average)", ylabel="pictures")


def given_ratings(shares: FloatArray, bins: FloatArray, axes: "Axes") -> None:
    """Bar chart of how often each rating was given.

    Args:
        shares: (bins,) float64, sum to 1.
        bins: (bins,), the ratings.
        axes: Where to draw.
    """
    _columns(100 * shares, bins, axes, PEOPLE)
    axes.set(xlabel="rating", ylabel="% of ratings")


def classes(counts: "NDArray[np.intp]", bins: FloatArray, axes: "Axes") -> None:
    """Bar chart of the number of pictures whose mean is nearest to each rating.

    Args:
        counts: (bins,) int.
        bins: (bins,), the ratings.
        axes: Where to draw.
    """
    columns = _columns(counts, bins, axes, BAR)
    if len(bins) <= _MOST_TICKS:
        axes.bar_label(columns, [f"{count:,}" for count in counts.tolist()], padding=2)
        axes.margins(y=0.12)
    axes.locator_params(axis="y", integer=True)
    axes.set(xlabel="mean rating, rounded to the scale", ylabel="pictures")


def spreads(means: FloatArray, deviations: FloatArray, axes: "Axes") -> None:
    """Scatter plot of the standard deviation of each picture's ratings against their mean.

    Args:
        means: (N,) float64.
        deviations: (N,) float64, NaN if undefined; at least one is finite.
        axes: Where to draw.
    """
    known = np.isfinite(deviations)
    points(axes, means[known], deviations[known])
    top = 1.08 * float(deviations[known].max()) or 1
    axes.set(xlabel="mean rating", ylabel="standard deviation", ylim=(0, top))


def rating_counts(counts: "NDArray[Any]", what: str, axes: "Axes") -> None:
    """Histogram of the number of ratings per picture, or per person.

    Args:
        counts: (N,), each at least 1; N at least 1.
        what: Plural of what was counted.
        axes: Where to draw.
    """
    low, high = float(counts.min()), float(counts.max())
    step = max(1.0, np.ceil((high - low + 1) / bars(counts)))  # whole, so that bars span equally many counts
    _histogram(counts, np.arange(low, high + step + 1, step) - 0.5, axes, PEOPLE)
    if low == high:
        axes.set_xlim(max(0.0, low - 5), high + 5)
    axes.locator_params(integer=True)
    axes.set(xlabel="ratings", ylabel=what)


def people(bias: FloatArray, spread: FloatArray, apart: "NDArray[np.bool_]", axes: "Axes") -> None:
    """Scatter plot of each person's bias and of how much of the scale they use.

    Args:
        bias: (U,) float64; NaN leaves the person out; at least one is finite.
        spread: (U,) float64, likewise.
        apart: (U,) bool, people to mark as unusual.
        axes: Where to draw.
    """
    known = np.isfinite(bias) & np.isfinite(spread)
    marked = known & apart
    points(axes, bias[known & ~apart], spread[known & ~apart])
    axes.axvline(0, color=SOFT, linestyle="--", linewidth=1)
    if marked.any():
        axes.scatter(bias[marked], spread[marked], s=42, fc="none", ec=PEOPLE, lw=1.5, label="unusual")
        axes.legend(loc="best")
    reach = max(abs(value) for value in limits(bias[known]))
    axes.set(xlim=(-reach, reach), ylim=(-0.02 * limits(spread[known])[1], limits(spread[known])[1]))
    axes.set(xlabel="harsher   ←   bias, in points   →   kinder", ylabel="spread of their ratings")


def consistencies(consistency: FloatArray, axes: "Axes") -> None:
    """Histogram of how well each person agrees with the others.

    Args:
        consistency: (U,) float64, -1 to 1; NaN leaves the person out; at least one is finite.
        axes: Where to draw.
    """
    known = consistency[np.isfinite(consistency)]
    edges = np.linspace(-1, 1, 41)
    _histogram(known, edges, axes, PEOPLE)
    axes.axvline(float(np.median(known)), color=SOFT, linestyle="--", linewidth=1)
    axes.set_xlim(min(0.0, edges[np.searchsorted(edges, known.min(), "right") - 1]), 1)
    axes.set(xlabel="correlation with the others' means (dashed: median)", ylabel="people")


def reliabilities(
    ratings: FloatArray, reliability: FloatArray, now: tuple[float, float], axes: "Axes"
) -> None:
    """Line chart of the reliability of a picture's mean by its number of ratings.

    Args:
        ratings: (n,) float64, ascending.
        reliability: (n,) float64.
        now: The present number and reliability.
        axes: Where to draw.
    """
    axes.plot(ratings, reliability, color=BAR, linewidth=2)
    axes.plot(*now, "o", markersize=9, color=PEOPLE, label="now")
    axes.axhline(0.9, color=SOFT, linestyle="--", linewidth=1)
    axes.set(xlim=(0, ratings[-1]), ylim=(0, 1.02), xlabel="ratings per picture", ylabel="reliability")
    axes.legend(loc="lower right")


def _histogram(values: "NDArray[Any]", edges: FloatArray, axes: "Axes", colour: str) -> None:
    axes.stairs(np.histogram(values, edges)[0], edges, fill=True, color=colour)
    axes.locator_params(axis="y", integer=True)


def _columns(heights: "NDArray[Any]", bins: FloatArray, axes: "Axes", colour: str) -> "BarContainer":
    columns = axes.bar(bins, heights, 0.8 * float(np.diff(bins).min()), color=colour)
    if len(bins) <= _MOST_TICKS:
        axes.set_xticks(bins, [f"{value:g}" for value in bins])
    axes.grid(visible=False, axis="x")
    return columns
