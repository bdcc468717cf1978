"""Check a JPEG before decoding: its number of scans, and whether a file without end marker is complete."""

import hashlib
import io
import re
from collections.abc import Iterator
from typing import IO

from PIL import Image

from nimakit.errors import ImageError

MAX_SCANS = 32
"""Encoders write at most a dozen. An empty scan has a hundred bytes and takes as long as any other: without a
limit, a small file could keep a core busy for hours."""

# Marker of a segment with a length: not a stuffed byte, RST, TEM or SOI.
_MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd8\xff])", re.DOTALL)
_END, _SCAN = b"\xd9", b"\xda"
_END_MARKER = b"\xff\xd9"
_RESTART = re.compile(rb"\xff([\xd0-\xd7])")
_FRAME_MARKERS = (b"\xc0", b"\xc1", b"\xc2", b"\xc9", b"\xca")
"""Frame markers: baseline, extended or progressive, with Huffman or arithmetic coding."""

_COEFFICIENTS = 64
_CONTINUATIONS = (b"\x00", b"\x55", b"\xaa", b"\xfe")
_CONTINUATION_BYTES = 64
"""Bytes of each continuation: more than one block of a picture has."""
_ROWS = 64


def check_scans(stream: IO[bytes]) -> IO[bytes] | None:
    """Refuse a JPEG with too many scans, or one without end marker whose picture is incomplete.

    Some cameras omit only the last two bytes, the end marker, and viewers show such a picture whole. If the
    marker were only added, decoders would fill missing rows with grey. So several continuations are decoded:
    if none of them changes a pixel, none is missing.

    Args:
        stream: The whole file; its position is restored.

    Returns:
        The file with an end marker if it lacks one; None if it has one.

    Raises:
        ImageError: There are more than `MAX_SCANS`, or a part of the picture is missing.
    """
    start = stream.tell()
    stream.seek(0)
    data = stream.read()
    stream.seek(start)
    frame, scans = b"", []
    for kind, content in segments(data):
        if kind == _END:
            return None
        if kind == _SCAN:
            scans.append(content)
        elif kind in _FRAME_MARKERS and not frame:
            frame = content
        if len(scans) > MAX_SCANS:
            raise ImageError(f"A JPEG must have at most {MAX_SCANS} scans. Received: more.")
    cut = data.rstrip(b"\xff")  # half an end marker
    if not _lacks_only_the_end(cut, frame, scans):
        raise ImageError(
            "The image cannot be decoded: the JPEG is truncated, a part of its picture is missing."
        )
    return io.BytesIO(cut + _END_MARKER)


def segments(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    r"""Segments of a JPEG that have a length, up to its end marker; other pictures or a film may follow it.

    Args:
        data: The whole file.

    Yields:
        The marker, one byte, and the content of each; the end marker, without content, is the last.

    Example:
        >>> [*segments(b"\xff\xd8\xff\xda\0\3\1 picture \xff\xd9 and \xff\xda film")]
        [(b'\xda', b'\x01'), (b'\xd9', b'')]
    """
    position = 0
    while found := _MARKER.search(data, position):
        position = found.end()
        if found[1] == _END:
            yield _END, b""
            return
        length = int.from_bytes(data[position : position + 2], "big")
        yield found[1], data[position + 2 : position + length]
        position += length


def _lacks_only_the_end(data: bytes, frame: bytes, scans: list[bytes]) -> bool:
    """Whether a file lacks only its end marker."""
    if not _has_every_scan(frame, scans):
        return False
    expected = _digest(data)
    fills = (byte * _CONTINUATION_BYTES for byte in _CONTINUATIONS)
    return all(_digest(data + fill + _next_restart(data) + fill) == expected for fill in fills)


def _next_restart(data: bytes) -> bytes:
    """The next restart marker: if one is due, a decoder skips everything up to it."""
    found = _RESTART.findall(data, data.rfind(b"\xff" + _SCAN))
    return bytes((0xFF, 0xD0 + (found[-1][0] + 1) % 8)) if found else b"\xff\xd0"


def _has_every_scan(frame: bytes, scans: list[bytes]) -> bool:
    """Whether the scans contain the last bit of every coefficient of every component."""
    if len(frame) < 6:
        return False
    components = frame[6 : 6 + 3 * frame[5] : 3]
    missing = {(one, place) for one in components for place in range(_COEFFICIENTS)}
    for scan in scans:
        if len(scan) >= 6 and scan[-1] & 15 == 0:
            places = range(scan[-3], scan[-2] + 1)
            missing -= {(one, place) for one in scan[1 : 1 + 2 * scan[0] : 2] for place in places}
    return not missing


def _digest(data: bytes) -> bytes:
    """Digest of the pixels, some rows at a time to save memory."""
    digest = hashlib.sha256()
    with Image.open(io.BytesIO(data + _END_MARKER), formats=("JPEG",)) as image:
        for top in range(0, image.height, _ROWS):
            digest.update(image.crop((0, top, image.width, min(top + _ROWS, image.height))).tobytes())
    return digest.digest()
