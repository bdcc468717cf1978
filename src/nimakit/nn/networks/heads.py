"""Heads: from a backbone's features to a distribution over the bins, or to one score."""

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
"""From one resolution to the next, maps have four times the pixels, and never less than this."""


def add_head(
    base: keras.Model,
    bins: FloatArray,
    *,
    head: Head = "histogram",
    score_activation: str = "linear",
    dropout_rate: float = 0.0,
    l2_reg: float = 0.0,
    levels: int = 1,
) -> keras.Model:
    """NIMA: the classifier of a backbone replaced by dropout and one dense layer.

    The layout of Talebi and Milanfar, "NIMA: Neural Image Assessment", 2018, flat (backbone and head in one
    list of layers), as published weight files expect it.

    Args:
        base: From `nimakit.nn.networks.backbones`: to (N, D) features.
        bins: (bins,), their values; for a regression head the ends of the rating scale.
        head: "histogram" and "classification" end in a softmax over the bins, "regression" in one score.
        score_activation: Of a regression head: "linear", or "sigmoid" stretched from the first bin to the
            last.
        dropout_rate: Share of features dropped while training, 0 to below 1.
        l2_reg: L2 penalty on the head's kernel, at least 0.
        levels: How many of the backbone's resolutions are pooled into the features, the coarsest first.

    Returns:
        (N, H, W, 3) preprocessed to (N, bins) float32, rows sum to 1; or to (N, 1) float32 on the scale of
        the bins.
    """
    dropout = keras.layers.Dropout(dropout_rate, name=DROPOUT_NAME)
    dense = keras.layers.Dense(
        1 if head == "regression" else len(bins),
        activation=_activation(head, score_activation, bins),
        kernel_regularizer=keras.regularizers.L2(l2_reg) if l2_reg else None,
        name=HEAD_NAME,
        dtype="float32",  # with mixed precision too: a softmax in 16 bits loses the tails
    )
    features = base.output if levels == 1 else _pooled(base, levels)
    return keras.Model(base.input, dense(dropout(features)))


def feature_blocks(model: keras.Model) -> list[int]:
    """How many of a model's features come from each resolution, in their order.

    Args:
        model: From `add_head`.
    """
    features = model.get_layer(DROPOUT_NAME).input
    merged = [layer for layer in model.layers if layer.name == _LEVELS_NAME]
    return [part.shape[1] for part in merged[0].input] if merged else [features.shape[1]]


def _pooled(base: keras.Model, levels: int) -> Any:
    """(N, D) features: the last map of each resolution, averaged over its area; coarsest first."""
    maps = {
        layer.output.shape[1:3]: layer.output
        for layer in base.layers
        if len(layer.output.shape) == 4 and not isinstance(layer, keras.layers.ZeroPadding2D)
    }
    coarsest: list[tuple[int, int]] = []
    # Attention gates have a map of one pixel, and convolutions without padding lose a pixel or two.
    for size in sorted(maps, key=math.prod):
        if size not in ((1, 1), base.input.shape[1:3]) and (
            not coarsest or math.prod(size) > _NEXT_LEVEL * math.prod(coarsest[-1])
        ):
            coarsest.append(size)
    if levels > len(coarsest):
        raise ModelError(
            f"pooled_levels must be at most the number of resolutions of the backbone. Received: {levels},"
            f" it has {len(coarsest)}"
        )
    coarsest = coarsest[:levels]
    parts = [
        keras.layers.GlobalAveragePooling2D(name=f"level_{n}")(maps[size]) for n, size in enumerate(coarsest)
    ]
    return keras.layers.Concatenate(name=_LEVELS_NAME)(parts)


def of_config(base: keras.Model, bins: FloatArray, config: TrainConfig) -> keras.Model:
    """The network a training config stands for, on its backbone: as `add_head`."""
    return add_head(
        base,
        bins,
        head=config.head,
        score_activation=config.score_activation,
        dropout_rate=config.dropout_rate,
        l2_reg=config.l2_reg,
        levels=config.pooled_levels,
    )


def head_alone(model: keras.Model) -> keras.Model:
    """The head of a model as one of its own, with the same weights: (N, D) features to what the model gives.

    Args:
        model: From `add_head`.
    """
    features = keras.Input(model.get_layer(DROPOUT_NAME).input.shape[1:])
    dropped = model.get_layer(DROPOUT_NAME)(features)
    return keras.Model(features, model.get_layer(HEAD_NAME)(dropped))


def backbone_alone(model: keras.Model) -> keras.Model:
    """What comes before the head of a model, with the same weights.

    Args:
        model: From `add_head`.

    Returns:
        (N, H, W, 3) preprocessed to (N, D) features.
    """
    return keras.Model(model.input, model.get_layer(DROPOUT_NAME).input)


def set_prior(model: keras.Model, average: Float32Array, bins: FloatArray) -> None:
    """Start a new head at the average target rather than at nothing: only its bias changes.

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
