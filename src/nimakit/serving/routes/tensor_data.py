"""Tensor data: images read from base64 text, numbers or binary data.

Long text is checked and decoded in pieces so that other threads run in between. Data are parsed only after
their size and characters are known to fit the shape of the tensor.
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
"""Characters of a received value that an error shows."""

_COUNT_RULE = "A BYTES tensor must have as many elements as its shape says"
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
"""Datatype -> its array type, its types in flat and nested JSON, and its values in words."""

PIECE = 65_536
"""Bytes checked or decoded at a time; other threads run between two pieces."""


def read_binary(binary: memoryview, count: int) -> list[memoryview]:
    """Images of a binary BYTES tensor, as views of it.

    Raises:
        UsageError: There are more or fewer than `count`, or their lengths do not add up.
    """
    elements = list(islice(_split(binary), count + 1))
    if len(elements) != count:
        more = " or more" if len(elements) > count else ""
        refuse(_COUNT_RULE, f"{len(elements)}{more}")
    return elements


def _split(binary: memoryview) -> Iterator[memoryview]:
    """Elements of a binary BYTES tensor, each preceded by its length: four bytes, little-endian."""
    at = 0
    while at < len(binary):
        end = at + _LENGTH.size
        if end <= len(binary):
            end += _LENGTH.unpack_from(binary, at)[0]
        if end > len(binary):
            refuse("Each element of a BYTES tensor must be preceded by its length", "fewer bytes than that")
        yield binary[at + _LENGTH.size : end]
        at = end


def count_byte(text: memoryview, byte: bytes) -> int:
    """Number of times a byte occurs; unlike `bytes.count`, it lets other threads run."""
    return int(np.count_nonzero(np.frombuffer(text, np.uint8) == ord(byte)))


def read_texts(data: Raw, count: int) -> list[bytes]:
    """Images of a BYTES tensor in JSON, of shape [N] or [N, 1].

    Raises:
        UsageError: There are more or fewer than `count`, or one is not base64 text.
    """
    view = memoryview(data)
    commas = count_byte(view, b",")
    if commas >= 2 * count:  # a list of data URLs has fewer, and gets a better error below
        refuse(_COUNT_RULE, f"{commas + 1} or less")
    # A character beyond Latin-1 would make each character of its text take two or four bytes.
    for at in range(0, len(view), PIECE):
        piece = bytes(view[at : at + PIECE + 3])
        if not piece.isascii() or _WIDE.search(piece):
            refuse("An encoded image in JSON must be base64 text", "text with other characters")
    is_nested = _NESTED.match(view) is not None
    found: list[Any]
    try:
        found = msgspec.json.decode(data, type=list[tuple[str]] if is_nested else list[str])
    except (ValueError, RecursionError):
        refuse(
            "'data' must be a list of N texts, or of N lists of one; each image in JSON must be base64 text",
            data,
        )
    if len(found) != count:
        refuse(_COUNT_RULE, len(found))
    return [_decode(item[0] if is_nested else item) for item in found]


def _decode(text: str) -> bytes:
    """Decode base64 text (RFC 4648) in either alphabet, with or without line breaks."""
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
        refuse("An encoded image in JSON must be base64 text, with nothing before or after it", repr(shown))
    return content.getvalue()


def read_pixels(
    data: Raw, kind: tuple[Any, Any, Any, str], shape: list[int], binary: memoryview | None
) -> np.ndarray[Any, Any]:
    """The pixels of a tensor.

    Args:
        data: Numbers in JSON, flat or nested like the shape.
        kind: A value of `PIXEL_TYPES`.
        shape: (N, height, width, 3).
        binary: Binary data to read instead; None if there are none.

    Returns:
        (N, height, width, 3) uint8 or float32.

    Raises:
        UsageError: The number of values does not fit the shape, or a value does not fit the type.
    """
    dtype, flat, nested, numbers = kind
    wanted = math.prod(shape)
    if binary is not None:
        if len(binary) != wanted * dtype.itemsize:
            refuse(f"Binary data of this shape must have {wanted * dtype.itemsize} bytes", len(binary))
        return np.frombuffer(binary, dtype).reshape(shape)
    rule = f"'data' of this shape must have {wanted} {numbers}, flat or nested like the shape"
    commas = count_byte(memoryview(data), b",")
    if commas + 1 != wanted:
        refuse(rule, commas + 1)
    is_nested = _NESTED.match(data) is not None
    try:
        values = msgspec.json.decode(data, type=nested if is_nested else flat)
        with np.errstate(over="ignore"):  # gives infinity, which no image may contain
            array = np.array(values, np.float64).astype(dtype)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{rule}. Received: {str(error)[:SHOWN]}") from error
    if array.size != wanted or (is_nested and array.shape != tuple(shape)):
        refuse(rule, f"the shape {array.shape}")
    return array.reshape(shape)


def refuse(rule: str, received: Raw | str | int | tuple[int, ...]) -> NoReturn:
    """Raise an error with the rule that a request breaks and the start of what was received.

    Raises:
        UsageError: Always.
    """
    if isinstance(received, Raw):
        received = bytes(memoryview(received)[:SHOWN]).decode("utf-8", "replace")
    raise UsageError(f"{rule}. Received: {str(received)[:SHOWN]}")
