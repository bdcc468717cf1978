"""nimakit.personal.fit: tastes and populations from ratings."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nimakit.errors import TasteError
from nimakit.models.taste import PROBES, Taste
from nimakit.personal.fit import fit_head, learn
from nimakit.personal.population import Population
from nimakit.stats.joint import Choices
from nimakit.stats.pairwise import Pairs

IMAGES, FEATURES, USERS = 120, 12, 310


class Raters:
    """Simulated raters whose tastes differ along two directions of the features, and in level.

    Args:
        residual: Standard deviation of image loadings that features do not explain.
    """

    def __init__(self, residual: float = 0) -> None:
        random = np.random.default_rng(0)
        self.features = random.normal(size=(IMAGES, FEATURES)) + 3
        self.means = random.uniform(3, 7, IMAGES)
        directions = random.normal(size=(2, FEATURES)) / np.sqrt(FEATURES)
        tastes = random.normal(size=(USERS, 2))
        levels = random.normal(0, 0.5, USERS)
        loadings = (self.features - 3) @ directions.T + residual * random.normal(size=(IMAGES, 2))
        self.liking = self.means + tastes @ loadings.T + levels[:, None]
        self.ratings = self.liking + random.normal(0, 0.7, self.liking.shape)

    def population(self, users: int = USERS - 10) -> Population:
        """The population of all but the last ten people, by their ratings of the first hundred images."""
        user, image = (part.ravel() for part in np.indices((users, 100)))
        return learn(
            self.features[:100],
            self.means[:100],
            image,
            user,
            self.ratings[user, image],
            base=np.zeros(PROBES),
            base_name="base",
        )

    def gain(self, arrays: dict[str, Any], user: int) -> float:
        """Gain in correlation over the generic scores, on new images."""
        taste = Taste(method="head", base=np.zeros(PROBES), base_name="", ratings=0, arrays=arrays)
        means = self.means[100:]
        personal = means + taste.shift(means, self.features[100:])
        liked = self.liking[user, 100:]
        return float(np.corrcoef(personal, liked)[0, 1] - np.corrcoef(means, liked)[0, 1])


RATERS = Raters()
POPULATION = RATERS.population()
NEWCOMERS = range(USERS - 10, USERS)


def _of(user: int, count: int) -> tuple[Any, Any, Any]:
    return RATERS.features[:count], RATERS.means[:count], RATERS.ratings[user, :count]


def test_no_rating_means_no_shift() -> None:
    """Without ratings the shift is 0."""
    for arrays in (fit_head(*_of(305, 0)), POPULATION.place(*_of(305, 0))):
        assert not any(array.any() for array in arrays.values())


def test_the_last_layer_learns_a_taste() -> None:
    """With a hundred ratings it beats the generic scores for nearly everyone."""
    gains = [RATERS.gain(fit_head(*_of(user, 100)), user) for user in NEWCOMERS]
    assert np.mean(gains) > 0.1
    assert min(gains) > -0.02


def test_ratings_that_say_nothing_leave_the_scores() -> None:
    """If features do not explain the ratings, only the level changes."""
    random = np.random.default_rng(1)
    arrays = fit_head(RATERS.features, RATERS.means, RATERS.means + 0.8 + random.normal(0, 1, IMAGES))
    shift = RATERS.features @ arrays["weights"] + arrays["level"][1]
    assert np.ptp(shift) < 0.4
    assert shift.mean() == pytest.approx(0.8, abs=0.2)


def _choices(user: int, count: int, seed: int = 0) -> Choices:
    """A person's choices between random ones of the first hundred images."""
    random = np.random.default_rng(seed)
    left = random.integers(0, 100, count)
    right = (left + random.integers(1, 100, count)) % 100
    judged = [RATERS.liking[user, side] + random.normal(0, 0.7, count) for side in (left, right)]
    share = (judged[0] > judged[1]).astype(float)
    pairs = Pairs.count(left, right, share, np.ones(count), 100)
    return Choices(pairs, RATERS.features[:100], RATERS.means[:100], noise=0.7)


@pytest.mark.parametrize("fit", [fit_head, POPULATION.place])
def test_comparisons_teach_a_taste(fit: Any) -> None:
    """By themselves, and together with ratings more than either."""
    ratings, nothing = 20, (0, 0)
    gains = {
        (rated, compared): np.mean(
            [
                RATERS.gain(fit(*_of(user, rated), _choices(user, compared) if compared else None), user)
                for user in NEWCOMERS
            ]
        )
        for rated, compared in [nothing, (ratings, 0), (0, 60), (ratings, 60), (0, 400)]
    }
    assert gains[nothing] == 0
    assert gains[0, 60] > 0.05
    assert gains[0, 400] > gains[0, 60]
    assert gains[ratings, 60] > max(gains[ratings, 0], gains[0, 60])


@pytest.mark.parametrize("fit", [fit_head, POPULATION.place])
def test_choices_by_chance_leave_the_scores(fit: Any) -> None:
    """Comparisons that contradict each other say nothing, and ratings stay what they were."""
    nothing = Pairs.count(np.array([0, 0]), np.array([1, 1]), np.array([1.0, 0.0]), np.ones(2), 2)
    level = np.array([5.0, 5.0])
    choices = Choices(nothing, np.stack([RATERS.features[0]] * 2), level, noise=0.7)
    expected, found = fit(*_of(305, 30)), fit(*_of(305, 30), choices)
    np.testing.assert_allclose(found["weights"], expected["weights"], atol=1e-3)
    np.testing.assert_allclose(found["level"], expected["level"], atol=1e-2)


def test_many_raters_teach_where_people_differ() -> None:
    """With five ratings, a population is better than the person's ratings by themselves."""
    population = POPULATION
    own = [RATERS.gain(fit_head(*_of(user, 5)), user) for user in NEWCOMERS]
    placed = [RATERS.gain(population.place(*_of(user, 5)), user) for user in NEWCOMERS]
    assert np.mean(placed) > np.mean(own) + 0.02
    assert population.noise == pytest.approx(0.49, rel=0.15)


def test_ratings_of_the_same_images_improve_the_fit() -> None:
    """Others' ratings of the same images improve the fit over features only."""
    raters = Raters(residual=1)
    population = raters.population()
    none = {name: getattr(population, name)[:0] for name in ("expected", "loadings", "offsets")}
    by_features = replace(population, **none)

    def gains(chosen: Population) -> list[float]:
        given = [(raters.features[:10], raters.means[:10], raters.ratings[user, :10]) for user in NEWCOMERS]
        return [raters.gain(chosen.place(*one), user) for one, user in zip(given, NEWCOMERS, strict=True)]

    assert np.mean(gains(population)) > np.mean(gains(by_features)) + 0.03


def test_images_without_a_rating_change_nothing() -> None:
    """Unrated images change nothing."""
    user, image = (part.ravel() for part in np.indices((30, 50)))
    population = learn(
        RATERS.features[:60],
        RATERS.means[:60],
        image + 5,
        user,
        RATERS.ratings[user, image + 5],
        base=np.zeros(PROBES),
        base_name="base",
    )
    assert population.loadings.shape == population.expected.shape == (60, 14)
    assert np.isfinite(population.loadings).all()
    assert not population.offsets[[0, 4, 55, 59]].any()


def test_too_few_raters_are_refused() -> None:
    """Too few raters would only show their own tastes."""
    with pytest.raises(TasteError, match="at least 20 raters"):
        RATERS.population(users=19)
