"""Which pictures are compared next: those compared least, or those that seem equally good."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from nimakit.web.db.tables import FIRST, REPEAT, SKIP, Choice, Collection, Rater
from nimakit.web.rating.ordering import REPEAT_AFTER, Stock, interleave, is_repeated

Indices = NDArray[np.intp]

_NEAREST = 8
"""Pictures that seem about as good as another, among which chance decides."""

_ATTEMPTS = 50


class Match(NamedTuple):
    """Pictures to be compared.

    Attributes:
        images: Their ids, as they are to stand.
        round: `FIRST` or `REPEAT`.
    """

    images: tuple[int, ...]
    round: int


class MatchHand(NamedTuple):
    """What a rater is given.

    Attributes:
        matches: Comparisons, in order.
        done: Those the rater made or skipped.
        left: How many more the collection wants, of whomever; None where it wants no number.
    """

    matches: list[Match]
    done: int
    left: int | None


def next_matches(
    session: Session, collection: Collection, rater: Rater, stock: Stock, amount: int, *, held: set[int]
) -> MatchHand:
    """What a rater compares next.

    Each comparison begins with a picture that was compared least, or, in a random order, with any. The others
    are drawn from all (random), from those compared least (fewest), or from those that won about as large a
    share of their comparisons (active): there the answer tells most.

    Args:
        session: From `Database.read`.
        collection: Its order, repeats, choices and comparisons wanted count.
        rater: Who compares.
        stock: The collection's.
        amount: How many comparisons.
        held: Pictures in comparisons the browser has already, or whose answers have not arrived yet.

    Returns:
        Up to that many comparisons; none where the rater is done.
    """
    mine = session.execute(
        select(Choice.shown, Choice.round, Choice.kind)
        .where(Choice.collection_id == collection.id, Choice.rater_id == rater.id)
        .order_by(Choice.occurred_at)
    ).all()
    made = [tuple(shown) for shown, turn, _ in mine if turn == FIRST]
    generator = np.random.default_rng([rater.id, collection.id, len(made), *sorted(held)])
    drawing = _Drawing(collection, stock, made, held, generator)
    matches = interleave(
        [Match(images, FIRST) for images in drawing.draw(amount)],
        [Match(images, REPEAT) for images in _due(collection, rater, stock, mine, held)[:amount]],
        share=collection.repeats,
        start=len(mine) + len(held),
    )
    left = None
    if collection.wanted is not None:
        missing = np.maximum(collection.wanted - stock.count, 0).sum()
        left = int(np.ceil(missing / collection.choices))
    return MatchHand(matches[:amount], len(made), left)


class _Drawing:
    """Draws comparisons for one rater, no picture twice, and none the rater has made before."""

    def __init__(
        self,
        collection: Collection,
        stock: Stock,
        made: Iterable[tuple[int, ...]],
        held: set[int],
        generator: np.random.Generator,
    ) -> None:
        self._ordering = collection.ordering
        self._choices = collection.choices
        self._stock = stock
        self._generator = generator
        self._made = {frozenset(images) for images in made}
        self._partners: defaultdict[int, set[int]] = defaultdict(set)
        for images in self._made:
            for image in images:
                self._partners[image] |= images
        self._used = set(held)
        count = np.zeros(len(stock.count)) if self._ordering == "random" else stock.count
        self._order = np.lexsort((generator.random(len(count)), count))
        self._wanted = stock.count < (np.inf if collection.wanted is None else collection.wanted)
        self._firsts = self._order[self._wanted[self._order]]
        self._share = (stock.total + 0.5) / (stock.count + 1)

    def draw(self, amount: int) -> Iterable[tuple[int, ...]]:
        """Up to that many comparisons."""
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
        """A comparison of a picture with others; None where the rater has made all there are."""
        image = self._image(first)
        # Of four, some may have met; of two, none.
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
        """Whom to compare a picture with, the best first; those that have enough come last."""
        order = self._order
        if self._ordering == "active":
            distance = np.abs(self._share - self._share[first])
            nearest, near = np.argsort(distance, kind="stable"), self._choices * _NEAREST
            order = np.concatenate([self._generator.permutation(nearest[:near]), nearest[near:]])
        elif self._ordering == "random":
            order = self._generator.permutation(self._order)
        return order[np.argsort(~self._wanted[order], kind="stable")]

    def _image(self, index: int) -> int:
        return int(self._stock.images[index])


def _due(
    collection: Collection,
    rater: Rater,
    stock: Stock,
    mine: Sequence[tuple[list[int], int, str]],
    held: set[int],
) -> list[tuple[int, ...]]:
    """Comparisons a rater may be shown again, with the pictures in another order."""
    if not collection.repeats:
        return []
    repeated = {frozenset(shown) for shown, turn, _ in mine if turn == REPEAT}
    there = set(stock.images.tolist())
    chosen = [
        tuple(reversed(shown))
        for shown, turn, kind in mine[:-REPEAT_AFTER]
        if turn == FIRST
        and kind != SKIP
        and frozenset(shown) not in repeated
        and there.issuperset(shown)
        and held.isdisjoint(shown)
    ]
    firsts = np.array([min(images) for images in chosen], np.uint64)
    return [
        images
        for images, repeat in zip(chosen, is_repeated(collection, rater, firsts), strict=True)
        if repeat
    ]
