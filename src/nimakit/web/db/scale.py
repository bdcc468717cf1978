"""The scale of a collection: whole numbers from low to high, both ends included."""

import re
from dataclasses import dataclass

from nimakit.errors import UsageError
from nimakit.stats.histogram import FloatArray, default_bins

_NUMBER = re.compile(r"\d{1,3}")
LOWEST, HIGHEST = 0, 10
"""Within these a rating is one key: a digit each, and 0 for 10."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Ratings from low to high.

    Attributes:
        low: Lowest rating, 0 or 1.
        high: Highest rating, at most 10 and above low.
    """

    low: int = 1
    high: int = 10

    def __post_init__(self) -> None:
        if self.low not in (0, 1) or not self.low < self.high <= HIGHEST:
            raise UsageError(
                "A scale is LOW-HIGH in whole numbers: LOW is 0 or 1, HIGH at most 10 and above LOW."
                f" Received: {self.low}-{self.high}"
            )

    @classmethod
    def parse(cls, text: str) -> "Scale":
        """Read a scale as people write it.

        Args:
            text: Such as "1-10".

        Raises:
            UsageError: No such scale.

        >>> Scale.parse("1-7")
        Scale(low=1, high=7)
        """
        low, _, high = text.partition("-")
        if not (_NUMBER.fullmatch(low.strip()) and _NUMBER.fullmatch(high.strip())):
            raise UsageError(f"A scale is LOW-HIGH, such as 1-10. Received: {text[:80]}")
        return cls(int(low), int(high))

    @property
    def values(self) -> range:
        """Each rating there is, lowest first."""
        return range(self.low, self.high + 1)

    @property
    def bins(self) -> FloatArray:
        """(bins,) float64, each rating there is, lowest first."""
        return default_bins(len(self.values)) + (self.low - 1)

    @property
    def width(self) -> int:
        """From the lowest rating to the highest."""
        return self.high - self.low

    def at(self, position: float) -> float:
        """The rating at a position from 0 (low) to 1 (high).

        >>> Scale(1, 7).at(0.5)
        4.0
        """
        return self.low + position * self.width

    def __str__(self) -> str:
        return f"{self.low}-{self.high}"
