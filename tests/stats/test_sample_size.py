"""nimakit.stats.sample_size: how many more ratings would steady the means."""

import numpy as np
import pytest

from nimakit.stats import sample_size
from nimakit.stats.agreement import Icc, Moments, spearman_brown
from nimakit.stats.sample_size import Goals
from rating_samples import simulated

BINS = np.arange(1.0, 8)


def _moments(counts: list[float], within: float = 2.0) -> Moments:
    """Pictures with so many ratings and that variance among them."""
    sizes = np.array(counts)
    return Moments(np.arange(len(sizes)), sizes, np.zeros(len(sizes)), (sizes - 1) * within)


@pytest.mark.parametrize("single", [0.05, 0.33, 0.8])
def test_as_many_ratings_give_the_reliability(single: float) -> None:
    """Spearman and Brown's formula leads back to what was wanted."""
    ratings = sample_size.for_reliability(single, 0.9)
    assert spearman_brown(single, ratings) == pytest.approx(0.9)


def test_as_many_ratings_give_the_standard_error() -> None:
    """The mean of so many drawn at random is off by about that much."""
    ratings = sample_size.for_standard_error(4.0, 0.25)
    means = np.random.default_rng(0).normal(0, 2, (4000, round(ratings))).mean(axis=1)
    assert means.std() == pytest.approx(0.25, rel=0.05)


def test_counts_what_pictures_lack() -> None:
    """Nine ratings for 0.9 where one has 0.5, sixteen for half a point where the variance is 4."""
    found = _moments([2, 9, 12, 20], within=4.0)
    goals = Goals(reliabilities=(0.9,), standard_errors=(0.5,))
    reliability, error = sample_size.ratings_needed(found, Icc(0.5, None, 9), goals, np.arange(1.0, 11))
    assert (reliability.goal, reliability.wanted, reliability.ratings_per_image) == ("reliability", 0.9, 9)
    assert (reliability.images_short, reliability.ratings_missing) == (1, 7)
    assert (error.goal, error.wanted, error.ratings_per_image) == ("standard_error", 0.5, 16)
    assert (error.images_short, error.ratings_missing) == (3, 14 + 7 + 4)


@pytest.mark.parametrize(
    ("bins", "wanted"), [((1, 10), 0.2), ((1, 7), 0.2), ((0, 100), 5), ((-2, 2), 0.2), ((0, 1), 0.05)]
)
def test_chooses_a_standard_error_that_suits_the_scale(bins: tuple[float, float], wanted: float) -> None:
    """A round one of at most a twentieth of it."""
    [need] = sample_size.ratings_needed(_moments([5, 5]), None, Goals(), np.array(bins, float))
    assert need.wanted == pytest.approx(wanted)


def test_needs_at_least_one_rating_where_all_agree() -> None:
    """Full agreement takes one rating of each picture, not none."""
    found = sample_size.ratings_needed(_moments([1, 3], within=0.0), Icc(1.0, 1.0, 2), Goals(), BINS)
    assert {need.ratings_per_image for need in found} == {1}
    assert {need.ratings_missing for need in found} == {0}


def test_says_nothing_where_nothing_can_be_estimated() -> None:
    """Single ratings have no variance, and ratings that tell nothing of pictures have no reliability."""
    assert sample_size.ratings_needed(_moments([1, 1]), None, Goals(), BINS) == ()
    needs = sample_size.ratings_needed(_moments([5, 5]), Icc(-0.1, None, 5), Goals(), BINS)
    assert [need.goal for need in needs] == ["standard_error"]


def test_more_ratings_of_the_same_kind_bring_what_was_foreseen() -> None:
    """Twice the people give means of the reliability foretold from the first ones."""
    from nimakit.stats import agreement

    few, many = simulated(200, 20, share=1, seed=3), simulated(200, 40, share=1, seed=3)
    icc, later = (agreement.one_way_icc(agreement.moments(r.image, r.rating)) for r in (few, many))
    assert icc
    assert later
    assert spearman_brown(icc.single, 40) == pytest.approx(later.average, abs=0.01)
