"""nimakit.images.xmp.embedded: the XMP inside files of any format."""

import io
from pathlib import Path

import pytest
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from generated import tried
from nimakit.errors import ImageError
from nimakit.images.xmp.embedded import embed, read_embedded
from nimakit.images.xmp.splices import inverse, spliced
from nimakit.images.xmp.statement import RATING
from photo_formats import dng
from samples import write_photo
from xmp_texts import sidecar

XMP = sidecar("xmp:Rating='4'")


def _write(path: Path) -> Path:
    if path.suffix == ".tif":
        return write_photo(path, tiffinfo={700: XMP})
    if path.suffix == ".png":
        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", XMP.decode())
        return write_photo(path, pnginfo=info)
    return write_photo(path, xmp=XMP)


@pytest.mark.parametrize("name", ["a.jpg", "a.tif", "a.webp", "a.png", "a.avif"])
def test_reads_formats_that_have_xmp(name: str, tmp_path: Path) -> None:
    """The rating inside; a file without XMP has none."""
    assert [document.get(RATING) for document in read_embedded(_write(tmp_path / name))] == ["4"]
    assert read_embedded(write_photo(tmp_path / f"without-{name}")) == []


def test_any_damage_is_refused_or_undone(tmp_path: Path) -> None:
    """A damaged file has a message, or is changed and restored byte for byte; nothing else happens."""
    paths = [_write(tmp_path / name) for name in ("a.jpg", "a.tif")]
    contents = [path.read_bytes() for path in paths]

    def check(drawn: tuple[int, list[tuple[int, int]]]) -> None:
        kind, flips = drawn
        damaged = bytearray(contents[kind])
        for place, byte in flips:
            damaged[place % min(len(damaged), 700)] = byte
        paths[kind].write_bytes(damaged)
        splices = embed(paths[kind], {RATING: "5"})
        edited = b"".join(spliced(io.BytesIO(damaged), splices))
        restoring = inverse(io.BytesIO(damaged), splices)
        assert b"".join(spliced(io.BytesIO(edited), restoring)) == damaged

    flips = st.lists(st.tuples(st.integers(0, 700), st.integers(0, 255)), max_size=3)
    tried(40, st.tuples(st.sampled_from([0, 1]), flips), check, ImageError)


def test_raw_files_that_are_not_read_have_none(tmp_path: Path) -> None:
    """Neither needs a decoder: a DNG is read as a TIFF, other contents have no XMP that is read."""
    paths = [tmp_path / name for name in ("a.dng", "a.cr3", "a.raf", "a.gif")]
    for path, content in zip(
        paths,
        (dng(), b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", b"FUJIFILMCCD-RAW ", b"GIF89a"),
        strict=True,
    ):
        path.write_bytes(content)
    assert [read_embedded(path) for path in paths] == [[]] * 4


def test_writes_into_jpeg_tiff_and_dng_by_their_content(tmp_path: Path) -> None:
    """Whatever the name says; other formats are refused with what to do."""
    (tmp_path / "a.dng").write_bytes(dng())
    write_photo(tmp_path / "a.tif").rename(tmp_path / "a.jpg")
    for name in ("a.dng", "a.jpg"):
        assert embed(tmp_path / name, {RATING: "1"})
    (tmp_path / "a.nef").write_bytes(dng())
    Image.new("L", (4, 4)).save(tmp_path / "b.jpg", "PNG")
    for name in ("a.nef", "b.jpg"):
        with pytest.raises(ImageError, match=r"JPEG, TIFF and DNG.*sidecars"):
            embed(tmp_path / name, {RATING: "1"})
