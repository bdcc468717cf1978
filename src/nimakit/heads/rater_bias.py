"""Labels without the raters' biases: how lenient or strict each rater is, estimated from single ratings."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nimakit.errors import LabelError
from nimakit.io.tables import BadRows
from nimakit.labels.ratings import Ratings, read_ratings
from nimakit.stats import agreement, histogram, raters
from nimakit.stats.histogram import FloatArray

_SPLITS = 20


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Corrected:
    """Labels of N images, corrected for who rated them.

    Attributes:
        histograms: (N, bins) float64, rows sum to 1.
        counts: (N,) float64, numbers of ratings; NaN for an image without single ratings, whose label is as
            it was.
        raters: Number of raters.
        spread: Standard deviation of the raters' levels, in points of the scale.
        largest: Largest change of a mean rating, in points of the scale.
        before: Split-half reliability of the mean ratings as they are; None if it is not defined.
        after: The same after the correction.
    """

    histograms: FloatArray
    counts: FloatArray
    raters: int
    spread: float
    largest: float
    before: float | None
    after: float | None

    def __str__(self) -> str:
        def shown(reliability: float | None) -> str:
            return "undefined" if reliability is None else f"{reliability:.3f}"

        return (
            f"levels of {self.raters} raters removed (standard deviation {self.spread:.2f}): mean ratings"
            f" change by up to {self.largest:.2f}, their split-half reliability from {shown(self.before)} to"
            f" {shown(self.after)}"
        )


def read_single_ratings(file: Path, bins: FloatArray) -> Ratings:
    """Read the table of single ratings of a head's job.

    Args:
        file: .csv, .tsv or .jsonl with the columns image_id, user_id and rating.
        bins: (bins,), of the labels; a rating outside them is an error.

    Raises:
        LabelError: It cannot be read, has bad rows, or no raters.
    """
    rows = BadRows(remedy="Correct them, or leave out ratings_file.")
    ratings = read_ratings(file, bins=bins, first_only=True, rows=rows)
    if ratings.anonymous:
        raise LabelError(
            f"ratings_file must have the column user_id, by which the raters are told apart. Received: {file}"
        )
    return ratings


def remove(image_ids: Sequence[str], histograms: FloatArray, bins: FloatArray, ratings: Ratings) -> Corrected:
    """Correct labels for the levels of the raters who happened to rate each image.

    The mean of a label moves by the average level of its raters; the shape of its distribution stays as near
    as that allows (`nimakit.stats.histogram.tilt`).

    Args:
        image_ids: N names.
        histograms: (N, bins), rows sum to 1.
        bins: (bins,), their values.
        ratings: Single ratings of some or all of these images, or of others, on the scale of the bins.
    """
    ratings = ratings.latest()
    levels = raters.levels(ratings.image, ratings.user, ratings.rating)
    counts = np.bincount(ratings.image, minlength=len(ratings.image_ids))
    shifts = np.bincount(ratings.image, levels[ratings.user]) / counts
    place = {name: number for number, name in enumerate(ratings.image_ids)}
    rows = np.array([place.get(name, -1) for name in image_ids])
    shift = np.where(rows >= 0, shifts[rows], 0.0)
    means = histogram.mean(histograms, bins)
    lowest = np.where(histograms > 0, bins, np.inf).min(axis=1)
    highest = np.where(histograms > 0, bins, -np.inf).max(axis=1)
    moved = np.clip(means - shift, lowest, highest)
    halves = [
        agreement.split_half(ratings.image, ratings.user, values, splits=_SPLITS)
        for values in (ratings.rating, ratings.rating - levels[ratings.user])
    ]
    before, after = (half.reliability if half else None for half in halves)
    return Corrected(
        histograms=np.where(shift[:, None] == 0, histograms, histogram.tilt(histograms, moved, bins)),
        counts=np.where(rows >= 0, counts[rows], np.nan).astype(np.float64),
        raters=len(ratings.user_ids),
        spread=float(levels.std()),
        largest=float(np.abs(moved - means).max()),
        before=before,
        after=after,
    )
