"""What a model looks at: how much each place of a picture matters to its score."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from nimakit.errors import ImageError, ModelError, UsageError
from nimakit.images.photo import MAX_PIXELS, ImageInput, Photo, Placement, open_photo, place, prepare
from nimakit.nn.networks.keras_model import KerasModel
from nimakit.reports import heatmap
from nimakit.stats.histogram import Float32Array

Method = Literal["gradcam", "smoothgrad", "gradient"]
_NAMES = {"gradcam": "Grad-CAM", "smoothgrad": "SmoothGrad", "gradient": "gradient"}
METHODS: tuple[str, ...] = get_args(Method)

_NOISY_COPIES = 48
_NOISE = 0.15
"""Standard deviation of SmoothGrad's noise, as a share of the range of the pixels: as published."""

_BATCH = 8
_TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True, kw_only=True, slots=True)
class Saliency:
    """How much each place of a picture matters.

    Attributes:
        grid: (height, width) float32 over the whole upright picture, within -1 and 1; NaN where the model
            does not see it (its fit crops). What matters most is 1, or -1 where it lowers the score: gradcam
            alone tells the two apart.
        mean: The model's mean score of the picture.
        probability: Of the rating asked for and above; None where the map is of the mean score.
    """

    grid: Float32Array
    mean: float
    probability: float | None


def saliency(
    model: KerasModel,
    photo: Photo,
    method: Method = "gradcam",
    *,
    at_least: float | None = None,
    size: tuple[int, int] | None = None,
) -> Saliency:
    """Find out where a picture's score comes from.

    "gradient" is the size of the derivative of the score by each pixel (Simonyan, Vedaldi and Zisserman,
    "Deep inside convolutional networks", 2014); "smoothgrad" that of its mean over noisy copies of the
    picture (Smilkov et al., "SmoothGrad", 2017); "gradcam" what each place of the last maps adds to the score
    or takes from it (Selvaraju et al., "Grad-CAM", 2017; they keep the positive part alone, which of a poor
    picture leaves nothing). All are of the picture as the model sees it, at its input size, as that is where
    the score comes from; the result is stretched to the picture.

    Args:
        model: From `nimakit.nn.networks.keras_model`.
        photo: The picture.
        method: One of `METHODS`.
        at_least: Explain the probability of this rating and above; the mean score where None.
        size: (width, height) of the result; the picture's own where None.

    Raises:
        UsageError: at_least is on no bin or below, or the model predicts no distribution.
        ModelError: gradcam, of a backbone whose features are no averages of maps.
    """
    _check(model, at_least)
    pixels = prepare(photo, model.metadata.preprocessing).astype(np.float32)
    if method == "gradcam":
        grid, values = _gradcam(model, pixels, at_least)
    else:
        noisy = method == "smoothgrad"
        grid = _gradient(model, pixels, at_least, copies=_NOISY_COPIES if noisy else 1)
        values = model.values(pixels[None])
    # The few largest derivatives would leave the rest dark (Smilkov et al. cut there too).
    top = float(np.quantile(np.abs(grid), 1.0 if method == "gradcam" else 0.99))
    grid = np.clip(grid / max(top, _TINY), -1, 1)
    return Saliency(
        grid=_on_picture(grid, place(photo.size, model.metadata.preprocessing), photo.size, size),
        mean=float(model.means(values)[0]),
        probability=None if at_least is None else float(_objective(model, values, at_least)[0]),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """A picture's saliency, drawn.

    Attributes:
        saliency: The map, and the score it explains.
        heat: The map in colours alone, of the picture's size.
        overlay: The map over the picture, of the same size.
        side_by_side: Picture and overlay with a legend, 900 pixels a panel at most.
    """

    saliency: Saliency
    heat: Image.Image
    overlay: Image.Image
    side_by_side: Image.Image


def explain_image(
    model: KerasModel,
    image: ImageInput,
    method: Method = "gradcam",
    *,
    at_least: float | None = None,
    side: int | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Explanation:
    """Draw what a model looks at in a picture.

    Args:
        model: From `nimakit.nn.networks.keras_model.load`.
        image: As `nimakit.images.photo.open_photo` takes it.
        method: As for `saliency`.
        at_least: As for `saliency`.
        side: Longer side of the drawings in pixels, at most; the picture's own where None.
        max_pixels: As for `nimakit.images.photo.open_photo`.

    Raises:
        ImageError: The picture cannot be decoded.
        MissingExtraError: Matplotlib is not installed.
        UsageError: As `saliency`.
    """
    photo = open_photo(image, max_pixels=max_pixels)
    scale = min(1.0, (side or max(photo.size)) / max(photo.size))
    size = (max(1, round(photo.size[0] * scale)), max(1, round(photo.size[1] * scale)))
    found = saliency(model, photo, method, at_least=at_least, size=size)
    picture = photo.resize(size, "lanczos")
    overlay = heatmap.overlay(picture, found.grid)
    score = f"mean score {found.mean:.2f}"
    if found.probability is not None:
        score += f", {100 * found.probability:.0f} % rate it {at_least:g} or higher"
    caption = f"{model.metadata.name}: {score} ({_NAMES[method]})"
    return Explanation(
        saliency=found,
        heat=heatmap.colour(found.grid),
        overlay=overlay,
        side_by_side=heatmap.side_by_side(picture, overlay, found.grid, caption),
    )


def drawer(
    model: KerasModel, *, side: int, max_pixels: int = MAX_PIXELS
) -> Callable[[Path], Image.Image | None]:
    """What draws a model's Grad-CAM maps over pictures, for a report.

    Args:
        model: From `nimakit.nn.networks.keras_model`.
        side: Longer side of a drawing in pixels, at most.
        max_pixels: As for `nimakit.images.photo.open_photo`.

    Returns:
        From a picture's file to its `Explanation.overlay`; None where it cannot be decoded any more.
    """

    def draw(path: Path) -> Image.Image | None:
        try:
            return explain_image(model, path, side=side, max_pixels=max_pixels).overlay
        except ImageError:
            return None

    return draw


def _check(model: KerasModel, at_least: float | None) -> None:
    if at_least is None:
        return
    if model.is_regression:
        raise UsageError(
            "Only a model of distributions knows the probability of a rating."
            f" Received: {model.metadata.name}, which gives a score alone, as a regression head and a"
            " person's taste do; explain the mean score."
        )
    if not model.bins[0] < at_least <= model.bins[-1]:
        raise UsageError(
            f"The rating lies above {model.bins[0]:g} and at {model.bins[-1]:g} at most, the ends of the"
            f" model's scale. Received: {at_least:g}"
        )


def _objective(model: KerasModel, values: Any, at_least: float | None) -> Any:
    """(N,): the mean score, or the probability of a rating and above."""
    if at_least is None:
        return model.means(values)
    return keras.ops.sum(values * (model.bins >= at_least).astype(np.float32), axis=1)


def _gradient(
    model: KerasModel, pixels: Float32Array, at_least: float | None, *, copies: int
) -> Float32Array:
    """(height, width): the largest derivative among the channels; of noisy copies, that of the mean."""
    noise = np.random.default_rng(0).normal(0, _NOISE * 255 if copies > 1 else 0, (copies, *pixels.shape))
    total = np.zeros_like(pixels)
    for start in range(0, copies, _BATCH):
        batch = tf.convert_to_tensor(pixels + noise[start : start + _BATCH].astype(np.float32))
        with tf.GradientTape() as tape:
            tape.watch(batch)
            score = _objective(model, model.values(batch), at_least)
        total += tape.gradient(score, batch).numpy().sum(axis=0)
    return np.asarray(np.abs(total / copies).max(axis=2))


def _gradcam(
    model: KerasModel, pixels: Float32Array, at_least: float | None
) -> tuple[Float32Array, Float32Array]:
    """The last maps of each pooled resolution, weighted by their mean gradients.

    Returns:
        (height, width), signed; and what the model gives, (1, bins) or (1, 1).
    """
    layers = model.network.layers
    pools = [layer for layer in layers if isinstance(layer, keras.layers.GlobalAveragePooling2D)]
    pools = pools[-model.config.pooled_levels :]
    if not pools:
        raise ModelError(
            "Grad-CAM needs features that are averages of maps."
            f" Received: {model.metadata.name} ({model.backbone.name}); take smoothgrad."
        )
    # Of what comes after the maps alone are derivatives needed.
    below = keras.Model(model.network.input, [pool.input for pool in pools])
    above = keras.Model([pool.input for pool in pools], model.network.output)
    seen = model.backbone.preprocess(tf.convert_to_tensor(pixels[None]))
    maps = tf.nest.flatten(below(seen, training=False))  # of one, Keras makes no list
    with tf.GradientTape() as tape:
        tape.watch(maps)
        values = above(maps, training=False)
        score = _objective(model, values, at_least)
    height, width = model.size
    total = np.zeros((height, width), np.float32)
    for found, slope in zip(maps, tape.gradient(score, maps), strict=True):
        weighted = tf.reduce_sum(found * tf.reduce_mean(slope, (1, 2), keepdims=True), axis=3)[0]
        total += _stretch(weighted.numpy(), (width, height), Image.Resampling.BICUBIC)
    return total, np.asarray(values)


def _on_picture(
    grid: Float32Array, placement: Placement, picture: tuple[int, int], size: tuple[int, int] | None
) -> Float32Array:
    """A map of the model's input as one of the picture: without black borders, NaN where it was cropped."""
    width, height = size or picture
    (left, top), (inner_width, inner_height) = placement.offset, placement.size
    seen = grid[top : top + inner_height, left : left + inner_width]
    across, down = width / picture[0], height / picture[1]
    box = [round(edge * scale) for edge, scale in zip(placement.box, (across, down) * 2, strict=True)]
    box[2], box[3] = max(box[2], box[0] + 1), max(box[3], box[1] + 1)
    whole = np.full((height, width), np.nan, np.float32)
    part = _stretch(seen, (box[2] - box[0], box[3] - box[1]), Image.Resampling.BILINEAR)
    whole[box[1] : box[3], box[0] : box[2]] = part
    return whole


def _stretch(grid: Float32Array, size: tuple[int, int], resample: Image.Resampling) -> Float32Array:
    return np.asarray(Image.fromarray(np.ascontiguousarray(grid, np.float32)).resize(size, resample))
