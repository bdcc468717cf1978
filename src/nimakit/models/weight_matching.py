"""Find the layers of a network in a weight file, by their names or by their shapes and order."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from nimakit.errors import WeightsError
from nimakit.models.weight_files import Shapes, StoredLayer

ExpectedLayer = tuple[str, Shapes]
"""Name and shapes of a layer's weights."""

_LISTED = 5


def match_layers(
    expected: Sequence[ExpectedLayer], stored: list[StoredLayer], path: Path
) -> tuple[list[StoredLayer], list[StoredLayer]]:
    """Find the layers of a network in a weight file.

    Layers are known by their names where the file has them all: of a backbone that is one layer of a legacy
    file, those that were trained come first. Otherwise they are known by their shapes and their order, or
    their numbers.

    Args:
        expected: Name and shapes of each layer with weights, in order.
        stored: From `nimakit.models.weight_files.stored_layers`.
        path: The file, for messages.

    Returns:
        What the file has for each expected layer, and the rest of the file.

    Raises:
        WeightsError: It lacks some of them.
    """
    names = Counter(layer.name for layer in stored if layer.is_named)
    by_name = {layer.name: layer for layer in stored if layer.is_named and names[layer.name] == 1}
    if all(name in by_name and by_name[name].shapes == shapes for name, shapes in expected):
        found = [by_name[name] for name, _ in expected]
    else:
        inside = _within(expected, stored)
        found = list(_in_order(expected, _by_number(inside, path), path))
    taken = set(map(id, found))
    return found, [layer for layer in stored if id(layer) not in taken]


def _within(expected: Sequence[ExpectedLayer], stored: list[StoredLayer]) -> list[StoredLayer]:
    """The layers of the innermost model of a file that has the whole backbone; all where none has."""
    wanted = Counter(shapes for _, shapes in expected)
    places = {layer.around[:depth] for layer in stored for depth in range(len(layer.around) + 1)}
    for place in sorted(places, key=len, reverse=True):
        inside = [layer for layer in stored if layer.around[: len(place)] == place]
        if not wanted - Counter(layer.shapes for layer in inside):
            return inside
    return stored


def _by_number(stored: list[StoredLayer], path: Path) -> list[StoredLayer]:
    """Layers in the order of their model, also where a legacy file has those that were trained first.

    Raises:
        WeightsError: Names without numbers do not tell the order.
    """
    if not any(layer.is_named and layer.around for layer in stored):
        return stored
    stems: dict[Shapes, set[str]] = {}
    for layer in stored:
        stems.setdefault(layer.shapes, set()).add(layer.numbered[0])
    if unclear := [sorted(names) for names in stems.values() if len(names) > 1]:
        raise WeightsError(
            "The weights must be of the base model, layer by layer. Received:"
            f" {path}, which has other names ({', '.join(unclear[0][:_LISTED])}) and no order; save the"
            " weights anew, in the format of Keras 3 (.weights.h5)."
        )
    return sorted(stored, key=lambda layer: layer.numbered)


def _in_order(
    expected: Sequence[ExpectedLayer], stored: list[StoredLayer], path: Path
) -> Iterator[StoredLayer]:
    """For each layer of a backbone, the next one of its shapes.

    Raises:
        WeightsError: There is none.
    """
    left = list(stored)
    lacks = sum(
        (Counter(shapes for _, shapes in expected) - Counter(layer.shapes for layer in stored)).values()
    )
    for name, shapes in expected:
        place = next((n for n, other in enumerate(left) if other.shapes == shapes), None)
        if place is None:
            raise WeightsError(
                f"The weights must be of the base model. Received: {path}, which lacks {lacks} of its"
                f" {len(expected)} layers with weights, such as {name}"
                f" {', '.join(map(str, shapes))}; give the base model they were trained with."
            )
        yield left.pop(place)
