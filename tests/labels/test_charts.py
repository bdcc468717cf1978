"""nimakit.labels.charts: what is on the axes is what was given."""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest
from matplotlib.figure import Figure

from nimakit.labels import charts
from nimakit.reports import plots
from nimakit.reports.plots import Plot
from nimakit.stats.histogram import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RANDOM = np.random.default_rng(0)
BINS = np.arange(1.0, 8)
ONE = np.array([3.0])
SAME = np.full(5, 3.0)
MANY = 1 + 6 * RANDOM.random(2000)


def _all(values: FloatArray) -> Iterator[Plot]:
    shares = np.full(7, 1 / 7)
    yield partial(charts.mean_ratings, values, BINS)
    yield partial(charts.given_ratings, shares, BINS)
    yield partial(charts.classes, np.arange(7), BINS)
    yield partial(charts.spreads, values, values / 3)
    yield partial(charts.rating_counts, values.round(), "pictures")
    yield partial(charts.people, values - 3, values / 3, values > 6.5)
    yield partial(charts.consistencies, values / 7)
    yield partial(charts.reliabilities, np.array([1.0, 9]), np.array([0.3, 0.8]), (4.0, 0.6))


@pytest.fixture
def axes() -> "Axes":
    """Axes to draw on."""
    return Figure().add_subplot()


@pytest.mark.parametrize("values", [ONE, SAME, MANY], ids=["one", "equal", "many"])
@pytest.mark.slow
def test_draws_any_number(values: FloatArray) -> None:
    """One, equal and thousands of values make charts of bounded size, without a warning."""
    for number, plot in enumerate(_all(values)):
        assert len(plots.svg(f"c{number}", "chart", plot)) < 200_000


def test_every_mean_is_in_the_histogram(axes: "Axes") -> None:
    """Also those at the very ends of the scale, which is shown whole."""
    charts.mean_ratings(np.array([1.0, 7.0, 4.0, 4.2]), BINS, axes)
    [steps] = [patch for patch in axes.patches if hasattr(patch, "get_data")]
    values, edges, _ = steps.get_data()
    assert (values.sum(), edges[0], edges[-1]) == (4, 1, 7)


@pytest.mark.parametrize("counts", [[1], [1, 1, 2], [5, 5000], list(range(1, 400))])
def test_every_count_is_in_the_histogram(axes: "Axes", counts: list[int]) -> None:
    """Bars are whole counts wide, so that none looks fuller for being wider, and all are there."""
    charts.rating_counts(np.array(counts), "pictures", axes)
    [steps] = [patch for patch in axes.patches if hasattr(patch, "get_data")]
    values, edges, _ = steps.get_data()
    assert values.sum() == len(counts)
    assert set(np.diff(edges) % 1) == {0}
    assert edges[0] % 1 == 0.5
    assert axes.get_xlim()[0] >= 0 or len(set(counts)) > 1


def test_classes_have_their_numbers(axes: "Axes") -> None:
    """Over each bar stands how many pictures it has."""
    charts.classes(np.array([0, 3, 1200]), BINS[:3], axes)
    assert [text.get_text() for text in axes.texts] == ["0", "3", "1,200"]


def test_leaves_out_who_has_no_figures(axes: "Axes") -> None:
    """NaN is no point; who is unlike the rest is marked, and the legend says so only then."""
    bias, spread = np.array([0.5, np.nan, -3.0]), np.array([1.0, 1.0, 0.2])
    charts.people(bias, spread, np.array([False, False, True]), axes)
    usual, apart = (cloud.get_offsets() for cloud in axes.collections)
    assert np.asarray(usual).tolist() == [[0.5, 1.0]]
    assert np.asarray(apart).tolist() == [[-3.0, 0.2]]
    other = Figure().add_subplot()
    charts.people(bias, spread, np.zeros(3, bool), other)
    assert other.get_legend() is None
