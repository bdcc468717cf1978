"""The learning curve of a head: cross-validated SRCC by how many of the ratings it learns from."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from nimakit.heads import fitting
from nimakit.heads.cross_validation import assign_folds
from nimakit.labels.ratings import Ratings, to_counts
from nimakit.stats import bootstrap, histogram, learning_curve, raters
from nimakit.stats.bootstrap import Interval
from nimakit.stats.correlation import srcc
from nimakit.stats.histogram import Float32Array, FloatArray, IntArray
from nimakit.stats.learning_curve import PowerLaws

FOLDS = 5
FEWEST_PICTURES = 2 * FOLDS
"""With fewer, a fold could have a single picture."""

_PARTS = {1.0: 1, 0.5: 2, 0.25: 3, 0.125: 4}
"""Share of the ratings -> how many random parts of that size are learned from."""
_FEWEST_RATINGS = 15


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LearningCurve:
    """How well a head predicts pictures that it has not seen.

    Attributes:
        ratings: Number of ratings.
        srcc: SRCC of cross-validated predictions with the mean ratings.
        sizes: (F,) float64, numbers of ratings that were learned from, ascending; the last is `ratings`.
        values: (F,) float64, the SRCC with each.
        laws: Fitted to these; None with a single size.
    """

    ratings: int
    srcc: Interval
    sizes: FloatArray
    values: FloatArray
    laws: PowerLaws | None


def labels_of(ratings: Ratings, bins: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Labels of pictures, from single ratings.

    Args:
        ratings: Of N pictures, on the scale of the bins.
        bins: (bins,).

    Returns:
        (N, bins) float64, rows sum to 1, or are 0 for a picture without ratings; and (N,), their numbers of
        ratings.
    """
    counts = to_counts(ratings, bins)
    number = counts.sum(axis=1)
    return counts / np.maximum(number, 1)[:, None], number


def without_levels(ratings: Ratings, bins: FloatArray) -> Ratings:
    """The ratings, each without how lenient or strict its rater is, within the scale."""
    levels = raters.levels(ratings.image, ratings.user, ratings.rating)
    return replace(ratings, rating=np.clip(ratings.rating - levels[ratings.user], bins[0], bins[-1]))


def measure(features: Float32Array, ratings: Ratings, bins: FloatArray, *, seed: int = 0) -> LearningCurve:
    """Measure the learning curve of a Gaussian head by cross-validation.

    Random parts of the ratings are learned from, so the curve answers what more ratings given as these would
    add: of new pictures, where each has a few, and of the same pictures, where each has many.

    Args:
        features: (N, D) float32 of the rated pictures.
        ratings: Of these N pictures, at least `FEWEST_PICTURES`; each has one or more.
        bins: (bins,), the scale.
        seed: Seed of folds, parts and resamples.
    """
    truth = histogram.mean(labels_of(ratings, bins)[0], bins)
    corrected = without_levels(ratings, bins)
    folds = assign_folds(len(features), FOLDS, seed)
    random = np.random.default_rng(seed)
    sizes, predictions = [], []
    for size, chosen in _parts(len(ratings), random):
        part = replace(corrected, image=ratings.image[chosen], rating=corrected.rating[chosen])
        sizes.append(size)
        predictions.append(_out_of_fold(features, part, bins, folds))
    each = learning_curve.resampled_srcc(predictions, truth, seed=seed)
    different = np.unique(sizes)
    samples = np.stack([each[:, np.equal(sizes, size)].mean(axis=1) for size in different], axis=1)
    return LearningCurve(
        ratings=len(ratings),
        srcc=bootstrap.interval(srcc(predictions[0], truth) or 0.0, each[1:, 0]),
        sizes=np.array(different, np.float64),
        values=samples[0],
        laws=learning_curve.fit(different, samples) if len(different) > 1 else None,
    )


def _parts(count: int, random: np.random.Generator) -> Iterator[tuple[int, IntArray]]:
    """Yield a size, and the ratings of a random part of that size; first all of them."""
    for share, number in _PARTS.items():
        size = round(share * count)
        for _ in range(number if size >= _FEWEST_RATINGS else 0):
            yield size, np.sort(random.permutation(count)[:size])


def _out_of_fold(features: Float32Array, part: Ratings, bins: FloatArray, folds: IntArray) -> FloatArray:
    """(N,): the mean score of each picture by a head fitted to the ratings of pictures in other folds.

    It is relative to the average of what that head gives for all pictures. Otherwise a fold of good pictures,
    without which the others are worse on average, would get low scores: of a few pictures that a head cannot
    tell apart, the SRCC would be far below 0.
    """
    labels, counts = labels_of(part, bins)
    rated = counts > 0
    variances = None
    means = np.empty(len(features))
    for fold in range(FOLDS):
        own, others = folds == fold, np.flatnonzero(rated & (folds != fold))
        if not len(others):
            means[own] = 0.0
            continue
        # The other folds' variances are as good as this one's own, which take most of the time.
        head = fitting.fit(
            [features[None, others]], labels[others], bins, counts=counts[others], variances=variances
        ).fitted
        variances = head.variances
        scores = histogram.mean(histogram.softmax(head.head([features])), bins)
        means[own] = scores[own] - scores.mean()
    return means
