"""How many scans a JPEG has, which is how often a decoder goes over the whole picture."""

import re
from typing import IO

from nimakit.errors import ImageError

MAX_SCANS = 32
"""Encoders write a dozen at the most. A scan that says nothing has a hundred bytes, and takes as long as any:
without a limit, a small file keeps a core busy for hours."""

# What begins a part of a JPEG that has a length: neither a stuffed byte, nor RST, TEM or SOI.
_MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd8\xff])", re.DOTALL)
_END, _SCAN = b"\xd9", b"\xda"


def check_scans(stream: IO[bytes]) -> None:
    """Refuse a JPEG of too many scans; nothing is decoded.

    Args:
        stream: Holds the whole file; left where it was.

    Raises:
        ImageError: More than `MAX_SCANS`.
    """
    start = stream.tell()
    stream.seek(0)
    data = stream.read()
    stream.seek(start)
    if count_scans(data) > MAX_SCANS:
        raise ImageError(f"A JPEG has at most {MAX_SCANS} scans. Received: more.")


def count_scans(data: bytes) -> int:
    r"""Scans of a JPEG, up to its end: other pictures or a film may follow it.

    Args:
        data: The whole file.

    Example:
        >>> count_scans(b"\xff\xd8\xff\xda\0\2 picture \xff\xd9 and \xff\xda film")
        1
    """
    at = scans = 0
    while (found := _MARKER.search(data, at)) and found[1] != _END:
        scans += found[1] == _SCAN
        at = found.end()
        at += int.from_bytes(data[at : at + 2], "big")
    return scans
