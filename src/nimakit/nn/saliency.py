"""Saliency maps: how much each region of a picture contributes to its score."""

from typing import Any, Literal, get_args

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from nimakit.errors import ModelError
from nimakit.explain.explainer import check_rating
from nimakit.explain.score_map import ScoreMap, Size, on_picture, stretch
from nimakit.images.photo import MAX_PIXELS, ImageInput, Photo, open_photo, place, prepare
from nimakit.nn.networks.keras_model import KerasModel
from nimakit.stats.histogram import Float32Array

Method = Literal["gradcam", "smoothgrad", "gradient"]
METHODS: tuple[str, ...] = get_args(Method)

_NOISY_COPIES = 48
_NOISE = 0.15
"""Standard deviation of SmoothGrad's noise, as a share of the range of the pixels, as published."""

_BATCH = 8
_TINY = float(np.finfo(np.float32).tiny)


def saliency(
    model: KerasModel,
    photo: Photo,
    method: Method = "gradcam",
    *,
    at_least: float | None = None,
    size: Size | None = None,
) -> ScoreMap:
    """Compute the saliency map of a picture.

    "gradient" is the absolute derivative of the score by each pixel (Simonyan, Vedaldi and Zisserman, "Deep
    inside convolutional networks", 2014); "smoothgrad" is its mean over noisy copies of the picture (Smilkov
    et al., "SmoothGrad", 2017); "gradcam" is what each position of the last feature maps adds to the score
    or subtracts from it (Selvaraju et al., "Grad-CAM", 2017, but with the negative part, without which the
    map of a poor picture would be empty). Maps are computed at the input size of the model, and then
    stretched to the picture.

    Args:
        model: From `nimakit.nn.networks.keras_model`.
        photo: The picture, decoded for the model (`nimakit.images.photo.open_photo`).
        method: One of `METHODS`.
        at_least: Explain the probability of this rating and above; the mean score if None.
        size: (width, height) of the result; that of the picture in its file if None.

    Raises:
        UsageError: at_least is outside the scale, or the model does not predict a distribution.
        ModelError: The method is gradcam, and the features of the backbone are not averages of maps.
    """
    name = model.metadata.name
    check_rating(at_least, model.bins, gives_histograms=not model.is_regression, name=name)
    pixels = prepare(photo, model.metadata.preprocessing).astype(np.float32)
    if method == "gradcam":
        grid, values = _gradcam(model, pixels, at_least)
    else:
        noisy = method == "smoothgrad"
        grid = _gradient(model, pixels, at_least, copies=_NOISY_COPIES if noisy else 1)
        values = model.values(pixels[None])
    # Clip the few largest derivatives, which would leave the rest dark (as Smilkov et al. do).
    top = float(np.quantile(np.abs(grid), 1.0 if method == "gradcam" else 0.99))
    grid = np.clip(grid / max(top, _TINY), -1, 1)
    placement = place(photo.whole_size, model.metadata.preprocessing)
    return ScoreMap(
        method=method,
        values=on_picture(grid, placement, photo.whole_size, size or photo.whole_size),
        scale=1.0,
        mean=float(model.means(values)[0]),
        probability=None if at_least is None else float(_objective(model, values, at_least)[0]),
    )


class GradientExplainer:
    """Explains scores by gradients, as `nimakit.explain.Explainer` does by other means.

    Args:
        model: From `nimakit.nn.networks.keras_model`.
        method: One of `METHODS`.

    Attributes:
        name: Display name of the model.
    """

    def __init__(self, model: KerasModel, method: Method = "gradcam") -> None:
        self._model = model
        self._method = method
        self.name = model.metadata.name

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
        wanted = self._model.metadata.preprocessing
        if photo is None or not photo.suits(wanted):
            photo = open_photo(image, max_pixels=max_pixels, preprocessing=wanted)
        return saliency(self._model, photo, self._method, at_least=at_least, size=size)


def _objective(model: KerasModel, values: Any, at_least: float | None) -> Any:
    """(N,) mean scores, or probabilities of a rating and above."""
    if at_least is None:
        return model.means(values)
    return keras.ops.sum(values * (model.bins >= at_least).astype(np.float32), axis=1)


def _gradient(
    model: KerasModel, pixels: Float32Array, at_least: float | None, *, copies: int
) -> Float32Array:
    """(height, width): the largest absolute derivative of the channels, averaged over noisy copies."""
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
    """The last feature maps of each pooled resolution, weighted by their mean gradients.

    Returns:
        (height, width), signed; and the outputs of the model, (1, bins) or (1, 1).
    """
    layers = model.network.layers
    pools = [layer for layer in layers if isinstance(layer, keras.layers.GlobalAveragePooling2D)]
    pools = pools[-model.config.pooled_levels :]
    if not pools:
        raise ModelError(
            "Grad-CAM needs features that are averages of feature maps."
            f" Received: {model.metadata.name} ({model.backbone.name}); use smoothgrad."
        )
    # Derivatives are only needed of what comes after the maps.
    below = keras.Model(model.network.input, [pool.input for pool in pools])
    above = keras.Model([pool.input for pool in pools], model.network.output)
    seen = model.backbone.preprocess(tf.convert_to_tensor(pixels[None]))
    maps = tf.nest.flatten(below(seen, training=False))  # Keras returns a single map bare
    with tf.GradientTape() as tape:
        tape.watch(maps)
        values = above(maps, training=False)
        score = _objective(model, values, at_least)
    height, width, _ = pixels.shape
    total = np.zeros((height, width), np.float32)
    for activation, gradient in zip(maps, tape.gradient(score, maps), strict=True):
        weighted = tf.reduce_sum(activation * tf.reduce_mean(gradient, (1, 2), keepdims=True), axis=3)[0]
        total += stretch(weighted.numpy(), (width, height), Image.Resampling.BICUBIC)
    return total, np.asarray(values)
