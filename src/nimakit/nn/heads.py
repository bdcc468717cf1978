"""Heads: from a backbone's features to a distribution over the bins."""

import keras

from nimakit.nn.backbones import Backbone


def histogram_model(
    backbone: Backbone, bins: int, *, weights: str | None = None, dropout_rate: float = 0.0
) -> keras.Model:
    """NIMA: the classifier of a backbone replaced by dropout and a softmax over the bins.

    The layout of Talebi and Milanfar, "NIMA: Neural Image Assessment", 2018, flat (backbone and head in one
    list of layers), as published weight files expect it.

    Args:
        backbone: From `nimakit.nn.backbones.get`.
        bins: Number of bins, at least 2.
        weights: The backbone's initial weights: None or "imagenet".
        dropout_rate: Share of features dropped while training, 0 to below 1.

    Returns:
        (N, H, W, 3) preprocessed to (N, bins) float32, rows sum to 1.
    """
    base = backbone.build(weights)
    features = keras.layers.Dropout(dropout_rate)(base.output)
    return keras.Model(base.input, keras.layers.Dense(bins, activation="softmax")(features))
