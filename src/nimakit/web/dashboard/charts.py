"""Data of the dashboard's bar charts; templates draw them as SVG and as tables."""

from dataclasses import dataclass

from nimakit.labels.summary import Summary
from nimakit.web.dashboard.progress import Progress
from nimakit.web.dashboard.timeline import Timeline

_MAX_COUNTS = 12
_WIDTH, _GAP = 46, 0.5
"""Width of the narrowest chart, on a phone, and smallest gap between two labels, in characters."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Chart:
    """A bar chart.

    Attributes:
        key: Prefix of its element ids in the page.
        title: Title.
        note: How to read it.
        across: Name of the x axis.
        up: Name of the y axis.
        bars: Label and height of each bar.
    """

    key: str
    title: str
    note: str
    across: str
    up: str
    bars: list[tuple[str, int]]

    @property
    def highest(self) -> int:
        """Height of the highest bar, at least 1."""
        return max([height for _, height in self.bars], default=0) or 1

    @property
    def marks(self) -> list[str]:
        """Labels below the bars: all of them if they fit, else the first and the last."""
        labels = [label for label, _ in self.bars]
        width = len(labels) * (max(map(len, labels), default=0) + _GAP)
        return labels if width <= _WIDTH else [labels[0], labels[-1]]


def by_count(progress: Progress, noun: str, wanted: int | None) -> Chart:
    """Histogram of the number of ratings per picture.

    Args:
        progress: Progress of the collection.
        noun: "ratings" or "comparisons".
        wanted: Ratings wanted per picture; None for any number.
    """
    most = max(progress.by_count, default=0)
    top = min(most, wanted) if wanted else most
    size = -(-top // _MAX_COUNTS) or 1
    bars: list[tuple[str, int]] = [("0", progress.by_count.get(0, 0))]
    for low in range(1, top + 1, size):
        high = min(low + size - 1, top)
        is_open = high == top < most
        number = sum(
            pictures
            for count, pictures in progress.by_count.items()
            if low <= count and (is_open or count <= high)
        )
        label = f"{low}" if low == high else f"{low}-{high}"
        bars.append((f"{low}+" if is_open else label, number))
    return Chart(
        key="by-count",
        title=f"Pictures by number of {noun}",
        note="Pictures on the left have too few ratings to be placed reliably.",
        across=noun,
        up="pictures",
        bars=bars,
    )


def over_time(times: Timeline, noun: str) -> Chart:
    """Number of ratings over time.

    Args:
        times: Ratings over time.
        noun: "ratings" or "comparisons".
    """
    timeless = f" Not shown: {times.timeless:,} imported without a time." if times.timeless else ""
    return Chart(
        key="over-time",
        title=f"{noun.capitalize()} per {times.unit}",
        note=f"Times are in UTC.{timeless}",
        across="from",
        up=noun,
        bars=[(times.label(place), count) for place, count in enumerate(times.counts)],
    )


def given(summary: Summary) -> Chart:
    """How often each rating was given; one between two steps counts partly for both, as in label files."""
    counts = summary.pictures.counts
    total = 0 if counts is None else float(counts.sum())
    return Chart(
        key="given",
        title="All ratings",
        note="Peaks at the ends or in the middle may reflect raters' habits, not the pictures' quality.",
        across="rating",
        up="ratings",
        bars=_on_scale(summary, [round(share * total) for share in summary.shares.tolist()]),
    )


def means(summary: Summary) -> Chart:
    """Histogram of the pictures' mean ratings, rounded to the scale."""
    return Chart(
        key="means",
        title="Pictures by mean rating",
        note="Means rounded to the scale. A model will be least accurate where pictures are rare.",
        across="mean, rounded",
        up="pictures",
        bars=_on_scale(summary, summary.pictures.classes.tolist()),
    )


def _on_scale(summary: Summary, heights: list[int]) -> list[tuple[str, int]]:
    return [(f"{value:g}", height) for value, height in zip(summary.pictures.bins, heights, strict=True)]
