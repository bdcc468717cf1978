"""The data of a tensor: images out of base64 text, numbers or binary data.

Long text is looked at and decoded in pieces, between which other threads run, and none is parsed before it is
known that its size and its characters are those of a tensor of its shape.
"""

import base64
import io
import math
import re
import struct
from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Any, NoReturn

import msgspec
import numpy as np
from msgspec import Meta, Raw

from nimakit.errors import UsageError

SHOWN = 200
"""Characters of what was received that an error shows."""

_LENGTH = struct.Struct("<I")
_FROM_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_WHITESPACE = b" \t\r\n\v\f"
_WIDE = re.compile(rb"\\u(?:[^0]|0[^0])")
_NESTED = re.compile(rb"\s*\[\s*\[")
_Byte = Annotated[int, Meta(ge=0, le=255)]
PIXEL_TYPES: dict[str, tuple[Any, Any, Any, str]] = {
    "UINT8": (np.dtype(np.uint8), list[_Byte], list[list[list[list[_Byte]]]], "integers from 0 to 255"),
    "FP32": (np.dtype("<f4"), list[float], list[list[list[list[float]]]], "numbers"),
}
"""What their pixels are as an array, in JSON flat and nested, and in words."""

PIECE = 65_536
"""Bytes that are looked at, or decoded, at a time: between two pieces other threads run."""


def read_binary(binary: memoryview, count: int) -> list[memoryview]:
    """Images of a binary BYTES tensor, which are views of it.

    Raises:
        UsageError: More or fewer than `count`, or lengths that do not add up.
    """
    elements = list(islice(_split(binary), count + 1))
    if len(elements) != count:
        more = " or more" if len(elements) > count else ""
        refuse("A BYTES tensor holds as many elements as its shape says", f"{len(elements)}{more}")
    return elements


def _split(binary: memoryview) -> Iterator[memoryview]:
    """Elements of a binary BYTES tensor: each is preceded by its length, four bytes, little-endian."""
    at = 0
    while at < len(binary):
        end = at + _LENGTH.size
        if end <= len(binary):
            end += _LENGTH.unpack_from(binary, at)[0]
        if end > len(binary):
            refuse("Each element of a BYTES tensor is preceded by its length", "fewer bytes than that")
        yield binary[at + _LENGTH.size : end]
        at = end


def count_byte(text: memoryview, byte: bytes) -> int:
    """Number of times a byte occurs; unlike `bytes.count`, it lets other threads run."""
    return int(np.count_nonzero(np.frombuffer(text, np.uint8) == ord(byte)))


def read_texts(data: Raw, count: int) -> list[bytes]:
    """Images of a BYTES tensor in JSON, of shape [N] or [N, 1].

    Raises:
        UsageError: More or fewer than `count`, or anything but base64 text.
    """
    view = memoryview(data)
    rule = "A BYTES tensor holds as many elements as its shape says"
    commas = count_byte(view, b",")
    if commas >= 2 * count:  # as many as a list of data URLs has, which are refused below
        refuse(rule, f"{commas + 1} or less")
    # A character beyond Latin-1 would make each character of its text take two or four bytes.
    for at in range(0, len(view), PIECE):
        piece = bytes(view[at : at + PIECE + 3])
        if not piece.isascii() or _WIDE.search(piece):
            refuse("An encoded image within JSON is base64 text", "text of other characters")
    is_nested = _NESTED.match(view) is not None
    found: list[Any]
    try:
        found = msgspec.json.decode(data, type=list[tuple[str]] if is_nested else list[str])
    except (ValueError, RecursionError):
        refuse(
            "'data' is a list of N texts, or of N lists of one; an encoded image within JSON is base64 text",
            data,
        )
    if len(found) != count:
        refuse(rule, len(found))
    return [_decode(item[0] if is_nested else item) for item in found]


def _decode(text: str) -> bytes:
    """Bytes of base64 text (RFC 4648), in lines or not, of either alphabet."""
    content, rest, is_padded = io.BytesIO(), b"", False
    try:
        for at in range(0, len(text), PIECE):
            rest += text[at : at + PIECE].encode("ascii").translate(_FROM_URL_SAFE, _WHITESPACE)
            whole = len(rest) - len(rest) % 4
            if is_padded and rest:
                raise ValueError
            content.write(base64.b64decode(rest[:whole], validate=True))
            is_padded, rest = rest[:whole].endswith(b"="), rest[whole:]
        content.write(base64.b64decode(rest, validate=True))
    except ValueError:
        shown = text if len(text) < 40 else f"{text[:20]}...{text[-10:]}"
        refuse("An encoded image within JSON is base64 text, with nothing before or after it", repr(shown))
    return content.getvalue()


def read_pixels(
    data: Raw, kind: tuple[Any, Any, Any, str], shape: list[int], binary: memoryview | None
) -> np.ndarray[Any, Any]:
    """The pixels of a tensor, from its binary data where it has any.

    Args:
        data: Numbers in JSON, nested as the shape says or flat.
        kind: Of `PIXEL_TYPES`.
        shape: (N, height, width, 3).
        binary: Its binary data; None where it has none.

    Returns:
        (N, height, width, 3) uint8 or float32.

    Raises:
        UsageError: More or fewer than the shape says, or other values.
    """
    dtype, flat, nested, numbers = kind
    wanted = math.prod(shape)
    if binary is not None:
        if len(binary) != wanted * dtype.itemsize:
            refuse(f"The binary data of this shape has {wanted * dtype.itemsize} bytes", len(binary))
        return np.frombuffer(binary, dtype).reshape(shape)
    rule = f"'data' of this shape holds {wanted} {numbers}, nested as the shape says or flat"
    commas = count_byte(memoryview(data), b",")
    if commas + 1 != wanted:
        refuse(rule, commas + 1)
    is_nested = _NESTED.match(data) is not None
    try:
        values = msgspec.json.decode(data, type=nested if is_nested else flat)
        with np.errstate(over="ignore"):  # infinite then, which no image may be
            array = np.array(values, np.float64).astype(dtype)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{rule}. Received: others ({str(error)[:SHOWN]})") from error
    if array.size != wanted or (is_nested and array.shape != tuple(shape)):
        refuse(rule, f"the shape {array.shape}")
    return array.reshape(shape)


def refuse(rule: str, received: Raw | str | int | tuple[int, ...]) -> NoReturn:
    """Refuse a request by a rule, with what was received, shortened.

    Raises:
        UsageError: Always.
    """
    if isinstance(received, Raw):
        received = bytes(memoryview(received)[:SHOWN]).decode("utf-8", "replace")
    raise UsageError(f"{rule}. Received: {str(received)[:SHOWN]}")
