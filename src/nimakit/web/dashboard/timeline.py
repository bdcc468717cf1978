"""When people rated: how many ratings fell into each hour, day or week."""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from nimakit.stats.histogram import FloatArray

_MOST_BARS = 72
_UNITS = (("hour", 3600), ("day", 86_400), ("week", 7 * 86_400), ("4 weeks", 28 * 86_400))
_LAST = ("year", 364 * 86_400)


@dataclass(frozen=True, slots=True)
class Timeline:
    """Ratings over time.

    Attributes:
        unit: What each number is of: "hour" up to "year", the finest that keeps them few.
        starts: When each began, in seconds since 1970.
        counts: How many ratings each had.
        timeless: Ratings of which it is unknown when they were given.
    """

    unit: str
    starts: list[int]
    counts: list[int]
    timeless: int

    def label(self, place: int) -> str:
        """When one of them began."""
        start = datetime.fromtimestamp(self.starts[place], UTC)
        return start.strftime("%Y-%m-%d %H:00" if self.unit == "hour" else "%Y-%m-%d")


def timeline(seconds: FloatArray) -> Timeline:
    """Count ratings by time.

    Args:
        seconds: (R,) float64, when each was given, since 1970; NaN where unknown.
    """
    known = seconds[np.isfinite(seconds)].astype(np.int64)
    if not len(known):
        return Timeline("hour", [], [], len(seconds))
    unit, size = next(
        (one for one in _UNITS if known.max() // one[1] - known.min() // one[1] < _MOST_BARS), _LAST
    )
    place = known // size
    first = int(place.min())
    counts = np.bincount(place - first)
    starts = [(first + n) * size for n in range(len(counts))]
    return Timeline(unit, starts, counts.tolist(), len(seconds) - len(known))
