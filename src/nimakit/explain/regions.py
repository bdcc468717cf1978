"""The region of a picture that its score depends on most."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nimakit.explain.score_map import ScoreMap
from nimakit.stats.histogram import Float32Array

Box = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels of the map."""

_GRID = 48
"""Cells of the longer side in which parts that touch are found: finer than any model's patches."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Region:
    """The smallest part of a picture with a share of what its score depends on.

    Attributes:
        weights: (H, W) float32, 0 to 1: how much the score depends on each place; 0 where the model sees
            nothing. All 0 of a picture whose parts do not differ.
        mask: (H, W), whether a place is in the region.
        boxes: Around each connected part of the region, that with the largest weight first; empty only if
            all weights are 0.
    """

    weights: Float32Array
    mask: NDArray[np.bool_]
    boxes: tuple[Box, ...]


def important_region(score_map: ScoreMap, *, share: float = 0.5) -> Region:
    """Find where the parts of a picture differ most in what they do to its score.

    Args:
        score_map: From `nimakit.explain.Explainer.explain`; a map of 300 pixels is fine enough.
        share: How much of all weights the region has, above 0 to 1.

    Example:
        >>> import nimakit
        >>> from nimakit.explain import Explainer, important_region
        >>> found = Explainer(nimakit.load_model()).explain("data/samples/otter.jpg", size=(300, 200))
        >>> important_region(found, share=0.3).mask.shape
        (200, 300)
    """
    if not 0 < share <= 1:
        raise ValueError(f"A share must be above 0 and at most 1. Received: {share:g}")
    values = score_map.values
    weights = np.nan_to_num(np.abs(values - np.nanmedian(values)))
    largest = float(weights.max())
    if largest <= 1e-6 * max(score_map.scale, 1e-6):
        return Region(weights=np.zeros_like(values), mask=np.zeros(values.shape, bool), boxes=())
    weights = (weights / largest).astype(np.float32)
    ordered = np.sort(weights, axis=None)[::-1]
    count = int(np.searchsorted(np.cumsum(ordered, dtype=np.float64), share * ordered.sum(dtype=np.float64)))
    mask = weights >= max(float(ordered[min(count, ordered.size - 1)]), np.finfo(np.float32).tiny)
    return Region(weights=weights, mask=mask, boxes=_boxes(mask, weights))


def _boxes(mask: NDArray[np.bool_], weights: Float32Array) -> tuple[Box, ...]:
    """Boxes around connected parts, found on a coarse grid, by falling weight."""
    height, width = mask.shape
    cell = max(1, -(-max(height, width) // _GRID))
    ys, xs = np.nonzero(mask)
    labels = _labels(set(zip((ys // cell).tolist(), (xs // cell).tolist(), strict=True)))
    part = np.array([labels[y, x] for y, x in zip((ys // cell).tolist(), (xs // cell).tolist(), strict=True)])
    totals = np.bincount(part, weights=weights[ys, xs])
    boxes = []
    for number in np.argsort(-totals, kind="stable"):
        own_y, own_x = ys[part == number], xs[part == number]
        boxes.append((int(own_x.min()), int(own_y.min()), int(own_x.max()) + 1, int(own_y.max()) + 1))
    return tuple(boxes)


def _labels(cells: set[tuple[int, int]]) -> dict[tuple[int, int], int]:
    """Cell -> number of the connected part it is in; diagonal neighbours touch."""
    labels: dict[tuple[int, int], int] = {}
    for start in sorted(cells):
        if start in labels:
            continue
        number, stack = len(set(labels.values())), [start]
        labels[start] = number
        while stack:
            y, x = stack.pop()
            for near in ((y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)):
                if near in cells and near not in labels:
                    labels[near] = number
                    stack.append(near)
    return labels
