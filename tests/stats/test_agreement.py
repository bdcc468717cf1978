"""nimakit.stats.agreement: alpha, ICC and split halves against published values and plain computations."""

from pathlib import Path

import krippendorff
import numpy as np
import pytest

from nimakit.io.tables import BadRows
from nimakit.labels.ratings import Ratings, read_ratings
from nimakit.stats import agreement
from nimakit.stats.agreement import Level
from nimakit.stats.histogram import FloatArray, IntArray
from rating_samples import simulated

OASIS = Path(__file__).parents[3] / "shared" / "data" / "oasis" / "ratings.csv"
with_oasis = pytest.mark.skipif(not OASIS.is_file(), reason="../shared/data/oasis/ratings.csv is not here")

NONE = np.nan
FOUR_CODERS = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NONE, NONE, NONE],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NONE, 3],
        [NONE, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NONE],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NONE],
    ]
)
"""Krippendorff, "Computing Krippendorff's Alpha-Reliability", 2011, section C."""

SIX_TARGETS = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]])
"""Shrout and Fleiss, 1979, table 2: targets by judges."""


def _columns(matrix: FloatArray) -> tuple[IntArray, IntArray, FloatArray]:
    """Image, user and rating of a table of users by images with NaN for none."""
    user, image = np.nonzero(~np.isnan(matrix))
    return image, user, matrix[user, image]


def _matrix(ratings: Ratings) -> FloatArray:
    """The table of users by images with NaN for none."""
    matrix = np.full((len(ratings.user_ids), len(ratings.image_ids)), np.nan)
    matrix[ratings.user, ratings.image] = ratings.rating
    return matrix


@pytest.mark.parametrize(("level", "published"), [("ordinal", 0.815), ("interval", 0.849)])
def test_alpha_is_the_published_one(level: Level, published: float) -> None:
    """Krippendorff's own example, with missing ratings and a picture only one person rated."""
    image, _, rating = _columns(FOUR_CODERS)
    assert agreement.alpha(image, rating, level) == pytest.approx(published, abs=5e-4)


@pytest.mark.parametrize("level", ["ordinal", "interval"])
@pytest.mark.parametrize("step", [1.0, 0.1])
def test_alpha_is_that_of_another_implementation(level: Level, step: float) -> None:
    """The package krippendorff, which goes by tables of values, finds the same on many pictures."""
    ratings = simulated(images=60, people=25, share=0.3)
    rating = ratings.rating + step * np.random.default_rng(1).integers(0, 5, len(ratings))
    matrix = _matrix(ratings)
    matrix[ratings.user, ratings.image] = rating
    expected = krippendorff.alpha(matrix, level_of_measurement=level)
    assert agreement.alpha(ratings.image, rating, level) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("level", ["ordinal", "interval"])
def test_alpha_takes_counts(level: Level) -> None:
    """A table of counts says the same as the ratings it was counted from."""
    counts = np.random.default_rng(0).integers(0, 4, (30, 5))
    counts[0] = [1, 0, 0, 0, 0]
    image, value = np.nonzero(counts)
    single_image = np.repeat(image, counts[image, value])
    single_value = np.repeat(value, counts[image, value]).astype(float)
    from_counts = agreement.alpha(image, value.astype(float), level, counts[image, value].astype(float))
    assert from_counts == pytest.approx(agreement.alpha(single_image, single_value, level), abs=1e-12)
    expected = krippendorff.alpha(value_counts=counts, level_of_measurement=level)
    assert from_counts == pytest.approx(expected, abs=1e-9)


def test_iccs_are_the_published_ones() -> None:
    """Shrout and Fleiss give .17 .29 .71 for one rating and .44 .62 .91 for the mean of four."""
    image, user, rating = _columns(SIX_TARGETS.T.astype(float))
    one, two = (
        agreement.one_way_icc(agreement.moments(image, rating)),
        agreement.two_way_icc(image, user, rating),
    )
    assert one
    assert two
    found = [one, two.agreement, two.consistency]
    assert [round(icc.single, 2) for icc in found] == [0.17, 0.29, 0.71]
    assert [round(icc.average or 0, 2) for icc in found] == [0.44, 0.62, 0.91]
    assert [icc.ratings for icc in found] == [pytest.approx(4)] * 3


def test_one_way_icc_is_that_of_the_analysis_of_variance() -> None:
    """With unequal numbers of ratings it is (MSB - MSW) / (MSB + (k - 1) MSW), picture by picture."""
    ratings = simulated(share=0.3)
    groups = [ratings.rating[ratings.image == i] for i in range(len(ratings.image_ids))]
    total, grand = len(ratings), ratings.rating.mean()
    between = sum(len(g) * (g.mean() - grand) ** 2 for g in groups) / (len(groups) - 1)
    within = sum(((g - g.mean()) ** 2).sum() for g in groups) / (total - len(groups))
    k = (total - sum(len(g) ** 2 for g in groups) / total) / (len(groups) - 1)
    icc = agreement.one_way_icc(agreement.moments(ratings.image, ratings.rating))
    assert icc
    assert icc.single == pytest.approx((between - within) / (between + (k - 1) * within))
    assert icc.average == pytest.approx((between - within) / between)
    assert icc.ratings == pytest.approx(k)


def test_two_way_icc_solves_for_the_expected_sums_of_squares() -> None:
    """With ratings missing, the variances are those that dense projection matrices and their traces give."""
    ratings = simulated(images=12, people=9, share=0.5, bias=[2.0, -2.0])
    by_image, by_user = np.eye(12)[ratings.image], np.eye(9)[ratings.user]
    ones = np.ones((len(ratings), 1))
    total = np.eye(len(ratings))
    onto_mean, onto_images, onto_users = (z @ np.linalg.pinv(z) for z in (ones, by_image, by_user))
    forms = [total - onto_mean, onto_images - onto_mean, onto_users - onto_mean]
    covariances = [by_image @ by_image.T, by_user @ by_user.T, total]
    expected = np.array([[np.trace(form @ covariance) for covariance in covariances] for form in forms])
    observed = [ratings.rating @ form @ ratings.rating for form in forms]
    of_image, of_user, rest = np.linalg.solve(expected, observed)
    icc = agreement.two_way_icc(ratings.image, ratings.user, ratings.rating)
    assert icc
    assert icc.agreement.single == pytest.approx(of_image / (of_image + of_user + rest))
    assert icc.consistency.single == pytest.approx(of_image / (of_image + rest))
    assert icc.consistency.single > icc.agreement.single


@pytest.mark.parametrize("share", [0.2, 1.0])
def test_levels_count_as_far_as_they_move_means(share: float) -> None:
    """In full if few of the raters rate a picture, not at all if everyone rates every picture."""
    found, reached = [], []
    for seed in range(20):
        random = np.random.default_rng(seed)
        quality, level = random.normal(size=60), 1.5 * random.normal(size=12)
        image, user = np.nonzero(random.random((60, 12)).argsort(axis=1) < 12 * share)
        rating = quality[image] + level[user] + random.normal(size=len(image))
        icc = agreement.icc_of_means(image, user, rating)
        assert icc
        found.append((icc.single, icc.average or 0.0))
        means = agreement.moments(image, rating).means
        reached.append(np.corrcoef(means, quality)[0, 1] ** 2)
    single, average = np.mean(found, axis=0)
    assert single == pytest.approx(0.5, abs=0.05)
    assert average == pytest.approx(np.mean(reached), abs=0.04)


def test_raters_of_one_picture_each_are_like_unknown_ones() -> None:
    """Their levels cannot be told from their disagreement."""
    image, user = np.arange(12) % 4, np.arange(12)
    rating = np.random.default_rng(0).normal(size=12) + image
    assert agreement.icc_of_means(image, user, rating) == agreement.one_way_icc(
        agreement.moments(image, rating)
    )
    assert agreement.icc_of_means(image[:4], user[:4], rating[:4]) is None


def test_split_half_is_that_of_a_plain_loop() -> None:
    """Means by dictionaries, over the same random halves, correlate the same."""
    ratings = simulated(share=0.2)
    rows = list(zip(ratings.image.tolist(), ratings.user.tolist(), ratings.rating.tolist(), strict=True))
    people = len(ratings.user_ids)
    random = np.random.default_rng(7)
    correlations = []
    for _ in range(20):
        first = set(np.flatnonzero(random.permutation(people) < people // 2).tolist())
        halves: list[dict[int, list[float]]] = [{}, {}]
        for image, user, rating in rows:
            halves[user not in first].setdefault(image, []).append(rating)
        both = sorted(halves[0].keys() & halves[1].keys())
        means = np.array([[np.mean(half[image]) for image in both] for half in halves])
        correlations.append(np.corrcoef(means[0], means[1])[0, 1])
    found = agreement.split_half(ratings.image, ratings.user, ratings.rating, splits=20, seed=7)
    assert found
    assert found.splits == 20
    assert found.correlation == pytest.approx(np.mean(correlations))
    assert found.reliability == pytest.approx(2 * found.correlation / (1 + found.correlation))


def test_split_half_is_the_same_for_the_same_seed() -> None:
    """Chance is seeded; another seed splits otherwise."""
    ratings = simulated()
    columns = (ratings.image, ratings.user, ratings.rating)
    assert agreement.split_half(*columns) == agreement.split_half(*columns)
    assert agreement.split_half(*columns) != agreement.split_half(*columns, seed=1)


def test_halves_that_contradict_each_other_have_no_reliability() -> None:
    """Spearman and Brown step up agreement, not its opposite."""
    image, user = np.tile(np.arange(5), 2), np.repeat([0, 1], 5)
    rating = np.array([1.0, 2, 3, 4, 5, 5, 4, 3, 2, 1])
    found = agreement.split_half(image, user, rating)
    assert found
    assert found.correlation == pytest.approx(-1)
    assert found.reliability is None


@pytest.mark.parametrize("value", [3.0, 0.1])
@pytest.mark.parametrize(
    ("image", "user"),
    [([0], [0]), ([0, 0, 0], [0, 1, 2]), ([0, 1, 2, 3], [0, 0, 0, 0]), ([0, 1, 2, 3], [0, 1, 2, 3])],
    ids=["one rating", "one picture", "one person", "nothing shared"],
)
def test_reports_undefined_agreement(image: list[int], user: list[int], value: float) -> None:
    """Too few pictures or people give None, neither NaN nor a warning."""
    columns = (np.array(image), np.array(user), value * np.arange(1.0, len(image) + 1))
    _assert_undefined(*columns)


@pytest.mark.parametrize("value", [3.0, 0.1])
def test_says_that_agreement_is_not_defined_where_all_say_the_same(value: float) -> None:
    """Without differences there is nothing to agree on, also where the value has no exact binary form."""
    ratings = simulated(share=0.4)
    _assert_undefined(ratings.image, ratings.user, np.full(len(ratings), value))


def _assert_undefined(image: IntArray, user: IntArray, rating: FloatArray) -> None:
    assert agreement.alpha(image, rating, "ordinal") is None
    assert agreement.alpha(image, rating, "interval") is None
    assert agreement.one_way_icc(agreement.moments(image, rating)) is None
    assert agreement.two_way_icc(image, user, rating) is None
    assert agreement.split_half(image, user, rating) is None


def test_a_mean_of_contradictions_has_no_reliability() -> None:
    """Where all pictures have the same mean, and people differ, the formula divides by nothing: None."""
    image, user = np.repeat(np.arange(3), 3), np.tile(np.arange(3), 3)
    icc = agreement.one_way_icc(agreement.moments(image, ((image + user) % 3).astype(float)))
    assert icc
    assert icc.single == pytest.approx(-0.5)
    assert icc.average is None


def test_full_agreement_is_1() -> None:
    """People who say the same of each picture, but differ between pictures, agree in every figure."""
    image, user = np.tile(np.arange(4), 3), np.repeat(np.arange(3), 4)
    rating = np.array([1.0, 2, 4, 7])[image]
    one, two = (
        agreement.one_way_icc(agreement.moments(image, rating)),
        agreement.two_way_icc(image, user, rating),
    )
    half = agreement.split_half(image, user, rating)
    assert one
    assert two
    assert half
    alphas = [agreement.alpha(image, rating, "ordinal"), agreement.alpha(image, rating, "interval")]
    assert [*alphas, one.average, two.agreement.single, half.reliability] == [pytest.approx(1)] * 5


def test_moments_are_those_of_each_picture() -> None:
    """Counts, means and sample standard deviations by picture; NaN for a single rating."""
    ratings = simulated(share=0.2)
    found = agreement.moments(ratings.image, ratings.rating)
    groups = [ratings.rating[ratings.image == i] for i in found.images]
    assert found.counts.tolist() == [len(g) for g in groups]
    np.testing.assert_allclose(found.means, [g.mean() for g in groups])
    np.testing.assert_allclose(found.deviations, [g.std(ddof=1) if len(g) > 1 else np.nan for g in groups])


@pytest.mark.slow
@with_oasis
def test_oasis_halves_agree_as_known() -> None:
    """The halves of OASIS's beauty ratings correlate by about 0.98; alpha is the other package's."""
    ratings = read_ratings(OASIS, rows=BadRows())
    found = agreement.split_half(ratings.image, ratings.user, ratings.rating)
    assert found
    assert found.correlation == pytest.approx(0.98, abs=0.005)
    counts = np.zeros((len(ratings.image_ids), 7))
    np.add.at(counts, (ratings.image, ratings.rating.astype(int) - 1), 1)
    expected = krippendorff.alpha(
        value_counts=counts, value_domain=np.arange(1, 8), level_of_measurement="ordinal"
    )
    assert agreement.alpha(ratings.image, ratings.rating, "ordinal") == pytest.approx(expected, abs=1e-9)
