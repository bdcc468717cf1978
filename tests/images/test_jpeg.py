"""nimakit.images.jpeg: how many scans a JPEG has."""

import io
import time

import pytest
from PIL import Image

from nimakit.errors import ImageError
from nimakit.images.jpeg import MAX_SCANS, check_scans, segments
from nimakit.images.photo import open_photo
from samples import random_pixels


def _jpeg(*, progressive: bool, size: tuple[int, int] = (64, 48)) -> bytes:
    stream = io.BytesIO()
    picture = Image.fromarray(random_pixels(48, 64)).resize(size)
    picture.save(stream, "JPEG", progressive=progressive, exif=b"Exif\0\0" + 9 * b"\xff\xda\0\2")
    return stream.getvalue()


def _count(data: bytes) -> int:
    return sum(kind == b"\xda" for kind, _ in segments(data))


def _again(jpeg: bytes, times: int) -> bytes:
    """A JPEG whose last scan comes so many times more; decoders go on with it."""
    start = jpeg.rfind(b"\xff\xda")
    table = jpeg.rfind(b"\xff\xc4", 0, start)
    return jpeg[:-2] + times * jpeg[table:-2] + jpeg[-2:]


@pytest.mark.parametrize(("progressive", "scans"), [(False, 1), (True, 10)])
def test_counts_scans(progressive: bool, scans: int) -> None:
    """Not what looks like one within other segments, or after the end: a telephone's film, say."""
    jpeg = _jpeg(progressive=progressive)
    assert _count(jpeg) == scans
    assert _count(jpeg + 50 * b"\xff\xda") == scans
    assert _count(_again(_jpeg(progressive=True), 7)) == 17


def test_parts_without_a_length_hide_none() -> None:
    """TEM and RST have none, whatever follows; bytes may be stuffed, and markers filled."""
    scan = b"\xff\xda\0\2 \xff\0 \xff\xd0"
    assert _count(b"\xff\xd8" + 3 * (b"\xff\x01\xff\xff\xff" + scan[1:]) + b"\xff\xd9" + scan) == 3


@pytest.mark.parametrize("data", [b"", b"\xff", b"\xff\xd8", b"\xff\xda", b"\xff\xd8\xff\xda\xff\xff"])
def test_files_may_end_anywhere(data: bytes) -> None:
    """Nothing is read past the end."""
    assert _count(data) == data.count(b"\xda")


def test_leaves_the_file_where_it_was() -> None:
    """Its decoder goes on from there."""
    stream = io.BytesIO(_jpeg(progressive=True))
    stream.seek(5)
    check_scans(stream)
    assert stream.tell() == 5


@pytest.mark.slow
def test_refuses_a_scan_bomb() -> None:
    """A small file that decodes for minutes is refused at once."""
    open_photo(_again(_jpeg(progressive=True), MAX_SCANS - 10))
    bomb = _again(_jpeg(progressive=True, size=(4000, 4000)), 2000)
    started = time.monotonic()
    with pytest.raises(ImageError, match="at most 32 scans"):
        open_photo(bomb)
    assert time.monotonic() - started < 2
