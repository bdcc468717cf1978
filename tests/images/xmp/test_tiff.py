"""nimakit.images.xmp.tiff: a packet in the first directory."""

import io
import struct
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageSequence

from nimakit.errors import ImageError
from nimakit.images.xmp.splices import inverse, spliced
from nimakit.images.xmp.statement import LABEL, RATING
from nimakit.images.xmp.tiff import embed_in_tiff, read_tiff
from photo_formats import dng
from xmp_texts import EXIFTOOL, sidecar


def _tiff(xmp: bytes = b"", **options: Any) -> bytes:
    stream = io.BytesIO()
    first, second = Image.linear_gradient("L"), Image.radial_gradient("L")
    if xmp:
        options["tiffinfo"] = {700: xmp}
    first.save(stream, "TIFF", save_all=True, append_images=[second], **options)
    return stream.getvalue()


def _edited(data: bytes, label: str = "Red") -> bytes:
    stream = io.BytesIO(data)
    splices = embed_in_tiff(stream, {RATING: "5", LABEL: label})
    edited = b"".join(spliced(stream, splices))
    assert b"".join(spliced(io.BytesIO(edited), inverse(stream, splices))) == data
    (document,) = read_tiff(io.BytesIO(edited))
    assert (document.get(RATING), document.get(LABEL)) == ("5", label)
    return edited


def _pages(data: bytes) -> list[bytes]:
    with Image.open(io.BytesIO(data)) as image:
        return [page.tobytes() for page in ImageSequence.Iterator(image)]


@pytest.mark.parametrize(
    "data",
    [
        _tiff(),
        _tiff(sidecar("xmp:Rating='1'")),
        _tiff(b" "),
        _tiff(compression="tiff_lzw"),
        _tiff(big_tiff=True),
        _tiff(sidecar("xmp:Rating='1'"), big_tiff=True),
    ],
    ids=["none", "short", "blank", "compressed", "big", "big with xmp"],
)
def test_pages_stay_and_only_pointers_change(data: bytes) -> None:
    """A new packet and directory are appended: before them, at most the bytes that point to them differ."""
    edited = _edited(data)
    assert _pages(edited) == _pages(data)
    changed = [place for place, (old, new) in enumerate(zip(data, edited, strict=False)) if old != new]
    assert len(changed) <= 16
    if b"<?xpacket end" in edited:
        assert len(_edited(edited, "Yellow")) == len(edited), "the new padding takes later edits"


def test_padding_takes_what_is_longer() -> None:
    """The file keeps its length, and foreign properties their bytes."""
    data = _tiff(EXIFTOOL.encode())
    edited = _edited(data)
    assert len(edited) == len(data)
    assert 'Zürich &amp; "lake"'.encode() in edited


def test_a_dng_keeps_its_sensor_data(tmp_path: Path) -> None:
    """Its directories for sensor data and preview are where they were."""
    data = dng(preview=None)
    edited = _edited(data)
    raw = pytest.importorskip("rawpy")
    read = []
    for name, content in (("a.dng", data), ("b.dng", edited)):
        (tmp_path / name).write_bytes(content)
        with raw.imread(str(tmp_path / name)) as opened:
            read.append(opened.raw_image.tobytes())
    assert read[0] == read[1]


def test_refuses_broken_files() -> None:
    """Cut in its directory or in its packet, or with numbers in place of the packet."""
    data = _edited(_tiff())
    packet, directory = data.index(b"<?xpacket"), data.rindex(b"?>")
    assert directory > packet
    for end in (3, 12, packet + 100, directory + 10, len(data) - 1):
        with pytest.raises(ImageError, match=r"damaged|bytes"):
            read_tiff(io.BytesIO(data[:end]))
    with pytest.raises(ImageError, match="XML"):
        embed_in_tiff(io.BytesIO(_tiff(b"no xml")), {RATING: "5"})
    far = _tiff(big_tiff=True)
    with pytest.raises(ImageError, match="damaged"):
        read_tiff(io.BytesIO(far[:8] + b"\xff" * 8 + far[16:]))
    numbers = data.replace(struct.pack("<HH", 700, 1), struct.pack("<HH", 700, 4))
    with pytest.raises(ImageError, match="must be bytes"):
        read_tiff(io.BytesIO(numbers))
