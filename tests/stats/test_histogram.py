"""nimakit.stats.histogram: distributions as arrays."""

import numpy as np
import pytest

from nimakit.stats import histogram

BINS = histogram.default_bins(10)
AVA = [2, 8, 19, 36, 76, 52, 16, 9, 3, 2]


def test_default_bins_are_those_of_ava() -> None:
    """Ten bins are worth 1 to 10."""
    assert BINS.tolist() == list(range(1, 11))


@pytest.mark.parametrize("count", [1, 0, -3])
def test_rejects_fewer_than_two_bins(count: int) -> None:
    """A scale of one value or none is refused with what was received."""
    with pytest.raises(ValueError, match=rf"at least 2 bins. Received: count={count}"):
        histogram.default_bins(count)


def test_normalise_gives_rows_that_sum_to_one() -> None:
    """Counts become shares, row by row."""
    rows = histogram.normalise([AVA, [1] * 10])
    np.testing.assert_allclose(rows.sum(axis=1), 1)
    np.testing.assert_allclose(rows[0], np.array(AVA) / 223)


@pytest.mark.parametrize("bad", [[1, -1], [np.nan, 1], [np.inf, 1], [0, 0], [[1, 2], [0, 0]]])
def test_normalise_rejects_what_is_no_distribution(bad: list[float]) -> None:
    """Negative, non-finite and empty rows are refused."""
    with pytest.raises(ValueError, match="A histogram"):
        histogram.normalise(bad)


def test_mean_and_spread_agree_with_the_ratings_they_came_from() -> None:
    """Both equal NumPy's figures over the single votes."""
    votes = np.repeat(BINS, AVA)
    shares = histogram.normalise(AVA)
    assert histogram.mean(shares, BINS) == pytest.approx(votes.mean())
    assert histogram.standard_deviation(shares, BINS) == pytest.approx(votes.std())


def test_spread_of_a_unanimous_vote_is_zero() -> None:
    """Where all agree the standard deviation is 0."""
    assert histogram.standard_deviation(np.eye(10), BINS).tolist() == [0.0] * 10


@pytest.mark.parametrize("r", [1.0, 2.0])
def test_emd_is_a_distance(r: float) -> None:
    """It is 0 for equal rows, symmetric, and keeps the triangle inequality."""
    first, second, third = histogram.normalise(np.random.default_rng(1).random((3, 10)))
    assert histogram.emd(first, first, r) == 0
    assert histogram.emd(first, second, r) == pytest.approx(histogram.emd(second, first, r))
    direct, detour = histogram.emd(first, third, r), histogram.emd(first, second, r)
    assert direct <= detour + histogram.emd(second, third, r)


def test_emd_grows_with_the_way_the_ratings_move() -> None:
    """With r=1 a vote moved k bins of ten costs k tenths."""
    eye = np.eye(10)
    distances = histogram.emd(np.repeat(eye[:1], 10, axis=0), eye)
    np.testing.assert_allclose(distances, np.arange(10) / 10)


def test_emd_rejects_different_numbers_of_bins() -> None:
    """Histograms over different scales are refused with both counts."""
    with pytest.raises(ValueError, match="5 and 10 bins"):
        histogram.emd(np.ones(5) / 5, np.ones(10) / 10)


@pytest.mark.parametrize("wanted", [1.0000001, 1.01, 3.0, 5.5, 9.9, 9.9999999])
def test_max_entropy_has_the_mean_that_was_asked_for(wanted: float) -> None:
    """The distribution sums to 1 and has the mean, even close to the ends."""
    shares = histogram.max_entropy(wanted, BINS)
    assert shares.sum() == pytest.approx(1)
    assert histogram.mean(shares, BINS) == pytest.approx(wanted, abs=1e-9)


def test_max_entropy_is_more_even_than_another_distribution_of_that_mean() -> None:
    """No other distribution with the mean has a higher entropy."""

    def entropy(shares: histogram.FloatArray) -> float:
        return float(-(shares * np.log(shares)).sum())

    other = histogram.normalise(AVA)
    assert entropy(histogram.max_entropy(float(histogram.mean(other, BINS)), BINS)) > entropy(other)


@pytest.mark.parametrize("wanted", [0.0, 11.0, float("nan")])
def test_max_entropy_rejects_a_mean_off_the_scale(wanted: float) -> None:
    """A mean beyond the ends is refused."""
    with pytest.raises(ValueError, match="between 1 and 10"):
        histogram.max_entropy(wanted, BINS)


def test_max_entropy_takes_many_means_and_the_ends() -> None:
    """A row a mean; on an end of the scale everybody is of one opinion."""
    shares = histogram.max_entropy([1.0, 5.5, 10.0], BINS)
    expected = np.array([[1.0] + 9 * [0.0], 10 * [0.1], 9 * [0.0] + [1.0]])
    np.testing.assert_allclose(shares, expected, atol=1e-12)


def test_kolmogorov_smirnov_is_the_largest_difference_of_shares() -> None:
    """It is that of the two distribution functions on a fine grid; scores may lie beyond the reference."""
    scores, grid = np.random.default_rng(0).normal(5, 2, 300), np.linspace(-5, 15, 20_001)
    shares = np.searchsorted(np.sort(scores), grid) / 300
    expected = np.abs(shares - np.clip((grid - 3) / 3, 0, 1)).max()
    found = histogram.kolmogorov_smirnov(scores, np.linspace(3, 6, 101))
    assert found == pytest.approx(expected, abs=0.001)
    assert expected > 0.1


def test_percentile_places_scores_among_the_quantiles() -> None:
    """The ends are 0 and 100, and so is everything beyond; between them it is linear."""
    reference = histogram.quantiles(np.arange(1001.0))
    assert len(reference) == 101
    ranks = histogram.percentile([-5.0, 0.0, 250.0, 505.0, 1000.0, 2000.0], reference)
    np.testing.assert_allclose(ranks, [0, 0, 25, 50.5, 100, 100])


def test_min_max_falls_back_to_one_half_where_all_are_equal() -> None:
    """Equal scores have no order, and a single one has none either."""
    assert histogram.min_max([4.0, 4.0]).tolist() == [0.5, 0.5]
    assert histogram.min_max([7.0]).tolist() == [0.5]


def test_min_max_of_nothing_is_nothing() -> None:
    """An empty set stays empty."""
    assert histogram.min_max([]).size == 0


@pytest.mark.parametrize("count", [1, 2, 3, 24, 100])
@pytest.mark.parametrize("spread", ["even", "crowded", "equal"])
def test_chooses_pictures_across_the_scale(count: int, spread: str) -> None:
    """Each once, ascending, both ends among them, and in steps as even as the means allow."""
    random = np.random.default_rng(0)
    means = {"even": random.random(60), "crowded": random.random(60) ** 8, "equal": np.full(60, 2.0)}[spread]
    rows = histogram.across_scale(means, count)
    assert len(set(rows.tolist())) == len(rows) == min(count, 60)
    assert (np.diff(means[rows]) >= 0).all()
    if count > 1:
        assert (means[rows[0]], means[rows[-1]]) == (means.min(), means.max())
    if (spread, count) == ("even", 3):
        assert means[rows[1]] == pytest.approx(0.5, abs=0.05)


def test_chooses_none_of_none() -> None:
    """No pictures, no rows."""
    assert histogram.across_scale(np.empty(0), 5).tolist() == []
