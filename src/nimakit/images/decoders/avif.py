"""AVIF: Pillow's own decoder, and the coded size of a picture, which may exceed the declared one."""

from collections.abc import Iterator

from PIL import AvifImagePlugin, Image

from nimakit.errors import ImageError
from nimakit.images.decoders.boxes import read_items

if not AvifImagePlugin.SUPPORTED:
    raise ModuleNotFoundError("this Pillow cannot decode AVIF")
# One thread for each picture, because several pictures are decoded at once.
AvifImagePlugin.DEFAULT_MAX_THREADS = 1

_SEQUENCE_HEADER = 1


class AvifImageFile(AvifImagePlugin.AvifImageFile):
    """An AVIF of one picture.

    Attributes:
        coded_size: Width and height of the largest picture or tile that is decoded; it is then scaled to
            the declared size.
    """

    def _open(self) -> None:
        assert self.fp is not None  # noqa: S101 - for mypy
        sizes = [
            size
            for item in read_items(self.fp.read())
            if item.kind == b"av01" and (size := _coded_size(item.content))
        ]
        if not sizes:
            raise SyntaxError("an AVIF without a picture")
        self.coded_size = max(sizes, key=lambda size: size[0] * size[1])
        self.fp.seek(0)
        super()._open()
        if self.is_animated:
            raise ImageError(
                "An AVIF must be a single picture. Received: an animation; save the frame you want."
            )


def _coded_size(data: memoryview) -> tuple[int, int] | None:
    """Largest width and height of the frames of a part of an AV1 stream, if it has the sequence header."""
    for kind, content in _units(data):
        if kind == _SEQUENCE_HEADER:
            return _frame_size(content)
    return None


def _units(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Type and content of the units of an AV1 stream (AV1 specification, 5.3)."""
    place = 0
    while place < len(data):
        head = data[place]
        place += 1 + (head >> 2 & 1)
        size, shift = len(data) - place, 0
        if head & 2:
            size = 0
            while True:
                byte = data[place]
                place += 1
                size |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    break
        yield head >> 3 & 15, data[place : place + size]
        place += size


def _frame_size(header: memoryview) -> tuple[int, int]:
    """Width and height in a sequence header (AV1 specification, 5.5.1)."""
    bits, left = int.from_bytes(header, "big"), 8 * len(header)

    def take(count: int) -> int:
        nonlocal left
        left -= count
        if left < 0:
            raise SyntaxError("a sequence header that is cut off")
        return bits >> left & ((1 << count) - 1)

    take(4)
    if take(1):  # the short header of a single picture
        take(5)
    else:
        if take(1):
            raise SyntaxError("a film, not a picture")  # with times of frames
        has_delays = take(1)
        for _ in range(take(5) + 1):
            take(12)
            if take(5) > 7:
                take(1)
            if has_delays and take(1):
                take(4)
    width_bits, height_bits = take(4) + 1, take(4) + 1
    return take(width_bits) + 1, take(height_bits) + 1


def _accepts(head: bytes) -> bool:
    return head[4:8] == b"ftyp"


Image.register_open(AvifImageFile.format, AvifImageFile, _accepts)
