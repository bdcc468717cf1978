"""Cross-validation of heads: each image is predicted by a head fitted without its fold."""

from collections.abc import Sequence

import numpy as np

from nimakit.config import HeadConfig
from nimakit.errors import UsageError
from nimakit.heads import fitting
from nimakit.stats import histogram
from nimakit.stats.histogram import Float32Array, FloatArray, IntArray


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
) -> tuple[FloatArray, FloatArray | None]:
    """Predict each image by a head fitted to the images of all other folds.

    Args:
        blocks: (views, N, D_b) float32 of each encoder. Heads are fitted to the average of the views, and
            predict from the first, as a model file does.
        labels: (N, bins) float64, rows sum to 1.
        bins: (bins,), their values.
        folds: (N,) from `assign_folds`.
        config: The config of the head.
        counts: (N,), numbers of ratings; None if unknown.

    Returns:
        (N,) mean scores, and (N, bins) histograms, None of a regression head.
    """
    is_regression = config.head == "regression"
    outputs = np.empty((len(labels), 1 if is_regression else len(bins)))
    for fold in np.unique(folds):
        own, others = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        head = fitting.fit(
            [block[:, others] for block in blocks],
            labels[others],
            bins,
            kernel=config.kernel,
            counts=None if counts is None else counts[others],
            is_regression=is_regression,
            balanced=config.balance_ratings,
            seed=config.seed,
        )
        outputs[own] = head.fitted.head([block[0, own] for block in blocks])
    if is_regression:
        return np.clip(outputs[:, 0], bins[0], bins[-1]), None
    histograms = histogram.softmax(outputs)
    return histogram.mean(histograms, bins), histograms
