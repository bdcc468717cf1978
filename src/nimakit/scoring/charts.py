"""Charts for the reports on models: losses, and their scores against people's ratings."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from nimakit.reports.plots import BAR, INK, PEOPLE, SOFT, bars, limits, points, svg
from nimakit.scoring.calibration import Calibration
from nimakit.stats.histogram import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def losses(
    name: str, epochs: Sequence[int], training: FloatArray, validation: FloatArray, phases: Sequence[str]
) -> str:
    """Loss by epoch, with a line where the phase changes.

    Args:
        name: Unique on the page.
        epochs: N numbers, ascending; N at least 1.
        training: (N,) float64.
        validation: (N,) float64, NaN if not measured.
        phases: N names.

    Returns:
        An ``<svg>`` element, as do all functions of this module.
    """

    def plot(axes: "Axes") -> None:
        axes.plot(epochs, training, color=BAR, marker="o", markersize=4, label="training")
        if np.isfinite(validation).any():
            axes.plot(epochs, validation, color=PEOPLE, marker="s", markersize=4, label="validation")
            best = int(np.nanargmin(validation))
            axes.plot([epochs[best]], [validation[best]], "o", ms=11, mfc="none", mec=INK, label="lowest")
        for position in range(1, len(phases)):
            if phases[position] != phases[position - 1]:
                axes.axvline((epochs[position] + epochs[position - 1]) / 2, color=SOFT, linestyle=":")
        for row, phase in enumerate(dict.fromkeys(phases)):
            first = epochs[phases.index(phase)]
            axes.text(
                first - 0.4,
                1.02 + 0.05 * row,  # a phase may be too short for its name
                phase,
                transform=axes.get_xaxis_transform(),
                fontsize=9,
                color=SOFT,
                va="bottom",
            )
        axes.set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)
        axes.locator_params(axis="x", integer=True)
        axes.set(xlabel="epoch", ylabel="loss")
        axes.legend()

    return svg(name, "Loss by epoch", plot)


def agreement(name: str, real: FloatArray, predicted: FloatArray, what: str) -> str:
    """Predicted against real values, with the diagonal.

    Args:
        name: Unique on the page.
        real: (N,) float64; N at least 1.
        predicted: (N,) float64, on the same scale.
        what: Name of the values, such as "mean score".
    """

    def plot(axes: "Axes") -> None:
        low, high = limits(np.concatenate([real, predicted]))
        axes.plot([low, high], [low, high], color=SOFT, linestyle="--", linewidth=1)
        points(axes, real, predicted)
        axes.set(xlim=(low, high), ylim=(low, high), aspect="equal")
        axes.set(xlabel=f"people's {what}", ylabel=f"model's {what}")

    return svg(name, f"Predicted against real {what}", plot)


def mean_scores(name: str, real: FloatArray, predicted: FloatArray) -> str:
    """Histograms of the mean scores, by people and by the model.

    Args:
        name: Unique on the page.
        real: (N,) float64; N at least 1.
        predicted: (N,) float64, on the same scale.
    """

    def plot(axes: "Axes") -> None:
        edges = np.linspace(*limits(np.concatenate([real, predicted])), bars(real) + 1)
        for values, colour, label in ((real, PEOPLE, "people"), (predicted, BAR, "model")):
            counts, _ = np.histogram(values, edges)
            axes.stairs(counts, edges, fill=True, color=colour, alpha=0.35)
            axes.stairs(counts, edges, color=colour, linewidth=1.5, label=label)
        axes.locator_params(axis="y", integer=True)
        axes.set(xlabel="mean score", ylabel="pictures")
        axes.legend()

    return svg(name, "How many pictures have which mean score", plot)


def distributions(name: str, real: FloatArray, predicted: FloatArray, bins: FloatArray) -> str:
    """The average distribution over the bins, by people and by the model.

    Args:
        name: Unique on the page.
        real: (N, bins) float64, rows sum to 1; N at least 1.
        predicted: (N, bins) float64, rows sum to 1.
        bins: (bins,), their values.
    """

    def plot(axes: "Axes") -> None:
        width = 0.4 * float(np.diff(bins).min())
        axes.bar(bins - width / 2, 100 * real.mean(axis=0), width, color=PEOPLE, label="people")
        axes.bar(bins + width / 2, 100 * predicted.mean(axis=0), width, color=BAR, label="model")
        if len(bins) <= 12:
            axes.set_xticks(bins, [f"{value:g}" for value in bins])
        axes.grid(visible=False, axis="x")
        axes.set(xlabel="rating", ylabel="% of ratings")
        axes.legend()

    return svg(name, "Average distribution of ratings", plot)


def residuals(name: str, real: FloatArray, residual: FloatArray) -> str:
    """Errors (predicted minus real mean score) against real mean scores.

    Args:
        name: Unique on the page.
        real: (N,) float64; N at least 1.
        residual: (N,) float64.
    """

    def plot(axes: "Axes") -> None:
        axes.axhline(0, color=SOFT, linestyle="--", linewidth=1)
        points(axes, real, residual)
        reach = max(abs(value) for value in limits(residual))
        axes.set(xlim=limits(real), ylim=(-reach, reach))
        axes.set(xlabel="people's mean score", ylabel="model minus people")

    return svg(name, "Errors against the real mean score", plot)


def residual_counts(name: str, residual: FloatArray) -> str:
    """Histogram of the errors.

    Args:
        name: Unique on the page.
        residual: (N,) float64; N at least 1.
    """

    def plot(axes: "Axes") -> None:
        reach = max(abs(value) for value in limits(residual))
        counts, edges = np.histogram(residual, bars(residual), (-reach, reach))
        axes.stairs(counts, edges, fill=True, color=BAR)
        axes.axvline(0, color=SOFT, linestyle="--", linewidth=1)
        axes.locator_params(axis="y", integer=True)
        axes.set(xlabel="model minus people", ylabel="pictures")

    return svg(name, "How many pictures are off by how much", plot)


def calibration(name: str, found: Calibration, limits: tuple[float, float]) -> str:
    """Mean ratings of images that are predicted alike, with 95 % intervals, and the diagonal.

    Args:
        name: Unique on the page.
        found: What to draw.
        limits: Lowest and highest value on both axes, so that charts of several models can be compared.
    """

    def plot(axes: "Axes") -> None:
        axes.plot(limits, limits, color=SOFT, linestyle="--", linewidth=1)
        axes.errorbar(
            found.predicted, found.real, np.nan_to_num(found.error), color=BAR, marker="o", markersize=5
        )
        axes.set(xlim=limits, ylim=limits, aspect="equal")
        axes.set(xlabel="predicted mean score", ylabel="people's mean score")

    return svg(name, "People's mean score where the model predicts a score", plot)
