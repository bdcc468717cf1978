"""Ridge regression in closed form: of one person's ratings, and of a model's head."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from nimakit.stats.histogram import Float32Array, FloatArray

_LEVEL_VARIANCE = 0.5
"""Of how kind a person is, as a share of the noise: two ratings go half of the way."""


_LOG_PENALTIES = np.arange(-1, 4.01, 0.5)


_PENALTIES = 10.0**_LOG_PENALTIES


_PENALTY_PRIOR = np.exp(-((_LOG_PENALTIES - 0.5) ** 2) / 2 / 0.5**2)
"""How likely each penalty is before somebody rates: within a factor of three or so of three."""


_TINY = float(np.finfo(np.float32).tiny)


def fit_gram(gram: FloatArray, difference: FloatArray) -> tuple[FloatArray, float]:
    """`fit_head` where only inner products are known.

    Args:
        gram: (K, K), of the features less their mean; K is at least 1.
        difference: (K,), of the ratings from the generic scores.

    Returns:
        (K,), what each image adds to the weights, as a multiple of its features; and how much kinder than the
        generic scores the person is.
    """
    count = len(gram)
    level = float(difference.mean())
    kindness = level * _LEVEL_VARIANCE * count / (1 + _LEVEL_VARIANCE * count)
    length = float(np.trace(gram)) / count
    if length < _TINY:  # nothing tells the images apart
        return np.zeros(count), kindness
    values, vectors = np.linalg.eigh(gram / length)
    rotated = vectors.T @ (difference - level)
    spread = np.maximum(values, 0) / _PENALTIES[:, None] + 1
    # The images differ by nothing but taste and noise, all together by the level too.
    scatter = (rotated**2 / spread).sum(axis=1) + count * level**2 / (1 + _LEVEL_VARIANCE * count)
    evidence = -np.log(spread).sum(axis=1) / 2 - count / 2 * np.log(np.maximum(scatter, _TINY))
    share = _PENALTY_PRIOR * np.exp(evidence - evidence.max())
    dual = vectors @ (rotated * ((share / share.sum() / _PENALTIES) @ (1 / spread))) / length
    return dual, kindness


_FLOOR = 0.01
"""Added to each share before the logarithm: bins nobody chose have one too."""


_HEAD_PENALTIES = tuple(float(p) for p in 10.0 ** np.arange(-3, 2.01, 0.25))
"""Ridge penalties tried, as shares of the mean squared length of the features, which is 1 a block."""


_RIDGE_EXAMPLES = 20_000
"""More would take time, and change nothing: a head has a few thousand weights."""


_ROWS = 256
"""Examples looked at together, so that memory does not grow with their number."""


def ridge_head(
    features: Float32Array,
    targets: Float32Array,
    *,
    blocks: Sequence[int],
    is_distribution: bool,
    seed: int = 0,
) -> tuple[Float32Array, Float32Array]:
    """Kernel and bias of a dense layer that comes near the targets, by ridge regression.

    Distributions are regressed as centred logarithms, whose softmax they are. The penalty is the one with the
    least leave-one-out error (Golub, Heath and Wahba, "Generalized cross-validation as a method for choosing
    a good ridge parameter", 1979).

    Args:
        features: (N, views, D) float32; the views are averaged. Of many, 20,000 are taken at random.
        targets: (N, bins), rows sum to 1; or (N, 1) scores.
        blocks: How many of the features belong together; each block is brought to the same mean length.
        is_distribution: Whether the targets are distributions.
        seed: Of the choice among many.

    Returns:
        (D, outputs) and (outputs,) float32.
    """
    rows = _chosen(len(features), seed)
    count = len(rows)
    y = np.asarray(targets[rows], np.float64)
    if is_distribution:
        y = np.log(y + _FLOOR)
        y -= y.mean(axis=1, keepdims=True)
    level = y.mean(axis=0)
    y = y - level
    centre = sum(x.sum(axis=0) for x in _averaged(features, rows)) / count
    gram, product = np.zeros((len(centre),) * 2), np.zeros((len(centre), y.shape[1]))
    for start, x in zip(range(0, count, _ROWS), _averaged(features, rows), strict=True):
        centred = x - centre
        gram += centred.T @ centred
        product += centred.T @ y[start : start + _ROWS]
    lengths = [np.sqrt(part.sum() / count) for part in np.split(gram.diagonal(), np.cumsum(blocks)[:-1])]
    stretch = np.repeat(1 / np.maximum(lengths, np.finfo(np.float32).tiny), blocks)
    squares, axes = np.linalg.eigh(gram * stretch * stretch[:, None])
    axes = axes * stretch[:, None]  # from features as they are
    projected = axes.T @ product
    inverses = 1 / (np.maximum(squares, 0) + np.array(_HEAD_PENALTIES)[:, None] * len(blocks))
    errors = np.zeros(len(_HEAD_PENALTIES))
    for start, x in zip(range(0, count, _ROWS), _averaged(features, rows), strict=True):
        along = (x - centre) @ axes
        kept = 1 - np.minimum(along**2 @ inverses.T + 1 / count, 0.9999)
        for number, inverse in enumerate(inverses):
            missed = y[start : start + _ROWS] - along @ (inverse[:, None] * projected)
            errors[number] += ((missed / kept[:, number, None]) ** 2).sum()
    kernel = axes @ (inverses[int(np.argmin(errors))][:, None] * projected)
    return kernel.astype(np.float32), (level - centre @ kernel).astype(np.float32)


def _chosen(count: int, seed: int) -> NDArray[np.int64]:
    """Which examples a head is fitted to, ascending: label files are often sorted, so not the first ones."""
    if count <= _RIDGE_EXAMPLES:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, _RIDGE_EXAMPLES, replace=False))


def _averaged(features: Float32Array, rows: NDArray[np.int64]) -> Iterator[FloatArray]:
    """(up to `_ROWS`, D) float64 of some rows: the average of their views."""
    for start in range(0, len(rows), _ROWS):
        yield features[rows[start : start + _ROWS]].mean(axis=1, dtype=np.float64)
