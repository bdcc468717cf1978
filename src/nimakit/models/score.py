"""The score of one image."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nimakit.errors import ImageError, UnwritableError
from nimakit.images.measures import Measures
from nimakit.stats.histogram import FloatArray


@dataclass(frozen=True, slots=True)
class Score:
    """A model's score of one image.

    Attributes:
        mean: Mean score, on the scale of the bins.
        sd: Standard deviation of the distribution, on that scale; None from a regression head.
        histogram: (bins,) float64, sums to 1; None from a regression head, or from several models with
            different bins.
        percentile: Percentage of the model's reference scores below the mean, 0 to 100; None if the model
            has no reference.
        features: (D,) float32, features of all networks in their order; None if unknown.
        measures: Technical measures of the image; None if they were not wanted.
        interval: Lower and upper end of the interval of its mean rating; None if it was not wanted.
    """

    mean: float
    sd: float | None
    histogram: FloatArray | None
    percentile: float | None
    features: np.ndarray[Any, np.dtype[np.float32]] | None = None
    measures: Measures | None = None
    interval: tuple[float, float] | None = None


Scores = Mapping[str, Score]
"""The scores of one image by several models: name -> score."""

Record = dict[str, Any]

RECORD_KEYS = frozenset(
    (
        *("image_id", "image", "error", "mean_score_prediction", "sd_score_prediction", "mean_score_label"),
        *("percentile", "normalized_score", "predictions", "measures", "interval"),
    )
)
"""Keys of score records, which no model's name may be."""

DIGITS = 6
"""Decimals of scores in records."""


def with_measures(score: Score | Scores, measures: Measures) -> Score | Scores:
    """A score, or those of several models, with the measures of its image."""
    if isinstance(score, Score):
        return replace(score, measures=measures)
    return {name: replace(one, measures=measures) for name, one in score.items()}


def score_record(score: Score | Scores) -> Record:
    """The score of one image as plain values, rounded to six decimals.

    Returns:
        ``mean_score_prediction``, ``sd_score_prediction`` (None without a distribution), ``predictions``
        (list of floats; empty without a distribution) and, if known, ``percentile``, ``interval`` (low and
        high) and ``measures``. Of several models, the same for each, under its name, and ``measures`` once.
    """
    record: Record
    if not isinstance(score, Score):
        record = {name: score_record(one) for name, one in score.items()}
        measures = [part.pop("measures") for part in record.values() if "measures" in part]
        return record | ({"measures": measures[0]} if measures else {})
    record = {
        "mean_score_prediction": round(score.mean, DIGITS),
        "sd_score_prediction": None if score.sd is None else round(score.sd, DIGITS),
        "predictions": [] if score.histogram is None else score.histogram.round(DIGITS).tolist(),
    }
    if score.percentile is not None:
        record["percentile"] = round(score.percentile, 2)
    if score.interval is not None:
        record["interval"] = [round(end, DIGITS) for end in score.interval]
    if score.measures is not None:
        record["measures"] = score.measures.to_dict()
    return record


def error_record(error: ImageError | UnwritableError) -> Record:
    """The record's entry for an image that could not be scored."""
    return {"error": str(error)}
