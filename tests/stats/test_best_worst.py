"""nimakit.stats.best_worst: judgements of the best and the worst, and designs of sets."""

from itertools import combinations

import numpy as np
import pytest

from nimakit.stats.best_worst import NOBODY, balanced_sets, decided, decided_pairs, informative_sets
from nimakit.stats.bradley_terry import Comparisons, fit, groups
from nimakit.stats.histogram import IntArray


def _comparisons(images: int, shown: IntArray, best: IntArray, worst: IntArray) -> Comparisons:
    return Comparisons(tuple(map(str, range(images))), *decided_pairs(shown, best, worst))


def test_a_comparison_decides_pairs_with_its_best_and_worst() -> None:
    """The best beats all, all beat the worst, in the order shown; without a best, all pairs are ties."""
    assert decided(4, 2, 0) == (
        (0, 1, 0, 0.6),
        (0, 2, 0, 0.6),
        (0, 3, 0, 0.6),
        (1, 2, 0, 0.6),
        (2, 3, 1, 0.6),
    )
    assert decided(4, 0, NOBODY) == ((0, 1, 1, 0.5), (0, 2, 1, 0.5), (0, 3, 1, 0.5))
    assert decided(4, NOBODY, NOBODY) == tuple((*pair, 0.5, 0.5) for pair in combinations(range(4), 2))
    assert decided(2, 1, 0) == decided(2, 1, NOBODY) == ((0, 1, 0, 1),)


def test_many_comparisons_decide_what_each_does() -> None:
    """With any outcome, and images of any numbers; none decide nothing."""
    outcomes = [(0, 3), (NOBODY, NOBODY), (2, NOBODY), (0, 3), (3, 1)]
    shown = np.random.default_rng(0).random((5, 9)).argsort(axis=1)[:, :4] - 1
    best, worst = np.array(outcomes).T
    expected = [
        (row[left], row[right], share, weight)
        for row, outcome in zip(shown.tolist(), outcomes, strict=True)
        for left, right, share, weight in decided(4, *outcome)
    ]
    found = zip(*map(np.ndarray.tolist, decided_pairs(shown, best, worst)), strict=True)
    assert sorted(found) == sorted(expected)
    assert [len(part) for part in decided_pairs(shown[:0], best[:0], worst[:0])] == [0] * 4


@pytest.mark.parametrize(("best", "worst"), [(3, 1), (1, 3), (1, 1)])
def test_refuses_a_choice_that_is_none(best: int, worst: int) -> None:
    """Images that were not shown, or the same as best and worst."""
    with pytest.raises(ValueError, match="two different ones"):
        decided(3, best, worst)


def test_dependent_pairs_do_not_count_twice() -> None:
    """Scores are off by about as much as standard errors say, not 1.5 times that, as if each pair counted."""
    truth = np.linspace(-1.5, 1.5, 12)
    deviations = []
    for seed in range(12):
        random = np.random.default_rng(seed)
        sets = random.random((80, 12)).argsort(axis=1)[:, :5]
        seen = truth[sets] + random.gumbel(size=sets.shape)
        judged = _comparisons(12, sets, seen.argmax(axis=1), seen.argmin(axis=1))
        scores = fit(judged, prior_sd=None)
        deviations.append((scores.score - truth) / scores.standard_error)
    assert np.std(deviations) == pytest.approx(1.1, abs=0.2)


def test_the_choice_of_the_best_tells_what_it_does_in_luces_model() -> None:
    """Fisher information about the strengths of equally good images: that of a multinomial choice."""
    size = 4
    of_the_choice = np.eye(size) / size - 1 / size**2
    of_pairs = np.zeros((size, size))
    for best in range(size):
        for left, right, _, weight in decided(size, best, NOBODY):
            difference = np.eye(size)[left] - np.eye(size)[right]
            of_pairs += weight / 4 * np.outer(difference, difference) / size
    np.testing.assert_allclose(of_pairs, of_the_choice, atol=1e-12)


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
    first = np.zeros(len(design), np.intp)
    assert len(groups(_comparisons(41, design, first, first + 1))[0]) == 41


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
