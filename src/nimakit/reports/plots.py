"""Draw charts: as SVG that uses the colours of its page, or several in one PNG."""

import io
import logging
import math
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nimakit.errors import require_extra
from nimakit.stats.histogram import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Plot = Callable[["Axes"], None]

BAR, PEOPLE, INK, SOFT = "C0", "C1", "C2", "C3"
"""Colours for plots, resolved where they are drawn: main data, people, text, secondary text."""

_VARIABLES = {"#040404": "bar", "#050505": "people", "#010101": "ink", "#020202": "soft", "#030303": "line"}
"""Placeholder colours -> the page's CSS variables, which adapt to light and dark mode."""

_ON_PAPER = ("#2f6f8f", "#ab5926", "#1c1d20", "#5d6068", "#dcdde1")
"""The same five colours as on pages in light mode."""

_PIXEL_COLOUR = "#4a94bd"
"""Colour of rasterised points, which CSS cannot change: legible in light and dark mode."""

_INCHES = (5.4, 3.7)
_PIXELS_PER_INCH = 200
_COLUMNS = 2
_MOST_VECTORS = 1500
"""More points are rasterised: 25,000 of them would take megabytes."""

_MOST_BARS = 30


def require_matplotlib() -> None:
    """Raise MissingExtraError if Matplotlib is not installed."""
    # Its notices about fonts and folders while loading are of no interest to the users of a report.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    require_extra("report", "Charts need Matplotlib.", "matplotlib")


def svg(name: str, label: str, plot: Plot) -> str:
    """Draw a chart for a page.

    Args:
        name: Unique on the page.
        label: Description of the chart for screen readers.
        plot: Draws on the axes.

    Returns:
        An ``<svg>`` element, deterministic.

    Raises:
        MissingExtraError: Matplotlib is not installed.
    """
    require_matplotlib()
    import matplotlib as mpl
    from matplotlib.figure import Figure

    stream = io.StringIO()
    with mpl.rc_context(_style(*_VARIABLES)):
        figure = Figure(figsize=_INCHES, layout="constrained")
        plot(figure.add_subplot())
        figure.savefig(stream, format="svg", transparent=True, dpi=_PIXELS_PER_INCH, metadata={"Date": None})
    return _inline(stream.getvalue(), name, label)


def png(title: str, plots: Sequence[tuple[str, Plot]]) -> bytes:
    """Draw charts in one PNG, two in a row.

    Args:
        title: The heading.
        plots: Title and plot of each; at least one.

    Returns:
        A PNG, deterministic.

    Raises:
        MissingExtraError: Matplotlib is not installed.
    """
    require_matplotlib()
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    rows = math.ceil(len(plots) / _COLUMNS)
    stream = io.BytesIO()
    with mpl.rc_context(_style(*_ON_PAPER)):
        width, height = _INCHES[0] * _COLUMNS, _INCHES[1] * rows + 0.5
        figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.15, h_pad=0.12))
        figure.suptitle(title, fontsize=16, parse_math=False)
        for place, (name, plot) in enumerate(plots, start=1):
            axes = figure.add_subplot(rows, _COLUMNS, place)
            plot(axes)
            axes.set_title(name, fontsize=12)
        figure.savefig(stream, format="png", dpi=_PIXELS_PER_INCH // 2)
    return stream.getvalue()


def limits(values: FloatArray) -> tuple[float, float]:
    """The range of values with a margin, which is 0.5 around a single value."""
    low, high = float(values.min()), float(values.max())
    margin = 0.04 * (high - low) or 0.5
    return low - margin, high + margin


def bars(values: FloatArray) -> int:
    """Number of bars of a chart, fewer for few values so that these still show a shape."""
    return int(np.clip(2 * np.sqrt(len(values)), 8, _MOST_BARS))


def points(axes: "Axes", x: FloatArray, y: FloatArray) -> None:
    """Draw points, fainter the more there are, so that dense regions appear darker."""
    many = len(x) > _MOST_VECTORS
    axes.scatter(
        x,
        y,
        s=6 if many else 14,
        c=_PIXEL_COLOUR if many else BAR,
        alpha=float(np.clip(12 / np.sqrt(len(x)), 0.08, 0.9)),
        linewidths=0,
        rasterized=many,
    )


def _style(bar: str, people: str, ink: str, soft: str, line: str) -> Any:
    """Matplotlib settings; typed as Any because its stubs type each key as a literal."""
    from cycler import cycler

    return {
        "axes.axisbelow": True,
        "axes.edgecolor": soft,
        "axes.grid": True,
        "axes.labelcolor": ink,
        "axes.prop_cycle": cycler(color=[bar, people, ink, soft]),
        "axes.spines.right": False,
        "axes.spines.top": False,
        "font.family": "DejaVu Sans",  # comes with Matplotlib, so text has the same width everywhere
        "font.size": 11,
        "grid.color": line,
        "legend.frameon": False,
        "legend.fontsize": 10,
        "svg.fonttype": "none",
        "svg.hashsalt": "nimakit",
        "text.color": ink,
        "xtick.color": soft,
        "xtick.labelcolor": ink,
        "ytick.color": soft,
        "ytick.labelcolor": ink,
    }


def _inline(document: str, name: str, label: str) -> str:
    """Turn an SVG file into an element with unique ids and the page's colours, without file headers."""
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
