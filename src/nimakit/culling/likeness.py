"""Likeness of photographs: the pairs that are alike, without a table of all pairs in memory."""

from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from nimakit.stats.histogram import Float32Array

_ROWS = 512
"""Rows of the table of likeness that are in memory at once."""


def unit_features(features: Float32Array) -> Float32Array:
    """Vectors whose products are likenesses.

    The square roots of pooled features tell photographs apart better than the features themselves, in which
    few large values decide (Arandjelović and Zisserman 2012, Three things everyone should know to improve
    object retrieval).

    Args:
        features: (N, D).

    Returns:
        (N, D) float32 of length 1, or 0 for features of 0.
    """
    roots = np.sign(features) * np.sqrt(np.abs(features))
    lengths = np.linalg.norm(roots, axis=1, keepdims=True)
    return np.asarray(roots / np.maximum(lengths, np.finfo(np.float32).tiny), np.float32)


def alike_pairs(units: Float32Array, lowest: float, most: int) -> Iterator[tuple[int, int, float]]:
    """Pairs of photographs that are alike: for each the most similar of those that follow it.

    All are compared, a block at a time: 10,000 take seconds, and an approximate index could miss some.

    Args:
        units: (N, D) from `unit_features`.
        lowest: Lowest likeness.
        most: Most pairs for each photograph.

    Yields:
        The index of a photograph, that of a later one, and their likeness.
    """
    for start in range(0, len(units), _ROWS):
        likenesses = units[start : start + _ROWS] @ units[start:].T
        for row, line in enumerate(likenesses):
            later = np.flatnonzero(line[row + 1 :] >= lowest) + row + 1
            if len(later) > most:
                later = later[np.argpartition(-line[later], most)[:most]]
            for other in later.tolist():
                yield start + row, start + other, float(line[other])


class Sets:
    """Sets of N elements, which are joined; at first each element is one."""

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))

    def find(self, element: int) -> int:
        """The lowest element of the element's set."""
        while self._parent[element] != element:
            self._parent[element] = self._parent[self._parent[element]]
            element = self._parent[element]
        return element

    def join(self, first: int, second: int) -> None:
        """Join the sets of two elements."""
        low, high = sorted((self.find(first), self.find(second)))
        self._parent[high] = low

    def listed(self) -> list[list[int]]:
        """The sets, each ascending, in the order of their lowest elements."""
        members = defaultdict(list)
        for element in range(len(self._parent)):
            members[self.find(element)].append(element)
        return list(members.values())
