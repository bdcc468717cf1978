"""nimakit.images.exif: which way up a photograph is, and how it was taken."""

from collections.abc import Callable
from datetime import datetime

import pytest
from PIL import Image
from PIL.ExifTags import IFD, Base

from nimakit.images.exif import Shot, copy_exif, read_orientation, read_shot
from nimakit.images.opening import open_image
from nimakit.images.photo import open_photo
from photo_formats import SAMPLES, camera_exif, corners, dng, encoded, jxl, quarters

WAYS = {
    1: ["r", "g", "b", "w"],
    2: ["g", "r", "w", "b"],
    3: ["b", "w", "r", "g"],
    4: ["w", "b", "g", "r"],
    5: ["r", "w", "b", "g"],
    6: ["w", "r", "g", "b"],
    7: ["b", "g", "r", "w"],
    8: ["g", "b", "w", "r"],
}
"""Orientation -> the quarters of `corners` after it is turned upright, clockwise from the left top."""


def _with_exif(form: str) -> Callable[[int], bytes]:
    return lambda orientation: encoded(corners(), form, exif=camera_exif(orientation))


TURNED: dict[str, Callable[[int], bytes]] = {
    **{form: _with_exif(form) for form in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF")},
    "MPO": lambda orientation: encoded(
        corners(), "MPO", exif=camera_exif(orientation), save_all=True, append_images=[corners((40, 30))]
    ),
    "HEIC": lambda orientation: (SAMPLES / f"orientation_{orientation}.heic").read_bytes(),
    "RAW, preview": lambda orientation: dng(preview=encoded(corners(), "JPEG"), orientation=orientation),
    "RAW, developed": lambda orientation: dng(orientation=orientation),
}
"""Format -> a file of `corners` with an orientation."""


@pytest.mark.parametrize("form", TURNED)
@pytest.mark.parametrize("orientation", WAYS)
def test_a_picture_is_turned_once_and_only_once(form: str, orientation: int) -> None:
    """By its EXIF, or by a decoder that has turned it already."""
    photo = open_photo(TURNED[form](orientation))
    upright = photo.resize(photo.size, "nearest")
    assert (quarters(upright), photo.size) == (WAYS[orientation], (96, 64) if orientation < 5 else (64, 96))


@pytest.mark.parametrize("name", ["orientation_6.jxl", "orientation_6_packed_jpeg.jxl"])
def test_a_jpeg_xl_is_turned_by_its_header(name: str) -> None:
    """Also where it is a packed JPEG, which comes out as it was stored."""
    photo = open_photo(SAMPLES / name)
    assert (quarters(photo.pixels), photo.size, photo.orientation) == (WAYS[6], (64, 96), 1)


def test_the_exif_of_a_jpeg_xl_does_not_turn_it() -> None:
    """Its own header does."""
    assert quarters(open_photo(jxl(corners(), exif=camera_exif(6).tobytes())).pixels) == WAYS[1]


@pytest.mark.parametrize("value", [0, 9, 1 << 15, "6", (6, 6)])
def test_an_invalid_orientation_is_upright(value: object) -> None:
    """As in other viewers."""
    image = Image.new("RGB", (2, 2))
    image.getexif()[Base.Orientation] = value
    assert read_orientation(image) == 1


@pytest.mark.parametrize(
    "content",
    [
        *(encoded(corners(), form, exif=camera_exif()) for form in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF")),
        jxl(corners(), exif=camera_exif().tobytes()),
        (SAMPLES / "orientation_6.heic").read_bytes(),
        dng(preview=encoded(corners(), "JPEG")),
    ],
    ids=["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "JXL", "HEIC", "RAW"],
)
def test_the_shot_is_read_from_every_format(content: bytes) -> None:
    """Time to the hundredth with its zone, camera and exposure."""
    with open_image(content) as image:
        assert read_shot(image) == Shot(
            taken=datetime.fromisoformat("2026-05-17T10:11:12.340000+02:00"),
            make="Made",
            model="Made M1",
            serial="123",
            exposure_s=0.004,
            aperture=2.8,
            iso=400,
            focal_length_mm=35.0,
        )


def test_a_series_of_exposures_is_read() -> None:
    """A compensation below 0, which is a value as 0 is, and the mode and focus that tell series."""
    image = Image.new("RGB", (2, 2))
    image.getexif().get_ifd(IFD.Exif).update(
        {Base.ExposureBiasValue: -2.0, Base.ExposureMode: 2, Base.SubjectDistance: 1.5}
    )
    assert read_shot(image) == Shot(exposure_bias=-2.0, is_bracketed=True, focus_distance_m=1.5)


def test_values_that_are_none_are_left_out() -> None:
    """A clock that was not set, a division by zero, texts in place of numbers, bytes in place of texts."""
    image = Image.new("RGB", (2, 2))
    exif = image.getexif()
    exif[Base.Make], exif[Base.Model] = b"\xff\xfe", " \0"
    exif.get_ifd(IFD.Exif).update(
        {
            Base.DateTimeOriginal: "0000:00:00 00:00:00",
            Base.SubsecTimeOriginal: "34",
            Base.ExposureTime: float("nan"),
            Base.FNumber: "f/2",
            Base.ISOSpeedRatings: (),
            Base.FocalLength: 0.0,
        }
    )
    assert read_shot(image) == Shot()


@pytest.mark.parametrize(
    ("fraction", "micros"),
    [("5", 500_000), ("05", 50_000), ("123456789", 123_456), ("x", 0), ("", 0), ("²", 0)],
)
def test_sub_seconds_are_a_decimal_fraction(fraction: str, micros: int) -> None:
    """However many digits the camera writes."""
    image = Image.new("RGB", (2, 2))
    image.getexif().get_ifd(IFD.Exif).update(
        {Base.DateTimeOriginal: "2026:01:02 03:04:05", Base.SubsecTimeOriginal: fraction}
    )
    taken = read_shot(image).taken
    assert taken is not None
    assert (taken.second, taken.microsecond, taken.tzinfo) == (5, micros, None)


def test_a_copy_of_a_raw_file_s_exif_is_about_the_shot() -> None:
    """An edited JPEG must not claim to be sensor data."""
    with open_image(dng(preview=encoded(corners(), "JPEG"))) as image:
        copy = copy_exif(image)
    assert set(copy) == {Base.Make, Base.Model, Base.Orientation, IFD.Exif}
    assert copy[IFD.Exif][Base.ISOSpeedRatings] == 400
