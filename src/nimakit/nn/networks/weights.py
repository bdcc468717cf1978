"""Load weight files into Keras models, wherever in the file the backbone is."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from nimakit.errors import WeightsError, first_line, shortened
from nimakit.models import pretrained, torch_files
from nimakit.models.weight_files import Shapes, StoredLayer, finite_values, stored_layers
from nimakit.models.weight_matching import ExpectedLayer, match_layers

_MAX_LISTED = 5


def load(model: keras.Model, path: Path) -> None:
    """Load weights into a model with the same backbone and the same head.

    Args:
        model: From `nimakit.nn.networks.heads`.
        path: A file for `nimakit.models.weight_files.stored_layers`. The backbone may be one layer of the
            saved model, as in Keras's guide to transfer learning.

    Raises:
        WeightsError: Not such a file, or weights of another network.
    """
    with stored_layers(path) as stored:
        backbone, head = _layers_of(model)
        found, rest = match_layers(_expected(backbone), stored, path)
        if [layer.shapes for layer in rest] != [_shapes(head)]:
            raise WeightsError(
                f"The weights must fit the base model and its head ({len(model.layers)} layers)."
                f" Received: {path}, {_head_mismatch(head, rest)}"
            )
        _assign([*backbone, head], [*found, *rest], path)


def count_bins(base: keras.Model, path: Path) -> int:
    """The number of bins of the head in a weight file.

    Args:
        base: The backbone, from `nimakit.nn.networks.backbones`.
        path: A file for `load`.

    Raises:
        WeightsError: Not a weight file, or one of another backbone, without a head, or with a head of one
            output.
    """
    with stored_layers(path) as stored:
        _, rest = match_layers(_expected(_with_weights(base.layers)), stored, path)
        widths = _widths(rest)
    if not widths:
        raise WeightsError(f"A weight file must contain a dense head. Received: {path}, which has none")
    if min(widths) == 1:
        raise WeightsError(
            f"A histogram has at least 2 bins. Received: {path}, whose weights have a head of one output, a"
            ' regression; pass the config they were trained with (--config-file), with head "regression".'
        )
    return min(widths)


def load_pretrained(
    model: keras.Model, source: str | Path, *, notify: pretrained.Notify | None = None
) -> bool:
    """Load the weights that training starts from: all if the head is the same, else only the backbone's.

    Args:
        model: From `nimakit.nn.networks.heads`: a flat list of layers that ends in dropout and a dense layer.
        source: A file for `load`, with this head, another one or none; a PyTorch state dict (.pth, .pt) of a
            backbone whose layers have PyTorch's names; or a name in `pretrained.PUBLIC`.
        notify: Called with a message if the head is not loaded, and before a download.

    Returns:
        Whether the head was loaded too.

    Raises:
        WeightsError: Not such a file, or weights of another network.
        DownloadError: Public weights that are neither cached nor reachable.
    """
    is_public = str(source) in pretrained.PUBLIC
    path = pretrained.fetch_weights(str(source), notify) if is_public else Path(source)
    backbone, head = _layers_of(model)
    if path.name.endswith(torch_files.SUFFIXES):
        load_state_dict(keras.Model(model.input, model.layers[-2].input), path)
        has_head, widths = False, []
    else:
        with stored_layers(path) as stored:
            found, rest = match_layers(_expected(backbone), stored, path)
            has_head, widths = [layer.shapes for layer in rest] == [_shapes(head)], _widths(rest)
            _assign([*backbone, head] if has_head else backbone, [*found, *rest] if has_head else found, path)
    if notify and not has_head:
        other = f"a head of {', '.join(map(str, widths))} outputs" if widths else "no head"
        notify(f"{source} has {other}: its backbone is used, and the head of {head.units} starts anew")
    return has_head


def load_state_dict(model: keras.Model, path: Path) -> None:
    """Load a PyTorch state dict into a model whose layers have the names of PyTorch's modules.

    Leading underscores of module names are ignored, and so are tensors of modules that the model does not
    have (a classifier).

    Args:
        model: From `nimakit.nn.networks.efficientnet_lite` or `nimakit.nn.networks.resnet`.
        path: A .pth or .pt file.

    Raises:
        WeightsError: Not a state dict, or that of another network.
    """
    arrays = torch_files.read_modules(path)
    expected = [layer for layer in model.layers if isinstance(layer, _FROM_PYTORCH)]
    found = [layer for layer in expected if f"{layer.name}.weight" in arrays]
    try:
        if not expected or found != expected:
            raise ValueError(f"{len(found)} of {len(expected)} layers of the model are in it")
        values = [_from_pytorch(layer, arrays) for layer in expected]
        for layer, new in zip(expected, values, strict=True):
            layer.set_weights(new)
    except (KeyError, ValueError) as error:
        raise WeightsError(
            f"A PyTorch state dict must be of the base model. Received: {path} ({first_line(error)});"
            " choose the base model it belongs to."
        ) from error


_FROM_PYTORCH = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.BatchNormalization)


def _from_pytorch(layer: keras.Layer, arrays: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
    """The weights of a layer, in Keras's order and axes."""
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


def _layers_of(model: keras.Model) -> tuple[list[keras.Layer], keras.Layer]:
    """The layers of a model's backbone that have weights, in order, and its head."""
    return list(_with_weights(model.layers[:-1])), model.layers[-1]


def _with_weights(layers: Sequence[keras.Layer]) -> Iterator[keras.Layer]:
    """The layers that have weights, including those of nested models, such as ConvNeXt's stem."""
    for layer in layers:
        if isinstance(layer, keras.Model):
            yield from _with_weights(layer.layers)
        elif layer.weights:
            yield layer


def _expected(layers: Iterable[keras.Layer]) -> list[ExpectedLayer]:
    return [(layer.name, _shapes(layer)) for layer in layers]


def _shapes(layer: keras.Layer) -> Shapes:
    return tuple(tuple(weight.shape) for weight in layer.weights)


def _widths(layers: Sequence[StoredLayer]) -> list[int]:
    """The number of outputs of each dense layer."""
    return [layer.shapes[0][1] for layer in layers if len(layer.shapes[0]) == 2]


def _head_mismatch(head: keras.Layer, rest: Sequence[StoredLayer]) -> str:
    """How the rest of a file differs from the head, and what to do about it, for an error message."""
    inputs, outputs = head.kernel.shape
    if not rest:
        return "which has only the base model and no head; use weights that were trained on ratings."
    if len(rest) > 1 or len(rest[0].shapes[0]) != 2 or len(rest[0].shapes) != 2:
        shown = shortened([str(layer) for layer in rest], _MAX_LISTED, "; ")
        return (
            f"which has, besides the base model, {shown}. A head is"
            " one dense layer on the averaged feature maps; train one from these weights (existing_weights)."
        )
    width, count = rest[0].shapes[0]
    if width != inputs:
        return (
            f"whose head takes {width} features, not {inputs}; pass the config they were trained with, which"
            " has pooled_levels. A head on feature maps that were not averaged cannot be used."
        )
    return (
        f"whose head has {count} outputs, not {outputs}; pass the config they were trained with: its head"
        ' is "regression" for one output, "histogram" or "classification" for more.'
    )


def _assign(layers: Sequence[keras.Layer], stored: Sequence[StoredLayer], path: Path) -> None:
    """Set the weights of layers.

    Raises:
        WeightsError: Some are NaN or infinite.
    """
    for layer, source in zip(layers, stored, strict=True):
        layer.set_weights(finite_values(source, path))
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()
