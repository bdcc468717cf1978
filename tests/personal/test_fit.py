"""nimakit.personal.fit: from ratings to a taste."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nimakit.errors import TasteError
from nimakit.models.taste import PROBES, Taste
from nimakit.personal.fit import fit_head, learn
from nimakit.personal.population import Population

IMAGES, FEATURES, USERS = 120, 12, 310


class Crowd:
    """People whose taste differs along two directions of the features, in level, and not otherwise.

    Args:
        unsaid: How far images lie in the two directions from where their features say.
    """

    def __init__(self, unsaid: float = 0) -> None:
        random = np.random.default_rng(0)
        self.features = random.normal(size=(IMAGES, FEATURES)) + 3
        self.means = random.uniform(3, 7, IMAGES)
        directions = random.normal(size=(2, FEATURES)) / np.sqrt(FEATURES)
        tastes = random.normal(size=(USERS, 2))
        levels = random.normal(0, 0.5, USERS)
        seen = (self.features - 3) @ directions.T + unsaid * random.normal(size=(IMAGES, 2))
        self.liking = self.means + tastes @ seen.T + levels[:, None]
        self.ratings = self.liking + random.normal(0, 0.7, self.liking.shape)

    def population(self, users: int = USERS - 10) -> Population:
        """What all but the last ten people teach, by their ratings of the first hundred images."""
        user, image = (part.ravel() for part in np.indices((users, 100)))
        return learn(
            self.features[:100],
            self.means[:100],
            image,
            user,
            self.ratings[user, image],
            base=np.zeros(PROBES),
            base_name="crowd",
        )

    def gain(self, arrays: dict[str, Any], user: int) -> float:
        """How much more than the generic scores a taste correlates with what somebody likes of new images."""
        taste = Taste(method="head", base=np.zeros(PROBES), base_name="", ratings=0, arrays=arrays)
        means = self.means[100:]
        personal = means + taste.shift(means, self.features[100:])
        liked = self.liking[user, 100:]
        return float(np.corrcoef(personal, liked)[0, 1] - np.corrcoef(means, liked)[0, 1])


CROWD = Crowd()
POPULATION = CROWD.population()
NEWCOMERS = range(USERS - 10, USERS)


def _of(user: int, count: int) -> tuple[Any, Any, Any]:
    return CROWD.features[:count], CROWD.means[:count], CROWD.ratings[user, :count]


def test_no_rating_means_no_shift() -> None:
    """Then everybody sees what people in general do."""
    for arrays in (fit_head(*_of(305, 0)), POPULATION.place(*_of(305, 0))):
        assert not any(array.any() for array in arrays.values())


def test_the_last_layer_learns_a_taste() -> None:
    """From a hundred ratings it is better than the generic scores for nearly everybody."""
    gains = [CROWD.gain(fit_head(*_of(user, 100)), user) for user in NEWCOMERS]
    assert np.mean(gains) > 0.1
    assert min(gains) > -0.02


def test_ratings_that_say_nothing_leave_the_scores() -> None:
    """Where images explain nothing of the ratings, only the level moves."""
    random = np.random.default_rng(1)
    arrays = fit_head(CROWD.features, CROWD.means, CROWD.means + 0.8 + random.normal(0, 1, IMAGES))
    shift = CROWD.features @ arrays["weights"] + arrays["level"][1]
    assert np.ptp(shift) < 0.4
    assert shift.mean() == pytest.approx(0.8, abs=0.2)


def test_many_raters_teach_where_people_differ() -> None:
    """So that five ratings place somebody better than their own alone could."""
    population = POPULATION
    own = [CROWD.gain(fit_head(*_of(user, 5)), user) for user in NEWCOMERS]
    placed = [CROWD.gain(population.place(*_of(user, 5)), user) for user in NEWCOMERS]
    assert np.mean(placed) > np.mean(own) + 0.02
    assert population.noise == pytest.approx(0.49, rel=0.15)


def test_many_raters_tell_what_features_do_not_say() -> None:
    """Where their ratings of the same images count, a newcomer is placed better than by features alone."""
    crowd = Crowd(unsaid=1)
    population = crowd.population()
    none = {name: getattr(population, name)[:0] for name in ("expected", "loadings", "offsets")}
    deaf = replace(population, **none)

    def gains(chosen: Population) -> list[float]:
        given = [(crowd.features[:10], crowd.means[:10], crowd.ratings[user, :10]) for user in NEWCOMERS]
        return [crowd.gain(chosen.place(*one), user) for one, user in zip(given, NEWCOMERS, strict=True)]

    assert np.mean(gains(population)) > np.mean(gains(deaf)) + 0.03


def test_images_without_a_rating_are_where_their_features_say() -> None:
    """They teach nothing, and harm nothing."""
    user, image = (part.ravel() for part in np.indices((30, 50)))
    population = learn(
        CROWD.features[:60],
        CROWD.means[:60],
        image + 5,
        user,
        CROWD.ratings[user, image + 5],
        base=np.zeros(PROBES),
        base_name="crowd",
    )
    assert population.loadings.shape == population.expected.shape == (60, 14)
    assert np.isfinite(population.loadings).all()
    assert not population.offsets[[0, 4, 55, 59]].any()


def test_too_few_raters_are_refused() -> None:
    """They would teach their own taste as everybody's."""
    with pytest.raises(TasteError, match="at least 20 raters"):
        CROWD.population(users=19)
