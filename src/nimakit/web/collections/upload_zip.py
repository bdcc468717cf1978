"""Read the entries of an uploaded zip file within limits of memory and size."""

import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from nimakit.errors import UsageError, machine_fault

LARGEST_ZIP = 2**32 - 2
"""Bytes of a zip file without the extension for larger ones."""

_MOST_DIRECTORY = 4 << 20
"""Bytes of the list of entries, which is read into memory and takes ten times as much there."""
_LARGEST_RATIO = 200
"""Photographs hardly shrink; a zip bomb shrinks by more than this."""
_END = struct.Struct("<4s4H2LH")
_MOST_COMMENT = 65_535
_LOCATOR = 20
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Methods that take little memory."""
_ENCRYPTED = 1
_BLOCK = 1 << 16


def open_zip(path: Path) -> zipfile.ZipFile:
    """Open a zip file after checking how much memory its list of entries takes.

    Raises:
        UsageError: It is not a zip file, damaged, or has too many entries.
    """
    with path.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(0, size - _END.size - _MOST_COMMENT - _LOCATOR))
        tail = stream.read()
    place = tail.rfind(b"PK\5\6")
    if place < 0 or place + _END.size > len(tail):
        raise UsageError("it is not a zip file, or incomplete")
    directory = _END.unpack_from(tail, place)[5]
    if b"PK\6\7" in tail[max(0, place - _LOCATOR) : place] or directory > _MOST_DIRECTORY:
        raise UsageError("a zip file must have less than 4 GB and about 30,000 files; split it")
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise UsageError(f"the zip file is damaged ({error})") from error


def check_entry(entry: zipfile.ZipInfo, largest: int) -> None:
    """Refuse an entry that is no plain file, or unpacks to too much.

    Args:
        entry: The entry.
        largest: Most bytes of a picture.

    Raises:
        UsageError: The reason.
    """
    if entry.header_offset < 0:
        raise UsageError("it is damaged in the zip file (the beginning is missing)")
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise UsageError("it is a link")
    if entry.flag_bits & _ENCRYPTED:
        raise UsageError("it is encrypted")
    if entry.compress_type not in _METHODS:
        raise UsageError("it is compressed by another method than Deflate")
    if entry.file_size > largest:
        raise UsageError(f"a picture must have at most {largest >> 20} MB")
    if entry.file_size > _LARGEST_RATIO * max(1, entry.compress_size):
        raise UsageError(f"it unpacks to more than {_LARGEST_RATIO} times its size, as zip bombs do")


def read_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    """Yield the content of an entry in blocks, and no more than its stated size.

    Raises:
        UsageError: It is damaged, or unpacks to more than the zip file states.
    """
    left = entry.file_size
    try:
        with archive.open(entry) as stream:
            while block := stream.read(_BLOCK):
                left -= len(block)
                if left < 0:
                    raise UsageError("it unpacks to more than its zip file states, as zip bombs do")
                yield block
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError) as error:
        if machine_fault(error):
            raise
        raise UsageError(f"it is damaged in the zip file ({error})") from error
