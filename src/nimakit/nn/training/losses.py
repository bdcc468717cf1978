"""Loss functions of the heads, and the optimiser with layer-wise learning rates."""

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
    # The root has no gradient at 0, so a tiny constant keeps it finite for equal distributions.
    return keras.ops.sqrt(keras.ops.mean(keras.ops.square(difference), axis=-1) + keras.config.epsilon() ** 2)


def for_head(head: Head) -> Any:
    """The loss of a head: EMD, mean squared error of the mean rating, or cross-entropy."""
    if head == "histogram":
        return emd
    return keras.losses.mean_squared_error if head == "regression" else keras.losses.categorical_crossentropy


class LayerwiseAdam(keras.optimizers.Adam):  # type: ignore[misc] # Keras has no types
    """Adam with a learning rate that decays from the head to the first layer.

    Layer-wise decay as in Clark et al., "ELECTRA", 2020, section 3.1; Adam as in Kingma and Ba, 2015.

    Args:
        model: The model to train.
        learning_rate: Learning rate of the head: a number or a schedule.
        layer_decay: Share of it at the first layer, above 0 to 1; geometric in between.
        kwargs: Passed to `keras.optimizers.Adam`.
    """

    def __init__(self, model: keras.Model, learning_rate: Any, layer_decay: float, **kwargs: Any) -> None:
        super().__init__(learning_rate, **kwargs)
        layers = [layer for layer in model.layers if layer.trainable_variables]
        # Adam numbers variables in the order of the model's trainable variables.
        self._rate_factors = [
            layer_decay ** ((len(layers) - 1 - position) / max(1, len(layers) - 1))
            for position, layer in enumerate(layers)
            for _ in layer.trainable_variables
        ]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update one variable."""
        factor = self._rate_factors[self._get_variable_index(variable)]
        super().update_step(gradient, variable, learning_rate * factor)
