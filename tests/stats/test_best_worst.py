"""nimakit.stats.best_worst: judgements of the best and the worst, and designs of sets."""

import numpy as np
import pytest

from nimakit.stats.best_worst import balanced_sets, informative_sets, to_pairs
from nimakit.stats.bradley_terry import Comparisons, fit, groups


def _comparisons(images: int, better: np.ndarray, worse: np.ndarray, weight: np.ndarray) -> Comparisons:
    return Comparisons(tuple(map(str, range(images))), better, worse, np.ones(len(better)), weight)


def test_a_judgement_says_which_of_its_pairs_it_decides() -> None:
    """The best beats all, all beat the worst; two images are one comparison that counts once."""
    better, worse, weight = to_pairs(np.array([[4, 1, 2, 3]]), np.array([2]), np.array([4]))
    pairs = {*zip(better.tolist(), worse.tolist(), strict=True)}
    assert pairs == {(2, 4), (2, 1), (2, 3), (1, 4), (3, 4)}
    assert weight.sum() == pytest.approx(3)
    assert [part.tolist() for part in to_pairs(np.array([[0, 1]]), np.array([1]), np.array([0]))] == [
        [1],
        [0],
        [1],
    ]


@pytest.mark.parametrize(("best", "worst"), [(9, 1), (1, 9), (1, 1)])
def test_refuses_a_choice_that_is_none(best: int, worst: int) -> None:
    """Images that were not shown, or the same as best and worst."""
    with pytest.raises(ValueError, match="two different images"):
        to_pairs(np.array([[0, 1, 2]]), np.array([best]), np.array([worst]))


def test_dependent_pairs_do_not_count_twice() -> None:
    """Scores are off by about as much as standard errors say, not 1.5 times that, as if each pair counted."""
    truth = np.linspace(-1.5, 1.5, 12)
    deviations = []
    for seed in range(12):
        random = np.random.default_rng(seed)
        sets = random.random((80, 12)).argsort(axis=1)[:, :5]
        seen, rows = truth[sets] + random.gumbel(size=sets.shape), np.arange(len(sets))
        judged = to_pairs(sets, sets[rows, seen.argmax(axis=1)], sets[rows, seen.argmin(axis=1)])
        scores = fit(_comparisons(12, *judged), prior_sd=None)
        deviations.append((scores.score - truth) / scores.standard_error)
    assert np.std(deviations) == pytest.approx(1.1, abs=0.2)


@pytest.mark.parametrize("size", [4, 5])
def test_designs_are_balanced_and_connected(size: int) -> None:
    """Images occur equally often, up to one, pairs rarely twice; half more sets than images need connect."""
    design = balanced_sets(41, size=size, sets=25, generator=np.random.default_rng(0))
    assert all(len({*row}) == size for row in design.tolist())
    shown = np.bincount(design.ravel(), minlength=41)
    assert np.ptp(shown) <= 1
    together = np.zeros((41, 41))
    for row in design:
        together[np.ix_(row, row)] += 1
    np.fill_diagonal(together, 0)
    assert together.max() <= 2
    judged = to_pairs(design, design[:, 0], design[:, 1])
    assert len(groups(_comparisons(41, *judged))[0]) == 41


def test_informative_pairs_are_near_and_uncertain() -> None:
    """What is known in comparison with each other is not asked again; neither are pairs far apart."""
    score, covariance = np.array([0.0, 0.1, 0.2, 9.0]), np.diag([4.0, 4.0, 0.01, 4.0])
    random = np.random.default_rng(0)
    assert {*informative_sets(score, covariance, size=2, sets=1, generator=random)[0].tolist()} <= {0, 1, 3}
    score[3] = 0.1
    covariance[0, 1] = covariance[1, 0] = 3.99
    found = informative_sets(score, covariance, size=2, sets=1, generator=random)
    assert {*found[0].tolist()} in ({0, 3}, {1, 3})


def test_a_batch_of_informative_sets_does_not_repeat_itself() -> None:
    """Without any judgement, each set of a batch expects those before to be made: all images occur."""
    random = np.random.default_rng(0)
    pairs = informative_sets(np.zeros(10), 4.0 * np.eye(10), size=2, sets=15, generator=random)
    assert len({frozenset(row) for row in pairs.tolist()}) == 15
    fours = informative_sets(np.zeros(10), 4.0 * np.eye(10), size=4, sets=5, generator=random)
    assert all(len({*row}) == 4 for row in fours.tolist())
    assert {*fours.ravel().tolist()} == {*range(10)}
    with pytest.raises(ValueError, match="number of images, 10"):
        informative_sets(np.zeros(10), np.eye(10), size=11, sets=1, generator=random)
