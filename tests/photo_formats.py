"""Small photographs in the formats that are read, made on the spot; others are in tests/data/formats."""

import io
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ExifTags import IFD, Base

from nimakit.images.opening import load_decoder

SAMPLES = Path(__file__).parent / "data" / "formats"
"""HEICs and JPEG XLs, written by scripts/format_samples.py."""

SIZE = (96, 64)
"""Width and height of the upright pictures."""


def corners(size: tuple[int, int] = SIZE) -> Image.Image:
    """A picture whose quarters are red, green, blue and white, clockwise from the left top."""
    picture = Image.new("RGB", size, (255, 255, 255))
    middle = (size[0] // 2, size[1] // 2)
    picture.paste((220, 30, 30), (0, 0, *middle))
    picture.paste((30, 180, 30), (middle[0], 0, size[0], middle[1]))
    picture.paste((30, 30, 220), (*middle, *size))
    return picture


def quarters(picture: Image.Image) -> list[str]:
    """The colour of each quarter, clockwise from the left top: r, g, b or w."""
    width, height = picture.size
    places = [(1, 1), (3, 1), (3, 3), (1, 3)]
    return [_colour(picture.getpixel((x * width // 4, y * height // 4))) for x, y in places]


def _colour(pixel: Any) -> str:
    red, green, blue = pixel
    if min(pixel) > 150:
        return "w"
    return "rgb"[int(np.argmax([red, green, blue]))]


def camera_exif(orientation: int = 1) -> Image.Exif:
    """What a camera records of a shot."""
    exif = Image.Exif()
    exif[Base.Make], exif[Base.Model], exif[Base.Orientation] = "Made", "Made M1", orientation
    exif[IFD.Exif] = {
        Base.DateTimeOriginal: "2026:05:17 10:11:12",
        Base.SubsecTimeOriginal: "34",
        Base.OffsetTimeOriginal: "+02:00",
        Base.ExposureTime: 0.004,
        Base.FNumber: 2.8,
        Base.ISOSpeedRatings: 400,
        Base.FocalLength: 35.0,
        Base.BodySerialNumber: "123",
    }
    loaded = Image.Exif()
    loaded.load(exif.tobytes())
    return loaded


def encoded(picture: Image.Image, form: str, **options: Any) -> bytes:
    """A picture as the content of a file."""
    stream = io.BytesIO()
    picture.save(stream, form, **options)
    return stream.getvalue()


def jxl(picture: Image.Image, **options: Any) -> bytes:
    """A JPEG XL."""
    load_decoder("JXL")  # the plugin also encodes
    return encoded(picture, "JXL", **options)


def tiff16(pixels: NDArray[np.uint16], *, big_endian: bool = False, photometric: int | None = None) -> bytes:
    """A TIFF of 16 bits for each of the channels of (H, W, C) pixels, which Pillow cannot write."""
    height, width, channels = pixels.shape
    order = ">" if big_endian else "<"
    tags = [
        (256, "I", [width]),
        (257, "I", [height]),
        (258, "H", [16] * channels),
        (259, "H", [1]),
        (262, "H", [photometric or (2 if channels > 2 else 1)]),
        (277, "H", [channels]),
        (278, "I", [height]),
        *([(338, "H", [2])] if channels in (2, 4) else []),
    ]
    return _Tiff(order).write([(tags, pixels.astype(f"{order}u2").tobytes())])


def dng(
    *,
    preview: bytes | None = None,
    preview_size: tuple[int, int] | None = None,
    size: tuple[int, int] = (192, 128),
    orientation: int = 1,
    stated: tuple[int, int] | None = None,
) -> bytes:
    """A camera RAW file (DNG) of an RGGB sensor that saw `corners`.

    Args:
        preview: A JPEG to embed.
        preview_size: Its size if its header does not say it.
        size: Width and height of the sensor data.
        orientation: As in EXIF.
        stated: The size that the file claims.
    """
    scene = np.asarray(corners(size), np.uint16)
    sensor = np.empty(scene.shape[:2], np.uint16)
    for row in (0, 1):
        for column in (0, 1):
            sensor[row::2, column::2] = scene[row::2, column::2, row + column] * 200
    width, height = stated or size
    about = [
        (271, "s", "Made"),
        (272, "s", "Made M1"),
        (274, "H", [orientation]),
        (50706, "B", [1, 4, 0, 0]),
        (50708, "s", "Made M1"),
        (50721, "r", [1, 0, 0, 0, 1, 0, 0, 0, 1]),
        (50728, "R", [1, 1, 1]),
        (50778, "H", [21]),
    ]
    exif = [
        (33434, "R", [Fraction(1, 250)]),
        (33437, "R", [Fraction(28, 10)]),
        (34855, "H", [400]),
        (36867, "s", "2026:05:17 10:11:12"),
        (36881, "s", "+02:00"),
        (37386, "R", [35]),
        (37521, "s", "34"),
        (42033, "s", "123"),
    ]
    raw = [
        (254, "I", [0]),
        (256, "I", [width]),
        (257, "I", [height]),
        (258, "H", [16]),
        (259, "H", [1]),
        (262, "H", [32803]),
        (277, "H", [1]),
        (278, "I", [height]),
        (33421, "H", [2, 2]),
        (33422, "B", [0, 1, 1, 2]),
        (50714, "H", [0]),
        (50717, "H", [255 * 200]),
    ]
    data = sensor.astype("<u2").tobytes()
    if preview is None:
        return _Tiff("<").write([([*about, *raw], data)], exif=exif)
    shown = preview_size or Image.open(io.BytesIO(preview)).size
    first = [
        (254, "I", [1]),
        (256, "I", [shown[0]]),
        (257, "I", [shown[1]]),
        (258, "H", [8, 8, 8]),
        (259, "H", [7]),
        (262, "H", [6]),
        (277, "H", [3]),
        (278, "I", [shown[1]]),
    ]
    return _Tiff("<").write([([*about, *first], preview), (raw, data)], exif=exif)


class _Tiff:
    """Writes a TIFF: a first directory, which names the others as sub-directories, and their data."""

    _KINDS = {"B": (1, "B"), "s": (2, ""), "H": (3, "H"), "I": (4, "I"), "R": (5, "II"), "r": (10, "ii")}  # noqa: RUF012

    def __init__(self, order: str) -> None:
        self._order = order
        self._content = bytearray()

    def write(self, pictures: list[tuple[list[Any], bytes]], exif: list[Any] | None = None) -> bytes:
        self._content += b"II*\0" if self._order == "<" else b"MM\0*"
        self._content += bytes(4)
        offsets = [self._directory(tags, data) for tags, data in pictures[1:]]
        tags, data = pictures[0]
        if offsets:
            tags = [*tags, (330, "I", offsets)]
        if exif:
            tags = [*tags, (34665, "I", [self._directory(exif, b"")])]
        first = self._directory(tags, data)
        self._content[4:8] = struct.pack(self._order + "I", first)
        return bytes(self._content)

    def _append(self, data: bytes) -> int:
        self._content += bytes(len(self._content) % 2)
        self._content += data
        return len(self._content) - len(data)

    def _directory(self, tags: list[Any], data: bytes) -> int:
        if data:
            tags = [*tags, (273, "I", [self._append(data)]), (279, "I", [len(data)])]
        entries = b""
        for tag, form, values in sorted(tags):
            kind, code = self._KINDS[form]
            if form == "s":
                content = values.encode() + b"\0"
                count = len(content)
            else:
                count = len(values)
                numbers = [part for value in values for part in _parts(value, form)]
                content = struct.pack(f"{self._order}{len(numbers)}{code[0]}", *numbers)
            if len(content) > 4:
                content = struct.pack(self._order + "I", self._append(content))
            entries += struct.pack(self._order + "HHI", tag, kind, count) + content.ljust(4, b"\0")
        return self._append(struct.pack(self._order + "H", len(tags)) + entries + bytes(4))


def _parts(value: Any, form: str) -> tuple[int, ...]:
    if form not in ("R", "r"):
        return (value,)
    return Fraction(value).as_integer_ratio()
