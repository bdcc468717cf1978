"""Candidates compared on the images that all of them predict."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nimakit.errors import UsageError
from nimakit.scoring.candidates import LabelledImages, Outcome, Settings
from nimakit.scoring.comparison import Comparison, Predictions, compare
from nimakit.scoring.cost import measure
from nimakit.stats.histogram import IntArray

_AVERAGE = "all averaged"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Compared:
    """A comparison, and what was compared.

    Attributes:
        comparison: The figures.
        predictions: Those of the candidates, in the same order.
        images: What they predict.
    """

    comparison: Comparison
    predictions: tuple[Predictions, ...]
    images: LabelledImages


def compare_outcomes(
    images: LabelledImages,
    outcomes: Sequence[Outcome],
    settings: Settings,
    *,
    groups: IntArray | None = None,
    with_average: bool = False,
    seed: int = 0,
) -> Compared:
    """Compare candidates, and time them on a few of the images.

    Args:
        images: N images.
        outcomes: Of each candidate, at least one.
        settings: How they predicted.
        groups: (N,), groups of images that are not independent; None if there are none.
        with_average: Whether the average of all candidates is a further one.
        seed: Seed of the intervals.

    Raises:
        UsageError: Fewer than two images are predicted by all candidates.
    """
    found, rows = _common(outcomes)
    common = images.only(rows)
    found = _timed(found, outcomes, common.paths, max_pixels=settings.max_pixels)
    if with_average and len(found) > 1:
        found.append(_average(found))
    figures = compare(
        found,
        common.labels,
        common.bins,
        counts=common.counts,
        groups=None if groups is None else groups[rows],
        folds=settings.folds[rows],
        seed=seed,
    )
    return Compared(comparison=figures, predictions=tuple(found), images=common)


def _common(outcomes: Sequence[Outcome]) -> tuple[list[Predictions], IntArray]:
    """Predictions for the images that all candidates predict, and the rows of these images.

    Raises:
        UsageError: They are fewer than two.
    """
    means = np.stack([outcome.predictions.means for outcome in outcomes])
    rows = np.flatnonzero(np.isfinite(means).all(axis=0))
    if len(rows) < 2:
        raise UsageError(f"All candidates must predict at least two images. Received: {len(rows)} of all")
    kept = [
        replace(
            found,
            means=found.means[rows],
            histograms=None if found.histograms is None else found.histograms[rows],
        )
        for found in (outcome.predictions for outcome in outcomes)
    ]
    return kept, rows


def _timed(
    found: Sequence[Predictions], outcomes: Sequence[Outcome], paths: Sequence[Path], *, max_pixels: int
) -> list[Predictions]:
    """Predictions with what an image costs, measured on a few of the images."""
    costs = measure([outcome.steps for outcome in outcomes], paths, max_pixels=max_pixels)
    return [replace(each, cost=cost) for each, cost in zip(found, costs, strict=True)]


def _average(candidates: Sequence[Predictions]) -> Predictions:
    """What an ensemble of all predicts: the mean of their histograms, or else of their means."""
    rows = [found.histograms for found in candidates if found.histograms is not None]
    return Predictions(
        name=_AVERAGE,
        means=np.mean([found.means for found in candidates], axis=0),
        histograms=np.mean(rows, axis=0) if len(rows) == len(candidates) else None,
    )
