"""Images on which candidates disagree, and those on which all of them err."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nimakit.stats.correlation import mean_ranks
from nimakit.stats.histogram import FloatArray

_LEAST = 0.1
"""Least distance of places that is worth showing."""


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """Places of N images among all, 0 for the lowest and 1 for the highest score.

    Unlike scores, places of candidates that use different parts of the scale can be compared.

    Attributes:
        people: (N,), by mean ratings.
        candidates: (C, N), by each candidate's predictions.
    """

    people: FloatArray
    candidates: FloatArray

    @classmethod
    def of(cls, truth: FloatArray, means: Sequence[FloatArray]) -> "Places":
        """The places by (N,) mean ratings, and by C arrays (N,) of predictions."""
        return cls(_places(truth), np.stack([_places(each) for each in means]))

    def disputed(self, most: int) -> list[int]:
        """Images whose places by two candidates are furthest apart, that one first."""
        return _first(np.ptp(self.candidates, axis=0), most)

    def too_high(self, most: int) -> list[int]:
        """Images that all candidates place above where people do, ordered by the nearest of them."""
        return _first((self.candidates - self.people).min(axis=0), most)

    def too_low(self, most: int) -> list[int]:
        """Images that all candidates place below where people do, as `too_high`."""
        return _first((self.people - self.candidates).min(axis=0), most)


def _places(values: FloatArray) -> FloatArray:
    return np.asarray((mean_ranks(values) - 1) / max(len(values) - 1, 1))


def _first(distances: FloatArray, most: int) -> list[int]:
    """Rows of the largest distances that are worth showing."""
    rows = np.argsort(-distances, kind="stable")[:most]
    found: list[int] = rows[distances[rows] >= _LEAST].tolist()
    return found
