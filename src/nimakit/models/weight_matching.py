"""Match the layers of a network to a weight file, by their names or by their shapes and order."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from nimakit.errors import WeightsError
from nimakit.models.weight_files import Shapes, StoredLayer

ExpectedLayer = tuple[str, Shapes]
"""Name and shapes of a layer's weights."""

_MAX_LISTED = 5


def match_layers(
    expected: Sequence[ExpectedLayer], stored: list[StoredLayer], path: Path
) -> tuple[list[StoredLayer], list[StoredLayer]]:
    """Find the layers of a network in a weight file.

    Layers are matched by name if the file has all names, because legacy files list the trained layers of a
    nested backbone first. Otherwise they are matched by shape and order, or by the numbers in their names.

    Args:
        expected: Name and shapes of each layer with weights, in order.
        stored: From `nimakit.models.weight_files.stored_layers`.
        path: The file, for messages.

    Returns:
        The stored layer for each expected layer, and the rest of the file.

    Raises:
        WeightsError: The file lacks some of them.
    """
    names = Counter(layer.name for layer in stored if layer.is_named)
    by_name = {layer.name: layer for layer in stored if layer.is_named and names[layer.name] == 1}
    if all(name in by_name and by_name[name].shapes == shapes for name, shapes in expected):
        found = [by_name[name] for name, _ in expected]
    else:
        nested = _innermost_model(expected, stored)
        found = list(_match_in_order(expected, _sort_by_number(nested, path), path))
    matched = set(map(id, found))
    return found, [layer for layer in stored if id(layer) not in matched]


def _innermost_model(expected: Sequence[ExpectedLayer], stored: list[StoredLayer]) -> list[StoredLayer]:
    """The layers of the innermost model in a file that contains the whole backbone; else all layers."""
    required = Counter(shapes for _, shapes in expected)
    paths = {layer.around[:depth] for layer in stored for depth in range(len(layer.around) + 1)}
    for path in sorted(paths, key=len, reverse=True):
        inside = [layer for layer in stored if layer.around[: len(path)] == path]
        if not required - Counter(layer.shapes for layer in inside):
            return inside
    return stored


def _sort_by_number(stored: list[StoredLayer], path: Path) -> list[StoredLayer]:
    """Layers in the order of their model, even if a legacy file lists trained layers first.

    Raises:
        WeightsError: The names have no numbers to sort by.
    """
    if not any(layer.is_named and layer.around for layer in stored):
        return stored
    stems: dict[Shapes, set[str]] = {}
    for layer in stored:
        stems.setdefault(layer.shapes, set()).add(layer.numbered[0])
    if unclear := [sorted(names) for names in stems.values() if len(names) > 1]:
        raise WeightsError(
            "The weights must be of the base model, layer by layer. Received:"
            f" {path}, which has other names ({', '.join(unclear[0][:_MAX_LISTED])}) and no order; save the"
            " weights again in the format of Keras 3 (.weights.h5)."
        )
    return sorted(stored, key=lambda layer: layer.numbered)


def _match_in_order(
    expected: Sequence[ExpectedLayer], stored: list[StoredLayer], path: Path
) -> Iterator[StoredLayer]:
    """For each layer of a backbone, the next stored layer of its shapes.

    Raises:
        WeightsError: There is none.
    """
    left = list(stored)
    n_missing = sum(
        (Counter(shapes for _, shapes in expected) - Counter(layer.shapes for layer in stored)).values()
    )
    for name, shapes in expected:
        place = next((n for n, other in enumerate(left) if other.shapes == shapes), None)
        if place is None:
            raise WeightsError(
                f"The weights must be of the base model. Received: {path}, which lacks {n_missing} of its"
                f" {len(expected)} layers with weights, such as {name}"
                f" {', '.join(map(str, shapes))}; choose the base model they were trained with."
            )
        yield left.pop(place)
