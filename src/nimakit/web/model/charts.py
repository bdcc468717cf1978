"""The learning curve as a chart, which templates draw as SVG and as a table."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nimakit.web.db.tables import LearningPoint
from nimakit.web.model.figures import Figures

_MARGIN = 1.04
_LOWEST = -1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class CurveChart:
    """A learning curve.

    Attributes:
        points: The figures measured while people rated, by their numbers of ratings.
        parts: Numbers of ratings, and the SRCC of models that learned from random parts of the present ones.
        ceiling: What a perfect model would reach with the present ratings; None if unknown.
        lowest: SRCC at the bottom of the chart, at most 0; 1 is at the top.
        most: Number of ratings at the right end.
    """

    points: Sequence[LearningPoint]
    parts: Sequence[tuple[int, float]]
    ceiling: float | None
    lowest: float
    most: int

    @classmethod
    def of(cls, figures: Figures, points: Sequence[LearningPoint]) -> "CurveChart":
        """The chart of a collection's points, in the order of their numbers of ratings."""
        lows = [point.low for point in points] + [value for _, value in figures.parts]
        lowest = next(tick / 4 for tick in range(0, -5, -1) if tick / 4 <= max(min(lows), _LOWEST))
        most = max([figures.ratings, *(point.ratings for point in points)])
        return cls(points=points, parts=figures.parts, ceiling=figures.ceiling, lowest=lowest, most=most)

    @property
    def measured(self) -> str:
        """SVG points of the line of SRCCs."""
        return self._line((point.ratings, point.srcc) for point in self.points)

    @property
    def band(self) -> str:
        """SVG points of the area of their intervals; of a single point, a bar."""
        there = [(point.ratings, point.high) for point in self.points]
        back = [(point.ratings, point.low) for point in reversed(self.points)]
        return self._line([*there, *back])

    @property
    def dots(self) -> list[tuple[float, float]]:
        """Places of the SRCCs."""
        return [self._place(point.ratings, point.srcc) for point in self.points]

    @property
    def learned(self) -> str:
        """SVG points of the line of models that learned from parts."""
        return self._line(self.parts)

    @property
    def top(self) -> float | None:
        """Height of the ceiling, from above."""
        return None if self.ceiling is None else self._place(0, self.ceiling)[1]

    @property
    def ticks(self) -> list[tuple[str, float]]:
        """Labels of the y axis, from 1 down, and their heights from above."""
        values = [1 - step / 4 for step in range(round((1 - self.lowest) * 4) + 1)]
        return [(f"{value:.2f}", self._place(0, value)[1]) for value in values]

    def _place(self, ratings: float, srcc: float) -> tuple[float, float]:
        """0 to 100, from the left and from above."""
        height = (1 - min(max(srcc, self.lowest), 1.0)) / (1 - self.lowest)
        return round(100 * ratings / (self.most * _MARGIN), 2), round(100 * height, 2)

    def _line(self, values: Iterable[tuple[float, float]]) -> str:
        return " ".join("{:g},{:g}".format(*self._place(*value)) for value in values)
