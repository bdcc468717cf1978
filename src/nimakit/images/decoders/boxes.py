"""Boxes of files built like MP4 (ISO 14496-12): AVIF, and the container of JPEG XL."""

from collections.abc import Iterator
from dataclasses import dataclass


def read_boxes(data: bytes | memoryview) -> Iterator[tuple[bytes, memoryview]]:
    r"""Type and content of the boxes in a file or in a box, up to the first that is broken.

    Args:
        data: A file, or the content of a box that contains others.

    >>> [(kind, bytes(content)) for kind, content in read_boxes(b"\0\0\0\x0aidatab\0\0\0\0mdatc")]
    [(b'idat', b'ab'), (b'mdat', b'c')]
    """
    view = memoryview(data)
    place = 0
    while place + 8 <= len(view):
        length, start = _number(view, place, 4), place + 8
        if length == 1:
            length, start = _number(view, place + 8, 8), place + 16
        end = place + length if length else len(view)
        if end < start:
            return
        yield bytes(view[place + 4 : place + 8]), view[start:end]
        place = end


@dataclass(frozen=True, slots=True)
class Item:
    """An item of a HEIF or AVIF: a picture, a tile, EXIF.

    Attributes:
        kind: Its type, such as b"av01".
        content: Its beginning, in the file or in a box of it.
    """

    kind: bytes
    content: memoryview


def read_items(data: bytes) -> list[Item]:
    """The items of a HEIF or AVIF file (ISO 23008-12), in the order of its `iloc` box.

    Raises:
        IndexError: A box is cut off.
    """
    view = memoryview(data)
    meta = next((content[4:] for kind, content in read_boxes(view) if kind == b"meta"), view[:0])
    inner = dict(read_boxes(meta))
    kinds = _read_kinds(inner.get(b"iinf", view[:0]))
    items = []
    for number, method, offset, length in _read_locations(inner.get(b"iloc", view[:0])):
        whole = inner.get(b"idat", view[:0]) if method == 1 else view
        items.append(Item(kinds.get(number, b""), whole[offset : offset + length if length else None]))
    return items


def _read_kinds(iinf: memoryview) -> dict[int, bytes]:
    kinds = {}
    start = 6 if iinf[:1] == b"\0" else 8
    for kind, content in read_boxes(iinf[start:]):
        if kind == b"infe" and len(content) >= 12:
            wide = 2 * (content[0] >= 3)
            kinds[_number(content, 4, 2 + wide)] = bytes(content[8 + wide : 12 + wide])
    return kinds


def _read_locations(iloc: memoryview) -> Iterator[tuple[int, int, int, int]]:
    """Number, construction method, offset and length of the first extent of each item."""
    if not iloc:
        return
    reader = _Reader(iloc)
    version = reader.take(1)
    reader.take(3)
    sizes = reader.take(1)
    offset_size, length_size = sizes >> 4, sizes & 15
    sizes = reader.take(1)
    base_size, index_size = sizes >> 4, (sizes & 15 if version else 0)
    for _ in range(reader.take(4 if version == 2 else 2)):
        number = reader.take(4 if version == 2 else 2)
        method = reader.take(2) & 15 if version else 0
        reader.take(2)
        base = reader.take(base_size)
        extents = [
            (reader.take(index_size), reader.take(offset_size), reader.take(length_size))
            for _ in range(reader.take(2))
        ]
        for _, offset, length in extents[:1]:
            yield number, method, base + offset, length


class _Reader:
    """Reads numbers one after the other."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._place = 0

    def take(self, size: int) -> int:
        self._place += size
        if self._place > len(self._data):
            raise IndexError("a box is cut off")
        return _number(self._data, self._place - size, size)


def _number(data: memoryview, place: int, size: int) -> int:
    return int.from_bytes(data[place : place + size], "big")
