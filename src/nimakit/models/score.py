"""The score of one image."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from nimakit.errors import ImageError, UnwritableError
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


Record = dict[str, Any]


_DIGITS = 6


def score_record(score: Score) -> Record:
    """The scores of one image as plain values, rounded to six decimals.

    Returns:
        ``mean_score_prediction``, ``sd_score_prediction`` (None without a distribution), ``predictions``
        (list of floats; empty without a distribution), and ``percentile`` where there is one.
    """
    record: Record = {
        "mean_score_prediction": round(score.mean, _DIGITS),
        "sd_score_prediction": None if score.sd is None else round(score.sd, _DIGITS),
        "predictions": [] if score.histogram is None else score.histogram.round(_DIGITS).tolist(),
    }
    if score.percentile is not None:
        record["percentile"] = round(score.percentile, 2)
    return record


def error_record(error: ImageError | UnwritableError) -> Record:
    """What stands in place of the scores of an image that has none."""
    return {"error": str(error)}
