"""The scans of a JPEG: how many there are, and whether a file without an end has all of them."""

import hashlib
import io
import re
from collections.abc import Iterator
from typing import IO

from PIL import Image

from nimakit.errors import ImageError

MAX_SCANS = 32
"""Encoders write a dozen at the most. A scan that says nothing has a hundred bytes, and takes as long as any:
without a limit, a small file keeps a core busy for hours."""

# What begins a part of a JPEG that has a length: neither a stuffed byte, nor RST, TEM or SOI.
_MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd8\xff])", re.DOTALL)
_END, _SCAN = b"\xd9", b"\xda"
_END_MARKER = b"\xff\xd9"
_RESTART = re.compile(rb"\xff([\xd0-\xd7])")
_FRAMES = (b"\xc0", b"\xc1", b"\xc2", b"\xc9", b"\xca")
"""What begins a picture: baseline, extended or progressive, by Huffman's or by arithmetic coding."""

_COEFFICIENTS = 64
_CONTINUATIONS = (b"\x00", b"\x55", b"\xaa", b"\xfe")
_CONTINUED = 64
"""Bytes of each continuation: more than one block of a picture takes."""
_ROWS = 64


def check_scans(stream: IO[bytes]) -> IO[bytes] | None:
    """Refuse a JPEG of too many scans, and one without an end whose picture is not complete.

    Some cameras leave out only the last two bytes, the end marker, and viewers show such a picture whole.
    Given the marker, decoders also fill a picture that lacks rows with grey. So several continuations are
    tried: where none of them changes a pixel, no pixel is missing.

    Args:
        stream: Contains the whole file; left where it was.

    Returns:
        The file with the end marker that it lacks; None where it has one.

    Raises:
        ImageError: More than `MAX_SCANS`, or a part of the picture is missing.
    """
    start = stream.tell()
    stream.seek(0)
    data = stream.read()
    stream.seek(start)
    frame, scans = b"", []
    for kind, content in parts(data):
        if kind == _END:
            return None
        if kind == _SCAN:
            scans.append(content)
        elif kind in _FRAMES and not frame:
            frame = content
        if len(scans) > MAX_SCANS:
            raise ImageError(f"A JPEG has at most {MAX_SCANS} scans. Received: more.")
    cut = data.rstrip(b"\xff")  # half an end marker
    if not _is_finished(cut, frame, scans):
        raise ImageError(
            "The image cannot be decoded: the JPEG is truncated, a part of its picture is missing."
        )
    return io.BytesIO(cut + _END_MARKER)


def parts(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    r"""The parts of a JPEG that have a length, up to its end: other pictures or a film may follow it.

    Args:
        data: The whole file.

    Yields:
        The kind, one byte, and the content of each; the end marker, without content, is the last.

    Example:
        >>> [*parts(b"\xff\xd8\xff\xda\0\3\1 picture \xff\xd9 and \xff\xda film")]
        [(b'\xda', b'\x01'), (b'\xd9', b'')]
    """
    at = 0
    while found := _MARKER.search(data, at):
        at = found.end()
        if found[1] == _END:
            yield _END, b""
            return
        length = int.from_bytes(data[at : at + 2], "big")
        yield found[1], data[at + 2 : at + length]
        at += length


def _is_finished(data: bytes, frame: bytes, scans: list[bytes]) -> bool:
    """Whether the end marker is all that a file lacks."""
    if not _has_every_scan(frame, scans):
        return False
    ended = _digest(data)
    mores = (byte * _CONTINUED for byte in _CONTINUATIONS)
    return all(_digest(data + more + _next_restart(data) + more) == ended for more in mores)


def _next_restart(data: bytes) -> bytes:
    """The restart marker that would come next: where one is due, a decoder skips all else up to it."""
    found = _RESTART.findall(data, data.rfind(b"\xff" + _SCAN))
    return bytes((0xFF, 0xD0 + (found[-1][0] + 1) % 8)) if found else b"\xff\xd0"


def _has_every_scan(frame: bytes, scans: list[bytes]) -> bool:
    """Whether scans give every coefficient of every component its last bit, however many rows they have."""
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
    """Of the pixels, some rows at a time: a copy of them all would double what decoding takes."""
    digest = hashlib.sha256()
    with Image.open(io.BytesIO(data + _END_MARKER), formats=("JPEG",)) as image:
        for top in range(0, image.height, _ROWS):
            digest.update(image.crop((0, top, image.width, min(top + _ROWS, image.height))).tobytes())
    return digest.digest()
