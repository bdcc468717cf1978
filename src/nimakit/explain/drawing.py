"""Drawings of score maps over their pictures."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from PIL import Image

from nimakit.errors import ImageError
from nimakit.explain.score_map import ScoreMap, Size
from nimakit.images.photo import MAX_PIXELS, ImageInput, Photo, open_photo
from nimakit.reports import heatmap

_NAMES = {
    "patches": "sum over patches",
    "occlusion": "occlusion",
    "gradcam": "Grad-CAM",
    "smoothgrad": "SmoothGrad",
    "gradient": "gradient",
}


class Explains(Protocol):
    """A model and a method: `nimakit.explain.Explainer`, or `nimakit.nn.saliency.GradientExplainer`."""

    @property
    def name(self) -> str:
        """Display name of the model."""

    def explain(
        self,
        image: ImageInput,
        *,
        size: Size | None = None,
        at_least: float | None = None,
        photo: Photo | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> ScoreMap:
        """Compute the map of a picture; see `nimakit.explain.Explainer.explain`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """Drawings of a picture's score map.

    Attributes:
        score_map: The map, and the score it explains.
        heat: The map in colours, without the picture.
        overlay: The map over the picture.
        side_by_side: Picture and overlay with a legend, each at most 900 pixels wide.
    """

    score_map: ScoreMap
    heat: Image.Image
    overlay: Image.Image
    side_by_side: Image.Image


def explain_image(
    explainer: Explains,
    image: ImageInput,
    *,
    at_least: float | None = None,
    side: int | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Explanation:
    """Compute and draw the score map of a picture.

    Args:
        explainer: Computes the map.
        image: See `nimakit.images.photo.open_photo`.
        at_least: Explain the probability of this rating and above; the mean score if None.
        side: Maximum of the drawings' longer side in pixels; that of the picture if None.
        max_pixels: See `nimakit.images.photo.open_photo`.

    Raises:
        ImageError: The picture cannot be decoded.
        UsageError: at_least is outside the scale, or the model does not give histograms.
        ModelError: The model fails.
    """
    photo = open_photo(image, max_pixels=max_pixels)
    scale = min(1.0, (side or max(photo.size)) / max(photo.size))
    size = (max(1, round(photo.size[0] * scale)), max(1, round(photo.size[1] * scale)))
    found = explainer.explain(image, size=size, at_least=at_least, photo=photo, max_pixels=max_pixels)
    picture = photo.resize(size, "lanczos")
    overlay = heatmap.overlay(picture, found.grid, signed=found.is_signed)
    caption = f"{explainer.name}: {_described(found, at_least)} ({_NAMES[found.method]})"
    return Explanation(
        score_map=found,
        heat=heatmap.colour(found.grid, signed=found.is_signed),
        overlay=overlay,
        side_by_side=heatmap.side_by_side(picture, overlay, found.grid, caption, signed=found.is_signed),
    )


def drawer(
    explainer: Explains, *, side: int, max_pixels: int = MAX_PIXELS
) -> Callable[[Path], Image.Image | None]:
    """Return a function that draws maps over pictures, for a report.

    Args:
        explainer: Computes the maps.
        side: Maximum of the longer side of a drawing in pixels.
        max_pixels: See `nimakit.images.photo.open_photo`.

    Returns:
        Maps a picture's file to its `Explanation.overlay`, or to None if it cannot be decoded any more.
    """

    def draw(path: Path) -> Image.Image | None:
        try:
            return explain_image(explainer, path, side=side, max_pixels=max_pixels).overlay
        except ImageError:
            return None

    return draw


def _described(found: ScoreMap, at_least: float | None) -> str:
    score = f"mean score {found.mean:.2f}"
    if found.probability is not None:
        return f"{score}, {100 * found.probability:.0f} % rate it {at_least:g} or higher"
    if found.constant is not None and abs(found.constant - found.mean) > 0.005:
        return f"{score}, where a middling photo has {found.constant:.2f}"
    return score
