"""Residual adapters: small trainable layers added to a network to learn one person's taste.

Rebuffi, Bilen and Vedaldi, "Learning multiple visual domains with residual adapters", 2017 (in series: after
the normalisation of a convolution), and "Efficient parametrization of multi-domain deep neural networks",
2018 (parallel to the convolution). Both are 1x1 convolutions, here of low rank: two matrices, of which the
first stays random and the second starts at zero, so that an adapted network starts with the base's outputs.

Scale and shift of batch normalisation can be personal too: a factor and a constant for each channel after it.
Its statistics stay those of the base network, because a hundred pictures are too few to estimate them.
"""

from collections.abc import Iterator
from typing import Any, Literal

import keras
import numpy as np

from nimakit.errors import ModelError
from nimakit.io.arrays import Arrays

Placement = Literal["parallel", "series"]

PREFIX = "adapter"
MAX_SHARE = 0.05
"""Adapters have at most this share of the parameters of the network they adapt."""

_RANK = 8
_DOWN, _UP, _SCALE, _BIAS = "_down", "_up", "_scale", "_bias"


def adapt(
    network: keras.Model, *, placement: Placement = "parallel", batch_norm: bool = False
) -> keras.Model:
    """Copy a network and add adapters, whose zero-initialised weights are all that is trainable.

    The copy has the same outputs until its adapters are trained. The first convolution, depthwise
    convolutions and the head get no adapter.

    Args:
        network: From `nimakit.nn.networks.heads`.
        placement: Parallel to convolutions, or in series with them.
        batch_norm: Whether batch normalisation gets a trainable scale and shift too.

    Raises:
        ModelError: The network is too small for even the smallest adapters.
    """
    channels = {layer.name: sizes for layer, sizes in _adapted_layers(network, placement)}
    scaled = {layer.name: layer.output.shape[-1] for layer in _norms(network)} if batch_norm else {}
    budget = MAX_SHARE * network.count_params() - 2 * sum(scaled.values())
    rank = min(_RANK, int(budget / sum(map(sum, channels.values()))))
    if rank < 1:
        raise ModelError(
            f"Adapters have at most {MAX_SHARE:.0%} of a network's parameters. Received: a network with"
            f" {network.count_params()}, too few for {len(channels)} adapters; use the method full."
        )

    def call(layer: keras.Layer, *inputs: Any, **options: Any) -> Any:
        outputs = layer(*inputs, **options)
        if layer.name in scaled:
            outputs = keras.layers.Add(name=f"{PREFIX}_{layer.name}_scaled")(
                [outputs, _affine(outputs, layer.name)]
            )
        if layer.name not in channels:
            return outputs
        filters = channels[layer.name][1]
        if isinstance(layer, keras.layers.BatchNormalization):
            branch = _branch(outputs, layer.name, rank, filters, 1)
        else:
            branch = _branch(_centres(layer, inputs[0]), layer.name, rank, filters, layer.strides)
        return keras.layers.Add(name=f"{PREFIX}_{layer.name}_sum")([outputs, branch])

    adapted = keras.models.clone_model(network, call_function=call)
    for layer in filter(lambda layer: layer.weights, network.layers):
        adapted.get_layer(layer.name).set_weights(layer.get_weights())
    for layer in adapted.layers:
        layer.trainable = layer.name.startswith(PREFIX) and not layer.name.endswith(_DOWN)
    return adapted


def adapter_layers(network: keras.Model) -> list[keras.Layer]:
    """The adapter layers of a network from `adapt`."""
    return [layer for layer in network.layers if layer.name.startswith(PREFIX) and layer.weights]


def get_arrays(network: keras.Model) -> Arrays:
    """The weights of a network's adapters in ONNX's layout: (out, in, 1, 1) float32, and biases (C,)."""
    arrays: Arrays = {}
    for layer in adapter_layers(network):
        kernel, *bias = layer.get_weights()
        arrays[layer.name] = np.ascontiguousarray(kernel.transpose(_axes(layer)))
        arrays |= {f"{layer.name}{_BIAS}": values for values in bias}
    return arrays


def set_arrays(network: keras.Model, arrays: Arrays) -> bool:
    """Set the weights of a network's adapters from arrays of `get_arrays`.

    Returns:
        Whether names and shapes match; if not, nothing is changed.
    """
    expected = {name: array.shape for name, array in get_arrays(network).items()}
    if {name: array.shape for name, array in arrays.items()} != expected:
        return False
    for layer in adapter_layers(network):
        kernel = arrays[layer.name].transpose(np.argsort(_axes(layer)))
        layer.set_weights([kernel, *(arrays[f"{layer.name}{_BIAS}"] for _ in layer.weights[1:])])
    return True


def kind(network: keras.Model, arrays: Arrays) -> tuple[Placement, bool]:
    """Placement and batch_norm of the adapters of a network that have these arrays, if any have."""
    norms = _norms(network)
    is_in_series = any(f"{PREFIX}_{norm.name}{_UP}" in arrays for norm in norms)
    is_scaled = any(f"{PREFIX}_{norm.name}{_SCALE}" in arrays for norm in norms)
    return "series" if is_in_series else "parallel", is_scaled


def _axes(layer: keras.Layer) -> tuple[int, int, int, int]:
    """The axes of a Keras kernel in ONNX's order."""
    return (2, 3, 0, 1) if isinstance(layer, keras.layers.DepthwiseConv2D) else (3, 2, 0, 1)


def _norms(network: keras.Model) -> list[keras.Layer]:
    return [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]


def _adapted_layers(
    network: keras.Model, placement: Placement
) -> Iterator[tuple[keras.Layer, tuple[int, int]]]:
    """The layers that get an adapter, each with the adapter's input and output channels."""
    convolutions = [layer for layer in network.layers if type(layer) is keras.layers.Conv2D]
    if placement == "parallel":
        for layer in filter(_has_centre, convolutions[1:]):
            yield layer, (layer.input.shape[-1], layer.filters)
        return
    filters = {id(layer.output): layer.filters for layer in convolutions[1:]}
    for layer in _norms(network):
        if id(layer.input) in filters:
            yield layer, (filters[id(layer.input)],) * 2


def _has_centre(layer: keras.layers.Conv2D) -> bool:
    """Whether each window has a central pixel that a parallel 1x1 convolution can see."""
    is_odd = all(size % 2 for size in layer.kernel_size)
    is_plain = layer.groups == 1 and set(layer.dilation_rate) == {1}
    # With a stride, how Keras pads depends on the size of the input.
    is_known = layer.padding == "valid" or set(layer.strides) == {1} or set(layer.kernel_size) == {1}
    return is_odd and is_plain and is_known


def _centres(layer: keras.layers.Conv2D, inputs: Any) -> Any:
    """The part of a convolution's input that is at the centre of some window."""
    borders = tuple(size // 2 for size in layer.kernel_size)
    return keras.layers.Cropping2D(borders)(inputs) if layer.padding == "valid" and any(borders) else inputs


def _branch(inputs: Any, name: str, rank: int, filters: int, strides: int | tuple[int, int]) -> Any:
    """(N, H, W, C) to (N, H', W', filters): down to `rank` channels, then up with weights of zero."""
    down = keras.layers.Conv2D(rank, 1, strides=strides, use_bias=False, name=f"{PREFIX}_{name}{_DOWN}")
    up = keras.layers.Conv2D(
        filters, 1, use_bias=False, kernel_initializer="zeros", name=f"{PREFIX}_{name}{_UP}"
    )
    return up(down(inputs))


def _affine(inputs: Any, name: str) -> Any:
    """(N, H, W, C) to the same shape: each channel times a factor plus a constant, both initially zero."""
    name = f"{PREFIX}_{name}{_SCALE}"
    return keras.layers.DepthwiseConv2D(1, depthwise_initializer="zeros", name=name)(inputs)
