"""Differentiable edits of pixels: a photo editor's sliders, and smooth local edits."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

_LUMA = (0.299, 0.587, 0.114)
"""Rec. 601, for encoded values, like Pillow's grey."""

_LINEAR_LUMA = (0.2126, 0.7152, 0.0722)
"""Rec. 709, for linear light."""

_CONTRAST, _TONES, _TEMPERATURE, _TINT, _SATURATION, _VIBRANCE = 0.4, 0.1, 0.25, 0.1, 0.3, 0.5
"""The effect of a slider at 1; see `nimakit.enhance.adjustments.Adjustments`."""

_BUMP = 256 / 27
"""Scales x (1 - x)^3 to a maximum of 1, at a quarter."""

COEFFICIENTS = 3
"""Coefficients of a local edit at each position: brightness, contrast, saturation."""

LOCAL_TONE, LOCAL_COLOUR = 0.25, 0.2
"""Largest change of a pixel by a coefficient of 1, as a share of the range: of tone and of colour."""

_FINE = 64
"""Cells per side of a smoothed grid, which is interpolated linearly."""


def develop(pixels: Any, detail: Any, values: Mapping[str, Any]) -> Any:
    """Edit a whole picture: sharpening, white balance, exposure, tone curve, colour.

    Nothing clips that was not clipped before: every curve maps black to black and white to white, and colours
    stay within the gamut. Exposure and white balance scale linear light (sRGB); curves and colours use
    encoded values, as photo editors do.

    Args:
        pixels: (..., 3) float32, RGB, 0-1, encoded.
        detail: (..., 1) float32: grey minus blurred grey, which an unsharp mask adds.
        values: `nimakit.enhance.adjustments.TONES` -> a number or a scalar tensor.

    Returns:
        Like pixels.
    """
    x = tf.clip_by_value(pixels + values["sharpening"] * detail, 0.0, 1.0)
    x = _encoded(_exposed(_linear(x), values))
    x += 2 * _CONTRAST * values["contrast"] * x * (1 - x) * (2 * x - 1)
    x += _TONES * values["shadows"] * _BUMP * x * (1 - x) ** 3
    x += _TONES * values["highlights"] * _BUMP * x**3 * (1 - x)
    spread = tf.reduce_max(x, axis=-1, keepdims=True) - tf.reduce_min(x, axis=-1, keepdims=True)
    stronger = 1 + _SATURATION * values["saturation"] + _VIBRANCE * values["vibrance"] * (1 - spread) ** 2
    return _coloured(x, stronger)


def relight(pixels: Any, coefficients: Any) -> Any:
    """Edit brightness, contrast and saturation locally.

    ``x + 4 LOCAL_TONE x (1 - x) (b + a (2 x - 1)) / 2`` with brightness b and contrast a: black and white
    are kept, the order of levels is kept, and grey stays grey.

    Args:
        pixels: (..., 3) float32, RGB, 0-1, encoded.
        coefficients: (..., `COEFFICIENTS`) float32, -1 to 1.

    Returns:
        Like pixels.
    """
    bright, hard, vivid = tf.split(coefficients, COEFFICIENTS, axis=-1)
    move = (bright + hard * (2 * pixels - 1)) / 2
    toned = pixels + 4 * LOCAL_TONE * pixels * (1 - pixels) * move
    return _coloured(toned, 1 + LOCAL_COLOUR * vivid)


def spread(grid: Any, boxes: Any, size: tuple[int, int]) -> Any:
    """Interpolate a coarse grid of coefficients smoothly over parts of the picture.

    Args:
        grid: (G, G, C) float32, over the whole picture.
        boxes: (N, 4) float32: top, left, bottom, right of each part, as shares of the picture's sides.
        size: Height and width of the result.

    Returns:
        (N, height, width, C) float32.
    """
    # A binomial filter and cubic interpolation, so that no cell has a visible edge.
    kernel = tf.constant([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]) / 16
    around = [[0, 0], [1, 1], [1, 1], [0, 0]]
    blurred = tf.nn.depthwise_conv2d(
        tf.pad(grid[None], around, "SYMMETRIC"),
        tf.tile(kernel[:, :, None, None], [1, 1, grid.shape[2], 1]),
        [1, 1, 1, 1],
        "VALID",
    )
    fine = tf.pad(tf.image.resize(blurred, [_FINE, _FINE], "bicubic"), around, "SYMMETRIC")
    # TensorFlow measures a box from the centre of its first cell to that of its last.
    pixel = (boxes[:, 2:] - boxes[:, :2]) / tf.constant(size, tf.float32)
    middles = tf.concat([boxes[:, :2] + pixel / 2, boxes[:, 2:] - pixel / 2], axis=1)
    corners = (middles * _FINE + 0.5) / (_FINE + 1)
    return tf.image.crop_and_resize(fine, corners, tf.zeros(tf.shape(boxes)[0], tf.int32), size)


def _exposed(light: Any, values: Mapping[str, Any]) -> Any:
    """White balance and exposure with a shoulder: ``1 - (1 - x)^gain`` is gain times x in the shadows."""
    temperature = _TEMPERATURE * values["temperature"]
    shift = tf.stack([temperature, -_TINT * values["tint"], -temperature])
    gains = tf.pow(2.0, tf.cast(shift, tf.float32))
    gains *= tf.pow(2.0, tf.cast(values["exposure"], tf.float32)) / tf.reduce_sum(gains * _LINEAR_LUMA)
    return 1 - tf.pow(1 - tf.minimum(light, 1 - 1e-6), gains)


def _coloured(x: Any, factor: Any) -> Any:
    """Scale saturation by a factor (..., 1), within the gamut."""
    grey = tf.reduce_sum(x * _LUMA, axis=-1, keepdims=True)
    away = x - grey
    room = tf.where(away > 0, (1 - grey) / tf.maximum(away, 1e-4), grey / tf.maximum(-away, 1e-4))
    edge = tf.maximum(tf.reduce_min(room, axis=-1, keepdims=True), 1.0)
    return tf.clip_by_value(grey + tf.minimum(factor, edge) * away, 0.0, 1.0)


def _linear(x: Any) -> Any:
    """Encoded sRGB to linear light (IEC 61966-2-1)."""
    return tf.where(x <= 0.04045, x / 12.92, tf.pow((tf.maximum(x, 0.04045) + 0.055) / 1.055, 2.4))


def _encoded(x: Any) -> Any:
    return tf.where(x <= 0.0031308, x * 12.92, 1.055 * tf.pow(tf.maximum(x, 0.0031308), 1 / 2.4) - 0.055)
