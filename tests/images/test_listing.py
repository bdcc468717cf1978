"""nimakit.images.listing: what the images of a folder are."""

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from nimakit.images.listing import describe
from samples import png_header, write_photo


def _only(folder: Path, name: str) -> dict[str, Any]:
    (entry,) = describe(folder, [folder / name])
    return entry


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tiff", ".bmp", ".gif"])
def test_an_entry_has_path_size_and_hash(tmp_path: Path, suffix: str) -> None:
    """Of every format; the path is below the folder."""
    (tmp_path / "sub").mkdir()
    path = write_photo(tmp_path / "sub" / f"a.b{suffix}", size=(12, 9))
    content = path.read_bytes()
    assert _only(tmp_path, f"sub/a.b{suffix}") == {
        "path": f"sub/a.b{suffix}",
        "image_id": "a.b",
        "width": 12,
        "height": 9,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def test_a_path_is_text(tmp_path: Path) -> None:
    """Whatever bytes the name has."""
    entry = _only(write_photo(tmp_path / "x.png").rename(tmp_path / "caf\udce9.png").parent, "caf\udce9.png")
    assert (entry["path"], entry["image_id"]) == ("caf%E9.png", "caf%E9")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tiff"])
@pytest.mark.parametrize(("orientation", "size"), [(1, (12, 9)), (3, (12, 9)), (6, (9, 12)), (7, (9, 12))])
def test_width_and_height_are_those_of_the_upright_picture(
    tmp_path: Path, suffix: str, orientation: int, size: tuple[int, int]
) -> None:
    """A picture that EXIF turns on its side is taken as it is seen."""
    exif = Image.Exif()
    exif[0x112] = orientation
    write_photo(tmp_path / f"a{suffix}", size=(12, 9), exif=exif)
    entry = _only(tmp_path, f"a{suffix}")
    assert (entry["width"], entry["height"]) == size


@pytest.mark.parametrize(
    ("taken", "offset", "iso"),
    [
        ("2020:01:02 03:04:05", None, "2020-01-02T03:04:05"),
        ("2020:01:02 03:04:05\0", "+02:00", "2020-01-02T03:04:05+02:00"),
        ("2020:01:02 03:04:05", "nonsense", "2020-01-02T03:04:05"),
        ("0000:00:00 00:00:00", None, None),
        ("    :  :     :  :  ", None, None),
        ("", "+02:00", None),
    ],
)
def test_the_time_is_that_of_the_camera(
    tmp_path: Path, taken: str, offset: str | None, iso: str | None
) -> None:
    """As ISO 8601, with the offset where it noted one; an empty clock is no time."""
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = taken
    if offset:
        exif.get_ifd(0x8769)[0x9011] = offset
    write_photo(tmp_path / "a.jpg", exif=exif)
    assert _only(tmp_path, "a.jpg").get("taken") == iso


def test_what_cannot_be_read_has_an_error(tmp_path: Path) -> None:
    """And its path; the others are described."""
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "huge.png").write_bytes(png_header(50_000, 50_000))
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe.jpg")
    write_photo(tmp_path / "z.jpg")
    names = ["text.jpg", "empty.jpg", "huge.png", "gone.jpg", "pipe.jpg", "z.jpg"]
    found = list(describe(tmp_path, [tmp_path / name for name in names]))
    assert [entry["path"] for entry in found] == names
    wanted = ["none of", "none of", "cannot be read", "No such file", "a regular file"]
    for entry, error in zip(found[:-1], wanted, strict=True):
        assert set(entry) == {"path", "image_id", "error"}
        assert error in entry["error"]
    assert "error" not in found[-1]
