"""XMP in a JPEG: read its packets, and change the main one by rewriting the segments before the picture."""

import struct
from collections.abc import Mapping, Sequence
from typing import IO, NamedTuple

from nimakit.errors import ImageError
from nimakit.images.xmp.document import Document, Name
from nimakit.images.xmp.packet import fitted, wrapped
from nimakit.images.xmp.splices import Splice, between

_APP0, _APP1, _APP2, _SCAN, _END = 0xE0, 0xE1, 0xE2, 0xDA, 0xD9
_WITHOUT_LENGTH = (0x01, *range(0xD0, 0xD8))
_EXIF, _MAIN = b"Exif\0", b"http://ns.adobe.com/xap/1.0/\0"
_EXTENDED = b"http://ns.adobe.com/xmp/extension/\0"
_GUID_BYTES = 32
_HAS_EXTENDED = Name("http://ns.adobe.com/xmp/note/", "HasExtendedXMP", "xmpNote")
_MOST_BYTES = 65_533
"""Largest content of a segment."""

_PICTURES, _PICTURE_LIST, _PICTURE_BYTES = b"MPF\0", 0xB002, 16


class _Segment(NamedTuple):
    """A segment before the picture: its marker, where its content begins, and the content."""

    marker: int
    start: int
    content: bytes

    @property
    def stop(self) -> int:
        """The end of the segment."""
        return self.start + len(self.content)


def read_jpeg(stream: IO[bytes]) -> list[Document]:
    """The XMP of a JPEG: main packets, then the extended one that the first of them names.

    A packet has at most 64 kB. What does not fit is in an extended one, divided over segments.

    Raises:
        ImageError: A packet is broken or incomplete, or the file ends before the picture begins.
    """
    segments = _segments(stream)
    documents = [Document(packet.content[len(_MAIN) :]) for packet in _main_packets(segments)]
    guid = documents[0].get(_HAS_EXTENDED) if documents else None
    return [*documents, Document(_extended(segments, guid))] if guid else documents


def embed_in_jpeg(stream: IO[bytes], values: Mapping[Name, str]) -> tuple[Splice, ...]:
    """The change of a JPEG that gives properties new values; its picture, EXIF and extended XMP stay.

    Args:
        stream: The file.
        values: Property -> value.

    Raises:
        ImageError: As for `read_jpeg`; or there are several main packets, or there is no room.
    """
    segments = _segments(stream)
    packets = _main_packets(segments)
    if len(packets) > 1:
        raise ImageError(
            f"A JPEG to write into must have one XMP packet. Received: {len(packets)}, of which programs read"
            " different ones."
        )
    if not packets:
        start = _place_for_new(segments)
        content = _MAIN + wrapped(Document(wrapped()).edited(values))
        change = Splice(start, start, b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content)
        return _with_picture_list(segments, (change,), len(change.content))
    old = packets[0]
    packet = Document(old.content[len(_MAIN) :]).edited(values)
    content = _MAIN + fitted(packet, len(old.content) - len(_MAIN))
    if len(content) > _MOST_BYTES:
        content = _MAIN + fitted(packet, _MOST_BYTES - len(_MAIN))
    if len(content) > _MOST_BYTES:
        raise ImageError(
            f"The XMP packet of a JPEG must have at most {_MOST_BYTES - len(_MAIN)} bytes. Received:"
            f" {len(content) - len(_MAIN)} with the new values."
        )
    size = struct.pack(">H", len(content) + 2)
    changes = (
        *between(struct.pack(">H", len(old.content) + 2), size, old.start - 2),
        *between(old.content, content, old.start),
    )
    return _with_picture_list(segments, changes, len(content) - len(old.content))


def _segments(stream: IO[bytes]) -> list[_Segment]:
    """The segments before the picture."""
    stream.seek(2)
    segments: list[_Segment] = []
    while True:
        marker = stream.read(2)
        while marker == b"\xff\xff":  # fill bytes
            marker = b"\xff" + stream.read(1)
        if len(marker) == 2 and marker[0] == 0xFF:
            if marker[1] in (_SCAN, _END):
                return segments
            if marker[1] in _WITHOUT_LENGTH:
                continue
            length = int.from_bytes(stream.read(2), "big") - 2
            segment = _Segment(marker[1], stream.tell(), stream.read(max(length, 0)))
            if length >= 0 and len(segment.content) == length:
                segments.append(segment)
                continue
        raise ImageError("The JPEG is damaged or truncated: it ends before its picture begins.")


def _main_packets(segments: Sequence[_Segment]) -> list[_Segment]:
    return [one for one in segments if one.marker == _APP1 and one.content.startswith(_MAIN)]


def _extended(segments: Sequence[_Segment], guid: str) -> bytes:
    """The extended packet, joined from its segments, which may be in any order."""
    head = _EXTENDED + guid.encode()
    parts: dict[int, bytes] = {}
    size = -1
    for segment in segments:
        if segment.marker == _APP1 and segment.content.startswith(head):
            place = len(_EXTENDED) + _GUID_BYTES
            size, offset = struct.unpack_from(">II", segment.content.ljust(place + 8, b"\0"), place)
            parts[offset] = segment.content[place + 8 :]
    joined = b""
    for offset in sorted(parts):
        if offset == len(joined):
            joined += parts[offset]
    if len(joined) != size:
        raise ImageError(
            f"The extended XMP of a JPEG must be complete. Received: {len(joined)} of {size} bytes."
            if size >= 0
            else " none of it."
        )
    return joined


def _place_for_new(segments: Sequence[_Segment]) -> int:
    """Where a new packet goes: after JFIF and EXIF, which programs expect first."""
    place = 2
    for segment in segments:
        is_exif = segment.marker == _APP1 and segment.content.startswith(_EXIF)
        if segment.marker != _APP0 and not is_exif:
            break
        place = segment.stop
    return place


def _with_picture_list(
    segments: Sequence[_Segment], changes: tuple[Splice, ...], growth: int
) -> tuple[Splice, ...]:
    """Changes, and what follows from them for the list of further pictures in the file (CIPA DC-007).

    Cameras append a preview or a second view after the picture. The list gives their places from where it is
    itself, and the size of the first picture with its metadata.
    """
    if not growth:
        return changes
    place = changes[0].start
    patches = [
        patch
        for segment in segments
        if segment.marker == _APP2 and segment.content.startswith(_PICTURES)
        for patch in _patches(segment, growth, moves=place > segment.start)
    ]
    return tuple(sorted((*changes, *patches)))


def _patches(segment: _Segment, growth: int, *, moves: bool) -> list[Splice]:
    """New sizes and places in a list of pictures.

    Args:
        segment: The list.
        growth: Bytes that were added to the first picture.
        moves: Whether they come after the list, so that the distance to further pictures grows.
    """
    content = segment.content[len(_PICTURES) :]
    start = segment.start + len(_PICTURES)
    order = "<" if content[:2] == b"II" else ">"
    patches: list[Splice] = []
    try:
        (directory,) = struct.unpack_from(order + "I", content, 4)
        (count,) = struct.unpack_from(order + "H", content, directory)
        for entry in range(directory + 2, directory + 2 + 12 * count, 12):
            tag, _, size, offset = struct.unpack_from(order + "HHII", content, entry)
            if tag != _PICTURE_LIST:
                continue
            for number, place in enumerate(range(offset, offset + size, _PICTURE_BYTES)):
                changed = place + 4 if number == 0 else place + 8
                (old,) = struct.unpack_from(order + "I", content, changed)
                if old and (number == 0 or moves):
                    new = struct.pack(order + "I", old + growth)
                    patches.append(Splice(start + changed, start + changed + 4, new))
    except struct.error as error:
        raise ImageError(
            "The list of further pictures in a JPEG must be intact to write into the file. Received: a"
            " damaged one."
        ) from error
    return patches
