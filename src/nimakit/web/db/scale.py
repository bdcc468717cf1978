"""The rating scale of a collection: whole numbers from low to high, both included."""

import re
from dataclasses import dataclass

from nimakit.errors import UsageError
from nimakit.stats.histogram import FloatArray, default_bins

_NUMBER = re.compile(r"\d{1,3}")
LOWEST, HIGHEST = 0, 10
"""Range of all scales, in which each rating has a key: its digit, and 0 for 10."""


@dataclass(frozen=True, slots=True)
class Scale:
    """A range of ratings.

    Attributes:
        low: Lowest rating, 0 or 1.
        high: Highest rating, at most 10 and above low.
    """

    low: int = 1
    high: int = 10

    def __post_init__(self) -> None:
        if self.low not in (0, 1) or not self.low < self.high <= HIGHEST:
            raise UsageError(
                "A scale must be LOW-HIGH in whole numbers: LOW 0 or 1, HIGH at most 10 and above LOW."
                f" Received: {self.low}-{self.high}"
            )

    @classmethod
    def parse(cls, text: str) -> "Scale":
        """Parse text such as "1-10".

        Raises:
            UsageError: The text is not a scale.

        >>> Scale.parse("1-7")
        Scale(low=1, high=7)
        """
        low, _, high = text.partition("-")
        if not (_NUMBER.fullmatch(low.strip()) and _NUMBER.fullmatch(high.strip())):
            raise UsageError(f"A scale must be LOW-HIGH, such as 1-10. Received: {text[:80]}")
        return cls(int(low), int(high))

    @property
    def values(self) -> range:
        """All ratings, lowest first."""
        return range(self.low, self.high + 1)

    @property
    def bins(self) -> FloatArray:
        """(bins,) float64, all ratings, lowest first."""
        return default_bins(len(self.values)) + (self.low - 1)

    @property
    def width(self) -> int:
        """Highest minus lowest rating."""
        return self.high - self.low

    def at(self, position: float) -> float:
        """The rating at a position from 0 (low) to 1 (high).

        >>> Scale(1, 7).at(0.5)
        4.0
        """
        return self.low + position * self.width

    def __str__(self) -> str:
        return f"{self.low}-{self.high}"
