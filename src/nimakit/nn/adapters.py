"""Residual adapters: small layers beside or behind those of a network, which one person's ratings teach.

Rebuffi, Bilen and Vedaldi, "Learning multiple visual domains with residual adapters", 2017 (in series: behind
the normalisation of a convolution), and "Efficient parametrization of multi-domain deep neural networks",
2018 (parallel: beside the convolution). Both are 1x1, and of low rank here: two matrices, the second of which
starts at zero, so that an adapted network begins as the one it adapts.
"""

from collections.abc import Iterator
from typing import Any, Literal

import keras

from nimakit.errors import ModelError

Placement = Literal["parallel", "series"]

PREFIX = "adapter"
SHARE = 0.05
"""Adapters have at most this share of the parameters of the network they adapt."""

_RANK = 8


def adapt(network: keras.Model, *, placement: Placement = "parallel") -> keras.Model:
    """The same network with adapters, which alone are trainable; until they learn it gives the same.

    The first convolution and depthwise ones get none, and the head neither.

    Args:
        network: From `nimakit.nn.heads`.
        placement: Where adapters are put.

    Returns:
        A network of its own, with the same weights.

    Raises:
        ModelError: It is too small for even the smallest adapters.
    """
    places = {layer.name: channels for layer, channels in _places(network, placement)}
    rank = min(_RANK, int(SHARE * network.count_params() / sum(map(sum, places.values()))))
    if rank < 1:
        raise ModelError(
            f"Adapters have at most {SHARE:.0%} of a network's parameters. Received: one of"
            f" {network.count_params()}, too few for {len(places)} adapters; the method full changes all."
        )

    def call(layer: keras.Layer, *inputs: Any, **options: Any) -> Any:
        outputs = layer(*inputs, **options)
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
        layer.trainable = layer.name.startswith(PREFIX)
    return adapted


def adapter_layers(network: keras.Model) -> list[keras.Layer]:
    """The layers of the adapters in a network from `adapt`."""
    return [layer for layer in network.layers if layer.name.startswith(PREFIX) and layer.weights]


def _places(network: keras.Model, placement: Placement) -> Iterator[tuple[keras.Layer, tuple[int, int]]]:
    """The layers that get an adapter, and the channels before and after it."""
    convolutions = [layer for layer in network.layers if type(layer) is keras.layers.Conv2D]
    if placement == "parallel":
        for layer in filter(_has_centre, convolutions[1:]):
            yield layer, (layer.input.shape[-1], layer.filters)
        return
    filters = {id(layer.output): layer.filters for layer in convolutions[1:]}
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization) and id(layer.input) in filters:
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
    down = keras.layers.Conv2D(rank, 1, strides=strides, use_bias=False, name=f"{PREFIX}_{name}_down")
    up = keras.layers.Conv2D(
        channels, 1, use_bias=False, kernel_initializer="zeros", name=f"{PREFIX}_{name}_up"
    )
    return up(down(inputs))
