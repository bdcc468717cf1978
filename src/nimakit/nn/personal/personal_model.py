"""A Keras model with one person's taste, which gives differentiable personal scores."""

from dataclasses import replace
from typing import Any

import keras
import numpy as np

from nimakit.errors import ModelError
from nimakit.models.taste import LINEAR, MARGIN, Taste
from nimakit.nn.networks import adapters, heads
from nimakit.nn.networks.keras_model import KerasModel
from nimakit.stats.histogram import FloatArray


def for_user(model: KerasModel, taste: Taste) -> KerasModel:
    """Apply one person's taste to a model.

    Args:
        model: The base model the taste was learned with (`nimakit.models.taste.Taste.check_base`).
        taste: A taste of any method except "full", which has no Keras weights.

    Returns:
        A model that predicts the person's score, on the scale of the base model.

    Raises:
        ModelError: The method is "full", or the adapters do not fit.
    """
    if taste.method == "full":
        raise ModelError(
            "Gradients need Keras weights. Received: a user's file of the method full, which has none; learn"
            " the user's taste by adapters, head or factors."
        )
    network = model.network if taste.method in LINEAR else _adapted(model.network, taste)
    means = network.output
    if not model.is_regression:
        means = keras.ops.sum(means * model.bins.astype(np.float32), axis=1, keepdims=True)
    slope, constant = (float(value) for value in taste.arrays["level"])
    shift = slope * means + constant
    if taste.method in LINEAR:
        features = network.get_layer(heads.DROPOUT_NAME).input
        shift += keras.ops.matmul(features, taste.arrays["weights"][:, None])
    scores = means + shift if model.is_regression else _bounded(means + shift, model.bins)
    personal = keras.Model(network.input, scores)
    return replace(model, network=personal, config=replace(model.config, head="regression"))


def _bounded(means: Any, bins: FloatArray) -> Any:
    """Keep scores within the scale, as `nimakit.models.taste.personal_means` does."""
    low, high = float(bins[0]), float(bins[-1])
    margin = MARGIN * (high - low)
    below = keras.ops.relu(low + margin - means)
    above = keras.ops.relu(means - high + margin)
    inside = means + below - above
    # x beyond the margin becomes margin * x / (margin + x), which never reaches the end of the scale.
    return inside - below * margin / (margin + below) + above * margin / (margin + above)


def _adapted(network: keras.Model, taste: Taste) -> keras.Model:
    """Add a person's adapters, whose placement follows from the names of the arrays."""
    placement, batch_norm = adapters.kind(network, taste.adapters)
    adapted = adapters.adapt(network, placement=placement, batch_norm=batch_norm)
    if adapters.set_arrays(adapted, taste.adapters):
        return adapted
    raise ModelError(
        "Adapters must fit the layers of the network. Received:"
        f" {', '.join(list(taste.adapters)[:3])}, which this network does not have"
    )
