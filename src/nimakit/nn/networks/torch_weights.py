"""PyTorch state dicts into Keras models that bear PyTorch's names."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from nimakit.errors import WeightsError, first_line
from nimakit.models.torch_files import read


def load(model: keras.Model, path: Path) -> None:
    """Load a state dict into a model whose layers are called what PyTorch calls its modules.

    Leading underscores of module names do not count; tensors of modules the model does not have (a
    classifier) are left out.

    Args:
        model: `nimakit.nn.networks.efficientnet_lite` or `nimakit.nn.networks.resnet`, with a head or
            without.
        path: A .pth or .pt file.

    Raises:
        WeightsError: Not a state dict, or one of another network.
    """
    arrays = {".".join(part.lstrip("_") for part in key.split(".")): a for key, a in read(path).items()}
    named = [layer for layer in model.layers if layer.weights and f"{layer.name}.weight" in arrays]
    expected = [layer for layer in model.layers if isinstance(layer, _CONVERTED)]
    try:
        if not expected or named != expected:
            raise ValueError(f"{len(named)} of {len(expected)} layers of the model are in it")
        values = [_layer_values(layer, arrays) for layer in named]
        for layer, new in zip(named, values, strict=True):
            layer.set_weights(new)
    except (KeyError, ValueError) as error:
        raise WeightsError(
            f"A PyTorch state dict must be of the base model. Received: {path} ({first_line(error)});"
            " give the base model it belongs to."
        ) from error


_CONVERTED = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.BatchNormalization)


def _layer_values(layer: keras.Layer, arrays: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
    """The weights of a layer, in the order and the axes Keras has them."""
    if isinstance(layer, keras.layers.BatchNormalization):
        parts = ("weight", "bias", "running_mean", "running_var")
        values = [arrays[f"{layer.name}.{part}"] for part in parts]
    else:
        # PyTorch: (out, in / groups, height, width); Keras: (height, width, in, out), depthwise (..., in, 1).
        axes = (2, 3, 0, 1) if isinstance(layer, keras.layers.DepthwiseConv2D) else (2, 3, 1, 0)
        values = [arrays[f"{layer.name}.weight"].transpose(axes)]
    for value, weight in zip(values, layer.weights, strict=True):
        if value.shape != tuple(weight.shape):
            raise ValueError(f"{layer.name} must be {tuple(weight.shape)}, and is {value.shape}")
    return [value.astype(np.float32) for value in values]
