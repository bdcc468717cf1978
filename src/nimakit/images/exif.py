"""What a photograph's EXIF says: which way up it is, when it was taken, with which camera and exposure."""

import math
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from PIL import Image
from PIL.ExifTags import IFD, Base

UPRIGHT: dict[int, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""Orientation -> the transpose that makes a picture upright; 1 needs none, and other values are invalid."""

_DECODED_UPRIGHT = ("TIFF", "HEIF", "JXL")
"""Formats whose decoders turn the picture."""

_STRUCTURE = frozenset(
    (
        *(254, 255, 256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 317, 320, 322, 323, 324, 325, 338),
        *(339, 347, 530, 700, 33723, 34377, 34675),
    )
)
"""Tags of a TIFF about the storage of its pixels, and blocks of other standards."""

_SHOT = frozenset(
    (
        Base.ImageDescription,
        Base.Make,
        Base.Model,
        Base.Orientation,
        Base.Software,
        Base.DateTime,
        Base.Artist,
    )
) | {Base.Copyright}
"""Tags about the shot; a camera RAW file has hundreds of others about its sensor data."""

_AUTO_BRACKET = 2
"""Exposure mode of a series of different exposures."""

_OFFSET = re.compile(r"[+-]\d\d:\d\d")


@dataclass(frozen=True, kw_only=True, slots=True)
class Shot:
    """How a photograph was taken; empty or None where its EXIF does not say.

    Attributes:
        taken: When, to the fraction of a second; with a time zone if the camera recorded one.
        make: The camera's maker.
        model: The camera.
        serial: The camera's serial number.
        exposure_s: Exposure time in seconds.
        aperture: F-number.
        iso: Sensitivity.
        focal_length_mm: Focal length of the lens in millimetres.
        exposure_bias: Exposure compensation in stops, below 0 for a darker picture.
        is_bracketed: Whether the camera made it as one of a series of different exposures.
        focus_distance_m: Distance of the focus in metres.
    """

    taken: datetime | None = None
    make: str = ""
    model: str = ""
    serial: str = ""
    exposure_s: float | None = None
    aperture: float | None = None
    iso: int | None = None
    focal_length_mm: float | None = None
    exposure_bias: float | None = None
    is_bracketed: bool = False
    focus_distance_m: float | None = None


def read_orientation(image: Image.Image) -> int:
    """How the pixels that an image decodes to are turned: 1 to 8, as in EXIF; 1 if they are upright.

    Args:
        image: From `nimakit.images.opening.open_image`, or any Pillow image.
    """
    if image.format in _DECODED_UPRIGHT:
        return 1
    orientation = getattr(image, "orientation", None) or image.getexif().get(Base.Orientation, 1)
    return orientation if isinstance(orientation, int) and orientation in UPRIGHT else 1


def read_shot(image: Image.Image) -> Shot:
    """How a photograph was taken.

    Args:
        image: From `nimakit.images.opening.open_image`.
    """
    exif = image.getexif()
    details = exif.get_ifd(IFD.Exif)
    iso = _number(details.get(Base.ISOSpeedRatings))
    return Shot(
        taken=_time(details),
        make=_text(exif.get(Base.Make)),
        model=_text(exif.get(Base.Model)),
        serial=_text(details.get(Base.BodySerialNumber)),
        exposure_s=_number(details.get(Base.ExposureTime)),
        aperture=_number(details.get(Base.FNumber)),
        iso=None if iso is None else round(iso),
        focal_length_mm=_number(details.get(Base.FocalLength)),
        exposure_bias=_finite(details.get(Base.ExposureBiasValue)),
        is_bracketed=details.get(Base.ExposureMode) == _AUTO_BRACKET,
        focus_distance_m=_number(details.get(Base.SubjectDistance)),
    )


def copy_exif(image: Image.Image) -> Image.Exif:
    """The EXIF for an edited copy of a photograph: without what is true of the original file only.

    Args:
        image: From `nimakit.images.opening.open_image`.
    """
    found, copy = image.getexif(), Image.Exif()
    for tag, value in found.items():
        if tag in (IFD.Exif, IFD.GPSInfo):
            copy[tag] = found.get_ifd(tag)
            if image.format == "RAW":
                copy[tag].pop(Base.MakerNote, None)  # its offsets are those of the original
        elif tag in _SHOT if image.format == "RAW" else tag not in _STRUCTURE:
            copy[tag] = value
    return copy


def _time(details: dict[int, Any]) -> datetime | None:
    """When the picture was taken; None if the camera's clock was not set."""
    try:
        taken = datetime.strptime(_text(details.get(Base.DateTimeOriginal)), "%Y:%m:%d %H:%M:%S")  # noqa: DTZ007
    except ValueError:
        return None
    fraction = _text(details.get(Base.SubsecTimeOriginal))
    if fraction.isascii() and fraction.isdigit():
        taken += timedelta(microseconds=int(fraction[:6].ljust(6, "0")))
    offset = _text(details.get(Base.OffsetTimeOriginal))
    if _OFFSET.fullmatch(offset):
        taken = datetime.fromisoformat(taken.isoformat() + offset)
    return taken


def _text(value: object) -> str:
    """A text without padding; decoders give bytes for damaged ones."""
    return value.strip("\0 ") if isinstance(value, str) else ""


def _number(value: object) -> float | None:
    """A positive number, the first of several; None for 0, 0/0 and other kinds of values."""
    number = _finite(value)
    return number if number is not None and number > 0 else None


def _finite(value: object) -> float | None:
    """A number, the first of several; None for 0/0 and other kinds of values."""
    first = value[0] if isinstance(value, tuple) and value else value
    try:
        number = float(first)  # type: ignore[arg-type]
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return number if math.isfinite(number) else None
