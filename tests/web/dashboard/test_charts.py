"""What the bars of charts are."""

import numpy as np
import pytest

from nimakit.labels import summary as data_summary
from nimakit.web.dashboard import charts
from nimakit.web.dashboard.progress import Progress
from nimakit.web.dashboard.timeline import timeline
from rating_samples import make_ratings


def progress(by_count: dict[int, int]) -> Progress:
    """Pictures by number of ratings."""
    return Progress(sum(by_count.values()), by_count, 1, 0.5, 1, None)


def test_pictures_that_have_enough_are_one_bar() -> None:
    """However many more they have."""
    chart = charts.by_count(progress({0: 3, 2: 4, 3: 1, 7: 2}), "ratings", 3)
    assert chart.bars == [("0", 3), ("1", 0), ("2", 4), ("3+", 3)]
    assert chart.highest == 4


@pytest.mark.parametrize("most", [1, 12, 13, 100, 5000])
def test_many_ratings_are_counted_in_ranges(most: int) -> None:
    """A dozen bars and the one of 0 at the most; every picture is in one of them."""
    by_count = dict.fromkeys(range(most + 1), 1)
    chart = charts.by_count(progress(by_count), "ratings", None)
    assert len(chart.bars) <= 13
    assert sum(height for _, height in chart.bars) == most + 1
    assert chart.bars[0] == ("0", 1)
    assert chart.bars[-1][0].endswith(str(most))


def test_nothing_is_drawn_of_nothing() -> None:
    """A collection without pictures has one empty bar, which does not divide by 0."""
    chart = charts.by_count(progress({}), "ratings", None)
    assert (chart.bars, chart.highest) == ([("0", 0)], 1)


def test_ratings_and_means_are_on_the_scale() -> None:
    """Each rating is counted at its step, each picture at the step nearest to its mean."""
    ratings = make_ratings([("a", "u", 2), ("a", "v", 3), ("b", "u", 5), ("b", "v", 5)])
    summary = data_summary.of_ratings(ratings, np.arange(1.0, 6.0))
    assert charts.given(summary).bars == [("1", 0), ("2", 1), ("3", 1), ("4", 0), ("5", 2)]
    assert charts.means(summary).bars == [("1", 0), ("2", 0), ("3", 1), ("4", 0), ("5", 1)]


def test_of_many_bars_the_first_and_the_last_have_their_label() -> None:
    """The others are in the table; what has no time is told."""
    chart = charts.over_time(timeline(np.array([0.0, 40 * 3600.0, np.nan])), "ratings")
    assert chart.title == "Ratings per hour"
    assert len(chart.bars) == 41
    assert chart.marks == ["1970-01-01 00:00", "1970-01-02 16:00"]
    assert "1 imported" in chart.note


@pytest.mark.parametrize("hours", [1, 2])
def test_a_few_long_labels_have_room(hours: int) -> None:
    """Each bar has its own."""
    chart = charts.over_time(timeline(np.array([3600.0 * hour for hour in range(hours)])), "ratings")
    assert chart.marks == [label for label, _ in chart.bars]


@pytest.mark.parametrize("hours", [3, 10, 13])
def test_long_labels_that_would_overlap_are_left_out(hours: int) -> None:
    """The first and the last stay."""
    chart = charts.over_time(timeline(np.array([3600.0 * hour for hour in range(hours)])), "ratings")
    assert chart.marks == [chart.bars[0][0], chart.bars[-1][0]]


def test_a_scale_has_all_its_labels() -> None:
    """Eleven short ones fit on a phone."""
    scale = [(str(value), 1) for value in range(11)]
    chart = charts.Chart(key="a", title="a", note="", across="", up="", bars=scale)
    assert chart.marks == [str(value) for value in range(11)]
