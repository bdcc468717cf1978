"""nimakit.io.zip_files: what zip archives of others say of their sizes."""

import io
import zipfile
from collections.abc import Callable

import pytest

from nimakit.io import zip_files


def _archive(fill: Callable[[zipfile.ZipFile], object], method: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        fill(archive)
    return stream.getvalue()


def _check(content: bytes, times: int = 1) -> None:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        zip_files.check(archive, len(content), times=times)


def test_takes_archives_that_unpack_to_what_they_may() -> None:
    """Stored, or packed within the bound."""
    _check(_archive(lambda archive: archive.writestr("a", bytes(5000))))
    packed = _archive(lambda archive: archive.writestr("a", bytes(5000)), zipfile.ZIP_DEFLATED)
    _check(packed, times=50)
    with pytest.raises(ValueError, match="unpacks to 5000, which is more than 4 times its own size"):
        _check(packed, times=4)


def test_refuses_members_that_are_the_same_bytes() -> None:
    """A small archive of many members can be gigabytes without any packing."""

    def fill(archive: zipfile.ZipFile) -> None:
        archive.writestr("a", bytes(5000))
        archive.filelist += 3 * archive.filelist

    with pytest.raises(ValueError, match="unpacks to 20000, which is more than its own size"):
        _check(_archive(fill))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_refuses_other_ways_of_packing(method: int) -> None:
    """They unpack to a million times their size, or take memory by themselves."""
    with pytest.raises(ValueError, match="another method than deflate"):
        _check(_archive(lambda archive: archive.writestr("a", b"text"), method))


def test_refuses_encrypted_members() -> None:
    """Nobody could give the password."""
    content = bytearray(_archive(lambda archive: archive.writestr("a", b"text")))
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(ValueError, match="encrypted"):
        _check(bytes(content))
