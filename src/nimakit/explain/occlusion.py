"""Which parts of a picture a score depends on, by hiding random halves of it: for any model.

Petsiuk, Das and Saenko, "RISE: Randomized Input Sampling for Explanation of Black-box Models", 2018, with a
regression in place of the average, as in Ribeiro, Singh and Guestrin, "Why Should I Trust You?", 2016. Hiding
one place after another shows more of how a network responds to the covers than of the picture.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nimakit.explain.score_map import Layer, ScoreMap, Size, combine, explained, on_picture
from nimakit.images.photo import PixelArray, Placement, Preprocessing, place
from nimakit.io.threads import in_batches
from nimakit.models.engine import Model
from nimakit.models.preparation import Views
from nimakit.models.score import Score
from nimakit.models.session import BATCH_SIZES, Stop
from nimakit.stats.histogram import Float32Array, FloatArray

RUNS = 96
"""How many times a picture is scored with half of its places hidden."""
_CELLS = 48
_PENALTY = 5.0
"""Of the regression of scores on what is hidden: twice as large, or half, changes the maps little."""
_BLURRED = 4
"""Pixels each way of the picture that hidden places show."""


def explain_occlusion(
    model: Model, views: Views, *, picture: Size, size: Size, at_least: float | None
) -> ScoreMap:
    """Compute how much the score falls on average when a place is hidden, whatever else is hidden.

    A hidden place shows the picture strongly blurred, with half of its contrast, and has no edge: its weight
    falls linearly to 0 at the centres of its neighbours.

    Args:
        model: The model.
        views: The picture, prepared.
        picture: Size of the upright picture in its file.
        size: Size of the map.
        at_least: Explain the probability of this rating and above; the mean score if None.
    """
    rows = min(max(1, round((_CELLS * picture[1] / picture[0]) ** 0.5)), _CELLS)
    columns = max(1, round(_CELLS / rows))
    pictures = {wanted: _Hiding(view[0], wanted, picture, (rows, columns)) for wanted, view in views.items()}
    halves = np.random.default_rng(0).random((RUNS // 2, rows, columns)) < 0.5
    hidden = np.concatenate([halves, ~halves])
    stop = Stop()

    def prepare(cells: NDArray[np.bool_]) -> Views:
        return {wanted: one.without(cells) for wanted, one in pictures.items()}

    def score(batch: Sequence[Views]) -> list[Score]:
        joined = {wanted: np.concatenate([view[wanted] for view in batch]) for wanted in views}
        return model.score_prepared(joined, 1, stop)

    nothing = np.zeros((1, rows, columns), bool)
    whole, *others = in_batches(
        np.concatenate([nothing, hidden]),
        prepare,
        score,
        batch_size=BATCH_SIZES[model.device],
        cancel=stop.set,
    )
    scores = np.array([explained(other, model.bins, at_least) for other in others])
    falls = _regress(hidden.reshape(RUNS, -1), -scores).reshape(rows, columns)
    everywhere = Placement((0.0, 0.0, float(picture[0]), float(picture[1])), picture)
    _, values = combine([Layer(falls, picture, everywhere)], picture, size)
    seen = [place(picture, wanted) for wanted in views]
    if len(seen) == 1:  # several networks may each see another part
        values = _only(values, seen[0], picture)
    return ScoreMap(
        method="occlusion",
        values=values,
        scale=float(np.nanmax(np.abs(values))),
        mean=whole.mean,
        probability=None if at_least is None else explained(whole, model.bins, at_least),
    )


def _regress(hidden: NDArray[np.bool_], values: FloatArray) -> FloatArray:
    """(cells,): what each cell adds to (runs,) values if it is hidden, by ridge regression."""
    x = hidden - 0.5
    gram = x.T @ x + _PENALTY * np.eye(x.shape[1])
    return np.asarray(np.linalg.solve(gram, x.T @ (values - values.mean())))


class _Hiding:
    """A prepared picture, and where each cell of a grid over the picture is in it.

    Args:
        pixels: (height, width, 3).
        wanted: How it was prepared.
        picture: Size of the upright picture.
        shape: Rows and columns.
    """

    def __init__(
        self, pixels: PixelArray, wanted: Preprocessing, picture: Size, shape: tuple[int, int]
    ) -> None:
        placement = place(picture, wanted)
        (left, top), (width, height) = placement.offset, placement.size
        inside = np.s_[top : top + height, left : left + width]
        photo = Image.fromarray(pixels[inside])
        blurred = photo.resize((_BLURRED, _BLURRED), Image.Resampling.BOX)
        self._pixels = pixels.astype(np.float32)
        self._change = np.zeros_like(self._pixels)
        self._change[inside] = np.asarray(blurred.resize(photo.size, Image.Resampling.BICUBIC))
        self._change[inside] += self._pixels[inside].mean(axis=(0, 1))
        self._change[inside] /= 2
        self._change[inside] -= self._pixels[inside]
        self._rows = _weights(1, wanted.height, placement, picture, shape[0])
        self._columns = _weights(0, wanted.width, placement, picture, shape[1])

    def without(self, cells: NDArray[np.bool_]) -> PixelArray:
        """The picture without some cells, (1, height, width, 3)."""
        weights = self._rows.T @ cells.astype(np.float32) @ self._columns
        changed = self._pixels + weights[..., None] * self._change
        return np.clip(np.round(changed), 0, 255).astype(np.uint8)[None]


def _weights(axis: int, side: int, placement: Placement, picture: Size, count: int) -> Float32Array:
    """(count, side): how much a cell hides of each pixel, along an axis."""
    low, high = placement.box[axis], placement.box[axis + 2]
    inside = (np.arange(side) + 0.5 - placement.offset[axis]) / placement.size[axis]
    places = np.clip((low + inside * (high - low)) / picture[axis] * count - 0.5, 0, count - 1)
    weights = np.maximum(1 - np.abs(places - np.arange(count)[:, None]), 0)
    return np.asarray(weights, np.float32)


def _only(values: Float32Array, seen: Placement, picture: Size) -> Float32Array:
    """A map with NaN outside the part of the picture that is seen."""
    size = (values.shape[1], values.shape[0])
    ones = np.ones(seen.size[::-1], np.float32)
    return values * on_picture(ones, Placement(seen.box, seen.size), picture, size)
