"""The comparisons a rater makes next, drawn from the pictures by the collection's order."""

from collections import defaultdict
from collections.abc import Iterable, Sequence, Set
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from nimakit.web.db.tables import FIRST, REPEAT, SKIP, Choice, Collection, Rater
from nimakit.web.rating.checks import answered_checks, spread, with_attention
from nimakit.web.rating.ordering import REPEAT_AFTER, Candidates, interleave, is_repeated, shuffle_keys

Indices = NDArray[np.intp]

_NEAREST = 8
"""In active order, opponents are drawn at random from this many (per picture) of about the same strength."""

_ATTEMPTS = 50
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
    candidates: Candidates,
    amount: int,
    *,
    buffered: set[int],
    quota: int | None = None,
    checks: Set[int] = frozenset(),
) -> NextComparisons:
    """Choose the comparisons a rater makes next.

    Each starts with one of the least compared pictures (in random order: with any picture). Its opponents are
    drawn from all pictures (random), from the least compared (fewest), or from those that won a similar share
    of their comparisons (active), where the answer is most informative.

    Args:
        session: From `Database.read`.
        collection: The collection, with its order, repeats, choices and comparisons wanted.
        rater: The rater.
        candidates: The pictures of the collection.
        amount: Most comparisons to choose.
        buffered: Pictures in comparisons the browser already has, or whose answers have not arrived yet.
        quota: Most comparisons the rater makes or skips, repeats apart; None for no limit.
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
    generator = np.random.default_rng([rater.id, collection.id, len(made), *sorted(buffered)])
    sampler = _ComparisonSampler(collection, candidates, made, buffered, generator)
    is_finished = quota is not None and len(made) >= quota
    due = _due(collection, rater, candidates, mine, buffered, is_finished=is_finished)
    limit = amount if quota is None else min(amount, quota - len(made) - len(buffered) // collection.choices)
    gold = _gold(collection, candidates, made, buffered, generator)
    drawn = [images for images in sampler.draw(limit) if images not in gold]
    start = len(mine) + len(buffered) // collection.choices
    every, room = candidates.checks.gold_every, _ANY_NUMBER if quota is None else limit
    first = spread(drawn, gold, every=every, room=room, start=start) if gold else drawn
    comparisons = interleave(
        [Comparison(images, FIRST) for images in first[:amount]],
        [Comparison(images, REPEAT) for images in due[:amount]],
        share=collection.repeats,
        start=len(mine) + len(buffered),
    )
    left = None
    if collection.wanted is not None:
        missing = np.maximum(collection.wanted - candidates.count, 0).sum()
        left = int(np.ceil(missing / collection.choices))
    if quota is not None:
        still = max(quota - len(made), 0)
        left = still if left is None else min(left, still)
    attention = candidates.checks.attention_every
    comparisons = with_attention(
        comparisons[:amount],
        every=attention,
        start=start,
        asked=answered_checks(session, collection, rater) | checks if attention else checks,
        check=lambda number: _attention(collection, rater, candidates, number),
    )
    return NextComparisons(comparisons, len(made), left)


def _gold(
    collection: Collection,
    candidates: Candidates,
    made: Sequence[tuple[int, ...]],
    buffered: set[int],
    generator: np.random.Generator,
) -> list[tuple[int, ...]]:
    """Comparisons of gold pictures with those that they must be chosen over, which the rater has not made."""
    showable = set(candidates.images.tolist()) - buffered
    found = []
    for pair in candidates.checks.gold.items():
        if not showable.issuperset(pair) or any({*pair} <= {*images} for images in made):
            continue
        others = generator.permutation(sorted(showable.difference(pair)))[: collection.choices - 2]
        if len(others) == collection.choices - 2:
            found.append(tuple(generator.permutation([*pair, *others]).tolist()))
    return [found[place] for place in generator.permutation(len(found))]


def _attention(collection: Collection, rater: Rater, candidates: Candidates, number: int) -> Comparison:
    """The attention check of a number, with any pictures."""
    order = np.argsort(shuffle_keys(candidates.images, rater, f"attention {number}"))
    images = candidates.images[order[: collection.choices]]
    return Comparison(tuple(images.tolist()), FIRST, number)


class _ComparisonSampler:
    """Draws comparisons for one rater: no picture twice, and no comparison the rater has made before."""

    def __init__(
        self,
        collection: Collection,
        candidates: Candidates,
        made: Iterable[tuple[int, ...]],
        buffered: set[int],
        generator: np.random.Generator,
    ) -> None:
        self._ordering = collection.ordering
        self._choices = collection.choices
        self._candidates = candidates
        self._generator = generator
        self._made = {frozenset(images) for images in made}
        self._partners: defaultdict[int, set[int]] = defaultdict(set)
        for images in self._made:
            for image in images:
                self._partners[image] |= images
        self._used = set(buffered)
        count = np.zeros(len(candidates.count)) if self._ordering == "random" else candidates.count
        self._order = np.lexsort((generator.random(len(count)), count))
        self._wanted = candidates.count < (np.inf if collection.wanted is None else collection.wanted)
        self._firsts = self._order[self._wanted[self._order]]
        self._win_rate = (candidates.total + 0.5) / (candidates.count + 1)

    def draw(self, amount: int) -> Iterable[tuple[int, ...]]:
        """Yield at most that many comparisons."""
        attempts = 0
        for first in self._firsts:
            if amount <= 0 or attempts > _ATTEMPTS:
                return
            if self._image(first) in self._used:
                continue
            images = self._with(first)
            if images is None:
                attempts += 1
                continue
            amount -= 1
            self._used.update(images)
            yield images

    def _with(self, first: int) -> tuple[int, ...] | None:
        """A comparison of a picture with others; None if the rater has made all of them."""
        image = self._image(first)
        # Among four, some pairs may have been compared before; a pair must be new.
        known = self._partners[image] if self._choices == 2 else set()
        others: list[int] = []
        for index in self._opponents(first):
            other = self._image(index)
            if other != image and other not in self._used and other not in known:
                others.append(other)
            if len(others) == self._choices - 1:
                images = self._generator.permutation([image, *others]).tolist()
                return None if frozenset(images) in self._made else tuple(images)
        return None

    def _opponents(self, first: int) -> Iterable[int]:
        """Opponents of a picture, the best first, those with enough comparisons last."""
        order = self._order
        if self._ordering == "active":
            distance = np.abs(self._win_rate - self._win_rate[first])
            nearest, near = np.argsort(distance, kind="stable"), self._choices * _NEAREST
            order = np.concatenate([self._generator.permutation(nearest[:near]), nearest[near:]])
        elif self._ordering == "random":
            order = self._generator.permutation(self._order)
        return order[np.argsort(~self._wanted[order], kind="stable")]

    def _image(self, index: int) -> int:
        return int(self._candidates.images[index])


def _due(
    collection: Collection,
    rater: Rater,
    candidates: Candidates,
    mine: Sequence[tuple[list[int], int, str]],
    buffered: set[int],
    *,
    is_finished: bool,
) -> list[tuple[int, ...]]:
    """Comparisons to show a rater again, with the pictures in reverse order."""
    if not collection.repeats:
        return []
    repeated = {frozenset(shown) for shown, turn, _ in mine if turn == REPEAT}
    showable = set(candidates.images.tolist())
    chosen = [
        tuple(reversed(shown))
        for shown, turn, kind in (mine if is_finished else mine[:-REPEAT_AFTER])
        if turn == FIRST
        and kind != SKIP
        and frozenset(shown) not in repeated
        and showable.issuperset(shown)
        and buffered.isdisjoint(shown)
    ]
    firsts = np.array([min(images) for images in chosen], np.uint64)
    return [
        images
        for images, repeat in zip(chosen, is_repeated(collection, rater, firsts), strict=True)
        if repeat
    ]
