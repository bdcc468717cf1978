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


_MOST_PARTS = 10_000
"""48 megapixels are 200 tiles. The fields of a part may take no bytes, so a small box can list billions."""
_OF_OTHER_ITEMS = 2
"""Construction method of items that are parts of other items."""


@dataclass(frozen=True, slots=True)
class Item:
    """An item of a HEIF or AVIF: a picture, a tile, EXIF.

    Attributes:
        kind: Its type, such as b"av01".
        names: Its name, and its media type or URI, each with a zero at the end.
        content: A part of it, in the file or in a box of the file.
    """

    kind: bytes
    names: bytes
    content: memoryview


def read_items(data: bytes) -> list[Item]:
    """The parts of the items of a HEIF or AVIF file (ISO 23008-12), in the order of its `iloc` box.

    Raises:
        IndexError: A box or an item is cut off, or there are two boxes of which readers use either.
    """
    view = memoryview(data)
    meta = _only(view, b"meta")[4:]
    found = _read_kinds(_only(meta, b"iinf"))
    items: list[Item] = []
    for number, method, offset, length in _read_locations(_only(meta, b"iloc")):
        if len(items) == _MOST_PARTS:
            raise IndexError("too many parts")
        whole = _only(meta, b"idat") if method == 1 else view
        if method < _OF_OTHER_ITEMS and offset + length > len(whole):
            raise IndexError("an item is cut off")
        content = whole[offset : offset + length if length else None]
        items.append(Item(*found.get(number, (b"", b"")), content))
    return items


def _only(data: memoryview, kind: bytes) -> memoryview:
    """The content of the only box of a type; empty if there is none."""
    contents = [content for found, content in read_boxes(data) if found == kind]
    if len(contents) > 1:
        raise IndexError("a box is repeated")
    return contents[0] if contents else data[:0]


def _read_kinds(iinf: memoryview) -> dict[int, tuple[bytes, bytes]]:
    """Number of an item -> its type and names."""
    kinds = {}
    start = 6 if bytes(iinf[:1]) == b"\0" else 8
    for kind, content in read_boxes(iinf[start:]):
        if kind == b"infe" and len(content) >= 12:
            wide = 2 * (content[0] >= 3)
            typed = bytes(content[8 + wide :])
            kinds[_number(content, 4, 2 + wide)] = typed[:4], typed[4:]
    return kinds


def _read_locations(iloc: memoryview) -> Iterator[tuple[int, int, int, int]]:
    """Number of the item, construction method, offset and length of each extent."""
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
        for _ in range(reader.take(2)):
            reader.take(index_size)
            offset, length = reader.take(offset_size), reader.take(length_size)
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
