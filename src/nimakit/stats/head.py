"""A head fitted to blocks of features in closed form: linear, or by Gaussian kernels."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from nimakit.stats import ridge, variance_components
from nimakit.stats.histogram import Float32Array, FloatArray, IntArray

_FLOOR = 0.01
"""Added to each share before the logarithm, which empty bins do not have."""
MAX_EXAMPLES = 20_000
"""More take time and change little: a linear head has a few thousand weights."""
_MAX_FOR_VARIANCES = 1_000
"""Examples that variances are estimated from: the time grows with the cube of their number."""
_MAX_CENTRES = 2_000
"""Examples that a Gaussian head compares with; a model file stores their features."""
_CHUNK = 256
"""Examples processed together, so that memory does not grow with their number."""
_LEAST_RANGE = 0.01
"""With less, as a share of the mean, the noise does not show its dependence on the numbers of ratings."""
_TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True, slots=True, eq=False)
class LinearHead:
    """A dense layer.

    Attributes:
        kernel: (D, outputs) float32.
        bias: (outputs,) float32.
    """

    kernel: Float32Array
    bias: Float32Array

    def __call__(self, blocks: Sequence[Float32Array]) -> FloatArray:
        """(N, outputs) float64, from the (N, D_b) features of each block."""
        return np.concatenate(blocks, axis=1).astype(np.float64) @ self.kernel + self.bias


@dataclass(frozen=True, slots=True, eq=False)
class GaussianHead:
    """Similarities to M examples, weighted.

    A similarity is ``sum_b scale_b exp(-|(x_b - middle_b) / length_b - centre_b|^2)``.

    Attributes:
        middles: B arrays (D_b,) float32.
        lengths: (B,) float32.
        centres: B arrays (M, D_b) float32, the examples.
        scales: (B,) float32.
        weights: (M, outputs) float32.
        bias: (outputs,) float32.
    """

    middles: tuple[Float32Array, ...]
    lengths: Float32Array
    centres: tuple[Float32Array, ...]
    scales: Float32Array
    weights: Float32Array
    bias: Float32Array

    def __call__(self, blocks: Sequence[Float32Array]) -> FloatArray:
        """(N, outputs) float64, from the (N, D_b) features of each block."""
        similarity = sum(
            scale * gaussian(((block - middle) / length).astype(np.float64), centres.astype(np.float64))
            for block, middle, length, centres, scale in zip(
                blocks, self.middles, self.lengths, self.centres, self.scales, strict=True
            )
        )
        return np.asarray(similarity @ self.weights + self.bias)


Head = TypeVar("Head", LinearHead, GaussianHead)


@dataclass(frozen=True, slots=True, eq=False)
class Variances:
    """Variances that a head is fitted with.

    Attributes:
        blocks: (B,) float64, of what each block explains.
        noise: Of the noise of an example, however many ratings it has.
        per_rating: Of the noise that one rating has in addition, and an average of n ratings an n-th of.
    """

    blocks: FloatArray
    noise: float
    per_rating: float


@dataclass(frozen=True, slots=True, eq=False)
class Fitted(Generic[Head]):
    """A head, and how it does on examples that it has not seen.

    Attributes:
        head: The head.
        variances: What it was fitted with.
        rows: (M,) int, the examples it was fitted to, ascending: all, or random ones.
        left_out: (M, outputs) float64, what a fit to all others predicts for each of these examples.
    """

    head: Head
    variances: Variances
    rows: IntArray
    left_out: FloatArray

    @property
    def shares(self) -> FloatArray:
        """(B,) float64, sum to 1: how much each block explains, as estimated."""
        total = float(self.variances.blocks.sum())
        count = len(self.variances.blocks)
        return self.variances.blocks / total if total > 0 else np.full(count, 1 / count)


def fit_linear(
    blocks: Sequence[Float32Array],
    targets: FloatArray,
    *,
    counts: FloatArray | None = None,
    weights: FloatArray | None = None,
    variances: Variances | None = None,
    most: int | None = None,
    seed: int = 0,
) -> Fitted[LinearHead]:
    """Fit a dense layer to features by ridge regression.

    What is to be predicted is a sum of one Gaussian process for each block, so each block has a scale of its
    own; the noise of an example is a constant plus a part that falls with its number of ratings. All these
    variances are those of the largest restricted likelihood (`nimakit.stats.variance_components`), and take
    the place of penalties.

    Args:
        blocks: B arrays (views, N, D_b) float32; the views are averaged. They may be mapped from a file: a
            few hundred examples are in memory at once.
        targets: (N, outputs).
        counts: (N,), above 0: how many ratings each target is an average of; None if unknown.
        weights: (N,), above 0: how much each example counts; None for 1 each.
        variances: Those of an earlier fit to similar examples, which saves most of the time; None to
            estimate them.
        most: If there are more examples, so many random ones are used; None for `MAX_EXAMPLES`.
        seed: Seed of the choice of examples.
    """
    data = _Data.of(blocks, targets, counts, weights, most=most, seed=seed)
    variances = variances or data.variances(lambda x: x @ x.T)
    head, left_out = _solve_linear(data, variances.blocks, data.noise(variances))
    return Fitted(head, variances, data.rows, left_out)


def fit_gaussian(
    blocks: Sequence[Float32Array],
    targets: FloatArray,
    *,
    counts: FloatArray | None = None,
    weights: FloatArray | None = None,
    variances: Variances | None = None,
    most: int | None = None,
    seed: int = 0,
) -> Fitted[GaussianHead]:
    """Fit a head that compares features with those of the examples.

    As `fit_linear`, which has the same arguments, but with a Gaussian kernel for each block (Rasmussen and
    Williams, "Gaussian Processes for Machine Learning", 2006), whose bandwidth is the root mean square
    distance of the features from their mean.
    """
    data = _Data.of(blocks, targets, counts, weights, most=most, seed=seed)
    variances = variances or data.variances(lambda x: gaussian(x, x))
    head, left_out = _solve_gaussian(data, variances.blocks, data.noise(variances))
    return Fitted(head, variances, data.rows, left_out)


def log_histograms(histograms: FloatArray) -> FloatArray:
    """(N, bins): centred logarithms of (N, bins) histograms, which a softmax turns back, nearly."""
    logarithms = np.log(np.asarray(histograms, np.float64) + _FLOOR)
    return np.asarray(logarithms - logarithms.mean(axis=1, keepdims=True))


def gaussian(first: FloatArray, second: FloatArray) -> FloatArray:
    """(N, M): ``exp(-|x - z|^2)`` for the rows of (N, D) and (M, D)."""
    lengths = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1)
    return np.asarray(np.exp(-np.maximum(lengths - 2 * first @ second.T, 0)))


@dataclass(frozen=True, slots=True, eq=False)
class _Data:
    """Examples, each block scaled to mean 0 and mean squared length 1.

    Attributes:
        blocks: B arrays (views, N, D_b) float32.
        rows: (M,) int, the examples that are used.
        y: (M, outputs) float64.
        base: (M,) float64, the noise of each example as a multiple of the usual one.
        few: (M,) float64, one over the numbers of ratings; 0 if they are unknown.
        middles: B arrays (D_b,) float64.
        lengths: B root mean square lengths.
        seed: Seed of further choices of examples.
    """

    blocks: Sequence[Float32Array]
    rows: IntArray
    y: FloatArray
    base: FloatArray
    few: FloatArray
    middles: list[FloatArray]
    lengths: list[float]
    seed: int

    @classmethod
    def of(
        cls,
        blocks: Sequence[Float32Array],
        targets: FloatArray,
        counts: FloatArray | None,
        weights: FloatArray | None,
        *,
        most: int | None,
        seed: int,
    ) -> "_Data":
        rows = _sample(len(targets), most or MAX_EXAMPLES, seed)
        middles = [np.asarray(sum(x.sum(axis=0) for x in _chunks(b, rows)) / len(rows)) for b in blocks]
        squares = [
            sum(float(((x - middle) ** 2).sum()) for x in _chunks(block, rows)) / len(rows)
            for block, middle in zip(blocks, middles, strict=True)
        ]
        base = np.ones(len(targets)) if weights is None else weights.mean() / weights
        few = np.zeros(len(targets)) if counts is None else 1 / counts
        return cls(
            blocks=blocks,
            rows=rows,
            y=np.asarray(targets, np.float64)[rows],
            base=base[rows],
            few=few[rows],
            middles=middles,
            lengths=[max(square, _TINY) ** 0.5 for square in squares],
            seed=seed,
        )

    def chunks(self, rows: IntArray) -> Iterator[list[FloatArray]]:
        """Yield, for consecutive examples, (n, D_b) of each block."""
        for parts in zip(*(_chunks(block, rows) for block in self.blocks), strict=True):
            yield [
                (x - middle) / length
                for x, middle, length in zip(parts, self.middles, self.lengths, strict=True)
            ]

    def whole(self, rows: IntArray) -> list[FloatArray]:
        """(N, D_b) of each block."""
        return [np.concatenate(parts) for parts in zip(*self.chunks(rows), strict=True)]

    def variances(self, kernel: Callable[[FloatArray], FloatArray]) -> Variances:
        """Estimate the variances."""
        some = _sample(len(self.rows), _MAX_FOR_VARIANCES, self.seed)
        few = self.few[some]
        average = float(few.mean())
        varies = bool(np.ptp(few) > _LEAST_RANGE * average)
        parts = [self.base[some], *([self.base[some] * few / average] if varies else [])]
        found = variance_components.estimate(
            [kernel(x) for x in self.whole(self.rows[some])], parts, self.y[some]
        )
        return Variances(
            found.kernels, float(found.noises[0]), float(found.noises[1]) / average if varies else 0.0
        )

    def noise(self, variances: Variances) -> FloatArray:
        """(M,) float64, the variance of the noise of each example."""
        noise = self.base * (variances.noise + variances.per_rating * self.few)
        return noise + 1e-9 * max(float(noise.mean()), float(self.y.var()), _TINY)


def _solve_linear(data: _Data, variances: FloatArray, noise: FloatArray) -> tuple[LinearHead, FloatArray]:
    scales = np.sqrt(variances)

    def chunks() -> Iterable[FloatArray]:
        for parts in data.chunks(data.rows):
            yield np.concatenate([x * scale for x, scale in zip(parts, scales, strict=True)], axis=1)

    widths = [block.shape[-1] for block in data.blocks]
    if len(data.rows) <= sum(widths):
        x = np.concatenate(list(chunks()))
        found = ridge.solve_dual(x @ x.T, noise, data.y)
        weights = x.T @ found.weights
    else:
        found = ridge.solve_primal(chunks, noise, data.y)
        weights = found.weights
    weights = weights * np.repeat(scales / data.lengths, widths)[:, None]
    bias = found.level - np.concatenate(data.middles) @ weights
    return LinearHead(weights.astype(np.float32), bias.astype(np.float32)), found.left_out


def _solve_gaussian(data: _Data, variances: FloatArray, noise: FloatArray) -> tuple[GaussianHead, FloatArray]:
    """Solve exactly, or with more than 2,000 examples by a ridge regression on similarities to 2,000 of them.

    That is the subset of regressors of Rasmussen and Williams, section 8.3.1.
    """
    places = _sample(len(data.rows), _MAX_CENTRES, data.seed)
    centres = data.whole(data.rows[places])

    def similarity(parts: Sequence[FloatArray]) -> FloatArray:
        terms = (v * gaussian(x, z) for v, x, z in zip(variances, parts, centres, strict=True))
        return np.asarray(sum(terms))

    if len(places) == len(data.rows):
        found = ridge.solve_dual(similarity(centres), noise, data.y)
        weights = found.weights
    else:
        own = similarity(centres)
        root = np.linalg.cholesky(own + 1e-6 * np.trace(own) / len(own) * np.eye(len(own)))
        whiten = np.linalg.inv(root).T
        found = ridge.solve_primal(
            lambda: (similarity(parts) @ whiten for parts in data.chunks(data.rows)), noise, data.y
        )
        weights = whiten @ found.weights
    head = GaussianHead(
        middles=tuple(middle.astype(np.float32) for middle in data.middles),
        lengths=np.array(data.lengths, np.float32),
        centres=tuple(centre.astype(np.float32) for centre in centres),
        scales=variances.astype(np.float32),
        weights=weights.astype(np.float32),
        bias=found.level.astype(np.float32),
    )
    return head, found.left_out


def _sample(count: int, most: int, seed: int) -> IntArray:
    """Random rows, ascending; not the first ones, because label files are often sorted."""
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, most, replace=False))


def _chunks(block: Float32Array, rows: IntArray) -> Iterator[FloatArray]:
    """Yield (up to `_CHUNK`, D) float64: the mean over the views of rows."""
    for start in range(0, len(rows), _CHUNK):
        yield block[:, rows[start : start + _CHUNK]].mean(axis=0, dtype=np.float64)
