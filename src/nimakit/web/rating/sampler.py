"""Puts together the pictures that a rater compares next: at random, balanced, or by expected information."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nimakit.stats.best_worst import Balance, informative_set
from nimakit.stats.histogram import FloatArray, IntArray
from nimakit.web.db.tables import Collection
from nimakit.web.rating.compared import Compared

_POOL = 128
"""Pictures that sets are drawn from. With 256, information takes four times as long and tells no more."""
_ENOUGH = 2.0
"""Differences known per picture from which on expected information says more than balance (docs/data.md)."""
_ATTEMPTS = 50
_RANDOM_ATTEMPTS = 3

_Rule = Callable[[int, IntArray], IntArray]
"""Chooses a set from its first picture and those that may join it, all as places in the pool."""


class Sampler:
    """Draws comparisons for one rater: no picture twice, and no comparison the rater has made before.

    Each set starts with a picture that needs comparisons, and the others are

    - random: any pictures;
    - balanced: those compared least, of these first those that no chain of comparisons links with the set,
      and of these those that were in a set with it least often (`nimakit.stats.best_worst.Balance`);
    - informative: those whose comparison is expected to tell most, as ASAP chooses (Mikhailiuk et al.,
      "Active Sampling for Pairwise Comparisons via Approximate Message Passing and Information Gain
      Maximization", ICPR 2020; `nimakit.stats.best_worst.informative_set`).

    Args:
        collection: The collection, with its order, and the number of pictures of each set.
        compared: What was compared, among the pictures that can be shown.
        made: The sets this rater has compared.
        buffered: Pictures that must not occur.
        reserved: (N,) float64, number of other raters who have reserved each candidate.
        generator: The source of chance.
    """

    def __init__(
        self,
        collection: Collection,
        compared: Compared,
        made: Iterable[tuple[int, ...]],
        *,
        buffered: set[int],
        reserved: FloatArray,
        generator: np.random.Generator,
    ) -> None:
        self._size, self._compared, self._generator = collection.choices, compared, generator
        self._made = {frozenset(images) for images in made}
        self._partners: defaultdict[int, set[int]] = defaultdict(set)
        if self._size == 2:  # a pair must be new; of more pictures, some may have been compared before
            for images in self._made:
                for image in images:
                    self._partners[image] |= images
        candidates = compared.candidates
        self._rule, need = self._choose_rule(collection, candidates.count, reserved)
        is_wanted = candidates.count < (np.inf if collection.wanted is None else collection.wanted)
        is_used = np.isin(candidates.images, np.array([*buffered], np.uint64))
        order = np.lexsort((-need, ~is_wanted, is_used))[: min(_POOL, int((~is_used).sum()))]
        self._places, self._images = order, candidates.images[order].astype(np.int64)
        self._is_wanted, self._count = is_wanted[order], (candidates.count + reserved)[order]

    def draw(self, amount: int) -> Iterable[tuple[int, ...]]:
        """Yield at most that many comparisons."""
        is_free, attempts = np.ones(len(self._images), np.bool_), 0
        for first in np.flatnonzero(self._is_wanted).tolist():
            if amount <= 0 or attempts > _ATTEMPTS:
                return
            if not is_free[first]:
                continue
            row = self._set(first, is_free)
            if row is None:
                attempts += 1
                continue
            amount -= 1
            is_free[row] = False
            yield tuple(self._images[self._generator.permutation(row)].tolist())

    def _choose_rule(
        self, collection: Collection, count: FloatArray, reserved: FloatArray
    ) -> tuple[_Rule, FloatArray]:
        """How sets are put together, and (N,) how much each candidate needs comparisons."""
        noise = self._generator.random(len(count))
        if collection.ordering == "active" and self._compared.differences >= _ENOUGH:
            # A weighted draw, the less certain the likelier (Efraimidis and Spirakis, "Weighted Random
            # Sampling with a Reservoir", 2006), so that raters at the same time get different sets.
            return self._informative, np.log(noise) * self._compared.information * (1 + reserved)
        if collection.ordering == "random" and collection.experiment == "preference":
            return self._random, noise
        return self._balanced, noise - count - reserved

    def _set(self, first: int, is_free: NDArray[np.bool_]) -> IntArray | None:
        """A set that starts with a picture; None if there is none, or the rater has made those tried."""
        may_join = is_free & ~np.isin(self._images, [*self._partners[int(self._images[first])]])
        may_join[first] = True
        wanted, others = (np.flatnonzero(may_join & which) for which in (self._is_wanted, ~self._is_wanted))
        missing = self._size - len(wanted)
        if missing > len(others):
            return None
        for rule in (self._rule, *[self._random] * _RANDOM_ATTEMPTS):
            if missing > 0:  # pictures with enough comparisons complete the set
                row = np.append(wanted, self._generator.choice(others, missing, replace=False))
            else:
                row = rule(first, wanted)
            if frozenset(self._images[row].tolist()) not in self._made:
                return row
        return None

    def _random(self, first: int, others: IntArray) -> IntArray:
        rest = others[others != first]
        return np.append(first, self._generator.choice(rest, self._size - 1, replace=False))

    def _balanced(self, first: int, others: IntArray) -> IntArray:
        row = self._balance.join(first, others, size=self._size, generator=self._generator)
        self._balance.add(row)
        return row

    def _informative(self, first: int, others: IntArray) -> IntArray:
        score = self._compared.score[self._places]
        return informative_set(
            score, self._covariance, first, others, size=self._size, generator=self._generator
        )

    @cached_property
    def _balance(self) -> Balance:
        return self._compared.balance(self._places, self._count)

    @cached_property
    def _covariance(self) -> FloatArray:
        return self._compared.covariance(self._places)
