"""nimakit.images.photo: open photographs safely, turn them upright, fit and resize them."""

import errno
import io
import os
import struct
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps
from PIL.ExifTags import Base

from faults import FAULTS, every_fault, failing
from nimakit.errors import ImageError, ImageTooLargeError, ImageUnreadError
from nimakit.images.photo import (
    DECODED_BYTES,
    FITS,
    RESIZE_FILTERS,
    Fit,
    Photo,
    Preprocessing,
    ResizeFilter,
    decoded_bytes,
    open_photo,
    prepare,
)
from photo_formats import corners, encoded, quarters, tiff16
from samples import png_header, random_pixels, write_photo

SAMPLES = Path(__file__).parents[2] / "data" / "samples"


def _pixels(photo: Photo) -> np.ndarray[Any, Any]:
    return np.asarray(photo.pixels)


def _encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def _turned(orientation: int, size: tuple[int, int]) -> bytes:
    exif = Image.Exif()
    exif[Base.Orientation] = orientation
    width, height = size
    # Mid-tones: where a sharpening filter overshoots 255, the order of the axes shows by a few levels.
    pixels = 64 + random_pixels(height, width) // 2
    return _encoded(Image.fromarray(pixels), "PNG", exif=exif)


# Opening what is sound


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp", ".tiff", ".gif"])
def test_opens_every_supported_format(tmp_path: Path, suffix: str) -> None:
    """Each format gives RGB pixels of the picture's size and colour."""
    photo = open_photo(write_photo(tmp_path / f"grey{suffix}", 100, (20, 10)))
    assert (photo.pixels.mode, photo.size) == ("RGB", (20, 10))
    assert abs(_pixels(photo).astype(int) - 100).max() <= 2


def test_goes_by_content_not_by_name(tmp_path: Path) -> None:
    """A JPEG named .png opens as what it is."""
    path = write_photo(tmp_path / "grey.jpg", 100).rename(tmp_path / "grey.png")
    assert open_photo(path).size == (12, 9)


def test_takes_bytes_paths_text_and_pictures_alike(tmp_path: Path) -> None:
    """However an image is given, its pixels are the same."""
    path = tmp_path / "noise.png"
    array = random_pixels(9, 12)
    Image.fromarray(array).save(path)
    for source in (path, str(path), path.read_bytes(), Image.fromarray(array), array):
        np.testing.assert_array_equal(_pixels(open_photo(source)), array)


def test_scales_16_bit_grey_to_8_bits() -> None:
    """Of 16-bit pixels the whole range is kept: nothing is clipped at 255."""
    levels = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    photo = open_photo(_encoded(Image.fromarray(levels), "PNG"))
    expected = np.rint(levels / 257).astype(np.uint8)
    np.testing.assert_array_equal(_pixels(photo), np.stack([expected] * 3, axis=2))


def test_shows_white_through_transparent_pixels() -> None:
    """Alpha is composited on white: clear black is white, half-clear black is grey."""
    image = Image.new("RGBA", (3, 1))
    for x, alpha in enumerate((0, 128, 255)):
        image.putpixel((x, 0), (0, 0, 0, alpha))
    assert _pixels(open_photo(_encoded(image, "PNG")))[0, :, 0].tolist() == [255, 127, 0]


def test_shows_white_through_a_transparent_palette_colour() -> None:
    """A palette image with a transparent index shows white there, its other colours as they are."""
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((1, 0), 1)
    pixels = _pixels(open_photo(_encoded(image, "PNG", transparency=0)))
    assert pixels[0].tolist() == [[255, 255, 255], [200, 100, 50]]


def test_converts_cmyk() -> None:
    """A CMYK JPEG becomes the RGB colours it stands for."""
    red = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    colour = _pixels(open_photo(_encoded(red, "JPEG", quality=95))).reshape(-1, 3).mean(axis=0)
    assert abs(colour - [255, 0, 0]).max() < 8


def test_takes_the_first_frame_of_an_animation() -> None:
    """An animated GIF stands for its first frame."""
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "lime", "blue")]
    data = _encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=50)
    assert _pixels(open_photo(data))[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("size", [(1, 1), (20_000, 50)])
def test_opens_pictures_of_extreme_shape(tmp_path: Path, size: tuple[int, int]) -> None:
    """A single pixel and a very long strip are pictures too, in every fit."""
    photo = open_photo(write_photo(tmp_path / "extreme.png", 90, size))
    for fit in FITS:
        wanted = Preprocessing(height=32, width=32, resize_filter="nearest", fit=fit)  # type: ignore[arg-type]
        prepared = prepare(photo, wanted)
        assert prepared.shape == (32, 32, 3)
        assert prepared[15, 15].tolist() == [90, 90, 90]


def test_decodes_thumbnails_smaller_and_keeps_their_side(tmp_path: Path) -> None:
    """With at_least a JPEG is decoded at a fraction that still has the side asked for."""
    path = write_photo(tmp_path / "large.jpg", size=(1600, 1200))
    assert open_photo(path).size == (1600, 1200)
    assert open_photo(path, at_least=300).size == (400, 300)


# Refusing what is not


@pytest.mark.parametrize("share", [0.5, 0.98])
def test_rejects_a_truncated_jpeg(share: float) -> None:
    """A JPEG that ends early is an error, not a picture with a grey half."""
    data = _encoded(Image.fromarray(random_pixels(64, 64)), "JPEG")
    with pytest.raises(ImageError, match=r"cannot be decoded: .*truncated"):
        open_photo(data[: int(len(data) * share)])


@pytest.mark.parametrize("content", [b"", b"This is a diary, not a photograph."], ids=["empty", "text"])
def test_rejects_a_file_that_is_no_image(tmp_path: Path, content: bytes) -> None:
    """A file of zero bytes and a text named .jpg are refused because of their content."""
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=r"must be an image \(JPEG, PNG.*its content is none of these"):
        open_photo(path)


def test_rejects_formats_beyond_the_supported_ones() -> None:
    """Of all Pillow can decode only the listed formats are let in."""
    with pytest.raises(ImageError, match="none of these"):
        open_photo(_encoded(Image.new("RGB", (4, 4)), "PPM"))


def test_rejects_floating_point_pixels() -> None:
    """A TIFF of floats has no agreed white, and is refused rather than guessed at."""
    with pytest.raises(ImageError, match="Pixels must be integers"):
        open_photo(_encoded(Image.new("F", (4, 4), 0.5), "TIFF"))


@pytest.mark.parametrize("size", [(50_000, 50_000), (10_000, 9_000)])
@pytest.mark.parametrize("action", ["error", "ignore"])
def test_rejects_too_many_pixels_before_decoding(size: tuple[int, int], action: Any) -> None:
    """Only the claimed size decides: this file has no pixels, and decoding it would be another error."""
    with warnings.catch_warnings():
        warnings.simplefilter(action, Image.DecompressionBombWarning)
        with pytest.raises(ImageTooLargeError, match="at most 89478485 pixels"):
            open_photo(png_header(*size))


def test_names_the_size_of_a_picture_over_the_limit_asked_for() -> None:
    """A lower limit applies to files, pictures and arrays."""
    sources = (png_header(20, 30), Image.new("RGB", (20, 30)), np.zeros((30, 20, 3), np.uint8))
    for source in sources:
        with pytest.raises(ImageTooLargeError, match=r"at most 599 pixels\. Received: 20x30"):
            open_photo(source, max_pixels=599)


def test_a_limit_above_pillows_own_lets_larger_pictures_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit may be higher than that of Pillow: only the missing pixels are an error."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
    with pytest.raises(ImageError) as caught:
        open_photo(png_header(20_000, 10_000), max_pixels=200_000_000)
    assert not isinstance(caught.value, ImageTooLargeError)


def test_rejects_a_missing_file_a_folder_and_a_broken_link(tmp_path: Path) -> None:
    """Each error has its own reason."""
    link = tmp_path / "link.jpg"
    link.symlink_to(tmp_path / "none.jpg")
    for source, reason in ((tmp_path / "none.jpg", "no such file"), (link, "points to nothing")):
        with pytest.raises(ImageError, match=reason):
            open_photo(source)
    with pytest.raises(ImageError, match="not a folder"):
        open_photo(tmp_path)


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may read everything")
def test_rejects_a_file_without_read_permission(tmp_path: Path) -> None:
    """The error says that the file may not be read."""
    path = write_photo(tmp_path / "closed.jpg")
    path.chmod(0)
    with pytest.raises(ImageError, match="permission was denied"):
        open_photo(path)


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((4, 4, 4), np.uint8), r"Received: shape=\(4, 4, 4\)"),
        (np.zeros((0, 4, 3), np.uint8), r"Received: shape=\(0, 4, 3\)"),
        (np.zeros(5, np.uint8), r"Received: shape=\(5,\)"),
        (np.full((2, 2), 256), "values from 256 to 256"),
        (np.full((2, 2), -1.0), "values from -1 to -1"),
        (np.full((2, 2), np.nan), "dtype=float64"),
        (np.zeros((2, 2), bool), "dtype=bool"),
        (np.full((2, 2, 3), 0.7), "no value above 1; multiply by 255"),
    ],
)
def test_rejects_arrays_that_are_no_picture(array: np.ndarray[Any, Any], reason: str) -> None:
    """Other shapes, types and ranges are refused with what was received."""
    with pytest.raises(ImageError, match=reason):
        open_photo(array)


def test_takes_grey_and_floating_point_arrays() -> None:
    """(H, W), (H, W, 1) and floats from 0 to 255 are pictures."""
    grey = random_pixels(5, 6)[:, :, 0]
    expected = np.stack([grey] * 3, axis=2)
    for array in (grey, grey[:, :, None], grey.astype(np.float32), expected.astype(np.float64) + 0.3):
        clipped = np.minimum(array, 255)
        np.testing.assert_array_equal(_pixels(open_photo(clipped)), expected)


# Turning upright


# Filters with negative lobes enlarge the rounding of the axis that was made smaller first.
_ROUNDING = {"nearest": 0, "box": 1, "bilinear": 1, "hamming": 1, "bicubic": 2, "lanczos": 2}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("size", "target"), [((320, 240), (112, 112)), ((61, 47), (7, 90)), ((32, 64), (32, 16))]
)
def test_resizes_as_if_turned_first(orientation: int, size: tuple[int, int], target: tuple[int, int]) -> None:
    """Every orientation equals transpose-then-resize: exactly for nearest, up to rounding for others."""
    data = _turned(orientation, size)
    photo = open_photo(data)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    assert photo.size == upright.size
    for name in RESIZE_FILTERS:
        ours = photo.resize(target, name)  # type: ignore[arg-type]
        theirs = upright.resize(target, Image.Resampling[name.upper()])
        gap = np.abs(np.asarray(ours).astype(int) - np.asarray(theirs)).max()
        assert gap <= _ROUNDING[name], name


@pytest.mark.parametrize("orientation", range(1, 9))
def test_cuts_boxes_out_of_the_upright_picture(orientation: int) -> None:
    """A box is in pixels of the upright picture, whatever way it is stored."""
    data = _turned(orientation, (60, 40))
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    box = (4.0, 10.0, 34.0, 35.0)
    ours = open_photo(data).resize((15, 5), "nearest", box)
    np.testing.assert_array_equal(
        np.asarray(ours), np.asarray(upright.resize((15, 5), Image.Resampling.NEAREST, box))
    )


@pytest.mark.parametrize("orientation", [0, 9, 255])
def test_falls_back_to_the_stored_pixels_for_an_unknown_orientation(orientation: int) -> None:
    """Values EXIF does not define turn nothing."""
    assert open_photo(_turned(orientation, (6, 4))).size == (6, 4)


def test_turns_the_sample_that_a_phone_would_have_stored_on_its_side() -> None:
    """The sample with an orientation comes out in the size of the upright picture."""
    path = SAMPLES / "osprey_exif_rotated.jpg"
    with Image.open(path) as stored:
        assert stored.getexif()[Base.Orientation] >= 5
        assert open_photo(path).size == stored.size[::-1]


# Fitting


def _three_bands() -> Photo:
    """60x20: red, green, blue, side by side."""
    image = Image.new("RGB", (60, 20), (255, 0, 0))
    image.paste((0, 255, 0), (20, 0, 40, 20))
    image.paste((0, 0, 255), (40, 0, 60, 20))
    return Photo(image)


def _fit(fit: Fit, resize_filter: ResizeFilter = "nearest") -> Preprocessing:
    return Preprocessing(height=12, width=12, resize_filter=resize_filter, fit=fit)


def test_squash_shows_the_whole_picture() -> None:
    """The aspect ratio is given up: each band gets a third of the width."""
    row = prepare(_three_bands(), _fit("squash"))[6]
    assert row.argmax(axis=1).tolist() == [0] * 4 + [1] * 4 + [2] * 4


def test_crop_shows_the_middle() -> None:
    """The aspect ratio is kept, and the sides are cut off evenly."""
    assert prepare(_three_bands(), _fit("crop")).reshape(-1, 3).tolist() == [[0, 255, 0]] * 144


def test_pad_keeps_the_whole_picture_and_fills_with_black() -> None:
    """The aspect ratio is kept, and what is left above and below is black."""
    prepared = prepare(_three_bands(), _fit("pad"))
    assert np.flatnonzero(prepared.any(axis=(1, 2))).tolist() == [4, 5, 6, 7]
    assert prepared[5].argmax(axis=1).tolist() == [0] * 4 + [1] * 4 + [2] * 4


def test_zoom_takes_the_part_asked_for() -> None:
    """A third of each side at the left top is red, at the right bottom blue."""
    bands = _three_bands()
    for at, channel in (((0.0, 0.0), 0), ((0.5, 0.5), 1), ((1.0, 1.0), 2)):
        part = prepare(bands, _fit("squash"), 1 / 3, at)
        assert (part[:, :, channel] == 255).all()


@pytest.mark.parametrize("fit", FITS)
def test_fits_pictures_of_any_size(fit: Fit) -> None:
    """No width, height or zoom is refused for a rounding error."""
    wanted = Preprocessing(height=224, width=224, resize_filter="nearest", fit=fit)
    for width in (1, 2, 29, 41, 57, 58, 59):
        for height in (1, 29, 31, 57, 58, 333):
            photo = Photo(Image.new("RGB", (width, height), (9, 9, 9)))
            for zoom, at in ((1.0, (0.5, 0.5)), (0.875, (1.0, 1.0))):
                assert prepare(photo, wanted, zoom, at).shape == (224, 224, 3)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_format_is_turned_once(form: str, orientation: int) -> None:
    """Formats that Pillow turns by itself as it decodes them are not turned again."""
    exif = Image.Exif()
    exif[Base.Orientation] = orientation
    stored = Image.new("RGB", (60, 30))
    stored.paste((255, 255, 255), (0, 0, 30, 15))  # the stored left top
    data = _encoded(stored, form, exif=exif)
    with Image.open(io.BytesIO(_encoded(stored, "PNG", exif=exif))) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    photo = open_photo(data)
    upright = np.asarray(photo.resize(photo.size, "nearest"))
    assert upright.shape == expected.shape
    assert np.abs(upright.astype(int) - expected).mean() < 8


def test_scales_wide_integers_by_their_largest_value() -> None:
    """32-bit pixels up to 255 are 8-bit grey, up to 65,535 16-bit grey; more has no agreed white."""
    for value, expected in ((200, 200), (51_400, 200)):
        photo = open_photo(Image.fromarray(np.full((4, 4), value, np.int32)))
        assert int(_pixels(photo)[0, 0, 0]) == expected
    with pytest.raises(ImageError, match="8 or 16 bits"):
        open_photo(Image.fromarray(np.full((4, 4), 70_000, np.int32)))


def test_says_that_permission_was_denied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says that the system refuses to open the file."""

    def refuse(*args: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    path = write_photo(tmp_path / "closed.jpg")
    monkeypatch.setattr(Image, "open", refuse)
    with pytest.raises(ImageError, match="permission was denied"):
        open_photo(path)


def test_rejects_what_is_no_image_source() -> None:
    """An integer is not taken for an open file."""
    with pytest.raises(ImageError, match="Received: int"):
        open_photo(7)  # type: ignore[arg-type]


# What real files are like


def _photograph() -> Image.Image:
    return Image.effect_mandelbrot((160, 120), (-3, -2.5, 2, 2.5), 50).convert("RGB")


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}])
@pytest.mark.parametrize("cut", [1, 2])
def test_shows_a_jpeg_whole_that_lacks_only_its_end_marker(options: dict[str, Any], cut: int) -> None:
    """Nothing of the picture is missing, so it is what it is with the marker; thumbnails, too."""
    data = _encoded(_photograph(), "JPEG", **options)
    np.testing.assert_array_equal(_pixels(open_photo(data[:-cut])), _pixels(open_photo(data)))
    small = open_photo(data[:-cut], at_least=40)
    np.testing.assert_array_equal(_pixels(small), _pixels(open_photo(data, at_least=40)))


def test_shows_a_jpeg_with_bytes_of_another_kind_after_it() -> None:
    """Cameras put a film or a panorama's data after the end marker, or in its place."""
    data = _encoded(_photograph(), "JPEG")
    whole = _pixels(open_photo(data))
    for other in (data + b"SEFT" * 100, data[:-2] + b"SEFT" * 100):
        np.testing.assert_array_equal(_pixels(open_photo(other)), whole)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}])
def test_rejects_a_jpeg_that_lacks_more_than_its_end_marker(options: dict[str, Any]) -> None:
    """However little of the last rows is missing: each cut gives the whole picture, or an error."""
    data = _encoded(Image.fromarray(random_pixels(40, 48)), "JPEG", quality=90, **options)
    for cut in range(3, 200):
        with pytest.raises(ImageError, match=r"cannot be decoded: .*truncated"):
            open_photo(data[:-cut])


def test_rejects_a_progressive_jpeg_that_lacks_a_scan() -> None:
    """What its scans do contain is whole, yet half of its colours may be missing."""
    data = _encoded(_photograph(), "JPEG", progressive=True)
    last = data.rfind(b"\xff\xc4", 0, data.rfind(b"\xff\xda"))
    with pytest.raises(ImageError, match="truncated"):
        open_photo(data[:last])


@pytest.mark.parametrize("damage", ["checksum", "cut"])
def test_calls_a_damaged_file_damaged(tmp_path: Path, damage: str) -> None:
    """A file that begins as its format does, and whose header is broken, is of no other kind."""
    data = bytearray(_encoded(_photograph(), "PNG"))
    data[20] ^= damage == "checksum"
    path = tmp_path / "damaged.png"
    path.write_bytes(data[:30] if damage == "cut" else data)
    for source in (path, str(path), path.read_bytes()):
        with pytest.raises(ImageError, match=r"cannot be decoded: the file is a damaged PNG"):
            open_photo(source)
    with pytest.raises(ImageError, match="it is PNG"):
        open_photo(path, formats=("JPEG",))


def test_prints_nothing_of_its_own_about_a_tiff(capfd: pytest.CaptureFixture[str]) -> None:
    """The warnings and errors of libtiff do not reach the terminal: the exception says what is wrong."""
    data = _encoded(_photograph(), "TIFF", compression="tiff_lzw")
    for broken in (data[:8] + bytes(100) + data[108:], data[: len(data) // 2]):
        with pytest.raises(ImageError):
            open_photo(broken)
    assert capfd.readouterr().err == ""


def _in_a_tile(width: int, height: int) -> bytes:
    """A TIFF of 64x64 pixels in one tile, which claims this size."""
    data = bytearray(_encoded(Image.new("RGB", (64, 64)), "TIFF", compression="tiff_lzw"))
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    entries = [list(struct.unpack_from("<HHII", data, start + 2 + 12 * place)) for place in range(count)]
    # Rows of a strip, planes, offsets and sizes of strips become width, height, offsets and sizes of tiles.
    tiled = {278: [322, 4, 1, width], 284: [323, 4, 1, height], 273: [324], 279: [325]}
    for entry in entries:
        of_tiles = tiled.get(entry[0], [])
        entry[: len(of_tiles)] = of_tiles
    for place, entry in enumerate(sorted(entries)):
        struct.pack_into("<HHII", data, start + 2 + 12 * place, *entry)
    return bytes(data)


def test_a_tile_of_a_tiff_counts_whole() -> None:
    """However small the picture: a tile is decoded at once, and took gigabytes."""
    assert open_photo(_in_a_tile(64, 64)).size == (64, 64)
    assert decoded_bytes(_in_a_tile(64, 64), 10**6) == DECODED_BYTES * 64 * 64
    assert decoded_bytes(_in_a_tile(512, 512), 10**6) == DECODED_BYTES * 512 * 512
    for size in ((40_000, 16_000), (2**31 - 16, 16), (2**32 - 16, 2**32 - 16)):
        with pytest.raises(ImageTooLargeError, match=f"{size[0]}x{size[1]}"):
            open_photo(_in_a_tile(*size))
        assert decoded_bytes(_in_a_tile(*size), 10**6) == 0


def _small_frame(**options: Any) -> bytes:
    """A GIF of 10x8 pixels whose one frame, red, covers the 4x4 pixels at the left top."""
    picture = Image.new("P", (4, 4), 1)
    picture.putpalette([0, 0, 255, 255, 0, 0])
    picture.putpixel((3, 3), 0)
    data = bytearray(_encoded(picture, "GIF", optimize=False, **options))
    data[6:10] = b"\x0a\0\x08\0"
    return bytes(data)


@pytest.mark.parametrize("options", [{}, {"transparency": 0}])
def test_shows_white_around_the_frame_of_a_gif_as_a_browser_does(options: dict[str, Any]) -> None:
    """What a first frame does not cover is transparent, whatever colour the palette begins with."""
    pixels = _pixels(open_photo(_small_frame(**options)))
    assert pixels.shape == (8, 10, 3)
    assert pixels[0, 0].tolist() == [255, 0, 0]
    assert pixels[3, 3].tolist() == ([255, 255, 255] if options else [0, 0, 255])
    assert (pixels[4:] == 255).all()
    assert (pixels[:, 4:] == 255).all()


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_scales_12_bits_in_16_to_8_bits(form: str) -> None:
    """Scanners and microscopes store them so: the picture is not all black."""
    levels = np.linspace(0, 4095, 64 * 64).reshape(64, 64).astype(np.uint16)
    [red, _, _] = Image.Image.split(open_photo(_encoded(Image.fromarray(levels), form)).pixels)
    np.testing.assert_array_equal(np.asarray(red), np.rint(levels / (4095 / 255)))


def test_a_tiff_may_say_what_its_white_is() -> None:
    """MaxSampleValue counts where it is a white; where it is the highest level of a picture it is none."""
    levels = Image.fromarray(np.array([[0, 600, 1023]], np.uint16))
    for stated, brightest in ((1023, 255), (65_535, 4), (1022, 64)):
        photo = open_photo(_encoded(levels, "TIFF", tiffinfo={281: stated}))
        assert _pixels(photo).max() == brightest


def test_a_webp_has_half_the_pixels_of_others(tmp_path: Path) -> None:
    """Decoding one takes twice the memory; the header says how many there are, and how much that takes."""
    path = tmp_path / "a.webp"
    Image.new("RGB", (30, 20)).save(path, "WEBP")
    assert open_photo(path, max_pixels=1200).size == (30, 20)
    with pytest.raises(ImageTooLargeError, match=r"An image \(WEBP\) has at most 599 pixels"):
        open_photo(path, max_pixels=1199)
    assert decoded_bytes(path, 1200) == DECODED_BYTES * 1200
    assert decoded_bytes(path, 1199) == 0
    assert decoded_bytes(png_header(30, 20), 1200) == DECODED_BYTES * 600
    assert decoded_bytes(b"no picture", 1200) == 0


@every_fault
@pytest.mark.parametrize("is_file", [True, False])
def test_a_fault_of_the_machine_is_not_the_images(tmp_path: Path, fault: str, *, is_file: bool) -> None:
    """It is named, without a path, and the next try succeeds."""
    path = write_photo(tmp_path / "a.png")
    source = path if is_file else path.read_bytes()
    with failing(fault), pytest.raises(ImageUnreadError, match=FAULTS[fault][1]) as raised:
        open_photo(source)
    assert "/" not in str(raised.value).replace("Input/output", "")
    open_photo(source)


@pytest.mark.parametrize("number", [errno.EACCES, errno.ELOOP, errno.ENAMETOOLONG])
def test_a_file_that_cannot_be_opened_is_at_fault_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """It cannot be read, which is not that it cannot be decoded."""
    path = write_photo(tmp_path / "a.png")

    def fail(*_: Any, **__: Any) -> Image.Image:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(Image, "open", fail)
    with pytest.raises(ImageError, match="must be readable") as raised:
        open_photo(path)
    assert not isinstance(raised.value, ImageUnreadError)


def test_nothing_is_imported_to_decode_an_image(tmp_path: Path) -> None:
    """A process that has no file left could not, and would take the image for a broken one."""
    grey = Image.new("L", (8, 8), 128)
    kinds = {"png": grey, "jpg": grey, "webp": grey.convert("RGB"), "bmp": grey, "gif": grey}
    kinds["tif"] = Image.merge("LAB", (grey, grey, grey))
    paths = [tmp_path / f"a.{suffix}" for suffix in kinds]
    for path, image in zip(paths, kinds.values(), strict=True):
        image.save(path)
    grey.save(paths[1], "MPO", save_all=True, append_images=[grey])
    code = (
        "import sys; from nimakit.images.photo import open_photo; before = {*sys.modules};"
        "[open_photo(path) for path in sys.argv[1:]]; print(*{*sys.modules} - before)"
    )
    command = [sys.executable, "-c", code, *map(str, paths)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() == []


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_16_bit_tiffs_keep_their_levels(channels: int, *, big_endian: bool) -> None:
    """Grey, RGB and RGB with alpha, in both byte orders."""
    grey = channels == 1
    levels = np.asarray(corners().convert("L") if grey else corners(), np.uint16).reshape(64, 96, -1)
    opaque = np.full((64, 96, 1), 255, np.uint16)
    pixels = 257 * np.dstack([levels, opaque])[..., :channels]
    photo = open_photo(tiff16(pixels, big_endian=big_endian))
    np.testing.assert_array_equal(_pixels(photo), np.broadcast_to(levels, (64, 96, 3)))


def test_a_multi_picture_file_gives_its_first(tmp_path: Path) -> None:
    """An MPO of a stereo camera or a phone, under its own suffix, too."""
    path = tmp_path / "a.mpo"
    path.write_bytes(encoded(corners(), "MPO", save_all=True, append_images=[Image.new("RGB", (4, 4))]))
    assert quarters(open_photo(path).pixels) == ["r", "g", "b", "w"]
