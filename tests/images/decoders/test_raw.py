"""nimakit.images.decoders.raw: the preview where it is large enough, else the sensor data at half size."""

import io
import struct

import numpy as np
import pytest
from PIL import Image
from PIL.ExifTags import IFD, Base

from nimakit.errors import ImageError
from nimakit.images.decoders.raw import read_exif
from nimakit.images.photo import Decode, Preprocessing, open_photo
from photo_formats import corners, dng, encoded, quarters


def _marked(size: tuple[int, int]) -> bytes:
    """A preview that no development would give: it is grey."""
    return encoded(Image.new("RGB", size, (128, 128, 128)), "JPEG")


def _input(side: int, decode: Decode = "full") -> Preprocessing:
    """The preprocessing of a model with an input of this size."""
    return Preprocessing(height=side, width=side, resize_filter="bilinear", fit="squash", decode=decode)


def _is_preview(photo_pixels: Image.Image) -> bool:
    return bool(np.asarray(photo_pixels).std() < 2)


@pytest.mark.parametrize(
    ("preview", "side", "is_taken"),
    [
        ((60, 40), 40, True),
        ((60, 40), 41, False),
        ((60, 40), 1000, False),
        ((60, 40), None, False),
        ((96, 64), None, True),
        ((96, 64), 1000, True),
        ((192, 128), 1000, True),
    ],
)
def test_a_preview_is_taken_if_it_is_large_enough(
    preview: tuple[int, int], side: int | None, *, is_taken: bool
) -> None:
    """For the model, or as large as half the sensor's sides; a smaller one never goes before sensor data."""
    photo = open_photo(dng(preview=_marked(preview)), preprocessing=_input(side) if side else None)
    assert _is_preview(photo.pixels) == is_taken
    assert photo.size == (preview if is_taken else (96, 64))


def test_crops_and_scaled_decoding_need_a_larger_preview() -> None:
    """A crop shows a part of the picture, and scaled decoding two pixels for one of the input."""
    file = dng(preview=_marked((60, 40)))
    assert _is_preview(open_photo(file, preprocessing=_input(32), zoom=0.8).pixels)
    assert not _is_preview(open_photo(file, preprocessing=_input(32), zoom=0.7).pixels)
    assert _is_preview(open_photo(file, preprocessing=_input(20, "scaled")).pixels)
    assert not _is_preview(open_photo(file, preprocessing=_input(21, "scaled")).pixels)


def test_a_preview_is_decoded_as_large_as_the_model_needs() -> None:
    """As any JPEG."""
    file = dng(preview=_marked((1600, 1200)), orientation=6)
    photo = open_photo(file, preprocessing=_input(128, "scaled"))
    assert (photo.size, photo.whole_size, photo.reduction) == ((300, 400), (1200, 1600), 4)


def test_thumbnails_are_decoded_smaller() -> None:
    """A large preview at a fraction of its size, as any JPEG."""
    photo = open_photo(dng(preview=_marked((1600, 1200))), at_least=300)
    assert photo.size == (400, 300)
    assert open_photo(dng(preview=_marked((60, 40))), at_least=64).size == (96, 64)


def test_a_preview_that_is_upright_already_is_not_turned() -> None:
    """Some cameras store it so: a portrait, while the sensor data are a landscape."""
    upright = corners((64, 96))
    photo = open_photo(dng(preview=encoded(upright, "JPEG"), orientation=6), preprocessing=_input(32))
    assert (photo.orientation, photo.size) == (1, (64, 96))
    assert quarters(photo.pixels) == ["r", "g", "b", "w"]


def test_a_damaged_preview_is_not_taken() -> None:
    """The sensor data are there."""
    preview = _marked((192, 128))
    for broken in (preview[:-20], b"\xff\xd8" + bytes(20)):
        photo = open_photo(dng(preview=broken, preview_size=(192, 128)), preprocessing=_input(32))
        assert not _is_preview(photo.pixels)


def test_a_preview_stands_for_sensor_data_that_cannot_be_developed() -> None:
    """If it shows enough."""
    broken = dng(preview=_marked((480, 320)), stated=(9_000, 9_000))
    assert open_photo(broken).size == (480, 320)
    with pytest.raises(ImageError, match="cannot be developed"):
        open_photo(dng(preview=_marked((479, 319)), stated=(9_000, 9_000)))


def test_a_developed_picture_has_the_colours_of_the_scene() -> None:
    """The camera's white balance is used."""
    photo = open_photo(dng(size=(64, 48)))
    red, _green, _blue, white = (
        np.asarray(photo.pixels)[y, x].astype(int) for y, x in ((6, 8), (6, 24), (18, 24), (18, 8))
    )
    assert np.ptp(white) < 12
    assert red[0] > 3 * red[1]


def test_a_raw_file_can_be_opened_by_pillow() -> None:
    """Once its decoder is loaded, and without taking over any TIFF."""
    open_photo(dng())
    with Image.open(io.BytesIO(encoded(corners(), "TIFF"))) as image:
        assert image.format == "TIFF"


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content


def test_the_exif_of_a_cr3_is_in_its_boxes() -> None:
    """The main tags in one, those of the exposure in another."""
    main, details = Image.Exif(), Image.Exif()
    main[Base.Model], details[Base.ISOSpeedRatings] = "EOS", 400
    parts = b"".join(_box(kind, exif.tobytes()[6:]) for kind, exif in ((b"CMT1", main), (b"CMT2", details)))
    file = _box(b"ftyp", b"crx \0\0\0\1crx isom") + _box(b"moov", _box(b"uuid", bytes(16) + parts))
    exif = read_exif(file)
    assert exif[Base.Model] == "EOS"
    assert exif.get_ifd(IFD.Exif)[Base.ISOSpeedRatings] == 400


def test_the_exif_of_an_orf_is_that_of_a_tiff() -> None:
    """Which begins with letters of Olympus."""
    exif = read_exif(b"IIRO" + dng()[4:])
    assert exif[Base.Model] == "Made M1"
    assert exif.get_ifd(IFD.Exif)[Base.ISOSpeedRatings] == 400


@pytest.mark.filterwarnings("ignore:.*orrupt EXIF")  # the command line ignores them, too
@pytest.mark.parametrize(
    "head", [b"", b"II", b"IIRO\xff\xff\xff\xff", b"\0\0\0\x18ftypcrx ", b"FUJIFILMCCD-RAW"]
)
def test_a_raw_file_without_exif_has_none(head: bytes) -> None:
    """It can still be scored."""
    assert dict(read_exif(head)) == {}
