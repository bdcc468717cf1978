"""Check of an ONNX model's external data (weights in other files), before the runtime opens any of them.

The model is parsed as protobuf, limited to the messages that can contain tensors, because scoring must not
need the onnx package and its protobuf.
"""

from collections.abc import Iterator
from pathlib import Path

from nimakit.errors import ModelError

_MODEL, _GRAPH, _TRAINING, _FUNCTION, _NODE, _ATTRIBUTE, _SPARSE, _TENSOR, _ENTRY = range(9)
_INNER: dict[int, dict[int, int]] = {
    _MODEL: {7: _GRAPH, 20: _TRAINING, 25: _FUNCTION},
    _TRAINING: {1: _GRAPH, 2: _GRAPH},
    _GRAPH: {1: _NODE, 5: _TENSOR, 15: _SPARSE},
    _FUNCTION: {7: _NODE, 11: _ATTRIBUTE},
    _NODE: {5: _ATTRIBUTE},
    _ATTRIBUTE: {5: _TENSOR, 6: _GRAPH, 10: _TENSOR, 11: _GRAPH, 22: _SPARSE, 23: _SPARSE},
    _SPARSE: {1: _TENSOR, 2: _TENSOR},
    _TENSOR: {13: _ENTRY},
    _ENTRY: {},
}
"""Message -> field number -> message in it, from onnx.proto; only fields that can contain tensors."""
_KEY, _VALUE = 1, 2

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_WIDTHS = {_FIXED64: 8, _FIXED32: 4}
_MAX_BYTES = 2**31 - 1
_MAX_FIELDS = 5_000_000
"""A model with 5,000 nodes has about 100,000."""


def check(source: Path | bytes, name: str) -> None:
    """Refuse a model with weights in files outside its folder.

    Args:
        source: The .onnx file, whose weights may be in regular files in its folder or sub-folders; or its
            content, which may not refer to any file.
        name: Name of the model in error messages.

    Raises:
        ModelError: It refers to such a file, or is not an ONNX model.
    """
    if isinstance(source, Path) and source.stat().st_size > _MAX_BYTES:
        raise ModelError(f"A model file must have less than 2 GiB. Received: {name}")
    content = source if isinstance(source, bytes) else source.read_bytes()
    try:
        locations = _locations(content)
    except (ValueError, IndexError) as error:
        raise ModelError(f"The file must be a valid ONNX model. Received: {name} ({error})") from error
    for location in sorted(locations):
        if isinstance(source, bytes):
            raise ModelError(
                "A model inside another file must contain all of its weights."
                f" Received: {name}, which names the file {location[:80]!r}"
            )
        if not _is_own(location, source):
            raise ModelError(
                "The weights of a model must be in its file, or in regular files in its folder (no absolute"
                " path, no '..', no link to another folder)."
                f" Received: {name}, which names {location[:80]!r}"
            )


def _is_own(location: str, model: Path) -> bool:
    """Whether a location is a regular file in the folder of the model, or of its target if it is a link."""
    path = Path(location)
    # The runtime interprets */_ORT_MEM_ADDR_/* as an address in memory.
    if path.is_absolute() or ".." in path.parts or "*" in location:
        return False
    folders = (model.parent.resolve(), model.resolve().parent)
    try:
        found = (model.parent / path).resolve(strict=True)
    except (OSError, RuntimeError, ValueError):  # missing, a circle of links, or not a file name
        return False
    return any(map(found.is_relative_to, folders)) and found.is_file()


def has_files(content: bytes) -> bool:
    """Whether a model has weights in files of their own."""
    return bool(_locations(content))


def _locations(content: bytes) -> set[str]:
    """All files that tensors refer to.

    Raises:
        ValueError, IndexError: Not protobuf, text that is not UTF-8, or more fields than any model has.
    """
    found: set[str] = set()
    waiting = [(_MODEL, 0, len(content))]
    fields = 0
    while waiting:
        message, start, end = waiting.pop()
        entry = {_KEY: b"", _VALUE: b""}
        for number, wire, low, high in _fields(content, start, end):
            fields += 1
            if fields > _MAX_FIELDS:
                raise ValueError(f"it has more than {_MAX_FIELDS} fields")
            if wire == _BYTES and number in _INNER[message]:
                waiting.append((_INNER[message][number], low, high))
            elif wire == _BYTES and message == _ENTRY and number in entry:
                entry[number] = content[low:high]
        if entry[_KEY] == b"location":
            found.add(entry[_VALUE].decode())
    return found


def _fields(content: bytes, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Number, wire type, start and end of the value of each field of a message.

    Groups, which protobuf skips, are refused: no model has any.
    """
    while at < end:
        tag, at = _varint(content, at)
        number, wire = tag >> 3, tag & 7
        if wire == _BYTES:
            length, at = _varint(content, at)
            stop = at + length
        elif wire == _VARINT:
            stop = _varint(content, at)[1]
        elif wire in _WIDTHS:
            stop = at + _WIDTHS[wire]
        else:
            raise ValueError(f"a field of wire type {wire}")
        if stop > end or not 0 < number < 2**29:
            raise ValueError("a field extends beyond its message")
        yield number, wire, at, stop
        at = stop


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """A variable-length number, 7 bits per byte, and the position after it."""
    value = 0
    for shift in range(0, 70, 7):
        byte = content[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError("a number of more than 10 bytes")
