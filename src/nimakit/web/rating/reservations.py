"""Reservations: pictures served to a rater and not yet rated, so that others are shown different ones."""

import time
from collections import defaultdict
from collections.abc import Collection as Group

import numpy as np
from numpy.typing import NDArray

_SECONDS_RESERVED = 300.0
"""A rater whose browser has asked for nothing for this long has left."""


class Reservations:
    """The latest pictures served to each rater, for the requests this process answered."""

    def __init__(self) -> None:
        self._reserved: defaultdict[int, dict[int, tuple[float, Group[int]]]] = defaultdict(dict)

    def reserve(self, collection_id: int, rater_id: int, images: Group[int]) -> None:
        """Replace a rater's reservations by these pictures."""
        self._reserved[collection_id][rater_id] = time.monotonic(), images

    def by_others(self, collection_id: int, rater_id: int, images: NDArray[np.uint64]) -> NDArray[np.float64]:
        """Count the other raters who have reserved each picture.

        Args:
            collection_id: The collection.
            rater_id: The rater to leave out.
            images: (N,) uint64, ascending picture ids.

        Returns:
            (N,) float64.
        """
        raters, oldest = self._reserved[collection_id], time.monotonic() - _SECONDS_RESERVED
        others: list[int] = []
        for rater, (at, reserved) in list(raters.items()):
            if at < oldest:
                raters.pop(rater, None)
            elif rater != rater_id:
                others.extend(reserved)
        found = np.array(others, np.uint64)
        places = np.searchsorted(images, found[np.isin(found, images)])
        return np.bincount(places, minlength=len(images)).astype(np.float64)
