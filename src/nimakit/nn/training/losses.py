"""Losses of the heads, and the optimiser."""

from typing import Any

import keras

from nimakit.config import Head


def emd(labels: Any, predictions: Any) -> Any:
    """Squared earth mover's distance as a root mean square over the bins (r=2).

    Talebi and Milanfar, "NIMA: Neural Image Assessment", 2018, equation 1.

    Args:
        labels: (N, bins) float32 tensor, rows sum to 1.
        predictions: (N, bins) float32 tensor, rows sum to 1.

    Returns:
        (N,) float32 tensor, 0 to 1.
    """
    difference = keras.ops.cumsum(labels - predictions, axis=-1)
    # At equal distributions the root has no gradient: a hair inside it keeps it finite.
    return keras.ops.sqrt(keras.ops.mean(keras.ops.square(difference), axis=-1) + keras.config.epsilon() ** 2)


def of_head(head: Head) -> Any:
    """The loss a head is trained with: EMD, mean squared error on the mean rating, or cross-entropy."""
    losses: dict[Head, Any] = {
        "histogram": emd,
        "regression": keras.losses.mean_squared_error,
        "classification": keras.losses.categorical_crossentropy,
    }
    return losses[head]


class LayerwiseAdam(keras.optimizers.Adam):  # type: ignore[misc] # Keras has no types
    """Adam whose learning rate falls from the head to the first layer.

    Layer-wise decay as in Clark et al., "ELECTRA", 2020, section 3.1; Adam as in Kingma and Ba, 2015.

    Args:
        model: The trained model; its trainable variables are ordered from the first layer to the head.
        learning_rate: Of the head: a number or a schedule.
        layer_decay: Share of it that is left at the first layer, above 0 to 1; geometric in between.
        kwargs: As for `keras.optimizers.Adam`.
    """

    def __init__(self, model: keras.Model, learning_rate: Any, layer_decay: float, **kwargs: Any) -> None:
        super().__init__(learning_rate, **kwargs)
        layers = [layer for layer in model.layers if layer.trainable_variables]
        # In the order of the model's trainable variables, which is the order Adam numbers them in.
        self._shares = [
            layer_decay ** ((len(layers) - 1 - position) / max(1, len(layers) - 1))
            for position, layer in enumerate(layers)
            for _ in layer.trainable_variables
        ]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """One step of one variable."""
        share = self._shares[self._get_variable_index(variable)]
        super().update_step(gradient, variable, learning_rate * share)
