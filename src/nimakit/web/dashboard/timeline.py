"""Number of ratings per hour, day or week."""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from nimakit.stats.histogram import FloatArray

_MAX_BARS = 72
_UNITS = (("hour", 3600), ("day", 86_400), ("week", 7 * 86_400), ("4 weeks", 28 * 86_400))
_LAST = ("year", 364 * 86_400)


@dataclass(frozen=True, slots=True)
class Timeline:
    """Ratings over time.

    Attributes:
        unit: "hour" up to "year": the finest unit that gives few intervals.
        starts: Start of each interval, in seconds since 1970.
        counts: Number of ratings in each interval.
        timeless: Number of ratings with unknown time.
    """

    unit: str
    starts: list[int]
    counts: list[int]
    timeless: int

    def label(self, place: int) -> str:
        """Start of an interval, in UTC."""
        start = datetime.fromtimestamp(self.starts[place], UTC)
        return start.strftime("%Y-%m-%d %H:00" if self.unit == "hour" else "%Y-%m-%d")


def timeline(seconds: FloatArray) -> Timeline:
    """Count ratings by time.

    Args:
        seconds: (R,) float64, their times in seconds since 1970; NaN where unknown.
    """
    known = seconds[np.isfinite(seconds)].astype(np.int64)
    if not len(known):
        return Timeline("hour", [], [], len(seconds))
    unit, size = next(
        (unit for unit in _UNITS if known.max() // unit[1] - known.min() // unit[1] < _MAX_BARS), _LAST
    )
    place = known // size
    first = int(place.min())
    counts = np.bincount(place - first)
    starts = [(first + n) * size for n in range(len(counts))]
    return Timeline(unit, starts, counts.tolist(), len(seconds) - len(known))
