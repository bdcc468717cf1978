"""The comparisons a rater makes next, drawn from the pictures by the collection's order."""

from collections.abc import Sequence, Set
from typing import NamedTuple

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from nimakit.stats.histogram import FloatArray
from nimakit.web.db.tables import FIRST, REPEAT, SKIP, Choice, Collection, Rater, Study
from nimakit.web.rating.checks import answered_checks, spread, with_attention
from nimakit.web.rating.compared import Compared
from nimakit.web.rating.ordering import REPEAT_AFTER, Candidates, interleave, is_repeated, shuffle_keys
from nimakit.web.rating.sampler import Sampler

_ANY_NUMBER = 1_000_000
"""Of comparisons, which have no end of their own."""


class Comparison(NamedTuple):
    """Pictures to compare.

    Attributes:
        images: Their ids, in the order they are shown.
        round: `FIRST` or `REPEAT`.
        check: Number of the attention check that they are shown with; 0 for none.
    """

    images: tuple[int, ...]
    round: int
    check: int = 0


class NextComparisons(NamedTuple):
    """The comparisons a rater makes next, and their progress.

    Attributes:
        comparisons: Comparisons to make, in order.
        done: Number of comparisons the rater made or skipped.
        left: Number of comparisons the rater can still make, at most those that the collection still needs
            from all raters; None if neither has a limit.
    """

    comparisons: list[Comparison]
    done: int
    left: int | None


def next_comparisons(
    session: Session,
    collection: Collection,
    rater: Rater,
    compared: Compared,
    amount: int,
    *,
    buffered: set[int],
    reserved: FloatArray,
    study: Study | None = None,
    checks: Set[int] = frozenset(),
) -> NextComparisons:
    """Choose the comparisons a rater makes next.

    In the order fewest they are balanced, and in active order they tell most, once there are enough
    comparisons to say which do; until then they are balanced as well. In random order pictures are drawn at
    random in a preference; sets of which the best and the worst are chosen are always balanced.

    Args:
        session: From `Database.read`.
        collection: The collection, with its order, repeats, choices and comparisons wanted.
        rater: The rater.
        compared: What was compared, among the pictures that can be shown.
        amount: Most comparisons to choose.
        buffered: Pictures in comparisons the browser already has, or whose answers have not arrived yet.
        reserved: (N,) float64, number of other raters who have reserved each candidate.
        study: The study that limits the rater: its quota counts first answers, skipped ones only if raters
            may skip. None for no limits.
        checks: Numbers of the attention checks that wait in the browser.

    Returns:
        The comparisons, none if the rater is done.
    """
    mine = session.execute(
        select(Choice.shown, Choice.round, Choice.kind)
        .where(Choice.collection_id == collection.id, Choice.rater_id == rater.id)
        .order_by(Choice.occurred_at)
    ).all()
    made = [tuple(shown) for shown, turn, _ in mine if turn == FIRST]
    quota, may_skip = (None, True) if study is None else (study.quota, study.may_skip)
    done = sum(turn == FIRST and (may_skip or kind != SKIP) for _, turn, kind in mine)
    generator = np.random.default_rng([rater.id, collection.id, len(made), *sorted(buffered)])
    candidates = compared.candidates
    start = len(mine) + len(buffered) // collection.choices
    repeated = {frozenset(shown) for shown, turn, _ in mine if turn == REPEAT}
    before = [(shown, kind) for shown, turn, kind in mine[: max(start - REPEAT_AFTER, 0)] if turn == FIRST]
    due = [
        images
        for images in _due(collection, rater, candidates, before)
        if frozenset(images) not in repeated and buffered.isdisjoint(images)
    ]
    room = _ANY_NUMBER if quota is None else quota - done - len(buffered) // collection.choices
    # No two sets share a picture: the number of those in the browser follows from their pictures.
    gold = _gold(collection, candidates, made, buffered, generator)
    taken = buffered.union(*gold)
    sampler = Sampler(collection, compared, made, buffered=taken, reserved=reserved, generator=generator)
    drawn = list(sampler.draw(min(amount, room)))
    every = candidates.checks.gold_every
    first = spread(drawn, gold, every=every, room=room, start=start) if gold else drawn
    comparisons = interleave(
        [Comparison(images, FIRST) for images in first[:amount]],
        [Comparison(images, REPEAT) for images in due[:amount]],
        share=collection.repeats,
        start=start,
    )
    left = None
    if collection.wanted is not None:
        missing = np.maximum(collection.wanted - candidates.count, 0).sum()
        left = int(np.ceil(missing / collection.choices))
    if quota is not None:
        still = max(quota - done, 0)
        left = still if left is None else min(left, still)
    attention = candidates.checks.attention_every if len(candidates.images) >= collection.choices else None
    latest = [tuple(shown) for shown, _, _ in mine[-1:]]
    away = buffered.union(*latest, *(one.images for one in comparisons[:amount]))
    comparisons = with_attention(
        comparisons[:amount],
        every=attention,
        start=start,
        asked=answered_checks(session, collection, rater) | checks if attention else checks,
        is_end=len(comparisons) < amount,
        check=lambda number: _attention(collection, rater, candidates, away, number),
    )
    return NextComparisons(comparisons, done, left)


def _gold(
    collection: Collection,
    candidates: Candidates,
    made: Sequence[tuple[int, ...]],
    buffered: set[int],
    generator: np.random.Generator,
) -> list[tuple[int, ...]]:
    """Comparisons of gold pictures with those that they must be chosen over, which the rater has not made.

    No two of them share a picture.
    """
    showable = set(candidates.images.tolist()) - buffered
    found = []
    for pair in candidates.checks.gold.items():
        if not showable.issuperset(pair) or any({*pair} <= {*images} for images in made):
            continue
        others = generator.permutation(sorted(showable.difference(pair)))[: collection.choices - 2]
        if len(others) == collection.choices - 2:
            found.append(tuple(generator.permutation([*pair, *others]).tolist()))
            showable.difference_update(pair, others.tolist())
    return [found[place] for place in generator.permutation(len(found))]


def _attention(
    collection: Collection, rater: Rater, candidates: Candidates, away: set[int], number: int
) -> Comparison:
    """The attention check of a number, if possible with pictures other than those before and after it."""
    images = candidates.images
    keys = shuffle_keys(images, rater, f"attention {number}")
    order = np.lexsort((keys, np.isin(images, np.fromiter(away, np.uint64))))
    return Comparison(tuple(images[order[: collection.choices]].tolist()), FIRST, number)


def _due(
    collection: Collection,
    rater: Rater,
    candidates: Candidates,
    before: Sequence[tuple[Sequence[int], str]],
) -> list[tuple[int, ...]]:
    """Comparisons of those made `before` to show a rater again, with the pictures in reverse order."""
    if not collection.repeats:
        return []
    showable = set(candidates.images.tolist())
    chosen = [tuple(reversed(shown)) for shown, kind in before if kind != SKIP and showable.issuperset(shown)]
    firsts = np.array([min(images) for images in chosen], np.uint64)
    return [
        images
        for images, repeat in zip(chosen, is_repeated(collection, rater, firsts), strict=True)
        if repeat
    ]
