"""When people rated."""

import numpy as np
import pytest

from nimakit.web.dashboard.timeline import timeline

HOUR, DAY = 3600, 86_400
MONDAY = 1_767_571_200
"""2026-01-05, 00:00 UTC."""


def test_hours_without_ratings_are_there_too() -> None:
    """Each rating is in its hour, and nothing is left out between the first and the last."""
    found = timeline(np.array([MONDAY + 10, MONDAY + 20, MONDAY + 3 * HOUR]))
    assert (found.unit, found.counts, found.timeless) == ("hour", [2, 0, 0, 1], 0)
    assert [found.label(place) for place in (0, 3)] == ["2026-01-05 00:00", "2026-01-05 03:00"]


@pytest.mark.parametrize(
    ("days", "unit"), [(2, "hour"), (5, "day"), (100, "week"), (1000, "4 weeks"), (9000, "year")]
)
def test_the_longer_a_study_the_coarser_the_unit(days: int, unit: str) -> None:
    """So that the numbers stay few, and none is lost."""
    found = timeline(MONDAY + DAY * np.linspace(0, days, 500))
    assert found.unit == unit
    assert len(found.counts) <= 73
    assert sum(found.counts) == 500


def test_ratings_without_a_time_are_only_counted() -> None:
    """They are in no hour."""
    found = timeline(np.array([np.nan, MONDAY, np.nan]))
    assert (found.counts, found.timeless) == ([1], 2)
    assert timeline(np.array([np.nan])).counts == []
