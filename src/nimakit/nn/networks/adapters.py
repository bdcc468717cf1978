"""Residual adapters: small layers beside or behind those of a network, which one person's ratings teach.

Rebuffi, Bilen and Vedaldi, "Learning multiple visual domains with residual adapters", 2017 (in series: behind
the normalisation of a convolution), and "Efficient parametrization of multi-domain deep neural networks",
2018 (parallel: beside the convolution). Both are 1x1, and of low rank here: two matrices, the first of which
stays as it was drawn, and the second starts at zero, so that an adapted network begins as the one it adapts.

Scale and shift of normalisation can be a person's own too: a factor and a constant for each channel, behind
it, which come to the same. Its statistics stay those of the base: a hundred pictures are too few for them.
"""

from collections.abc import Iterator
from typing import Any, Literal

import keras
import numpy as np

from nimakit.errors import ModelError
from nimakit.io.arrays import Arrays

Placement = Literal["parallel", "series"]

PREFIX = "adapter"
SHARE = 0.05
"""Adapters have at most this share of the parameters of the network they adapt."""

_RANK = 8
_DOWN, _BIAS = "_down", "_bias"


def adapt(
    network: keras.Model, *, placement: Placement = "parallel", batch_norm: bool = False
) -> keras.Model:
    """The same network with adapters, of which what starts at zero is trainable, and nothing else.

    Until they learn it gives the same. The first convolution and depthwise ones get none, and the head
    neither.

    Args:
        network: From `nimakit.nn.networks.heads`.
        placement: Where adapters are put.
        batch_norm: Whether normalisation has a scale and a shift of its own too.

    Returns:
        A network of its own, with the same weights.

    Raises:
        ModelError: It is too small for even the smallest adapters.
    """
    places = {layer.name: channels for layer, channels in _places(network, placement)}
    scaled = {layer.name: layer.output.shape[-1] for layer in _norms(network)} if batch_norm else {}
    room = SHARE * network.count_params() - 2 * sum(scaled.values())
    rank = min(_RANK, int(room / sum(map(sum, places.values()))))
    if rank < 1:
        raise ModelError(
            f"Adapters have at most {SHARE:.0%} of a network's parameters. Received: one of"
            f" {network.count_params()}, too few for {len(places)} adapters; the method full changes all."
        )

    def call(layer: keras.Layer, *inputs: Any, **options: Any) -> Any:
        outputs = layer(*inputs, **options)
        if layer.name in scaled:
            outputs = keras.layers.Add(name=f"{PREFIX}_{layer.name}_scaled")(
                [outputs, _affine(outputs, layer.name)]
            )
        if layer.name not in places:
            return outputs
        channels = places[layer.name][1]
        if isinstance(layer, keras.layers.BatchNormalization):
            branch = _branch(outputs, layer.name, rank, channels, 1)
        else:
            branch = _branch(_centre(layer, inputs[0]), layer.name, rank, channels, layer.strides)
        return keras.layers.Add(name=f"{PREFIX}_{layer.name}_sum")([outputs, branch])

    adapted = keras.models.clone_model(network, call_function=call)
    for layer in filter(lambda layer: layer.weights, network.layers):
        adapted.get_layer(layer.name).set_weights(layer.get_weights())
    for layer in adapted.layers:
        layer.trainable = layer.name.startswith(PREFIX) and not layer.name.endswith(_DOWN)
    return adapted


def adapter_layers(network: keras.Model) -> list[keras.Layer]:
    """The layers of the adapters in a network from `adapt`."""
    return [layer for layer in network.layers if layer.name.startswith(PREFIX) and layer.weights]


def get_arrays(network: keras.Model) -> Arrays:
    """The weights of a network's adapters as a graph has them: (out, in, 1, 1) float32, and biases (C,)."""
    arrays: Arrays = {}
    for layer in adapter_layers(network):
        kernel, *bias = layer.get_weights()
        arrays[layer.name] = np.ascontiguousarray(kernel.transpose(_axes(layer)))
        arrays |= {f"{layer.name}{_BIAS}": values for values in bias}
    return arrays


def set_arrays(network: keras.Model, arrays: Arrays) -> bool:
    """Give a network's adapters the weights that `get_arrays` gave.

    Returns:
        Whether they are of these adapters; nothing is changed where they are not.
    """
    wanted = {name: array.shape for name, array in get_arrays(network).items()}
    if {name: array.shape for name, array in arrays.items()} != wanted:
        return False
    for layer in adapter_layers(network):
        kernel = arrays[layer.name].transpose(np.argsort(_axes(layer)))
        layer.set_weights([kernel, *(arrays[f"{layer.name}{_BIAS}"] for _ in layer.weights[1:])])
    return True


def _axes(layer: keras.Layer) -> tuple[int, int, int, int]:
    """Of a kernel as Keras has it, in the order that a graph has them in."""
    return (2, 3, 0, 1) if isinstance(layer, keras.layers.DepthwiseConv2D) else (3, 2, 0, 1)


def _norms(network: keras.Model) -> list[keras.Layer]:
    return [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]


def _places(network: keras.Model, placement: Placement) -> Iterator[tuple[keras.Layer, tuple[int, int]]]:
    """The layers that get an adapter, and the channels before and after it."""
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
    """Whether a 1x1 convolution can look at the pixel in the middle of each window."""
    odd = all(size % 2 for size in layer.kernel_size)
    plain = layer.groups == 1 and set(layer.dilation_rate) == {1}
    # Padding by Keras depends on the size of the input where there is a stride.
    known = layer.padding == "valid" or set(layer.strides) == {1} or set(layer.kernel_size) == {1}
    return odd and plain and known


def _centre(layer: keras.layers.Conv2D, inputs: Any) -> Any:
    """The part of a layer's input that is ever in the middle of a window."""
    borders = tuple(size // 2 for size in layer.kernel_size)
    return keras.layers.Cropping2D(borders)(inputs) if layer.padding == "valid" and any(borders) else inputs


def _branch(inputs: Any, name: str, rank: int, channels: int, strides: int | tuple[int, int]) -> Any:
    """(N, H, W, C) to (N, H', W', channels): down to `rank` channels and up again, from zero."""
    down = keras.layers.Conv2D(rank, 1, strides=strides, use_bias=False, name=f"{PREFIX}_{name}{_DOWN}")
    up = keras.layers.Conv2D(
        channels, 1, use_bias=False, kernel_initializer="zeros", name=f"{PREFIX}_{name}_up"
    )
    return up(down(inputs))


def _affine(inputs: Any, name: str) -> Any:
    """(N, H, W, C) to the same: each channel times a factor, plus a constant, both from zero."""
    return keras.layers.DepthwiseConv2D(1, depthwise_initializer="zeros", name=f"{PREFIX}_{name}_scale")(
        inputs
    )
