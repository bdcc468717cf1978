"""Weights of a file into a model: the backbone's, wherever they are in the file, and the head's."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import keras

from nimakit.errors import WeightsError
from nimakit.models import pretrained, torch_files
from nimakit.models.weight_files import Shapes, StoredLayer, finite_values, stored_layers
from nimakit.models.weight_matching import ExpectedLayer, match_layers
from nimakit.nn.networks import torch_weights

_LISTED = 5


def load(model: keras.Model, path: Path) -> None:
    """Load weights into a model with the same backbone and the same head.

    Args:
        model: From `nimakit.nn.networks.heads`.
        path: As `nimakit.models.weight_files.stored_layers` takes it. The backbone may be one layer of the
            model that was saved, as Keras's guide to transfer learning builds it.

    Raises:
        WeightsError: Not such a file, or weights of another network.
    """
    with stored_layers(path) as stored:
        backbone, head = _layers_of(model)
        found, rest = match_layers(_expected(backbone), stored, path)
        if [layer.shapes for layer in rest] != [_shapes(head)]:
            raise WeightsError(
                f"The weights must fit the base model and its head ({len(model.layers)} layers)."
                f" Received: {path}, {_other_head(head, rest)}"
            )
        _set([*backbone, head], [*found, *rest], path)


def count_bins(base: keras.Model, path: Path) -> int:
    """Number of bins of the head in a weight file: the width of what the file has besides the backbone.

    Args:
        base: The backbone, from `nimakit.nn.networks.backbones`.
        path: As `load` takes it.

    Raises:
        WeightsError: Not a weight file, or one of another backbone, without a head, or with a head of one
            output.
    """
    with stored_layers(path) as stored:
        _, rest = match_layers(_expected(_with_weights(base.layers)), stored, path)
        widths = _widths(rest)
    if not widths:
        raise WeightsError(f"A weight file must hold a dense head. Received: {path}, which has none")
    if min(widths) == 1:
        raise WeightsError(
            f"A histogram has at least 2 bins. Received: {path}, whose weights have a head of one output, a"
            ' regression; give the config they were trained with (--config-file), its head "regression".'
        )
    return min(widths)


def load_pretrained(
    model: keras.Model, source: str | Path, *, notify: pretrained.Notify | None = None
) -> bool:
    """Load what training starts from: all weights where the head is the same, else those of the backbone.

    Args:
        model: From `nimakit.nn.networks.heads`: a flat list of layers that ends in dropout and a dense one.
        source: A file as `load` takes it, with this head, another one or none; a PyTorch state dict
            (.pth, .pt) of a backbone whose layers bear PyTorch's names; or a name of `pretrained.PUBLIC`.
        notify: Told in a sentence where the head is left as it was, and where a download starts.

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
        torch_weights.load(keras.Model(model.input, model.layers[-2].input), path)
        is_whole, widths = False, []
    else:
        with stored_layers(path) as stored:
            found, rest = match_layers(_expected(backbone), stored, path)
            is_whole, widths = [layer.shapes for layer in rest] == [_shapes(head)], _widths(rest)
            if is_whole:
                _set([*backbone, head], [*found, *rest], path)
            else:
                _set(backbone, found, path)
    if notify and not is_whole:
        held = f"a head of {', '.join(map(str, widths))} outputs" if widths else "no head"
        notify(f"{source} has {held}: its backbone is used, and the head of {head.units} starts anew")
    return is_whole


def _layers_of(model: keras.Model) -> tuple[list[keras.Layer], keras.Layer]:
    """The layers with weights of a model's backbone, in order, and its head."""
    return list(_with_weights(model.layers[:-1])), model.layers[-1]


def _with_weights(layers: Sequence[keras.Layer]) -> Iterator[keras.Layer]:
    """The layers that have weights, also those inside a model that is a layer: ConvNeXt's stem is one."""
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
    """How many outputs each dense layer has."""
    return [layer.shapes[0][1] for layer in layers if len(layer.shapes[0]) == 2]


def _other_head(head: keras.Layer, rest: Sequence[StoredLayer]) -> str:
    """How what a file has besides the backbone differs from a head, and what to do."""
    inputs, outputs = head.kernel.shape
    if not rest:
        return "which has the base model alone and no head; give weights that were trained on ratings."
    if len(rest) > 1 or len(rest[0].shapes[0]) != 2 or len(rest[0].shapes) != 2:
        more = f" and {len(rest) - _LISTED} more" if len(rest) > _LISTED else ""
        return (
            f"which has besides the base model {'; '.join(map(str, rest[:_LISTED]))}{more}. A head is one"
            " dense layer on the averages of the base model's maps; train one from these weights"
            " (existing_weights in a training config)."
        )
    width, count = rest[0].shapes[0]
    if width != inputs:
        return (
            f"whose head takes {width} features, where this one takes {inputs}; give the config they were"
            " trained with, which has pooled_levels. A head on maps that were not averaged cannot be used."
        )
    return (
        f"whose head has {count} outputs, where this one has {outputs}; give the config they were trained"
        ' with: "head" is "regression" for one output, "histogram" or "classification" for more.'
    )


def _set(layers: Sequence[keras.Layer], stored: Sequence[StoredLayer], path: Path) -> None:
    """Set the weights of layers.

    Raises:
        WeightsError: Some of them are no numbers.
    """
    for layer, kept in zip(layers, stored, strict=True):
        layer.set_weights(finite_values(kept, path))
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()
