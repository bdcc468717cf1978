"""JPEG XL: pillow-jxl-plugin's decoder, behind a reader of the header that it lacks.

The plugin's own class decodes all pixels when a file is opened, before its size can be checked.
"""

import io
from dataclasses import dataclass
from typing import Any

from PIL import Image, ImageFile, JpegImagePlugin
from pillow_jxl import Decoder

from nimakit.errors import ImageError
from nimakit.images.decoders.boxes import read_boxes
from nimakit.images.exif import UPRIGHT
from nimakit.images.formats import KINDS
from nimakit.images.jpeg import check_scans

_CODESTREAM = b"\xff\x0a"
_RATIOS = {1: (1, 1), 2: (6, 5), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}
_SIDE_BITS = (9, 13, 18, 30)
_HEADER_BYTES = 64
_MOST_EXTRA_CHANNELS = 4
_TURNED = 5
"""Orientations from this one on exchange width and height."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of its picture.

    Attributes:
        size: Width and height of the upright picture, in pixels.
        orientation: How the stored pixels are turned, 1 to 8, as in EXIF.
        is_animated: Whether it has several frames.
        extra_channels: Number of channels besides colours, such as transparency; 0 for an animation.
    """

    size: tuple[int, int]
    orientation: int = 1
    is_animated: bool = False
    extra_channels: int = 0


def read_header(codestream: bytes) -> Header:
    """Read the header of a codestream (ISO 18181-1, SizeHeader and ImageMetadata).

    Args:
        codestream: Its first bytes, with the signature.

    Raises:
        SyntaxError: It is not a header.
    """
    if not codestream.startswith(_CODESTREAM):
        raise SyntaxError("no JPEG XL codestream")
    bits = _Bits(codestream[2:_HEADER_BYTES])
    width, height = _read_size(bits)
    if bits.take(1):  # the rest has its default values
        return Header((width, height))
    orientation, is_animated = 1, False
    if bits.take(1):
        orientation = 1 + bits.take(3)
        if bits.take(1):  # the size in which to show it
            _read_size(bits)
        if bits.take(1):
            _skip_preview(bits)
        is_animated = bool(bits.take(1))
    size = (height, width) if orientation >= _TURNED else (width, height)
    return Header(size, orientation, is_animated, 0 if is_animated else _count_extra_channels(bits))


class _Bits:
    """Reads numbers from bytes, the lowest bit first."""

    def __init__(self, data: bytes) -> None:
        self._bits = int.from_bytes(data, "little")
        self._left = 8 * len(data)

    def take(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise SyntaxError("the header of the JPEG XL is truncated")
        number = self._bits & ((1 << count) - 1)
        self._bits >>= count
        return number


def _read_size(bits: _Bits) -> tuple[int, int]:
    is_small = bits.take(1)

    def side() -> int:
        return 8 * (1 + bits.take(5)) if is_small else 1 + bits.take(_SIDE_BITS[bits.take(2)])

    height = side()
    ratio = bits.take(3)
    if ratio == 0:
        return side(), height
    numerator, denominator = _RATIOS[ratio]
    return height * numerator // denominator, height


def _count_extra_channels(bits: _Bits) -> int:
    """The number of extra channels, after the format of the samples."""
    is_float = bits.take(1)
    if bits.take(2) == 3:
        bits.take(6)
    if is_float:
        bits.take(4)
    bits.take(1)
    match bits.take(2):
        case 2:
            return 2 + bits.take(4)
        case 3:
            return 1 + bits.take(12)
        case count:
            return count


def _skip_preview(bits: _Bits) -> None:
    """Skip a PreviewHeader, whose sides are coded otherwise than those of a picture."""
    in_eights = bits.take(1)

    def side() -> None:
        if in_eights:
            selector = bits.take(2)
            bits.take((0, 0, 5, 9)[selector])
        else:
            bits.take((6, 8, 10, 12)[bits.take(2)])

    side()
    if bits.take(3) == 0:
        side()


class JxlImageFile(ImageFile.ImageFile):
    """A JPEG XL of one frame, upright."""

    format = "JXL"
    format_description = "JPEG XL image"

    def _open(self) -> None:
        assert self.fp is not None  # noqa: S101 - for mypy
        self._data = self.fp.read()
        start = self._data[:_HEADER_BYTES]
        if not self._data.startswith(_CODESTREAM):
            start = b""
            for kind, content in read_boxes(self._data):
                if kind == b"Exif" and "exif" not in self.info:
                    # Some encoders leave out the offset.
                    offset = (
                        0 if bytes(content[:2]) in (b"II", b"MM") else 4 + int.from_bytes(content[:4], "big")
                    )
                    self.info["exif"] = bytes(content[offset:])
                elif kind in (b"jxlc", b"jxlp") and len(start) < _HEADER_BYTES:
                    start += bytes(content[4 if kind == b"jxlp" else 0 :][:_HEADER_BYTES])
        self._header = read_header(start)
        self._size, self.tile = self._header.size, []
        self._mode = "RGBA" if self._header.extra_channels else "RGB"

    def load(self) -> Any:
        """Decode the pixels.

        Raises:
            ImageError: It is an animation, has too many channels, or is damaged.
        """
        if self._data:
            if self._header.is_animated:
                raise ImageError(
                    "A JPEG XL must be a single picture. Received: an animation; save the frame you want."
                )
            if self._header.extra_channels > _MOST_EXTRA_CHANNELS:
                raise ImageError(
                    f"A JPEG XL must have at most {_MOST_EXTRA_CHANNELS} channels other than colours."
                    f" Received: {self._header.extra_channels}."
                )
            image = _decode(self._data, self._header)
            self.im, self._mode, self._size, self._data = image.im, image.mode, image.size, b""
        return super().load()


def _decode(data: bytes, header: Header) -> Image.Image:
    """The picture, upright."""
    try:
        is_jpeg, info, content, *_ = Decoder(num_threads=0)(data)
    except (RuntimeError, ValueError) as error:  # with a sentence for programmers
        raise ImageError("The image cannot be decoded: the file is a damaged JPEG XL.") from error
    if not is_jpeg:
        return Image.frombytes(info.mode, (info.width, info.height), content)
    # A JPEG that was packed without loss is unpacked as it was: not turned.
    stream = io.BytesIO(content)
    with Image.open(check_scans(stream) or stream, formats=(JpegImagePlugin.JpegImageFile.format,)) as image:
        image.load()
    return image.transpose(UPRIGHT[header.orientation]) if header.orientation in UPRIGHT else image


def _accepts(head: bytes) -> bool:
    return head.startswith(KINDS["JXL"].starts)


# The plugin has registered its own class.
Image.register_open(JxlImageFile.format, JxlImageFile, _accepts)
