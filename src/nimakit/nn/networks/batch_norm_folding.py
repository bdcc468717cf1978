"""Fold frozen batch normalisation into the preceding convolutions: the same outputs in fewer passes."""

from typing import Any

import keras

_DEPTHWISE = keras.layers.DepthwiseConv2D


class _FoldedConvolution(keras.layers.Layer):  # type: ignore[misc] # Keras has no types
    """A convolution and the frozen normalisation after it, sharing their weights; the kernel is trainable.

    ``gamma (w * x - mean) / sqrt(variance + epsilon) + beta`` is a convolution with the scaled kernel, plus a
    constant for each channel (Jacob et al., "Quantization and Training of Neural Networks for Efficient
    Integer-Arithmetic-Only Inference", 2018, section 3.2).
    """

    def __init__(self, convolution: keras.Layer, normalisation: keras.Layer) -> None:
        super().__init__(dtype=normalisation.dtype_policy)
        self.convolution = convolution
        self.normalisation = normalisation
        self.built = True

    def call(self, inputs: Any, mask: Any = None) -> Any:  # noqa: ARG002 - Keras passes it
        """(N, H, W, C) to (N, H', W', C')."""
        conv, norm = self.convolution, self.normalisation
        scale = keras.ops.rsqrt(norm.moving_variance + norm.epsilon)
        if norm.scale:
            scale = scale * norm.gamma
        shift = -norm.moving_mean * scale
        if norm.center:
            shift = shift + norm.beta
        is_depthwise = isinstance(conv, _DEPTHWISE)
        if is_depthwise:
            scale = keras.ops.reshape(scale, tuple(conv.kernel.shape[2:]))
        # Statistics have 32 bits even if the network computes in 16.
        kernel = keras.ops.cast(conv.kernel * scale, self.compute_dtype)
        run = keras.ops.depthwise_conv if is_depthwise else keras.ops.conv
        return run(
            inputs, kernel, strides=conv.strides, padding=conv.padding, dilation_rate=conv.dilation_rate
        ) + keras.ops.cast(shift, self.compute_dtype)


def fold(model: keras.Model) -> keras.Model:
    """Fold each frozen normalisation of a functional model into the convolution before it.

    Normalisation that is trainable, or that does not follow a plain convolution of its own, is left alone.

    Returns:
        Another model with the same outputs and shared weights: training it trains the given model.
    """
    sources = {id(layer): _preceding_convolution(layer) for layer in model.layers}
    folded = {key: source for key, source in sources.items() if source is not None}
    convolutions = {id(source) for source in folded.values()}
    if not folded:
        return model

    def replace(layer: keras.Layer) -> keras.Layer:
        if id(layer) in convolutions:
            return keras.layers.Identity(dtype=layer.dtype_policy)
        return _FoldedConvolution(folded[id(layer)], layer) if id(layer) in folded else layer

    return keras.models.clone_model(model, clone_function=replace)


def _preceding_convolution(layer: keras.Layer) -> keras.Layer | None:
    """The plain convolution whose only consumer is this frozen normalisation, if any."""
    if type(layer) is not keras.layers.BatchNormalization or layer.trainable:
        return None
    source = layer.input._keras_history.operation
    if (
        type(source) not in (keras.layers.Conv2D, _DEPTHWISE)
        or source.use_bias
        or getattr(source, "groups", 1) != 1
        or source.activation is not keras.activations.linear
        or len(source._outbound_nodes) != 1
        or layer.axis not in (-1, 3)
    ):
        return None
    return source
