"""nimakit.images.formats: which format a file has, by its content."""

import io
import re
import struct
from pathlib import Path

import numpy as np
import pytest

from nimakit.images.formats import FORMATS, KINDS, RAW_SUFFIXES, SUFFIXES, identify
from photo_formats import SAMPLES, corners, dng, encoded, jxl, tiff16


def _ftyp(major: bytes, *others: bytes) -> bytes:
    brands = major + bytes(4) + b"".join(others)
    return struct.pack(">I", 8 + len(brands)) + b"ftyp" + brands


EXAMPLES = {
    "JPEG": encoded(corners(), "JPEG"),
    "PNG": encoded(corners(), "PNG"),
    "WEBP": encoded(corners(), "WEBP"),
    "BMP": encoded(corners(), "BMP"),
    "TIFF": encoded(corners(), "TIFF"),
    "GIF": encoded(corners(), "GIF"),
    "HEIF": (SAMPLES / "orientation_1.heic").read_bytes(),
    "AVIF": encoded(corners(), "AVIF"),
    "JXL": jxl(corners()),
    "RAW": dng(preview=encoded(corners(), "JPEG")),
}


def test_every_format_has_an_example() -> None:
    """A format added later is tested, too, and has suffixes of its own."""
    assert tuple(EXAMPLES) == FORMATS
    assert len(set(SUFFIXES)) == sum(len(kind.suffixes) for kind in KINDS.values())


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_is_known_by_its_content(name: str) -> None:
    """Its name is not asked for, and the file is left at its beginning."""
    stream = io.BytesIO(EXAMPLES[name])
    assert identify(stream) == name
    assert stream.tell() == 0


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (_ftyp(b"mif1", b"mif1", b"heic"), "HEIF"),
        (_ftyp(b"mif1", b"mif1", b"avif"), "AVIF"),
        (_ftyp(b"mif1", b"mif1"), "HEIF"),
        (_ftyp(b"heic", b"mif1", b"avif"), "HEIF"),
        (_ftyp(b"crx ", b"isom"), "RAW"),
        (_ftyp(b"isom", b"avif"), ""),
        (_ftyp(b"qt  "), ""),
        (b"FUJIFILMCCD-RAW 0201", "RAW"),
        (b"II\x1a\0\0\0HEAPCCDR", "RAW"),
        (b"II*\0\x10\0\0\0CR\2\0", "RAW"),
        (b"IIU\0\x18\0\0\0", "RAW"),
        (b"II*\0", "TIFF"),
        (b"MM\0*\0\0\xff\xff", "TIFF"),
        (b"II*\0\x08\0\0\0\xff\xff", "TIFF"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JXL"),
        (b"\xff\xd8", ""),
        (b"", ""),
    ],
)
def test_a_few_bytes_are_enough(content: bytes, name: str) -> None:
    """Containers are told apart by their brands; a film is no picture; a cut file keeps its format."""
    assert identify(io.BytesIO(content)) == name


def test_a_tiff_is_raw_only_if_it_has_sensor_data() -> None:
    """In its first directory or in one that this names, whatever the byte order; a scan is a TIFF."""
    assert identify(io.BytesIO(dng())) == "RAW"
    grey = np.zeros((4, 4, 1), np.uint16)
    assert identify(io.BytesIO(tiff16(grey, big_endian=True))) == "TIFF"
    assert identify(io.BytesIO(tiff16(grey, photometric=32803))) == "RAW"
    assert identify(io.BytesIO(tiff16(grey, big_endian=True, photometric=32803))) == "RAW"


def test_directories_in_a_circle_end() -> None:
    """A TIFF whose directories name each other is read once."""
    tags = struct.pack("<HHHII", 1, 330, 4, 1, 8) + struct.pack("<I", 8)
    assert identify(io.BytesIO(b"II*\0" + struct.pack("<I", 8) + tags)) == "TIFF"


def test_the_documentation_lists_every_suffix() -> None:
    """With its decoder."""
    table = (Path(__file__).parents[2] / "docs" / "predict.md").read_text("utf-8")
    assert [suffix for suffix in SUFFIXES if not re.search(rf"{re.escape(suffix)}[,\s]", table)] == []


def test_suffixes_of_cameras_come_last() -> None:
    """Of several files with one image_id the first is taken: a developed picture goes before a RAW file."""
    assert SUFFIXES[-len(RAW_SUFFIXES) :] == RAW_SUFFIXES
    assert {".cr2", ".cr3", ".nef", ".arw", ".raf", ".dng", ".orf", ".rw2"} <= set(RAW_SUFFIXES)
