"""nimakit.web.rating.sampler and compared: which pictures are compared next."""

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from nimakit.stats.best_worst import NOBODY, decided_pairs
from nimakit.stats.bradley_terry import Comparisons, groups, posterior
from nimakit.web.db.outcomes import decided
from nimakit.web.db.tables import CHOICE, FIRST, TIE, Collection, Rater, Study
from nimakit.web.rating.checks import CheckPlan
from nimakit.web.rating.compared import Compared
from nimakit.web.rating.ordering import Candidates
from nimakit.web.rating.pairing import next_comparisons
from nimakit.web.rating.sampler import Sampler

Rows = list[list[int]]


def compared(images: int, rows: Rows, size: int) -> Compared:
    """What is known after sets of picture ids: the best one is first, and the worst of four last."""
    sets = np.array(rows, np.intp).reshape(-1, size) - 1
    count = np.bincount(sets.ravel(), minlength=images).astype(np.float64)
    unknown = np.zeros(images)
    candidates = Candidates(
        np.arange(1, images + 1, dtype=np.uint64), count, unknown, unknown, unknown.astype(np.bool_)
    )
    best = np.zeros(len(sets), np.intp)
    return Compared(candidates, sets, best, best - 1 if size == 2 else best + size - 1)


def collection(**values: Any) -> Collection:
    """Settings of a collection."""
    settings = {"experiment": "best-worst", "choices": 4, "ordering": "random", "wanted": None}
    return cast("Collection", SimpleNamespace(**settings | values))


def draw(
    one: Collection, known: Compared, made: Sequence[Sequence[int]] = (), seed: int = 0, amount: int = 1
) -> Rows:
    """The sets that a rater gets."""
    sampler = Sampler(
        one,
        known,
        [tuple(row) for row in made],
        buffered=set(),
        reserved=np.zeros(len(known.candidates.images)),
        generator=np.random.default_rng(seed),
    )
    return [list(row) for row in sampler.draw(amount)]


@pytest.mark.parametrize(("experiment", "ordering", "size"), [
    ("best-worst", "random", 4), ("best-worst", "active", 5), ("preference", "fewest", 2),
])  # fmt: skip
def test_raters_together_make_a_balanced_connected_design(experiment: str, ordering: str, size: int) -> None:
    """As few sets as can link all pictures link them, though each is drawn for another rater."""
    one, rows = collection(experiment=experiment, ordering=ordering, choices=size), Rows()
    images = 3 * (size - 1) + 1 if size > 2 else 12
    needed = int(np.ceil((images - 1) / (size - 1)))
    for rater in range(needed):
        rows += draw(one, compared(images, rows, size), seed=rater)
    known = compared(images, rows, size)
    assert np.ptp(known.candidates.count) <= 2
    if size > 2:
        names = tuple(map(str, range(images)))
        pairs = decided_pairs(known.sets, known.best, known.worst)
        assert len(groups(Comparisons(names, *pairs))[0]) == images
    assert all(len({*row}) == size for row in rows)


def test_what_was_compared_is_linked_to_what_was_not() -> None:
    """With all pictures shown equally often, a set joins parts that no comparison links."""
    rows = [[1, 2], [3, 4], [5, 6]]
    known = compared(6, rows, 2)
    parts = [{*row} for row in rows]
    [pair] = draw(collection(experiment="preference", ordering="fewest", choices=2), known)
    assert {*pair} not in parts


@pytest.mark.parametrize("size", [2, 4])
def test_later_what_is_compared_tells_most(size: int) -> None:
    """In active order, pictures of about the same score come together, for two as for four."""
    images = 24
    random = np.random.default_rng(0)
    rows = [sorted(random.choice(images, size, replace=False) + 1) for _ in range(60 if size == 4 else 180)]
    known = compared(images, cast("Rows", rows), size)
    assert np.corrcoef(known.score, -np.arange(images))[0, 1] > 0.9
    experiment = "preference" if size == 2 else "best-worst"
    one = collection(experiment=experiment, ordering="active", choices=size)
    widths = [np.ptp(row) for seed in range(12) for row in draw(one, known, seed=seed, amount=2)]
    at_random = [np.ptp(random.choice(images, size, replace=False)) for _ in range(200)]
    assert np.mean(widths) < 0.75 * np.mean(at_random)


def test_raters_at_the_same_time_get_different_sets() -> None:
    """Although all know the same."""
    random = np.random.default_rng(0)
    rows = [sorted(random.choice(24, 2, replace=False) + 1) for _ in range(100)]
    one = collection(experiment="preference", ordering="active", choices=2)
    known = compared(24, cast("Rows", rows), 2)
    assert len({frozenset(draw(one, known, seed=seed)[0]) for seed in range(10)}) > 5


def test_a_rater_gets_no_set_twice_while_others_are_left() -> None:
    """Six pictures have fifteen sets of four."""
    made = Rows()
    for seed in range(10):
        made += draw(collection(), compared(6, made, 4), made, seed)
    assert len({frozenset(row) for row in made}) == 10


def test_pictures_with_enough_comparisons_only_complete_a_set() -> None:
    """One picture is wanted, and three others are with it; then there is nothing to do."""
    one = collection(wanted=1)
    rows = [[1, 2, 3, 4]]
    [row] = draw(one, compared(5, rows, 4))
    assert 5 in row
    assert draw(one, compared(8, [*rows, [5, 6, 7, 8]], 4)) == []


def test_pairs_and_covariance_are_those_of_the_ranking() -> None:
    """The arrays say what single comparisons say, and all pictures have their exact posterior covariance."""
    rows = [[1, 2, 3, 4], [5, 6, 1, 3], [2, 6, 4, 5]]
    known = compared(6, rows, 4)
    alone = [pair for row in rows for pair in decided(CHOICE, row, row[0], row[3])]
    left, right, share, weight = (np.array(part) for part in zip(*alone, strict=True))
    names = tuple(map(str, range(6)))
    one_by_one = Comparisons(names, left - 1, right - 1, share, weight).pairs(np.arange(6), 6)
    for name in ("first", "second", "times", "chosen"):
        np.testing.assert_allclose(getattr(known.pairs, name), getattr(one_by_one, name))
    score, covariance = posterior(one_by_one)
    np.testing.assert_allclose(known.score, score, atol=1e-5)
    np.testing.assert_allclose(known.covariance(np.arange(6)), covariance, atol=1e-5)
    assert known.covariance(np.array([4, 2])).shape == (2, 2)


def test_ties_decide_all_pairs_evenly() -> None:
    """In arrays as one by one."""
    unknown = np.zeros(4)
    candidates = Candidates(np.arange(1, 5, dtype=np.uint64), unknown, unknown, unknown, unknown > 0)
    nobody = np.array([NOBODY])
    tied = Compared(candidates, np.array([[0, 1, 2, 3]]), nobody, nobody)
    assert len(tied.pairs.times) == 6 == len([*decided(TIE, [1, 2, 3, 4], None, None)])
    assert (tied.pairs.chosen == 0.5 * tied.pairs.times).all()


def test_pictures_that_cannot_be_shown_are_left_out() -> None:
    """Their comparisons still link the others that they showed."""
    unknown = np.zeros(3)
    candidates = Candidates(np.array([1, 3, 5], np.uint64), unknown, unknown, unknown, unknown > 0)
    one, nobody = np.array([0]), np.array([NOBODY])
    known = Compared(candidates, np.array([[-1, 0, 1, -1]]), one, nobody)
    assert len(known.pairs.times) == 0
    part = known.balance(np.arange(3), unknown).part
    assert part[0] == part[1] != part[2]


@pytest.mark.parametrize("size", [2, 4])
def test_a_quota_holds_with_gold_pictures_which_come_at_even_steps(size: int) -> None:
    """A rater with a full browser compares just as many sets, though gold pictures share a picture."""
    one = collection(experiment="preference", choices=size, id=1, repeats=0.0)
    known = compared(60, [], size)
    plan = CheckPlan(gold_every=6, gold={1: 2, 3: 2, 4: 2})
    known = replace(known, candidates=replace(known.candidates, checks=plan))
    answered: list[tuple[tuple[int, ...], int, str]] = []
    session = SimpleNamespace(execute=lambda _: SimpleNamespace(all=lambda: answered))
    limits = SimpleNamespace(quota=20, may_skip=True)
    held: list[tuple[int, ...]] = []
    while True:
        following = next_comparisons(
            cast("Any", session),
            one,
            Rater(id=1, code="r"),
            known,
            4 - len(held),
            buffered={image for images in held for image in images},
            reserved=np.zeros(60),
            study=cast("Study", limits),
        )
        held += [comparison.images for comparison in following.comparisons]
        if not held:
            break
        answered.append((held.pop(0), FIRST, CHOICE))
    gold = [
        place
        for place, (images, _, _) in enumerate(answered, 1)
        if any({better, 2} <= {*images} for better in plan.gold)
    ]
    assert len(answered) == 20
    assert len(gold) == 3
    assert gold[0] == 6
