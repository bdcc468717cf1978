"""Pictures that browsers hold: soon rated, most likely, and better not given to others as well."""

import time
from collections import defaultdict
from collections.abc import Collection as Group

import numpy as np
from numpy.typing import NDArray

_SECONDS_HELD = 300.0
"""After which whoever was given pictures and asked for no more has left."""


class Handed:
    """What each rater was given last and has not rated yet, as far as this process gave it."""

    def __init__(self) -> None:
        self._given: defaultdict[int, dict[int, tuple[float, Group[int]]]] = defaultdict(dict)

    def note(self, collection_id: int, rater_id: int, images: Group[int]) -> None:
        """A rater's browsers hold these pictures now, and no others."""
        self._given[collection_id][rater_id] = time.monotonic(), images

    def by_others(self, collection_id: int, rater_id: int, images: NDArray[np.uint64]) -> NDArray[np.float64]:
        """How many other raters hold each picture.

        Args:
            collection_id: Whose pictures.
            rater_id: Who asks.
            images: (N,) uint64, ids, ascending.

        Returns:
            (N,) float64.
        """
        given, oldest = self._given[collection_id], time.monotonic() - _SECONDS_HELD
        others: list[int] = []
        for rater, (at, held) in list(given.items()):
            if at < oldest:
                given.pop(rater, None)
            elif rater != rater_id:
                others.extend(held)
        counts = np.zeros(len(images))
        if others:
            held_most, times = np.unique(np.array(others, np.uint64), return_counts=True)
            counts[np.isin(images, held_most)] = times[np.isin(held_most, images)]
        return counts
