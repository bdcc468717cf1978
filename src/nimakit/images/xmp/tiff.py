"""XMP in a TIFF or a file built like one, such as DNG: read it, and change it so that nothing else moves."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from os import SEEK_END
from typing import IO

from nimakit.errors import ImageError
from nimakit.images.xmp.document import MAX_BYTES, Document, Name
from nimakit.images.xmp.packet import PADDING, fitted, is_blank, wrapped
from nimakit.images.xmp.splices import Splice, between

_XMP, _BYTE = 700, 1
_BYTES = (_BYTE, 2, 7)
"""Types of values of one byte: BYTE, ASCII, UNDEFINED."""
_MOST_ENTRIES = 65_535
_LARGEST = (1 << 32) - 1
_DAMAGED = "The TIFF is damaged or truncated: its first directory is incomplete."


@dataclass(frozen=True, slots=True)
class _Layout:
    """Numbers in a TIFF: byte order, and sizes, which are larger in a BigTIFF."""

    order: str
    is_big: bool

    @property
    def pointer(self) -> str:
        """Format of a place in the file."""
        return self.order + ("Q" if self.is_big else "I")

    @property
    def count(self) -> str:
        """Format of the number of entries."""
        return self.order + ("Q" if self.is_big else "H")

    @property
    def entry(self) -> str:
        """Format of an entry: tag, type, number of values, their place."""
        return self.order + ("HHQQ" if self.is_big else "HHII")

    @property
    def width(self) -> int:
        """Bytes of a place."""
        return struct.calcsize(self.pointer)

    def pointer_to(self, place: int) -> bytes:
        """A place in bytes."""
        return struct.pack(self.pointer, place)

    @property
    def header(self) -> int:
        """Where the header gives the place of the first directory."""
        return 8 if self.is_big else 4


@dataclass(frozen=True, slots=True)
class _Directory:
    """The first directory of a TIFF.

    Attributes:
        layout: The layout of the file.
        entries: Where its first entry begins.
        raw: The bytes of its entries.
        following: The bytes that give the place of the next directory.
    """

    layout: _Layout
    entries: int
    raw: tuple[bytes, ...]
    following: bytes

    def tag(self, entry: bytes) -> int:
        """The tag of an entry."""
        return int(struct.unpack_from(self.layout.order + "H", entry)[0])


def is_tiff(head: bytes) -> bool:
    """Whether a file begins as a TIFF or BigTIFF does."""
    return head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def read_tiff(stream: IO[bytes]) -> list[Document]:
    """The XMP of a TIFF, of a DNG, or of a camera RAW that is built like one.

    Raises:
        ImageError: The XMP or the file is broken.
    """
    _, place, size = _find(_read(stream))
    packet = _packet(stream, place, size)
    return [] if is_blank(packet) else [Document(packet)]


def embed_in_tiff(stream: IO[bytes], values: Mapping[Name, str]) -> tuple[Splice, ...]:
    """The change of a TIFF or DNG that gives properties new values.

    A packet that fits into the old one's place replaces it there. A longer one is appended to the file, and
    so is a directory with a new entry; the places of everything else stay the same.

    Args:
        stream: The file.
        values: Property -> value.

    Raises:
        ImageError: The XMP or the file is broken, or the file would get too large for its format.
    """
    directory = _read(stream)
    layout = directory.layout
    number, place, size = _find(directory)
    old = _packet(stream, place, size)
    packet = Document(wrapped() if is_blank(old) else old).edited(values)
    if len(fitted(packet, size)) == size:
        return between(old, fitted(packet, size), place)
    packet = fitted(packet, len(packet) + PADDING)
    end = stream.seek(0, SEEK_END)
    start = end + end % 2  # values and directories begin at even places
    entry = struct.pack(layout.entry, _XMP, _BYTE, len(packet), start)
    added = b"\0" * (start - end) + packet
    if number >= 0:
        pointers = between(directory.raw[number], entry, directory.entries + number * len(entry))
    else:
        added += b"\0" * (len(packet) % 2)
        pointers = (Splice(layout.header, layout.header + layout.width, layout.pointer_to(end + len(added))),)
        entries = sorted((*directory.raw, entry), key=directory.tag)
        added += struct.pack(layout.count, len(entries)) + b"".join(entries) + directory.following
    if not layout.is_big and end + len(added) > _LARGEST:
        raise ImageError("A TIFF must have less than 4 GiB. Received: one without room for XMP.")
    return (*pointers, Splice(end, end, added))


def _read(stream: IO[bytes]) -> _Directory:
    stream.seek(0)
    head = stream.read(16).ljust(16, b"\0")
    layout = _Layout("<" if head[:2] == b"II" else ">", is_big=b"+" in head[2:4])
    (place,) = struct.unpack_from(layout.pointer, head, layout.header)
    _seek(stream, place)
    width = struct.calcsize(layout.count)
    (count,) = struct.unpack(layout.count, stream.read(width).ljust(width, b"\0"))
    size = struct.calcsize(layout.entry)
    content = stream.read(min(count, _MOST_ENTRIES) * size + layout.width)
    if not 0 < count <= _MOST_ENTRIES or len(content) != count * size + layout.width:
        raise ImageError(_DAMAGED)
    raw = tuple(content[at : at + size] for at in range(0, count * size, size))
    return _Directory(layout, place + width, raw, content[count * size :])


def _seek(stream: IO[bytes], place: int) -> None:
    if place > stream.seek(0, SEEK_END):  # in a BigTIFF it may be more than any file can have
        raise ImageError(_DAMAGED)
    stream.seek(place)


def _find(directory: _Directory) -> tuple[int, int, int]:
    """The number of the entry for XMP, -1 if there is none; where the packet is, and its size in bytes."""
    layout = directory.layout
    for number, entry in enumerate(directory.raw):
        tag, kind, size, place = struct.unpack(layout.entry, entry)
        if tag != _XMP:
            continue
        if kind not in _BYTES or size > MAX_BYTES:
            raise ImageError(f"The XMP of a TIFF must be bytes. Received: {size} values of type {kind}.")
        if size <= layout.width:  # so short a value is in the entry itself
            place = directory.entries + (number + 1) * len(entry) - layout.width
        return number, place, size
    return -1, 0, 0


def _packet(stream: IO[bytes], place: int, size: int) -> bytes:
    _seek(stream, place)
    packet = stream.read(size)
    if len(packet) != size:
        raise ImageError(_DAMAGED)
    return packet
