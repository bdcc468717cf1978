"""What an image costs a candidate: the time of each step, on one core."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nimakit.errors import ImageError
from nimakit.images.formats import FORMATS
from nimakit.images.photo import Preprocessing
from nimakit.models.preparation import Preparation, Views

IMAGES = 6
"""Images that are timed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """Seconds that one view of an image takes on one core.

    Attributes:
        preparation: To decode and resize it.
        features: To run the network up to its features; of a model file, to run all of it.
        head: To run the head on the features; None if it is part of the network.
    """

    preparation: float
    features: float
    head: float | None

    @property
    def total(self) -> float:
        """Seconds for an image."""
        return self.preparation + self.features + (self.head or 0.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Steps:
    """How a candidate predicts.

    Attributes:
        preprocessings: How it prepares an image.
        features: Takes the prepared image, (1, height, width, 3) uint8 for each preprocessing.
        head: Takes what `features` returns; None if the network includes it.
    """

    preprocessings: tuple[Preprocessing, ...]
    features: Callable[[Views], Any]
    head: Callable[[Any], object] | None = None


def measure(candidates: Sequence[Steps], paths: Sequence[Path], *, max_pixels: int) -> list[Cost | None]:
    """Time candidates in turn on the same images, so that a busy moment slows all of them.

    Args:
        candidates: How they predict.
        paths: Images, of which up to `IMAGES` are timed.
        max_pixels: Largest width times height of an image.

    Returns:
        For each candidate the median of each step; None if none of the images can be decoded.
    """
    chosen = [paths[place] for place in np.linspace(0, len(paths) - 1, min(IMAGES, len(paths))).astype(int)]
    times: list[list[tuple[float, ...]]] = [[] for _ in candidates]
    for path in [chosen[0], *chosen]:  # the first run of a network takes longer
        for steps, rows in zip(candidates, times, strict=True):
            row = _once(steps, path, max_pixels)
            if row:
                rows.append(row)
    return [_median(rows[1:] or rows, steps) for steps, rows in zip(candidates, times, strict=True)]


def _once(steps: Steps, path: Path, max_pixels: int) -> tuple[float, ...]:
    """Seconds of each step; empty if the image cannot be decoded."""
    preparation = Preparation(
        preprocessings=steps.preprocessings, tta="none", max_pixels=max_pixels, formats=FORMATS
    )
    start = time.perf_counter()
    prepared = preparation.make(path)
    if isinstance(prepared, ImageError):
        return ()
    decoded = time.perf_counter()
    features = steps.features(prepared.views)
    encoded = time.perf_counter()
    if steps.head:
        steps.head(features)
    return decoded - start, encoded - decoded, time.perf_counter() - encoded


def _median(rows: Sequence[tuple[float, ...]], steps: Steps) -> Cost | None:
    if not rows:
        return None
    preparation, features, head = np.median(np.array(rows), axis=0).tolist()
    return Cost(preparation=preparation, features=features, head=head if steps.head else None)
