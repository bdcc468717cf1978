"""Charts as SVG inside a page: Matplotlib draws, the page's own colours fill in."""

import io
import logging
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nimakit.errors import MissingExtraError
from nimakit.histogram import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INK, _SOFT, _LINE, _MODEL, _PEOPLE = "#010101", "#020202", "#030303", "#040404", "#050505"
_VARIABLES = {_INK: "ink", _SOFT: "soft", _LINE: "line", _MODEL: "bar", _PEOPLE: "people"}
"""Stand-ins that no chart uses for real -> the page's CSS variables, which follow light and dark."""

_PIXEL_COLOUR = "#4a94bd"
"""Of what is drawn as pixels, which no style sheet reaches: legible on light and on dark."""

_INCHES = (5.4, 3.7)
_PIXELS_PER_INCH = 200
_MOST_VECTORS = 1500
"""More points than that are drawn as one picture: 25,000 of them would take megabytes."""

_MOST_BARS = 30
_STYLE: Any = {
    "axes.axisbelow": True,
    "axes.edgecolor": _SOFT,
    "axes.grid": True,
    "axes.labelcolor": _INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.family": "DejaVu Sans",  # comes with Matplotlib, so that widths are the same everywhere
    "font.size": 11,
    "grid.color": _LINE,
    "legend.frameon": False,
    "legend.fontsize": 10,
    "svg.fonttype": "none",
    "svg.hashsalt": "nimakit",
    "text.color": _INK,
    "xtick.color": _SOFT,
    "xtick.labelcolor": _INK,
    "ytick.color": _SOFT,
    "ytick.labelcolor": _INK,
}


def require_matplotlib() -> None:
    """Refuse early, before hours of scoring.

    Raises:
        MissingExtraError: Matplotlib is not installed.
    """
    # What it notes of fonts and folders while it is loaded is no news to who asked for a report.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            "Charts need Matplotlib. Install it: pip install 'nimakit[report]'"
        ) from error


def losses(
    name: str, epochs: Sequence[int], training: FloatArray, validation: FloatArray, phases: Sequence[str]
) -> str:
    """Loss by epoch; where the phase changes, a line.

    Args:
        name: Unique on the page.
        epochs: N numbers, ascending; N at least 1.
        training: (N,) float64.
        validation: (N,) float64, NaN where there is none.
        phases: N names.

    Returns:
        An ``<svg>`` element, as from all functions here.
    """

    def plot(axes: "Axes") -> None:
        axes.plot(epochs, training, color=_MODEL, marker="o", markersize=4, label="training")
        if np.isfinite(validation).any():
            axes.plot(epochs, validation, color=_PEOPLE, marker="s", markersize=4, label="validation")
            best = int(np.nanargmin(validation))
            axes.plot([epochs[best]], [validation[best]], "o", ms=11, mfc="none", mec=_INK, label="lowest")
        for position in range(1, len(phases)):
            if phases[position] != phases[position - 1]:
                axes.axvline((epochs[position] + epochs[position - 1]) / 2, color=_SOFT, linestyle=":")
        for row, phase in enumerate(dict.fromkeys(phases)):
            first = epochs[phases.index(phase)]
            axes.text(
                first - 0.4,
                1.02 + 0.05 * row,  # a phase may be too short for its name
                phase,
                transform=axes.get_xaxis_transform(),
                fontsize=9,
                color=_SOFT,
                va="bottom",
            )
        axes.set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)
        axes.locator_params(axis="x", integer=True)
        axes.set(xlabel="epoch", ylabel="loss")
        axes.legend()

    return _draw(name, "Loss by epoch", plot)


def agreement(name: str, real: FloatArray, predicted: FloatArray, what: str) -> str:
    """Predicted against real values, with the diagonal.

    Args:
        name: Unique on the page.
        real: (N,) float64; N at least 1.
        predicted: (N,) float64, on the same scale.
        what: What they are, such as "mean score".
    """

    def plot(axes: "Axes") -> None:
        low, high = _limits(np.concatenate([real, predicted]))
        axes.plot([low, high], [low, high], color=_SOFT, linestyle="--", linewidth=1)
        _points(axes, real, predicted)
        axes.set(xlim=(low, high), ylim=(low, high), aspect="equal")
        axes.set(xlabel=f"people's {what}", ylabel=f"model's {what}")

    return _draw(name, f"Predicted against real {what}", plot)


def mean_scores(name: str, real: FloatArray, predicted: FloatArray) -> str:
    """How many pictures have which mean score, by people and by the model.

    Args:
        name: Unique on the page.
        real: (N,) float64; N at least 1.
        predicted: (N,) float64, on the same scale.
    """

    def plot(axes: "Axes") -> None:
        edges = np.linspace(*_limits(np.concatenate([real, predicted])), _bars(real) + 1)
        for values, colour, label in ((real, _PEOPLE, "people"), (predicted, _MODEL, "model")):
            counts, _ = np.histogram(values, edges)
            axes.stairs(counts, edges, fill=True, color=colour, alpha=0.35)
            axes.stairs(counts, edges, color=colour, linewidth=1.5, label=label)
        axes.locator_params(axis="y", integer=True)
        axes.set(xlabel="mean score", ylabel="pictures")
        axes.legend()

    return _draw(name, "How many pictures have which mean score", plot)


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
        axes.bar(bins - width / 2, 100 * real.mean(axis=0), width, color=_PEOPLE, label="people")
        axes.bar(bins + width / 2, 100 * predicted.mean(axis=0), width, color=_MODEL, label="model")
        if len(bins) <= 12:
            axes.set_xticks(bins, [f"{value:g}" for value in bins])
        axes.grid(visible=False, axis="x")
        axes.set(xlabel="rating", ylabel="% of ratings")
        axes.legend()

    return _draw(name, "Average distribution of ratings", plot)


def residuals(name: str, real: FloatArray, residual: FloatArray) -> str:
    """Predicted minus real mean score against the real one.

    Args:
        name: Unique on the page.
        real: (N,) float64; N at least 1.
        residual: (N,) float64.
    """

    def plot(axes: "Axes") -> None:
        axes.axhline(0, color=_SOFT, linestyle="--", linewidth=1)
        _points(axes, real, residual)
        reach = max(abs(value) for value in _limits(residual))
        axes.set(xlim=_limits(real), ylim=(-reach, reach))
        axes.set(xlabel="people's mean score", ylabel="model minus people")

    return _draw(name, "Errors against the real mean score", plot)


def residual_counts(name: str, residual: FloatArray) -> str:
    """How many pictures are off by how much.

    Args:
        name: Unique on the page.
        residual: (N,) float64; N at least 1.
    """

    def plot(axes: "Axes") -> None:
        reach = max(abs(value) for value in _limits(residual))
        counts, edges = np.histogram(residual, _bars(residual), (-reach, reach))
        axes.stairs(counts, edges, fill=True, color=_MODEL)
        axes.axvline(0, color=_SOFT, linestyle="--", linewidth=1)
        axes.locator_params(axis="y", integer=True)
        axes.set(xlabel="model minus people", ylabel="pictures")

    return _draw(name, "How many pictures are off by how much", plot)


def _limits(values: FloatArray) -> tuple[float, float]:
    """The range of values with a margin; half a point around a single value."""
    low, high = float(values.min()), float(values.max())
    margin = 0.04 * (high - low) or 0.5
    return low - margin, high + margin


def _bars(values: FloatArray) -> int:
    """So many that few values still make a shape."""
    return int(np.clip(2 * np.sqrt(len(values)), 8, _MOST_BARS))


def _points(axes: "Axes", x: FloatArray, y: FloatArray) -> None:
    """Points that are the fainter the more there are, so that crowds show as darker spots."""
    many = len(x) > _MOST_VECTORS
    axes.scatter(
        x,
        y,
        s=6 if many else 14,
        c=_PIXEL_COLOUR if many else _MODEL,
        alpha=float(np.clip(12 / np.sqrt(len(x)), 0.08, 0.9)),
        linewidths=0,
        rasterized=many,
    )


def _draw(name: str, label: str, plot: Callable[["Axes"], None]) -> str:
    require_matplotlib()
    import matplotlib as mpl
    from matplotlib.figure import Figure

    stream = io.StringIO()
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=_INCHES, layout="constrained")
        plot(figure.add_subplot())
        figure.savefig(stream, format="svg", transparent=True, dpi=_PIXELS_PER_INCH, metadata={"Date": None})
    return _inline(stream.getvalue(), name, label)


def _inline(document: str, name: str, label: str) -> str:
    """An SVG file as an element: its ids its own, its colours the page's, nothing that only files need."""
    svg = document[document.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = (
        re.sub(r' (xmlns(:\w+)?|width|height|version)="[^"]*"', "", svg[: svg.index(">")])
        + svg[svg.index(">") :]
    )
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'(url\(|href=")#', rf"\1#{name}-", svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, f"var(--{variable})")
    return svg.replace("<svg", f'<svg role="img" aria-label="{label}"', 1).strip()
