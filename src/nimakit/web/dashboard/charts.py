"""Bar charts, as pages draw them: in SVG without a library, with the numbers as a table beside it."""

from dataclasses import dataclass

from nimakit.labels.summary import Summary
from nimakit.web.dashboard.progress import Progress
from nimakit.web.dashboard.timeline import Timeline

_MOST_COUNTS = 12
_ROOM, _BETWEEN = 46, 0.5
"""Characters that fit below the narrowest chart, a phone's; and between two labels, at the least."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Chart:
    """A bar chart.

    Attributes:
        key: Its name in the page.
        title: What it shows.
        note: How to read it.
        across: What the bars are of: the head of the table's first column.
        up: What their heights are.
        bars: Label and height of each.
    """

    key: str
    title: str
    note: str
    across: str
    up: str
    bars: list[tuple[str, int]]

    @property
    def most(self) -> int:
        """The height of the highest bar, at least 1."""
        return max([height for _, height in self.bars], default=0) or 1

    @property
    def marks(self) -> list[str]:
        """What stands below the bars: the label of each if all fit, else the first and the last."""
        labels = [label for label, _ in self.bars]
        room = len(labels) * (max(map(len, labels), default=0) + _BETWEEN)
        return labels if room <= _ROOM else [labels[0], labels[-1]]


def by_count(progress: Progress, noun: str, wanted: int | None) -> Chart:
    """How many pictures have how many ratings.

    Args:
        progress: Of the collection.
        noun: "ratings" or "comparisons".
        wanted: How many a picture needs; None where there is no such number.
    """
    most = max(progress.by_count, default=0)
    top = min(most, wanted) if wanted else most
    size = -(-top // _MOST_COUNTS) or 1
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
        title=f"Pictures by their number of {noun}",
        note="Pictures on the left have too few ratings to be placed reliably.",
        across=noun,
        up="pictures",
        bars=bars,
    )


def over_time(times: Timeline, noun: str) -> Chart:
    """How many ratings were given when.

    Args:
        times: When.
        noun: "ratings" or "comparisons".
    """
    each = {"hour": "an hour", "4 weeks": "every 4 weeks"}.get(times.unit, f"a {times.unit}")
    timeless = (
        f" {times.timeless:,} imported ones without a time of their own are left out."
        if times.timeless
        else ""
    )
    return Chart(
        key="over-time",
        title=f"{noun.capitalize()} {each}",
        note=f"From the first to the last, in UTC.{timeless}",
        across="from",
        up=noun,
        bars=[(times.label(place), count) for place, count in enumerate(times.counts)],
    )


def given(summary: Summary) -> Chart:
    """How often each rating was given; one between two steps is shared by both, as in label files."""
    counts = summary.pictures.counts
    total = 0 if counts is None else float(counts.sum())
    return Chart(
        key="given",
        title="All ratings",
        note="Bars that tower at the ends or the middle may be people's habit rather than pictures' quality.",
        across="rating",
        up="ratings",
        bars=_on_scale(summary, [round(share * total) for share in summary.shares.tolist()]),
    )


def means(summary: Summary) -> Chart:
    """How many pictures have a mean nearest to each rating."""
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
