"""Calibration: what people's ratings are where a model predicts a score."""

from dataclasses import dataclass

import numpy as np

from nimakit.stats.histogram import FloatArray

BINS = 10
_LEAST_IN_BIN = 5
_CLEAR = 1.96


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Calibration:
    """Predictions in K bins of nearly as many images.

    Attributes:
        predicted: (K,) float64, mean prediction of each bin, ascending.
        real: (K,) float64, mean of the mean ratings of its images.
        error: (K,) float64, half of the 95 % interval of that mean; NaN for a bin of one image.
        slope: By how much mean ratings rise where predictions rise by 1: above 1, the model plays safe;
            None if all predictions are equal.
        offset: By how much predictions are above the mean ratings, on average.
    """

    predicted: FloatArray
    real: FloatArray
    error: FloatArray
    slope: float | None
    offset: float


def calibrate(predicted: FloatArray, real: FloatArray) -> Calibration:
    """Compare predictions with mean ratings.

    Args:
        predicted: (N,) float64.
        real: (N,) float64, on the same scale.
    """
    order = np.argsort(predicted, kind="stable")
    parts = np.array_split(order, max(1, min(BINS, len(order) // _LEAST_IN_BIN)))
    errors = [
        _CLEAR * real[part].std(ddof=1) / np.sqrt(len(part)) if len(part) > 1 else np.nan for part in parts
    ]
    variance = float(predicted.var())
    return Calibration(
        predicted=np.array([predicted[part].mean() for part in parts]),
        real=np.array([real[part].mean() for part in parts]),
        error=np.array(errors),
        slope=float(np.cov(predicted, real, bias=True)[0, 1]) / variance if variance else None,
        offset=float((predicted - real).mean()),
    )
