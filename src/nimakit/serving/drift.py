"""Drift: how far a model's latest scores are from those of its reference."""

import threading
from collections import deque
from collections.abc import Iterable

from nimakit.stats.histogram import FloatArray, kolmogorov_smirnov

WINDOW = 1000
"""Latest scores that are compared."""

FEWEST = 100
"""Scores below which there is no distance: by chance, that of 100 exceeds 0.16 in one case of a hundred."""


class Drift:
    """The latest scores of a model, which threads may add to.

    Args:
        reference_quantiles: (count,), those of the model.
    """

    def __init__(self, reference_quantiles: FloatArray) -> None:
        self._reference = reference_quantiles
        self._latest: deque[float] = deque(maxlen=WINDOW)
        self._lock = threading.Lock()

    def add(self, scores: Iterable[float]) -> None:
        """Add mean scores; of all, the last `WINDOW` are kept."""
        with self._lock:
            self._latest.extend(scores)

    def distance(self) -> float:
        """The Kolmogorov-Smirnov distance of the latest scores, 0 to 1; NaN of fewer than `FEWEST`."""
        with self._lock:
            latest = list(self._latest)
        return kolmogorov_smirnov(latest, self._reference) if len(latest) >= FEWEST else float("nan")
