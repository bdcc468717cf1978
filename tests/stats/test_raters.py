"""nimakit.stats.raters: each person beside the others."""

import numpy as np
import pytest

from nimakit.stats import raters
from rating_samples import simulated


def test_compares_each_person_with_the_others() -> None:
    """Bias, spread and consistency are those of a loop that leaves the person out."""
    ratings = simulated(share=0.3)
    found = raters.compare(ratings.image, ratings.user, ratings.rating)
    for person in range(len(ratings.user_ids)):
        own, others = [], []
        for row in np.flatnonzero(ratings.user == person):
            rest = ratings.rating[(ratings.image == ratings.image[row]) & (ratings.user != person)]
            if len(rest):
                own.append(ratings.rating[row])
                others.append(rest.mean())
        assert found.counts[person] == (ratings.user == person).sum()
        assert found.shared[person] == len(own)
        assert found.bias[person] == pytest.approx(np.mean(np.subtract(own, others)))
        assert found.spread[person] == pytest.approx(ratings.rating[ratings.user == person].std(ddof=1))
        assert found.consistency[person] == pytest.approx(np.corrcoef(own, others)[0, 1])


def test_has_no_figure_for_who_shares_no_picture() -> None:
    """Who alone rated their pictures is neither kind nor harsh; two shared pictures give no correlation."""
    image, user = np.array([0, 1, 2, 0, 1, 3]), np.array([0, 0, 0, 1, 1, 2])
    found = raters.compare(image, user, np.array([1.0, 2, 3, 2, 5, 4]))
    assert found.shared.tolist() == [2, 2, 0]
    np.testing.assert_array_equal(found.bias, [-2, 2, np.nan])
    assert np.isnan(found.consistency).all()
    assert np.isnan(found.spread[2])


@pytest.mark.parametrize("value", [3.0, 0.1])
def test_has_no_correlation_for_who_always_says_the_same(value: float) -> None:
    """A constant has none, also where its mean is subject to rounding."""
    ratings = simulated()
    rating = np.where(ratings.user == 0, value, ratings.rating)
    found = raters.compare(ratings.image, ratings.user, rating)
    assert np.isnan(found.consistency[0])
    assert np.isfinite(found.consistency[1:]).all()
    assert raters.outliers(found).constant.tolist() == [True, *[False] * (len(ratings.user_ids) - 1)]


def test_finds_who_is_unlike_the_rest() -> None:
    """A person far harsher, one of the opposite taste, and nobody else."""
    ratings = simulated(images=60, people=40, bias=[-3.0])
    rating = np.where(ratings.user == 1, 8 - ratings.rating, ratings.rating)
    found = raters.outliers(raters.compare(ratings.image, ratings.user, rating))
    assert np.flatnonzero(found.level).tolist() == [0]
    assert np.flatnonzero(found.taste).tolist() == [1]
    assert np.flatnonzero(found.any).tolist() == [0, 1]
    assert (found.reasons(0), found.reasons(1), found.reasons(2)) == (["level"], ["taste"], [])


def test_calls_nobody_an_outlier_on_little_evidence() -> None:
    """Four ratings, or four people, are too few to judge by."""
    few_pictures = simulated(images=4, people=40, share=1, bias=[-3.0])
    few_people = simulated(images=40, people=4, bias=[-3.0])
    for ratings in (few_pictures, few_people):
        found = raters.outliers(raters.compare(ratings.image, ratings.user, ratings.rating))
        assert not found.any.any()


def test_compares_a_person_with_themselves() -> None:
    """Each rating is set against the one before by the same person of the same picture."""
    image = np.array([0, 1, 0, 2, 1, 0, 0])
    user = np.array([0, 0, 0, 0, 0, 0, 1])
    found = raters.repeats(image, user, np.array([3.0, 5, 4, 1, 5, 6, 7]))
    assert found
    assert (found.ratings, found.difference) == (3, 1)
    assert found.same == pytest.approx(1 / 3)
    assert found.correlation == pytest.approx(np.corrcoef([3, 4, 5], [4, 6, 5])[0, 1])


def test_has_no_repeats_where_nobody_rated_twice() -> None:
    """Different people, or different pictures, are no repeats."""
    ratings = simulated()
    assert raters.repeats(ratings.image, ratings.user, ratings.rating) is None
    again = raters.repeats(np.array([0, 0]), np.array([0, 0]), np.array([1.0, 1.0]))
    assert again == raters.Repeats(1, 1.0, 0.0, None)


def test_predicts_how_lenient_raters_are_whatever_they_rated() -> None:
    """A rater of bad pictures is not strict for that; with few ratings the prediction is cautious."""
    random = np.random.default_rng(0)
    quality, true = random.normal(5, 1, 60), random.normal(0, 0.8, 20)
    user, image = np.nonzero(random.random((20, 60)) < 0.3)
    kept = (user > 0) | (quality[image] < 5)  # the first sees bad pictures only
    user, image = user[kept], image[kept]
    rating = quality[image] + true[user] + random.normal(0, 0.4, len(user))
    found = raters.levels(image, user, rating)
    assert np.corrcoef(found, true)[0, 1] > 0.95
    assert abs((found[0] - found.mean()) - (true[0] - true.mean())) < 0.4
    few = np.isin(np.arange(len(user)), np.flatnonzero(user == 5)[1:], invert=True)
    assert abs(raters.levels(image[few], user[few], rating[few])[5]) < abs(found[5]) + 0.2


def test_levels_are_0_if_they_cannot_be_estimated() -> None:
    """As with one rater."""
    assert raters.levels(np.arange(3), np.zeros(3, int), np.array([1.0, 2, 3])).tolist() == [0]
