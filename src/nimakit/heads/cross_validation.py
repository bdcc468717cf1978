"""Cross-validation of heads: each image is predicted by a head fitted without its fold."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nimakit.config import HeadConfig
from nimakit.errors import UsageError
from nimakit.heads import fitting
from nimakit.stats import histogram
from nimakit.stats.head import GaussianHead, LinearHead
from nimakit.stats.histogram import Float32Array, FloatArray, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class OutOfFold:
    """Predictions for N images by heads that did not learn from them.

    Attributes:
        means: (N,) float64, mean scores.
        histograms: (N, bins) float64, rows sum to 1; None for a regression head.
        head: One of the heads.
    """

    means: FloatArray
    histograms: FloatArray | None
    head: LinearHead | GaussianHead


def assign_folds(count: int, folds: int, seed: int, groups: IntArray | None = None) -> IntArray:
    """Divide images into folds of nearly equal size, at random.

    Args:
        count: N, the number of images.
        folds: Number of folds, at least 2.
        seed: Seed of the division.
        groups: (N,), groups of images that stay together, such as near-duplicates; None if there are none.

    Returns:
        (N,) from 0 to folds - 1.

    Raises:
        UsageError: There are fewer images or groups than folds.
    """
    random = np.random.default_rng(seed)
    place = np.arange(count) if groups is None else np.unique(groups, return_inverse=True)[1]
    number = int(place.max()) + 1
    if number < folds:
        raise UsageError(f"Each fold needs an image, or a group. Received: {folds} folds for {number}")
    if groups is None:
        parts = np.array_split(random.permutation(number), folds)
        sizes = np.concatenate([np.full(len(part), fold) for fold, part in enumerate(parts)])
        found = np.empty(number, np.intp)
        found[np.concatenate(parts)] = sizes
        return found
    # The largest groups first, each into the fold that is smallest so far.
    members, filled = np.bincount(place), np.zeros(folds)
    found = np.empty(number, np.intp)
    shuffled = random.permutation(number)
    for group in shuffled[np.argsort(-members[shuffled], kind="stable")]:
        found[group] = int(np.argmin(filled))
        filled[found[group]] += members[group]
    return found[place]


def out_of_fold(
    blocks: Sequence[Float32Array],
    labels: FloatArray,
    bins: FloatArray,
    *,
    folds: IntArray,
    config: HeadConfig,
    counts: FloatArray | None = None,
    views: int = 1,
    only: Sequence[int] | None = None,
) -> OutOfFold:
    """Predict each image by a head fitted to the images of all other folds.

    Args:
        blocks: (V, N, D_b) float32 of each encoder: V views. Heads are fitted to their average, or to the
            first without ``random_flip``.
        labels: (N, bins) float64, rows sum to 1.
        bins: (bins,), their values.
        folds: (N,) from `assign_folds`.
        config: The config of the head.
        counts: (N,), numbers of ratings; None if unknown.
        views: How many views an image is predicted from, each on its own, as a model file does; their
            predictions are averaged.
        only: Folds to predict; None for all. Predictions for the others are NaN.
    """
    is_regression = config.head == "regression"
    outputs = np.full((len(labels), 1 if is_regression else len(bins)), np.nan)
    learned_from = None if config.random_flip else 1
    for fold in np.unique(folds) if only is None else only:
        own, others = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        head = fitting.fit(
            [block[:learned_from, others] for block in blocks],
            labels[others],
            bins,
            kernel=config.kernel,
            counts=None if counts is None else counts[others],
            is_regression=is_regression,
            balanced=config.balance_ratings,
            seed=config.seed,
        ).fitted.head
        given = (head([block[view, own] for block in blocks]) for view in range(views))
        outputs[own] = np.mean([each if is_regression else histogram.softmax(each) for each in given], axis=0)
    if is_regression:
        return OutOfFold(np.clip(outputs[:, 0], bins[0], bins[-1]), None, head)
    return OutOfFold(histogram.mean(outputs, bins), outputs, head)
