"""The XMP inside an image file, whatever its format."""

import stat
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from nimakit.errors import ImageError
from nimakit.images.formats import identify
from nimakit.images.opening import open_image
from nimakit.images.photo import decoding
from nimakit.images.xmp.document import Document, Name
from nimakit.images.xmp.jpeg import embed_in_jpeg, read_jpeg
from nimakit.images.xmp.packet import is_blank
from nimakit.images.xmp.splices import Splice
from nimakit.images.xmp.tiff import embed_in_tiff, is_tiff, read_tiff

_BY_DECODER = ("PNG", "WEBP", "HEIF", "AVIF", "JXL")
"""Formats whose decoders give the packet."""


def read_embedded(path: Path) -> list[Document]:
    """The XMP in a file: none, a packet, or the several of a JPEG, those that count most first.

    A camera RAW file that is not built like a TIFF has none that is read.

    Raises:
        ImageError: The XMP or the file is broken.
        OSError: The file cannot be read.
    """
    if not stat.S_ISREG(path.stat().st_mode):  # a pipe would block
        raise ImageError("An image must be a regular file, not a folder, a pipe or a device.")
    with path.open("rb") as stream:
        name = identify(stream)
        if name == "JPEG":
            return read_jpeg(stream)
        if name in ("TIFF", "RAW") and is_tiff(_head(stream)):
            return read_tiff(stream)
    if name not in _BY_DECODER:
        return []
    with decoding(path), open_image(path, (name,)) as image:
        packet = image.info.get("xmp") or b""
    return [] if is_blank(packet) else [Document(packet)]


def embed(path: Path, values: Mapping[Name, str]) -> tuple[Splice, ...]:
    """The change of a JPEG, TIFF or DNG that gives properties new values.

    Raises:
        ImageError: Another format; or the XMP or the file is broken, or has no room.
        OSError: The file cannot be read.
    """
    with path.open("rb") as stream:
        name = identify(stream)
        if name == "JPEG":
            return embed_in_jpeg(stream, values)
        if (name == "TIFF" or path.suffix.lower() == ".dng") and is_tiff(_head(stream)):
            return embed_in_tiff(stream, values)
    raise ImageError("XMP is written into JPEG, TIFF and DNG. Received: another format; use sidecars for it.")


def _head(stream: IO[bytes]) -> bytes:
    stream.seek(0)
    return stream.read(4)
