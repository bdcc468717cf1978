"""nimakit.images.xmp.jpeg: packets in segments before the picture."""

import hashlib
import io
import struct

import pytest
from PIL import Image

from nimakit.errors import ImageError
from nimakit.images.xmp.jpeg import embed_in_jpeg, read_jpeg
from nimakit.images.xmp.splices import inverse, spliced
from nimakit.images.xmp.statement import LABEL, RATING
from xmp_texts import EXIFTOOL, EXTENDED, MAIN, app, jpeg, pixels, sidecar

APP1 = 0xE1
EXIF = app(APP1, b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0")
LARGE = sidecar("xmp:Label='Blue'", "<xmp:Nick>" + "n" * 150_000 + "</xmp:Nick>")
GUID = hashlib.md5(LARGE, usedforsecurity=False).hexdigest().upper().encode()
NOTE = f"xmlns:n='http://ns.adobe.com/xmp/note/' n:HasExtendedXMP='{GUID.decode()}' xmp:Rating='2'"


def _extended(order: tuple[int, ...] = (2, 0, 1)) -> list[bytes]:
    """The segments of the large packet, not in order."""
    size, part = len(LARGE), 65_400
    return [
        app(APP1, EXTENDED + GUID + struct.pack(">II", size, at) + LARGE[at : at + part])
        for at in (number * part for number in order)
    ]


def _edited(data: bytes, rating: str = "5") -> bytes:
    stream = io.BytesIO(data)
    splices = embed_in_jpeg(stream, {RATING: rating})
    edited = b"".join(spliced(stream, splices))
    restoring = inverse(stream, splices)
    assert b"".join(spliced(io.BytesIO(edited), restoring)) == data
    return edited


def _edit_label(stream: io.BytesIO) -> None:
    embed_in_jpeg(stream, {LABEL: "x" * 400})


def _rating(data: bytes) -> str | None:
    return read_jpeg(io.BytesIO(data))[0].get(RATING)


def test_a_packet_is_added_after_jfif_and_exif() -> None:
    """Where programs expect EXIF first; the picture and every other byte stay."""
    for data in (jpeg(), jpeg(EXIF), jpeg(EXIF, app(0xFE, b"a comment"))):
        assert read_jpeg(io.BytesIO(data)) == []
        edited = _edited(data)
        assert (_rating(edited), pixels(edited)) == ("5", pixels(data))
        place = edited.index(app(APP1, MAIN)[4:]) - 4
        length = int.from_bytes(edited[place + 2 : place + 4], "big") + 2
        assert edited[:place] + edited[place + length :] == data
        assert edited[:place].endswith(EXIF) == (EXIF in data)


def test_padding_takes_what_is_longer() -> None:
    """A packet keeps its length while it has padding; then nothing else in the file moves."""
    data = jpeg(app(APP1, MAIN + EXIFTOOL.encode()))
    stream = io.BytesIO(data)
    edited = b"".join(spliced(stream, embed_in_jpeg(stream, {RATING: "-1", LABEL: "Red"})))
    assert len(edited) == len(data)
    assert 'Zürich &amp; "lake"'.encode() in edited
    long = b"".join(spliced(stream, embed_in_jpeg(stream, {LABEL: "Red" * 100})))
    assert len(long) > len(data)
    assert read_jpeg(io.BytesIO(long))[0].get(LABEL) == "Red" * 100
    assert pixels(long) == pixels(data)


def test_extended_xmp_is_read_from_its_segments_and_stays() -> None:
    """Segments in any order; a write changes the main packet only."""
    data = jpeg(app(APP1, MAIN + sidecar(NOTE)), *_extended())
    main, extended = read_jpeg(io.BytesIO(data))
    assert (main.get(RATING), extended.get(LABEL)) == ("2", "Blue")
    edited = _edited(data)
    assert _rating(edited) == "5"
    assert all(segment in edited for segment in _extended())
    assert GUID in edited


@pytest.mark.parametrize(
    ("segments", "message"),
    [
        ([app(APP1, MAIN + sidecar(NOTE)), *_extended((0, 2))], "must be complete"),
        ([app(APP1, MAIN + sidecar(NOTE))], "none of it"),
        ([app(APP1, MAIN + sidecar())] * 2, "one XMP packet.*2"),
        ([app(APP1, MAIN + b"<!DOCTYPE x>" + sidecar())], "DOCTYPE"),
        ([app(APP1, MAIN + sidecar(elements="<xmp:Nick>" + "n" * 65_000 + "</xmp:Nick>"))], "at most 65504"),
    ],
)
def test_refuses_packets_it_cannot_keep(segments: list[bytes], message: str) -> None:
    """Incomplete extended XMP, two packets, a document type, no room in the segment."""
    data = jpeg(*segments)
    work = read_jpeg if "complete" in message or "none" in message else _edit_label
    with pytest.raises(ImageError, match=message):
        work(io.BytesIO(data))


def test_refuses_a_file_that_ends_before_its_picture() -> None:
    """Wherever it is cut; a cut in the picture itself leaves the packet readable."""
    data = jpeg(app(APP1, MAIN + sidecar("xmp:Rating='1'")))
    start = data.index(b"\xff\xda")
    for end in range(2, start, 7):
        with pytest.raises(ImageError, match="truncated"):
            read_jpeg(io.BytesIO(data[:end]))
    assert _rating(data[: start + 20]) == "1"


def _with_list(*, before: bool) -> tuple[bytes, bytes]:
    """A JPEG with a second picture after it and a list of both, and that second picture."""
    packet = app(APP1, MAIN + sidecar("xmp:Rating='1'"))
    second = jpeg(app(0xFE, b"second"))

    def listed(size: int, offset: int) -> bytes:
        entries = ((0xB000, 7, 4, b"0100"), (0xB001, 4, 1, b"\2\0\0\0"), (0xB002, 7, 32, b"\x32\0\0\0"))
        tags = b"".join(struct.pack("<HHI", *entry[:3]) + entry[3] for entry in entries)
        pictures = struct.pack("<IIIHH", 0x030000, size, 0, 0, 0) + struct.pack(
            "<IIIHH", 0, len(second), offset, 0, 0
        )
        return app(0xE2, b"MPF\0II*\0\x08\0\0\0\3\0" + tags + bytes(4) + pictures)

    def build(size: int, offset: int) -> bytes:
        return jpeg(*((packet, listed(size, offset)) if before else (listed(size, offset), packet)))

    first = build(0, 0)
    return build(len(first), len(first) - first.index(b"MPF\0") - 4) + second, second


@pytest.mark.parametrize("before", [True, False])
def test_further_pictures_in_the_file_are_found_afterwards(before: bool) -> None:
    """The list of the pictures that a camera appends follows the new length, before and after the packet."""
    data, second = _with_list(before=before)
    edited = _edited(data, "-1")
    assert len(edited) > len(data)
    for content in (data, edited):
        place = content.index(b"MPF\0") + 4
        (size,) = struct.unpack_from("<I", content, place + 50 + 4)
        (offset,) = struct.unpack_from("<I", content, place + 50 + 16 + 8)
        assert content[place + offset :] == second
        assert size == len(content) - len(second)
    with Image.open(io.BytesIO(edited)) as image:
        image.seek(1)
        assert image.tobytes() == pixels(second)
