"""Likeness of photographs: pairs that are alike, without comparing all with all in memory."""

from collections.abc import Iterator

import numpy as np

from nimakit.stats.histogram import Float32Array

_ROWS = 512
"""Rows of the table of likeness that are in memory at once."""


def unit_features(features: Float32Array) -> Float32Array:
    """(N, D) float32, centred on the mean of the shoot and of length 1; 0 for features equal to the mean.

    Args:
        features: (N, D).
    """
    length = np.linalg.norm(features, axis=1, keepdims=True)
    return np.asarray(features / np.maximum(length, 1e-12), np.float32)


def alike_pairs(units: Float32Array, lowest: float, most: int) -> Iterator[tuple[int, int, float]]:
    """Pairs of photographs that are alike: for each the most similar among those that follow it.

    Args:
        units: (N, D) from `unit_features`.
        lowest: Lowest cosine.
        most: Most pairs for each photograph.

    Yields:
        The index of a photograph, that of a later one, and their cosine.
    """
    for start in range(0, len(units), _ROWS):
        block = units[start : start + _ROWS]
        cosines = block @ units[start:].T
        for row, line in enumerate(cosines):
            later = np.flatnonzero(line[row + 1 :] >= lowest) + row + 1
            if len(later) > most:
                later = later[np.argpartition(-line[later], most)[:most]]
            for other in later.tolist():
                yield start + row, start + other, float(line[other])
