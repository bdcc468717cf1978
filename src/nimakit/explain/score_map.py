"""A map of what raises and lowers a score, and how maps of a model's input get onto the picture."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from nimakit.images.photo import Placement
from nimakit.models.score import Score
from nimakit.stats.histogram import Float32Array, FloatArray

Size = tuple[int, int]
"""Width and height in pixels."""

_TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ScoreMap:
    """A map of what raises and lowers the score of a picture.

    Attributes:
        method: "patches", "occlusion", or one of `nimakit.nn.saliency.METHODS`.
        values: (H, W) float32 over the upright picture; NaN where the model does not see it. Of "patches" and
            "occlusion" the mean of the map is about what the picture adds to `constant`: a value is the
            difference that the score would have if all of the picture were like this place. Of the gradient
            methods -1 to 1, of which only gradcam has negative values.
        scale: The absolute value that has the strongest colour.
        mean: The model's mean score of the picture.
        probability: The probability of a rating and above; None if the map explains the mean score.
        parts: (rows, columns) float64, what each part of the upright picture adds to the score; None unless
            the method is "patches".
        constant: What is not in `parts`: their sum and this is the score, or the probability. Where the model
            file has reference scores, it is their median, the score of a middling photograph, and what the
            model makes of padding; else the score itself, and the parts show the differences within the
            picture.
    """

    method: str
    values: Float32Array
    scale: float
    mean: float
    probability: float | None = None
    parts: FloatArray | None = None
    constant: float | None = None

    @property
    def is_signed(self) -> bool:
        """Whether the map has values below 0 where something lowers the score."""
        return self.method in ("patches", "occlusion", "gradcam")

    @property
    def grid(self) -> Float32Array:
        """(H, W) float32, `values` as shares of `scale`, -1 to 1; for `nimakit.reports.heatmap`."""
        return np.asarray(np.clip(self.values / max(self.scale, _TINY), -1, 1), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """Contributions to a score by the cells of a grid over an input.

    Attributes:
        cells: (rows, columns) float64, their contributions.
        input_size: Of the input.
        placement: Where the picture is in the input.
    """

    cells: FloatArray
    input_size: Size
    placement: Placement

    def on_grid(self, picture: Size, shape: tuple[int, int]) -> FloatArray:
        """The contributions of the cells of another grid, over the whole picture.

        A cell's contribution is divided by area, so their sum stays, without that of padding.

        Args:
            picture: Size of the picture.
            shape: Rows and columns.
        """
        across = self._shares(0, picture[0], shape[1], self.cells.shape[1])
        down = self._shares(1, picture[1], shape[0], self.cells.shape[0])
        return np.asarray(down @ self.cells @ across.T)

    def on_picture(self, picture: Size, size: Size) -> Float32Array:
        """(height, width): contributions as densities, whose mean is their sum, smoothly over the picture."""
        smooth = stretch(
            (self.cells * self.cells.size).astype(np.float32), self.input_size, Image.Resampling.BICUBIC
        )
        return on_picture(smooth, self.placement, picture, size)

    def _shares(self, axis: int, side: int, to: int, count: int) -> FloatArray:
        """(to, count): the share of each cell that lies in each cell of another grid, along an axis."""
        low, high = self.placement.box[axis], self.placement.box[axis + 2]
        edges = np.linspace(0, self.input_size[axis], count + 1)
        edges = low + (edges - self.placement.offset[axis]) * (high - low) / self.placement.size[axis]
        new = np.linspace(0, side, to + 1)[:, None]
        common = np.minimum(new[1:], edges[1:]) - np.maximum(new[:-1], edges[:-1])
        return np.asarray(np.maximum(common, 0) / np.diff(edges))


def explained(score: Score, bins: FloatArray, at_least: float | None) -> float:
    """What a map explains: the mean score, or the probability of a rating and above.

    Args:
        score: The score.
        bins: (bins,), of the model.
        at_least: The rating; None for the mean score.
    """
    if at_least is None or score.histogram is None:
        return score.mean
    return float(score.histogram[bins >= at_least].sum())


def combine(layers: Sequence[Layer], picture: Size, size: Size) -> tuple[FloatArray, Float32Array]:
    """Add layers at the finest of their resolutions.

    Args:
        layers: At least one.
        picture: Size of the upright picture.
        size: Size of the map.

    Returns:
        (rows, columns) float64, contributions; and (height, width) float32, densities, NaN where no layer is.
    """
    shape = (max(l.cells.shape[0] for l in layers), max(l.cells.shape[1] for l in layers))  # noqa: E741
    parts = np.sum([layer.on_grid(picture, shape) for layer in layers], axis=0)
    maps = np.stack([layer.on_picture(picture, size) for layer in layers])
    unseen = np.isnan(maps).all(axis=0)
    return parts, np.where(unseen, np.float32(np.nan), np.nansum(maps, axis=0)).astype(np.float32)


def on_picture(grid: Float32Array, placement: Placement, picture: Size, size: Size) -> Float32Array:
    """Map the input of a model back to the picture: without padding, NaN outside a crop.

    Args:
        grid: (height, width) of the input.
        placement: Where the picture is in it.
        picture: Size of the upright picture.
        size: Size of the result.
    """
    width, height = size
    (left, top), (inner_width, inner_height) = placement.offset, placement.size
    seen = grid[top : top + inner_height, left : left + inner_width]
    across, down = width / picture[0], height / picture[1]
    box = [round(edge * scale) for edge, scale in zip(placement.box, (across, down) * 2, strict=True)]
    box[2], box[3] = max(box[2], box[0] + 1), max(box[3], box[1] + 1)
    whole = np.full((height, width), np.nan, np.float32)
    part = stretch(seen, (box[2] - box[0], box[3] - box[1]), Image.Resampling.BILINEAR)
    whole[box[1] : box[3], box[0] : box[2]] = part
    return whole


def stretch(grid: Float32Array, size: Size, resample: Image.Resampling) -> Float32Array:
    """Resize a map."""
    return np.asarray(Image.fromarray(np.ascontiguousarray(grid, np.float32)).resize(size, resample))
