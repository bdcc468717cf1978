"""nimakit.images.decoders: damaged and hostile files have a clear error, before they cost anything."""

import struct
import time

import pytest

from nimakit.errors import ImageError, ImageTooLargeError
from nimakit.images.decoders.jxl import read_header
from nimakit.images.photo import MAX_PIXELS, decoded_bytes, open_photo
from photo_formats import SAMPLES, corners, dng, encoded, jxl

HEIC = (SAMPLES / "orientation_1.heic").read_bytes()
AVIF = encoded(corners(), "AVIF")
JXL = jxl(corners())
RAW = dng()


def _declaring(content: bytes, width: int, height: int) -> bytes:
    """A HEIC or AVIF whose properties state another size (in `ispe`) than its picture has."""
    changed = bytearray(content)
    place = changed.find(b"ispe")
    while place >= 0:
        struct.pack_into(">II", changed, place + 8, width, height)
        place = changed.find(b"ispe", place + 4)
    return bytes(changed)


@pytest.mark.parametrize(("content", "title"), [(HEIC, "HEIC"), (AVIF, "AVIF"), (JXL, "JPEG XL")])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.97])
def test_a_truncated_file_is_damaged(content: bytes, title: str, share: float) -> None:
    """Wherever it ends; never a picture with a grey part."""
    with pytest.raises(ImageError, match=rf"cannot be decoded: (the file is a damaged {title}|.*Truncated)"):
        open_photo(content[: int(len(content) * share)])


@pytest.mark.parametrize("content", [HEIC, AVIF], ids=["HEIC", "AVIF"])
def test_a_small_file_that_declares_a_huge_picture_is_refused(content: bytes) -> None:
    """By its header, at once."""
    started = time.monotonic()
    for size in ((16_000, 12_000), (9_500, 9_500)):
        bomb = _declaring(content, *size)
        with pytest.raises(ImageTooLargeError, match=str(size[0] * size[1])):
            open_photo(bomb)
        assert decoded_bytes(bomb, MAX_PIXELS) == 0
    assert time.monotonic() - started < 1


def test_an_avif_that_hides_its_size_is_refused() -> None:
    """The decoder would decode all of it, and scale it to the small size that it declares."""
    hidden = _declaring(encoded(corners((640, 480)), "AVIF"), 8, 8)
    with pytest.raises(ImageTooLargeError, match=r"Received: 640x480"):
        open_photo(hidden, max_pixels=100_000)
    assert open_photo(hidden).size == (8, 8)
    assert decoded_bytes(hidden, MAX_PIXELS) == decoded_bytes(
        encoded(corners((640, 480)), "AVIF"), MAX_PIXELS
    )


def test_a_heic_that_hides_its_size_is_refused() -> None:
    """Libheif compares the sizes before it decodes."""
    with pytest.raises(ImageError, match="cannot be decoded"):
        open_photo(_declaring(HEIC, 8, 8))


def test_an_avif_without_a_picture_is_damaged() -> None:
    """As is one whose picture has no header."""
    for broken in (AVIF.replace(b"av01", b"av99"), AVIF[: AVIF.find(b"mdat") + 4] + bytes(200)):
        with pytest.raises(ImageError, match="damaged AVIF"):
            open_photo(broken)


def test_animations_are_refused_by_name() -> None:
    """A JPEG XL of a hundred frames would show its last one."""
    with pytest.raises(ImageError, match="A JPEG XL must be a single picture"):
        open_photo((SAMPLES / "animation.jxl").read_bytes())
    frames = encoded(corners(), "AVIF", save_all=True, append_images=[corners().rotate(180)])
    with pytest.raises(ImageError, match="An AVIF must be a single picture"):
        open_photo(frames)


def test_a_jpeg_xl_is_refused_by_its_header() -> None:
    """Before the decoder sees it."""
    with pytest.raises(ImageTooLargeError, match="96x64 = 6144"):
        open_photo(JXL, max_pixels=6143)
    bomb = b"\xff\x0a" + (0 | 3 << 1 | (99_999 << 3) | 1 << 33).to_bytes(12, "little")  # 100,000 x 100,000
    with pytest.raises(ImageTooLargeError):
        open_photo(bomb)


def test_the_channels_of_a_jpeg_xl_are_counted_before_they_are_decoded() -> None:
    """Transparency is one; a thousand would take a thousand times the memory."""
    for mode, count in (("RGB", 0), ("L", 0), ("RGBA", 1), ("LA", 1)):
        assert read_header(_codestream(jxl(corners().convert(mode)))).extra_channels == count
    # Size 8x8 (1, 00000, ratio 1), not default, no fields, 8 bits, buffers of 16 bits, 1 + 999 channels.
    bits = "10000010000000111" + f"{999:012b}"[::-1]
    crowded = b"\xff\x0a" + int(bits[::-1], 2).to_bytes(20, "little")
    with pytest.raises(ImageError, match=r"at most 4 channels other than colours\. Received: 1000\."):
        open_photo(crowded)


def _codestream(content: bytes) -> bytes:
    """The codestream of a JPEG XL with or without a container."""
    return content[content.find(b"\xff\x0a") :]


def test_a_raw_file_without_a_preview_is_developed_or_says_why_not() -> None:
    """At half size; damaged sensor data are no picture."""
    assert open_photo(dng()).size == (96, 64)
    with pytest.raises(
        ImageError, match="has no preview that is large enough, and its sensor data cannot be developed: "
    ):
        open_photo(dng(stated=(9_000, 9_000)))


def test_sensor_data_count_whole() -> None:
    """They are read whole, although the picture has half their sides."""
    with pytest.raises(ImageTooLargeError, match="192x128 = 24576"):
        open_photo(RAW, max_pixels=24_575)
    assert open_photo(RAW, max_pixels=24_576).size == (96, 64)
    preview = dng(preview=encoded(corners(), "JPEG"))
    assert open_photo(preview, max_pixels=96 * 64, at_least=64).size == (96, 64)


def test_a_truncated_raw_file_is_damaged() -> None:
    """Its directory is at the end."""
    with pytest.raises(ImageError, match="cannot be decoded"):
        open_photo(RAW[:-3000])


def test_a_heic_with_names_that_are_not_text_is_damaged() -> None:
    """They would end the process."""
    with pytest.raises(ImageError, match="damaged HEIC"):
        open_photo(HEIC.replace(b"Exif", b"Exi\xf8", 1))


def test_a_small_file_with_billions_of_parts_is_damaged() -> None:
    """Their fields take no bytes."""
    place = HEIC.find(b"iloc")
    endless = HEIC[:place] + b"iloc\1\0\0\0\0\0\xff\xff" + 4 * b"\0" + b"\xff\xff" + HEIC[place + 18 :]
    started = time.monotonic()
    with pytest.raises(ImageError, match="damaged HEIC"):
        open_photo(endless)
    assert time.monotonic() - started < 1


def test_boxes_of_which_readers_use_either_are_refused() -> None:
    """What is checked must be what is decoded."""
    place, end = HEIC.find(b"meta") - 4, HEIC.find(b"mdat") - 4
    with pytest.raises(ImageError, match="damaged HEIC"):
        open_photo(HEIC[:end] + HEIC[place:])
