"""Camera RAW: the preview in the file, or the sensor data developed at half size, by LibRaw (rawpy)."""

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO, cast

import rawpy
from PIL import Image, ImageFile, JpegImagePlugin
from PIL.ExifTags import IFD

from nimakit.errors import ImageError
from nimakit.images.decoders.boxes import read_boxes
from nimakit.images.formats import identify
from nimakit.images.jpeg import check_scans

_ORIENTATIONS = {0: 1, 1: 2, 3: 3, 2: 4, 4: 5, 6: 6, 7: 7, 5: 8}
"""LibRaw's flip -> orientation as in EXIF."""
_TURNED = 5
"""Orientations from this one on exchange width and height."""

_EXIF_BYTES = 1 << 20
"""Beginning of a file that contains its EXIF."""
_UUID_BYTES = 16

_SMALLEST_PREVIEW = 320
"""Shorter side of a preview that stands for sensor data that cannot be developed, in pixels."""


class RawImageFile(ImageFile.ImageFile):
    """A camera RAW file: the preview in it if that is large enough, else its sensor data at half size.

    Attributes:
        orientation: How the pixels are turned, 1 to 8, as in EXIF.
        coded_size: Width and height of the sensor data if they are decoded; None for the preview.
        preview: The preview if it is taken, not decoded yet; else None.
    """

    format = "RAW"
    format_description = "camera RAW image"

    def _open(self) -> None:
        assert self.fp is not None  # noqa: S101 - for mypy
        self._file: BinaryIO | None = cast("BinaryIO", self.fp)
        self._raw = rawpy.RawPy()
        with _libraw_errors(SyntaxError):
            self._raw.open_buffer(self._file)
        sizes = self._raw.sizes
        self._flip = _ORIENTATIONS.get(sizes.flip, 1)
        self._sensor = (sizes.width, sizes.height)
        self._half = (max(1, sizes.width // 2), max(1, sizes.height // 2))
        self._embedded = _read_preview(self._raw)
        self._mode, self.tile = "RGB", []
        self.choose(self._half)

    def choose(self, wanted: tuple[int, int]) -> None:
        """Choose what is decoded; at first, the preview if it is as large as the sensor data at half size.

        Args:
            wanted: Sides from which the preview is large enough, in pixels.
        """
        preview = self._embedded.size if self._embedded else (0, 0)
        is_enough = min(preview) >= min(wanted) and max(preview) >= max(wanted)
        is_preview = is_enough or min(preview) >= min(self._half)
        self.preview = self._embedded if is_preview else None
        self.coded_size = None if is_preview else self._sensor
        self._size = preview if is_preview else self._half
        # Some cameras store the preview upright.
        is_turned = (self._size[0] < self._size[1]) == (self._sensor[0] < self._sensor[1])
        self.orientation = self._flip if is_turned or self._flip < _TURNED else 1

    def load(self) -> Any:
        """Decode the preview, or develop the sensor data.

        Raises:
            ImageError: The sensor data cannot be developed, and no preview can replace them.
        """
        if self._file is not None:
            image = (self.preview or self._develop()).convert("RGB")
            self.im, self._size = image.im, image.size
            self._raw.close()
            self._file = None
        return super().load()

    def _develop(self) -> Image.Image:
        try:
            with _libraw_errors(ImageError):
                self._raw.unpack()
                return Image.fromarray(self._raw.postprocess(half_size=True, use_camera_wb=True, user_flip=0))
        except ImageError as error:
            orientation = self.orientation
            self.choose((_SMALLEST_PREVIEW, _SMALLEST_PREVIEW))
            if self.preview is None or self.orientation != orientation:
                raise ImageError(
                    "The image cannot be decoded: the camera RAW file has no preview that is large enough,"
                    f" and its sensor data cannot be developed: {error}."
                ) from error
        return self.preview

    def getexif(self) -> Image.Exif:
        """The EXIF of the file or, if there is none, of its preview."""
        if self._exif is None:
            self._exif = Image.Exif()
            if self._file is not None:
                self._file.seek(0)
                self._exif = read_exif(self._file.read(_EXIF_BYTES))
            if not self._exif and self._embedded is not None:
                self._exif = self._embedded.getexif()
        return self._exif


def read_exif(head: bytes) -> Image.Exif:
    """The EXIF of a camera RAW file; empty if there is none or it is broken.

    Args:
        head: The beginning of the file: a TIFF (Olympus has its own magic number), or Canon's .cr3,
            with one TIFF for the main tags and one for the others.
    """
    exif, details = Image.Exif(), Image.Exif()
    with suppress(SyntaxError, ValueError, TypeError, struct.error):
        if head[4:12] == b"ftypcrx ":
            boxes = {kind: bytes(content) for kind, content in _canon_boxes(head)}
            exif.load(boxes.get(b"CMT1", b""))
            details.load(boxes.get(b"CMT2", b""))
            exif.get_ifd(IFD.Exif).update(details)
        elif head[:2] in (b"II", b"MM"):
            exif.load((b"II*\0" if head[:2] == b"II" else b"MM\0*") + head[4:])
    return exif


def _canon_boxes(head: bytes) -> Iterator[tuple[bytes, memoryview]]:
    for kind, movie in read_boxes(head):
        if kind == b"moov":
            for inner, content in read_boxes(movie):
                if inner == b"uuid":
                    yield from read_boxes(content[_UUID_BYTES:])


def _read_preview(raw: rawpy.RawPy) -> Image.Image | None:
    """The largest picture in the file, not decoded yet; None if there is none that can be read."""
    try:
        preview = raw.extract_thumb()
        if not isinstance(preview.data, bytes):
            return Image.fromarray(preview.data)
        stream = io.BytesIO(preview.data)
        return Image.open(check_scans(stream) or stream, formats=(JpegImagePlugin.JpegImageFile.format,))
    except rawpy.LibRawUnsufficientMemoryError as error:
        raise MemoryError from error
    except (rawpy.LibRawError, rawpy.NotSupportedError, OSError, ImageError):  # Pillow's are OSErrors
        return None


@contextmanager
def _libraw_errors(kind: type[Exception]) -> Iterator[None]:
    """Turn LibRaw's errors, whose messages are bytes, into others."""
    try:
        yield
    except rawpy.LibRawUnsufficientMemoryError as error:
        raise MemoryError from error
    except rawpy.LibRawError as error:
        [message] = error.args or (b"",)
        raise kind(message.decode("ascii", "replace") if isinstance(message, bytes) else message) from error


def _accepts(head: bytes) -> bool:
    return identify(io.BytesIO(head)) in ("RAW", "TIFF")  # the tags of a TIFF may be anywhere


Image.register_open(RawImageFile.format, RawImageFile, _accepts)
