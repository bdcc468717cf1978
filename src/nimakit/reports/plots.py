"""How charts are drawn: as SVG in the colours of its page, or several as one picture file."""

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
"""What a plot names its colours, whatever they are where it is drawn: the subject, people, text, asides."""

_VARIABLES = {"#040404": "bar", "#050505": "people", "#010101": "ink", "#020202": "soft", "#030303": "line"}
"""Stand-ins that no chart uses for real -> the page's CSS variables, which follow light and dark."""

_ON_PAPER = ("#2f6f8f", "#b8622b", "#1c1d20", "#5d6068", "#dcdde1")
"""The same five as the pages have them in the light."""

_PIXEL_COLOUR = "#4a94bd"
"""Of what is drawn as pixels, which no style sheet reaches: legible on light and on dark."""

_INCHES = (5.4, 3.7)
_PIXELS_PER_INCH = 200
_COLUMNS = 2
_MOST_VECTORS = 1500
"""More points than that are drawn as one picture: 25,000 of them would take megabytes."""

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
        label: What it shows, for those who cannot see it.
        plot: Draws on the axes.

    Returns:
        An ``<svg>`` element; the same for the same plot.

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
    """Draw charts as one picture file, two beside each other.

    Args:
        title: The heading.
        plots: Title and plot of each; at least one.

    Returns:
        A PNG; the same for the same plots.

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
    """The range of values with a margin; half a point around a single value."""
    low, high = float(values.min()), float(values.max())
    margin = 0.04 * (high - low) or 0.5
    return low - margin, high + margin


def bars(values: FloatArray) -> int:
    """So many that few values still make a shape."""
    return int(np.clip(2 * np.sqrt(len(values)), 8, _MOST_BARS))


def points(axes: "Axes", x: FloatArray, y: FloatArray) -> None:
    """Points that are the fainter the more there are, so that crowds show as darker spots."""
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
    """Matplotlib's settings: typed as Any, since it types each key as a literal of its own."""
    from cycler import cycler

    return {
        "axes.axisbelow": True,
        "axes.edgecolor": soft,
        "axes.grid": True,
        "axes.labelcolor": ink,
        "axes.prop_cycle": cycler(color=[bar, people, ink, soft]),
        "axes.spines.right": False,
        "axes.spines.top": False,
        "font.family": "DejaVu Sans",  # comes with Matplotlib, so that widths are the same everywhere
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
