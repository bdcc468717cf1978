"""Heads: map a backbone's features to a distribution over the bins, or to one score."""

import math
from typing import Any

import keras
import numpy as np

from nimakit.config import Head, TrainConfig
from nimakit.errors import ModelError
from nimakit.stats.histogram import Float32Array, FloatArray

HEAD_NAME = "rating"
DROPOUT_NAME = "rating_dropout"
_LEVELS_NAME = "levels"
_NEXT_LEVEL = 2
"""Feature maps of the next resolution have at least this many times the pixels; usually four times."""


def add_head(base: keras.Model, bins: FloatArray, config: TrainConfig) -> keras.Model:
    """Build a NIMA network: a backbone, dropout and one dense layer.

    Talebi and Milanfar, "NIMA: Neural Image Assessment", 2018. Backbone and head form one flat list of
    layers, as in published weight files.

    Args:
        base: A backbone from `nimakit.nn.networks.backbones`, with (N, D) features.
        bins: (bins,), their values; a regression head uses only the ends of the scale.
        config: Its head, score_activation, dropout_rate, l2_reg and pooled_levels.

    Returns:
        (N, H, W, 3) preprocessed to (N, bins) float32, rows sum to 1; or to (N, 1) float32 on the scale of
        the bins.

    Raises:
        ModelError: The backbone has fewer resolutions than pooled_levels.
    """
    dense = keras.layers.Dense(
        1 if config.head == "regression" else len(bins),
        activation=_activation(config.head, config.score_activation, bins),
        kernel_regularizer=keras.regularizers.L2(config.l2_reg) if config.l2_reg else None,
        name=HEAD_NAME,
        dtype="float32",  # even with mixed precision: a softmax in 16 bits loses the tails
    )
    features = base.output if config.pooled_levels == 1 else _pooled(base, config.pooled_levels)
    dropped = keras.layers.Dropout(config.dropout_rate, name=DROPOUT_NAME)(features)
    return keras.Model(base.input, dense(dropped))


def feature_blocks(model: keras.Model) -> list[int]:
    """The number of features from each resolution, for a model from `add_head`."""
    features = model.get_layer(DROPOUT_NAME).input
    merged = [layer for layer in model.layers if layer.name == _LEVELS_NAME]
    return [part.shape[1] for part in merged[0].input] if merged else [features.shape[1]]


def _pooled(base: keras.Model, levels: int) -> Any:
    """(N, D) features: the spatial mean of the last map of each resolution, coarsest first."""
    maps = {
        layer.output.shape[1:3]: layer.output
        for layer in base.layers
        if len(layer.output.shape) == 4 and not isinstance(layer, keras.layers.ZeroPadding2D)
    }
    coarsest: list[tuple[int, int]] = []
    # Skip the 1x1 maps of attention gates; unpadded convolutions lose a pixel or two.
    for size in sorted(maps, key=math.prod):
        if size not in ((1, 1), base.input.shape[1:3]) and (
            not coarsest or math.prod(size) > _NEXT_LEVEL * math.prod(coarsest[-1])
        ):
            coarsest.append(size)
    if levels > len(coarsest):
        raise ModelError(
            "pooled_levels must be at most the number of resolutions of the backbone."
            f" Received: {levels}, it has {len(coarsest)}"
        )
    coarsest = coarsest[:levels]
    parts = [
        keras.layers.GlobalAveragePooling2D(name=f"level_{n}")(maps[size]) for n, size in enumerate(coarsest)
    ]
    return keras.layers.Concatenate(name=_LEVELS_NAME)(parts)


def head_only(model: keras.Model) -> keras.Model:
    """The head of a model from `add_head`, with shared weights: (N, D) features to the model's outputs."""
    dropout = model.get_layer(DROPOUT_NAME)
    features = keras.Input(dropout.input.shape[1:])
    return keras.Model(features, model.get_layer(HEAD_NAME)(dropout(features)))


def backbone_only(model: keras.Model) -> keras.Model:
    """A model from `add_head` without its head, with shared weights: preprocessed pixels to (N, D)."""
    return keras.Model(model.input, model.get_layer(DROPOUT_NAME).input)


def set_prior(model: keras.Model, average: Float32Array, bins: FloatArray) -> None:
    """Set the bias of a new head so that it starts at the average target.

    Args:
        model: From `add_head`.
        average: (bins,), sums to 1; or (1,), the mean rating.
        bins: (bins,), their values.
    """
    dense = model.get_layer(HEAD_NAME)
    kernel, bias = dense.get_weights()
    if len(average) > 1:
        bias = np.log(np.maximum(average, keras.config.epsilon()))
        bias -= bias.mean()
    elif dense.activation is keras.activations.linear:
        bias = average
    else:
        share = np.clip((average - bins[0]) / (bins[-1] - bins[0]), 0.01, 0.99)
        bias = np.log(share / (1 - share))
    dense.set_weights([kernel, bias])


def _activation(head: Head, score_activation: str, bins: FloatArray) -> Any:
    if head != "regression":
        return "softmax"
    if score_activation == "linear":
        return None
    low, high = float(bins[0]), float(bins[-1])

    def stretched_sigmoid(x: Any) -> Any:
        return low + (high - low) * keras.ops.sigmoid(x)

    return stretched_sigmoid
