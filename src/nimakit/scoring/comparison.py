"""Several predictions of the same ratings, side by side: figures with intervals, and a ceiling."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from nimakit.scoring.cost import Cost
from nimakit.stats import agreement, bootstrap, histogram
from nimakit.stats.bootstrap import Interval
from nimakit.stats.correlation import lcc, srcc
from nimakit.stats.histogram import FloatArray, IntArray

FIGURES = ("srcc", "lcc", "mae", "emd", "pairs")
"""Figures: SRCC, LCC and MAE of the means, EMD (r=1) of the distributions, share of pairs in order."""

_MOST_FOR_PAIRS = 2_000
_CLEAR = 1.96
"""Standard errors by which two mean ratings must differ for people to agree which is better."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Predictions:
    """What one candidate predicts for N images.

    Attributes:
        name: Name of the model or config.
        means: (N,) float64, on the scale of the labels.
        histograms: (N, bins) float64, rows sum to 1; None if it predicts none on the labels' bins.
        cost: What an image costs; None if not measured.
    """

    name: str
    means: FloatArray
    histograms: FloatArray | None = None
    cost: Cost | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """Figures of one candidate.

    Attributes:
        name: Its name.
        figures: Name of each of `FIGURES` -> the figure and its interval.
        differences: The same, of its difference to `Comparison.reference`.
        folds: SRCC within each fold; NaN where it is not defined, empty without folds.
        cost: What an image costs; None if not measured.
    """

    name: str
    figures: dict[str, Interval]
    differences: dict[str, Interval]
    folds: tuple[float, ...]
    cost: Cost | None

    @property
    def median(self) -> float | None:
        """Median of the folds in which it is defined; None if there are none."""
        known = [value for value in self.folds if not np.isnan(value)]
        return float(np.median(known)) if known else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Candidates on the same images.

    Attributes:
        images: Number of images.
        rows: A row for each candidate, in the order given.
        best: Name of the one with the highest SRCC.
        reference: Name of the one that differences are to.
        ceiling: LCC that a perfect model would have with these mean ratings; None if unknown.
        agreed_pairs: Number of pairs of images on which people agree.
    """

    images: int
    rows: tuple[Row, ...]
    best: str
    reference: str
    ceiling: float | None
    agreed_pairs: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; null for a figure that is not defined."""
        values = asdict(self)
        for row in values["rows"]:
            for part in ("figures", "differences"):
                row[part] = {
                    name: {key: None if np.isnan(number) else number for key, number in found.items()}
                    for name, found in row[part].items()
                }
            row["folds"] = [None if np.isnan(number) else number for number in row["folds"]]
        return values


def compare(
    candidates: Sequence[Predictions],
    labels: FloatArray,
    bins: FloatArray,
    *,
    counts: FloatArray | None = None,
    groups: IntArray | None = None,
    folds: IntArray | None = None,
    reference: int | None = None,
    resamples: int = bootstrap.RESAMPLES,
    seed: int = 0,
) -> Comparison:
    """Compare candidates by their agreement with people's ratings.

    All figures are computed on the same resamples of the images, so that a difference between two candidates
    has an interval of its own, which is narrower than theirs suggest.

    Args:
        candidates: At least one.
        labels: (N, bins), rows sum to 1; N at least 2.
        bins: (bins,), their values.
        counts: (N,), numbers of ratings; None if unknown: then all pairs of different means count, and the
            ceiling is unknown.
        groups: (N,), groups of images that are not independent; None if there are none.
        folds: (N,) from 0, the fold of each image; None if there are none.
        reference: Index of the candidate that differences are to; None for the best one by SRCC.
        resamples: Number of resamples.
        seed: Seed of the resamples.
    """
    truth = histogram.mean(labels, bins)
    pairs = _Pairs.of(labels, bins, truth, counts, seed)
    orders = [pairs.right(candidate.means) for candidate in candidates]
    emds = [None if c.histograms is None else histogram.emd(labels, c.histograms, r=1) for c in candidates]

    def figures(rows: IntArray) -> FloatArray:
        weights = np.bincount(rows, minlength=len(labels))[pairs.rows].astype(np.float64)
        values = []
        for candidate, right, emd in zip(candidates, orders, emds, strict=True):
            means = candidate.means[rows]
            values += [
                _or_nan(srcc(means, truth[rows])),
                _or_nan(lcc(means, truth[rows])),
                float(np.abs(means - truth[rows]).mean()),
                np.nan if emd is None else float(emd[rows].mean()),
                pairs.share(right, weights),
            ]
        return np.array(values)

    found = figures(np.arange(len(labels))).reshape(len(candidates), -1)
    samples = bootstrap.resampled(figures, len(labels), groups=groups, resamples=resamples, seed=seed)
    samples = samples.reshape(resamples, len(candidates), -1)
    best = int(np.nanargmax(found[:, 0])) if np.isfinite(found[:, 0]).any() else 0
    other = best if reference is None else reference
    rows = [
        Row(
            name=candidate.name,
            figures=_intervals(found[number], samples[:, number]),
            differences=_intervals(found[number] - found[other], samples[:, number] - samples[:, other]),
            folds=_of_folds(candidate.means, truth, folds),
            cost=candidate.cost,
        )
        for number, candidate in enumerate(candidates)
    ]
    return Comparison(
        images=len(labels),
        rows=tuple(rows),
        best=candidates[best].name,
        reference=candidates[other].name,
        ceiling=None if counts is None else ceiling(reliability(labels, bins, counts)),
        agreed_pairs=pairs.count,
    )


def _intervals(values: FloatArray, samples: FloatArray) -> dict[str, Interval]:
    """Each of `FIGURES` with its interval, from (figures,) values and (resamples, figures) samples."""
    return {
        name: bootstrap.interval(value, sample)
        for name, value, sample in zip(FIGURES, values.tolist(), samples.T, strict=True)
    }


def _of_folds(means: FloatArray, truth: FloatArray, folds: IntArray | None) -> tuple[float, ...]:
    if folds is None:
        return ()
    places = [np.flatnonzero(folds == fold) for fold in range(int(folds.max()) + 1)]
    return tuple(_or_nan(srcc(means[own], truth[own])) for own in places)


def ceiling(people: agreement.Icc | None) -> float | None:
    """LCC of a perfect model with mean ratings that chance has moved: the square root of their reliability.

    Spearman, "The Proof and Measurement of Association between Two Things", 1904. The reliability is the
    intraclass correlation of the mean ratings, the expectation of what halves of the raters give.

    Args:
        people: How far people agree, by `reliability` or `nimakit.stats.agreement.icc_of_means`.

    Returns:
        0 to 1; None if it is not defined, as with one rating for each image.
    """
    if people is None or people.average is None:
        return None
    return float(np.sqrt(min(max(people.average, 0.0), 1.0)))


def reliability(labels: FloatArray, bins: FloatArray, counts: FloatArray) -> agreement.Icc | None:
    """How far people agree on N images, by labels only: without knowing who gave which rating.

    Args:
        labels: (N, bins), rows sum to 1.
        bins: (bins,), their values.
        counts: (N,), numbers of ratings.
    """
    image, place = np.nonzero(labels)
    weight = (labels * counts[:, None])[image, place]
    return agreement.one_way_icc(agreement.moments(image, bins[place], weight))


@dataclass(frozen=True, slots=True, eq=False)
class _Pairs:
    """Pairs of images on which people agree.

    Attributes:
        rows: (M,) int, the images among which pairs are made: all, or 2,000 random ones.
        better: (M, M) bool: whether people agree that the first is better.
    """

    rows: IntArray
    better: FloatArray

    @classmethod
    def of(
        cls, labels: FloatArray, bins: FloatArray, truth: FloatArray, counts: FloatArray | None, seed: int
    ) -> "_Pairs":
        rows = np.arange(len(labels))
        if len(rows) > _MOST_FOR_PAIRS:
            rows = np.sort(np.random.default_rng(seed).choice(len(rows), _MOST_FOR_PAIRS, replace=False))
        squares = np.zeros(len(rows))
        if counts is not None:
            squares = histogram.standard_deviation(labels, bins)[rows] ** 2 / np.maximum(counts[rows] - 1, 1)
        least = _CLEAR * np.sqrt(squares[:, None] + squares)
        gaps = truth[rows][:, None] - truth[rows]
        return cls(rows, ((gaps > least) & (gaps > 0)).astype(np.float64))

    @property
    def count(self) -> int:
        return int(self.better.sum())

    def right(self, means: FloatArray) -> FloatArray:
        """(M, M): 1 for a pair that predictions order as people do, a half for a tie."""
        own = means[self.rows]
        return np.asarray(self.better * (1 + np.sign(own[:, None] - own)) / 2)

    def share(self, right: FloatArray, weights: FloatArray) -> float:
        """Share of pairs in order, if each image counts as often as its weight."""
        total = float(weights @ self.better @ weights)
        return float(weights @ right @ weights) / total if total else np.nan


def _or_nan(value: float | None) -> float:
    return np.nan if value is None else value
