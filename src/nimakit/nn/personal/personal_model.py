"""A network as one person sees pictures, with gradients: what the engine does with a user's file."""

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
    """The mean score as one person would give it.

    Args:
        model: The base model the taste was learned with (`nimakit.models.taste.Taste.check_base`).
        taste: Of any method but "full", which leaves no Keras weights.

    Returns:
        A model of scores, on the scale of the base model.

    Raises:
        ModelError: The method has no gradient.
    """
    if taste.method == "full":
        raise ModelError(
            "Gradients need Keras weights. Received: a user's file of the method full, which is a model file"
            " without them; learn the user by adapters, head or factors."
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
    moved = means + shift if model.is_regression else _bent(means + shift, model.bins)
    personal = keras.Model(network.input, moved)
    return replace(model, network=personal, config=replace(model.config, head="regression"))


def _bent(means: Any, bins: FloatArray) -> Any:
    """Kept inside the scale, as means of distributions are: `nimakit.models.taste.personal_means`."""
    low, high = float(bins[0]), float(bins[-1])
    margin = MARGIN * (high - low)
    below = keras.ops.relu(low + margin - means)
    above = keras.ops.relu(means - high + margin)
    inside = means + below - above
    # A part of the way beyond the margin is given back: margin - margin^2 / (margin + x) of x.
    return inside - below * margin / (margin + below) + above * margin / (margin + above)


def _adapted(network: keras.Model, taste: Taste) -> keras.Model:
    """A network with a person's adapters in it."""
    for batch_norm in (False, True):
        placed: adapters.Placement
        for placed in ("parallel", "series"):
            adapted = adapters.adapt(network, placement=placed, batch_norm=batch_norm)
            if adapters.set_arrays(adapted, taste.adapters):
                return adapted
    raise ModelError(
        "Adapters belong to the layers they were learned in. Received: "
        f"{', '.join(list(taste.adapters)[:3])}, which this network has not"
    )
