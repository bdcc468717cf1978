"""Ridge regression in closed form, for one person's ratings and for a model's head."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from nimakit.stats.histogram import Float32Array, FloatArray

_LEVEL_VARIANCE = 0.5
"""Prior variance of a person's level, as a multiple of the noise: two ratings go half of the way."""

_LOG_PENALTIES = np.arange(-1, 4.01, 0.5)
_PENALTIES = 10.0**_LOG_PENALTIES
_PENALTY_PRIOR = np.exp(-((_LOG_PENALTIES - 0.5) ** 2) / 2 / 0.5**2)
"""Prior of each penalty: log-normal around 3, with a factor of about 3 as its deviation."""
_TINY = float(np.finfo(np.float32).tiny)


def fit_gram(gram: FloatArray, difference: FloatArray) -> tuple[FloatArray, float]:
    """Fit a person's ratings from the inner products of the images' features.

    Penalties are averaged by their evidence, so that few ratings neither overfit nor need a setting.

    Args:
        gram: (K, K), inner products of the centred features of K images; K is at least 1.
        difference: (K,), ratings minus the generic scores.

    Returns:
        (K,), dual weights, multiples of each image's features; and the person's level above the generic
        scores.
    """
    count = len(gram)
    level = float(difference.mean())
    shrunk_level = level * _LEVEL_VARIANCE * count / (1 + _LEVEL_VARIANCE * count)
    length = float(np.trace(gram)) / count
    if length < _TINY:  # all images have the same features
        return np.zeros(count), shrunk_level
    values, vectors = np.linalg.eigh(gram / length)
    rotated = vectors.T @ (difference - level)
    spread = np.maximum(values, 0) / _PENALTIES[:, None] + 1
    # Differences between images come from taste and noise only; their mean also from the level.
    scatter = (rotated**2 / spread).sum(axis=1) + count * level**2 / (1 + _LEVEL_VARIANCE * count)
    evidence = -np.log(spread).sum(axis=1) / 2 - count / 2 * np.log(np.maximum(scatter, _TINY))
    share = _PENALTY_PRIOR * np.exp(evidence - evidence.max())
    dual = vectors @ (rotated * ((share / share.sum() / _PENALTIES) @ (1 / spread))) / length
    return dual, shrunk_level


_FLOOR = 0.01
"""Added to each share before the logarithm, which empty bins do not have."""

_HEAD_PENALTIES = tuple(float(p) for p in 10.0 ** np.arange(-3, 2.01, 0.25))
"""Ridge penalties tried, relative to the mean squared length of the features, which is 1 per block."""

_MAX_EXAMPLES = 20_000
"""More take time and change nothing: a head has a few thousand weights."""

_CHUNK = 256
"""Examples processed together, so that memory does not grow with their number."""


def ridge_head(
    features: Float32Array,
    targets: Float32Array,
    *,
    blocks: Sequence[int],
    is_distribution: bool,
    seed: int = 0,
) -> tuple[Float32Array, Float32Array]:
    """Kernel and bias of a dense layer, fitted to targets by ridge regression.

    Distributions are regressed as centred logarithms, the inverse of the softmax. The penalty chosen has the
    least leave-one-out error (Golub, Heath and Wahba, "Generalized cross-validation as a method for choosing
    a good ridge parameter", 1979).

    Args:
        features: (N, views, D) float32; the views are averaged. At most 20,000 random examples are used.
        targets: (N, bins), rows sum to 1; or (N, 1) scores.
        blocks: Sizes of consecutive blocks of features; each block is scaled to the same mean length.
        is_distribution: Whether the targets are distributions.
        seed: Seed of the choice of examples.

    Returns:
        (D, outputs) and (outputs,) float32.
    """
    rows = _sample(len(features), seed)
    count = len(rows)
    y = np.asarray(targets[rows], np.float64)
    if is_distribution:
        y = np.log(y + _FLOOR)
        y -= y.mean(axis=1, keepdims=True)
    level = y.mean(axis=0)
    y = y - level
    centre = sum(x.sum(axis=0) for x in _chunks(features, rows)) / count
    gram, product = np.zeros((len(centre),) * 2), np.zeros((len(centre), y.shape[1]))
    for start, x in zip(range(0, count, _CHUNK), _chunks(features, rows), strict=True):
        centred = x - centre
        gram += centred.T @ centred
        product += centred.T @ y[start : start + _CHUNK]
    lengths = [np.sqrt(part.sum() / count) for part in np.split(gram.diagonal(), np.cumsum(blocks)[:-1])]
    stretch = np.repeat(1 / np.maximum(lengths, np.finfo(np.float32).tiny), blocks)
    squares, axes = np.linalg.eigh(gram * stretch * stretch[:, None])
    axes = axes * stretch[:, None]  # so that they apply to unscaled features
    projected = axes.T @ product
    inverses = 1 / (np.maximum(squares, 0) + np.array(_HEAD_PENALTIES)[:, None] * len(blocks))
    errors = np.zeros(len(_HEAD_PENALTIES))
    for start, x in zip(range(0, count, _CHUNK), _chunks(features, rows), strict=True):
        along = (x - centre) @ axes
        kept = 1 - np.minimum(along**2 @ inverses.T + 1 / count, 0.9999)
        for number, inverse in enumerate(inverses):
            missed = y[start : start + _CHUNK] - along @ (inverse[:, None] * projected)
            errors[number] += ((missed / kept[:, number, None]) ** 2).sum()
    kernel = axes @ (inverses[int(np.argmin(errors))][:, None] * projected)
    return kernel.astype(np.float32), (level - centre @ kernel).astype(np.float32)


def _sample(count: int, seed: int) -> NDArray[np.int64]:
    """Random rows, ascending; not the first ones, because label files are often sorted."""
    if count <= _MAX_EXAMPLES:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, _MAX_EXAMPLES, replace=False))


def _chunks(features: Float32Array, rows: NDArray[np.int64]) -> Iterator[FloatArray]:
    """Yield (up to `_CHUNK`, D) float64: the mean over the views of rows."""
    for start in range(0, len(rows), _CHUNK):
        yield features[rows[start : start + _CHUNK]].mean(axis=1, dtype=np.float64)
