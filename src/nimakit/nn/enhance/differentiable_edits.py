"""Edits with a derivative: what a photographer's sliders, and a soft brush, do to pixels."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

_LUMA = (0.299, 0.587, 0.114)
"""Rec. 601, of encoded values, as Pillow's grey."""

_LINEAR_LUMA = (0.2126, 0.7152, 0.0722)
"""Rec. 709, of light."""

_CONTRAST, _TONES, _TEMPERATURE, _TINT, _SATURATION, _VIBRANCE = 0.4, 0.1, 0.25, 0.1, 0.3, 0.5
"""What a slider at 1 means: see `nimakit.enhance.adjustments.Adjustments`."""

_BUMP = 256 / 27
"""Brings x (1 - x)^3, whose top is at a quarter, to 1 there."""

COEFFICIENTS = 3
"""Of a local edit, at each place: brightness, contrast, saturation."""

LOCAL_TONE, LOCAL_COLOUR = 0.25, 0.2
"""Share of the range by which a coefficient of 1 moves a pixel at most, by light and by colour."""

_FINE = 64
"""Cells each way of a grid made smooth, between which it is linear."""


def develop(pixels: Any, detail: Any, values: Mapping[str, Any]) -> Any:
    """Edit a whole picture: sharpening, white balance, exposure, tone curve, colour.

    Black stays black and white white: every curve keeps its ends, and colours are made stronger no further
    than the gamut goes, so nothing clips that was not clipped before. Light is scaled in linear values, by
    the curve of sRGB; curves and colours are of encoded values, as in photographers' tools.

    Args:
        pixels: (..., 3) float32, RGB, 0-1, encoded.
        detail: (..., 1) float32: grey minus its blurred self, what an unsharp mask adds.
        values: `nimakit.enhance.adjustments.TONES` -> a number or a scalar tensor.

    Returns:
        As pixels.
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
    """Edit a picture from place to place: lighter or darker, harder or softer, paler or more colourful.

    ``x + 4 LOCAL_TONE x (1 - x) (b + a (2 x - 1)) / 2``: black and white stay, lighter stays lighter, and
    grey stays grey, so that no white wall takes on a colour.

    Args:
        pixels: (..., 3) float32, RGB, 0-1, encoded.
        coefficients: (..., `COEFFICIENTS`) float32, -1 to 1.

    Returns:
        As pixels.
    """
    bright, hard, vivid = tf.split(coefficients, COEFFICIENTS, axis=-1)
    move = (bright + hard * (2 * pixels - 1)) / 2
    toned = pixels + 4 * LOCAL_TONE * pixels * (1 - pixels) * move
    return _coloured(toned, 1 + LOCAL_COLOUR * vivid)


def spread(grid: Any, boxes: Any, size: tuple[int, int]) -> Any:
    """A coarse grid of coefficients, smoothly spread over parts of the picture.

    Args:
        grid: (G, G, C) float32, over the whole picture.
        boxes: (N, 4) float32: top, left, bottom, right of each part, as shares of the picture's sides.
        size: Height and width of the result.

    Returns:
        (N, height, width, C) float32.
    """
    # A binomial filter and cubic steps in between: no cell shows an edge.
    kernel = tf.constant([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]) / 16
    around = [[0, 0], [1, 1], [1, 1], [0, 0]]
    blurred = tf.nn.depthwise_conv2d(
        tf.pad(grid[None], around, "SYMMETRIC"),
        tf.tile(kernel[:, :, None, None], [1, 1, grid.shape[2], 1]),
        [1, 1, 1, 1],
        "VALID",
    )
    fine = tf.pad(tf.image.resize(blurred, [_FINE, _FINE], "bicubic"), around, "SYMMETRIC")
    # TensorFlow counts a box from the middle of its first cell to that of its last.
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
    """Colours stronger by a factor (..., 1), no further than to the edge of the gamut."""
    grey = tf.reduce_sum(x * _LUMA, axis=-1, keepdims=True)
    away = x - grey
    room = tf.where(away > 0, (1 - grey) / tf.maximum(away, 1e-4), grey / tf.maximum(-away, 1e-4))
    edge = tf.maximum(tf.reduce_min(room, axis=-1, keepdims=True), 1.0)
    return tf.clip_by_value(grey + tf.minimum(factor, edge) * away, 0.0, 1.0)


def _linear(x: Any) -> Any:
    """Encoded to linear light, by the curve of sRGB (IEC 61966-2-1)."""
    return tf.where(x <= 0.04045, x / 12.92, tf.pow((tf.maximum(x, 0.04045) + 0.055) / 1.055, 2.4))


def _encoded(x: Any) -> Any:
    return tf.where(x <= 0.0031308, x * 12.92, 1.055 * tf.pow(tf.maximum(x, 0.0031308), 1 / 2.4) - 0.055)
