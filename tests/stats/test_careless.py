"""nimakit.stats.careless: raters who agree with the others no better than chance."""

import numpy as np
import pytest

from nimakit.stats import careless
from nimakit.stats.bradley_terry import Comparisons
from nimakit.stats.careless import conformity, conformity_of_ratings, is_careless


def _study(error: np.ndarray, *, each: int) -> Comparisons:
    """Random pairs of 30 images, by raters who perceive with errors of these sizes."""
    random = np.random.default_rng(0)
    truth, user = random.normal(0, 1.5, 30), np.repeat(np.arange(len(error)), each)
    left = random.integers(0, 30, len(user))
    right = (left + random.integers(1, 30, len(user))) % 30
    seen = truth[[left, right]] + random.gumbel(size=(2, len(user))) * error[user]
    return Comparisons(
        tuple(map(str, range(30))),
        left,
        right,
        (seen[0] > seen[1]).astype(float),
        user_ids=tuple(f"rater {number}" for number in range(len(error))),
        user=user,
    )


def test_names_those_who_choose_at_random() -> None:
    """Of sixty raters of different quality, six choose blindly; nearly all of them are found."""
    error = 2 ** np.random.default_rng(1).uniform(-1, 1, 60)
    error[:6] = 1e9
    named = {int(name.split()[1]) for name in conformity(_study(error, each=40)).careless}
    assert len(named & {*range(6)}) >= 5
    assert len(named - {*range(6)}) <= 1


def test_few_comparisons_prove_nothing() -> None:
    """Blind choices of which there are few, or of pictures nobody else compared, name nobody."""
    assert conformity(_study(np.full(10, 1e9), each=10)).careless == ()
    lonely = Comparisons(
        ("a", "b"),
        np.zeros(30, np.intp),
        np.ones(30, np.intp),
        np.ones(30),
        user_ids=("x",),
        user=np.zeros(30, int),
    )
    found = conformity(lonely)
    assert found.evidence.tolist() == [0.0]
    assert found.careless == ()
    assert found.comparisons.tolist() == [30.0]


def test_few_answers_need_more_evidence() -> None:
    """A quarter of a nat is enough for 40 answers, and 1.5 nats for 20; fewer prove nothing."""
    answers, evidence = (
        np.array([40, 60, 30, 30, 20, 20, 19]),
        np.array([-0.3, 0, -0.9, -0.8, -1.5, -1.4, -9]),
    )
    assert is_careless(evidence, answers).tolist() == [True, False, True, False, True, False, False]


def test_scores_without_a_rater_are_near_a_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """One step from the common scores comes within a tenth of a nat, and names the same raters."""
    error = 2 ** np.random.default_rng(1).uniform(-1, 1, 60)
    error[:6] = 1e9
    given = _study(error, each=40)
    step = conformity(given)
    monkeypatch.setattr(careless, "_LARGE_SHARE", 0.0)
    fitted = conformity(given)
    assert np.abs(step.evidence - fitted.evidence).max() < 0.1
    assert step.evidence.tolist() != fitted.evidence.tolist()
    assert step.careless == fitted.careless


def test_needs_to_know_the_raters() -> None:
    """Comparisons by nobody agree with nobody."""
    with pytest.raises(ValueError, match="raters"):
        conformity(Comparisons(("a", "b"), np.array([0]), np.array([1]), np.array([1.0])))


def _ratings(noise: np.ndarray, *, each: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ratings of 60 images by raters with errors of these sizes, some of whom are more lenient."""
    random = np.random.default_rng(7)
    image = np.concatenate([random.permutation(60)[:each] for _ in noise])
    user = np.repeat(np.arange(len(noise)), each)
    seen = random.normal(0, 1, 60)[image] + noise[user] * random.normal(size=len(image))
    return image, user, np.round(5.5 + 2 * np.clip(seen, -2, 2) + random.normal(0, 1, len(noise))[user])


def test_random_ratings_speak_against_raters() -> None:
    """Of sixty raters, six rate at random; nearly all of them are found, and one who always says the same."""
    noise = np.full(60, 0.9)
    image, user, rating = _ratings(noise, each=40)
    random = np.random.default_rng(8)
    blind = user < 6
    rating[blind] = random.integers(1, 11, blind.sum())
    rating[user == 6] = 7
    evidence = conformity_of_ratings(image, user, rating)
    against = {*np.flatnonzero(is_careless(evidence, 40)).tolist()}
    assert len(against & {*range(7)}) >= 6
    assert len(against - {*range(7)}) <= 1


def test_few_ratings_prove_nothing() -> None:
    """Neither those of few raters, nor few by a rater."""
    image, user, rating = _ratings(np.full(4, 0.9), each=40)
    assert conformity_of_ratings(image, user, rating).tolist() == [0.0] * 4
    image, user, rating = _ratings(np.full(10, 0.9), each=4)
    assert conformity_of_ratings(image, user, rating).tolist() == [0.0] * 10
