"""The score of one image."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from nimakit.stats.histogram import FloatArray


@dataclass(frozen=True, slots=True)
class Score:
    """What a model says of one image.

    Attributes:
        mean: Mean score, on the scale of the bins.
        sd: Standard deviation of the distribution, on that scale; None from a regression head.
        histogram: (bins,) float64, sums to 1; None from a regression head, or from several models whose
            bins differ.
        percentile: Per cent of the model's reference scores below the mean, 0 to 100; None where the model
            has no reference.
        features: (D,) float32, what the model saw, all its networks in their order; None where it is unknown.
    """

    mean: float
    sd: float | None
    histogram: FloatArray | None
    percentile: float | None
    features: np.ndarray[Any, np.dtype[np.float32]] | None = None
