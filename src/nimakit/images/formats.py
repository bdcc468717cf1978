"""The image formats that are read: their suffixes, how their files begin, and what decodes them."""

import struct
from dataclasses import dataclass
from typing import IO


@dataclass(frozen=True, kw_only=True, slots=True)
class Format:
    """An image format.

    Attributes:
        title: Its name in sentences.
        suffixes: Suffixes of its files, in lower case.
        starts: Bytes that its files may begin with.
        brands: Its brands, if its files are boxes as in MP4 (ISO 14496-12).
        weight: Weight of its pixels in limits: memory for decoding, relative to a JPEG.
    """

    title: str
    suffixes: tuple[str, ...]
    starts: tuple[bytes, ...] = ()
    brands: frozenset[bytes] = frozenset()
    weight: int = 1


_RAW_SUFFIXES = (
    *(".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".sr2", ".srf", ".raf", ".orf", ".rw2"),
    *(".rwl", ".pef", ".srw", ".3fr", ".fff", ".iiq", ".x3f", ".erf", ".mef", ".mos", ".mrw", ".dcr", ".kdc"),
)

# In the order in which the first of several files with one image_id is taken.
KINDS: dict[str, Format] = {
    "JPEG": Format(
        title="JPEG", suffixes=(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"), starts=(b"\xff\xd8\xff",)
    ),
    "PNG": Format(title="PNG", suffixes=(".png",), starts=(b"\x89PNG\r\n\x1a\n",)),
    # A pixel takes 16 bytes, and Pillow blocks all other threads while it decodes one.
    "WEBP": Format(title="WebP", suffixes=(".webp",), weight=2),
    "BMP": Format(title="BMP", suffixes=(".bmp",), starts=(b"BM",)),
    "TIFF": Format(
        title="TIFF",
        suffixes=(".tiff", ".tif"),
        starts=(b"II*\0", b"MM\0*", b"II\0*", b"MM*\0", b"II+\0", b"MM\0+"),
    ),
    "GIF": Format(title="GIF", suffixes=(".gif",), starts=(b"GIF87a", b"GIF89a")),
    "HEIF": Format(
        title="HEIC",
        suffixes=(".heic", ".heif", ".hif"),
        brands=frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}),
    ),
    "AVIF": Format(title="AVIF", suffixes=(".avif",), brands=frozenset({b"avif", b"avis"}), weight=2),
    "JXL": Format(
        title="JPEG XL",
        suffixes=(".jxl",),
        starts=(b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"),
        weight=2,
    ),
    "RAW": Format(
        title="camera RAW",
        suffixes=_RAW_SUFFIXES,
        starts=(b"FUJIFILMCCD-RAW", b"IIU\0", b"IIRO", b"IIRS", b"MMOR", b"FOVb", b"\0MRM"),
        brands=frozenset({b"crx "}),
    ),
}
"""Name of a format, as in a server's settings -> the format."""

FORMATS = tuple(KINDS)
SHARED_FORMATS = tuple(name for name in FORMATS if name != "RAW")
"""Formats in which people publish and upload pictures."""

SUFFIXES = tuple(suffix for kind in KINDS.values() for suffix in kind.suffixes)
RAW_SUFFIXES = KINDS["RAW"].suffixes

HEAD = 64
"""Bytes at the beginning of a file that identify its format, except that of a TIFF."""

_CONTAINERS = frozenset({b"mif1", b"msf1", b"miaf"})
"""Brands of files whose other brands name the codec."""

_SUB_IFDS, _PHOTOMETRIC, _COMPRESSION, _DNG_VERSION = 330, 262, 259, 50_706
_SENSOR_COLOURS = (32_803, 34_892)
"""Photometric interpretations of sensor data: a colour filter array, and DNG's LinearRaw."""
_SENSOR_CODINGS = (32_767, 32_769, 34_713, 65_535)
"""Compressions of sensor data: Sony, packed, Nikon, Pentax."""
_MOST_IFDS, _MOST_ENTRIES = 16, 512


def identify(stream: IO[bytes]) -> str:
    """The format of a file by its content, whatever its name says.

    Args:
        stream: A file at its beginning, where it is left.

    Returns:
        A key of `KINDS`; empty if it is none of them.
    """
    head = stream.read(HEAD)
    name = _by_head(head)
    if name == "TIFF" and _is_raw_tiff(head, stream):
        name = "RAW"
    stream.seek(0)
    return name


def _by_head(head: bytes) -> str:
    if head[4:8] == b"ftyp":
        return _by_brands(head)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[6:14] == b"HEAPCCDR":  # Canon's .crw
        return "RAW"
    return next((name for name, kind in KINDS.items() if kind.starts and head.startswith(kind.starts)), "")


def _by_brands(head: bytes) -> str:
    end = min(int.from_bytes(head[:4], "big"), len(head))
    major, *others = [head[8:12], *(head[place : place + 4] for place in range(16, end, 4))]
    brands = [major, *others] if major in _CONTAINERS else [major]
    for name, kind in KINDS.items():
        if not kind.brands.isdisjoint(brands):
            return name
    return "HEIF" if major in _CONTAINERS else ""


def _is_raw_tiff(head: bytes, stream: IO[bytes]) -> bool:
    """Whether a TIFF has sensor data: most RAW files are TIFFs, and begin with a thumbnail."""
    if head[8:10] == b"CR" or head[8:12] in (b"IIII", b"MMMM"):  # Canon, Phase One
        return True
    order = "<" if head[:2] == b"II" else ">"
    if len(head) < 8 or head[2:4] not in (b"*\0", b"\0*"):
        return False
    waiting, seen = [struct.unpack_from(order + "I", head, 4)[0]], set[int]()
    while waiting and len(seen) < _MOST_IFDS:
        offset = waiting.pop(0)
        if offset in seen:
            continue
        seen.add(offset)
        tags, following = _read_ifd(stream, order, offset)
        if (
            _DNG_VERSION in tags
            or not set(tags.get(_PHOTOMETRIC, ())).isdisjoint(_SENSOR_COLOURS)
            or not set(tags.get(_COMPRESSION, ())).isdisjoint(_SENSOR_CODINGS)
        ):
            return True
        waiting += [*tags.get(_SUB_IFDS, ()), *([following] if following else [])]
    return False


def _read_ifd(stream: IO[bytes], order: str, offset: int) -> tuple[dict[int, tuple[int, ...]], int]:
    """The tags of a TIFF's directory that `_is_raw_tiff` needs, and the place of the next one; 0 for none."""
    stream.seek(offset)
    (count,) = struct.unpack(order + "H", stream.read(2).ljust(2, b"\0"))
    data = stream.read(12 * min(count, _MOST_ENTRIES) + 4)
    tags: dict[int, tuple[int, ...]] = {}
    for place in range(0, len(data) - 11, 12):
        tag, kind, length = struct.unpack_from(order + "HHI", data, place)
        if tag not in (_SUB_IFDS, _PHOTOMETRIC, _COMPRESSION, _DNG_VERSION):
            continue
        form, size = ("H", 2) if kind == 3 else ("I", 4)
        length = min(length, _MOST_IFDS)
        if kind == 1:
            tags[tag] = ()
        elif length * size <= 4:
            tags[tag] = struct.unpack_from(f"{order}{length}{form}", data, place + 8)
        else:
            stream.seek(struct.unpack_from(order + "I", data, place + 8)[0])
            content = stream.read(length * size)
            tags[tag] = struct.unpack(
                f"{order}{len(content) // size}{form}", content[: len(content) // size * size]
            )
    following = struct.unpack_from(order + "I", data, 12 * count)[0] if len(data) >= 12 * count + 4 else 0
    return tags, following
