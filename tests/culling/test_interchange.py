"""XMP between nimakit, exiftool and darktable: each reads what another wrote."""

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from nimakit.culling.library import read_library
from nimakit.culling.marks import Mark, apply, plan, undo
from nimakit.images.files import find_images
from photo_formats import dng
from samples import write_photo
from xmp_texts import pixels

pytestmark = pytest.mark.slow

REQUIRED_VARIABLE = "NIMAKIT_REQUIRE_PHOTO_TOOLS"
PICTURES = ("a.jpg", "b.tif", "c.dng")
OURS = ("XMP-xmp:Rating", "XMP-xmp:Label", "XMP-digiKam:PickLabel")
FOREIGN = (
    *("-XMP-dc:Title=Zürich & <lake>", "-XMP-dc:Subject=lake", "-XMP-dc:Subject=boat"),
    *("-XMP-xmpMM:DocumentID=1", "-EXIF:Artist=Ann"),
)
"""Properties by others; with a long description they need extended XMP in a JPEG."""


def _run(tool: str, *arguments: str | Path) -> str:
    """Run a tool; without it the test is skipped, or fails where it is required."""
    if shutil.which(tool) is None:
        reason = f"{tool} is not installed"
        if os.environ.get(REQUIRED_VARIABLE):
            pytest.fail(reason)
        pytest.skip(reason)
    done = subprocess.run([tool, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _tags(files: Sequence[Path]) -> list[dict[str, Any]]:
    """What exiftool reads in each file: EXIF, XMP, and what it warns of."""
    arguments = ("-json", "-G1", "-struct", "-EXIF:all", "-XMP:all", "-warning", "-error")
    tags: list[dict[str, Any]] = json.loads(_run("exiftool", *arguments, *files))
    return tags


def _foreign(tags: dict[str, Any]) -> dict[str, Any]:
    left_out = ("SourceFile", "XMP-x:XMPToolkit", "XMP-xmpDM:Pick", *OURS)
    return {name: value for name, value in tags.items() if name not in left_out and "nimakit" not in name}


@pytest.fixture(scope="module")
def tagged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A JPEG, a TIFF and a DNG with XMP by exiftool."""
    folder = tmp_path_factory.mktemp("tagged")
    for name in PICTURES[:2]:
        write_photo(folder / name)
    (folder / "c.dng").write_bytes(dng())
    long = folder / "long.txt"
    long.write_text("long " * 30_000)
    _run("exiftool", "-q", "-overwrite_original", *FOREIGN, f"-XMP-dc:Description<={long}", folder)
    long.unlink()
    return folder


@pytest.fixture
def shoot(tagged: Path, tmp_path: Path) -> Path:
    """A copy of them."""
    return shutil.copytree(tagged, tmp_path / "shoot")


@pytest.mark.parametrize("style", ["darktable", "lightroom"])
def test_exiftool_reads_what_nimakit_wrote(shoot: Path, tmp_path: Path, style: Any) -> None:
    """In sidecars and in files, next to all foreign XMP and EXIF as they were; undo restores the bytes."""
    paths = [shoot / name for name in PICTURES]
    before, bytes_before = _tags(paths), [path.read_bytes() for path in paths]
    marks = [Mark(path=path, rating=4, label="Blue", pick=True) for path in paths]
    planned = plan(marks, style)
    applied = apply(planned, tmp_path / "undo.json")
    assert (planned.failures, applied.failures) == ((), ())
    for tags in _tags(applied.written):
        assert [tags.get(name) for name in OURS] == [4, "Blue", 3]
        assert not [name for name in tags if name.startswith("ExifTool:")]
    assert [_foreign(tags) for tags in _tags(paths)] == [_foreign(tags) for tags in before]
    for path, content in zip(paths[:2], bytes_before, strict=False):
        assert pixels(path) == pixels(content)
    undo(tmp_path / "undo.json")
    assert [path.read_bytes() for path in paths] == bytes_before


def test_nimakit_reads_what_exiftool_wrote(shoot: Path) -> None:
    """Stars, rejects, labels and picks, in files and in sidecars, as elements and in compact form."""
    write_photo(shoot / "d.png")
    write_photo(shoot / "e.jpg")
    values = ("-XMP-xmp:Rating=2", "-XMP-xmp:Label=Red")
    reject = ("-XMP-xmp:Rating=-1", "-XMP-digiKam:PickLabel=1")
    _run("exiftool", "-q", "-overwrite_original", *values, *(shoot / name for name in (*PICTURES, "d.png")))
    _run("exiftool", "-q", "-api", "Compact=Shorthand", *reject, "-o", shoot / "e.jpg.xmp")
    library = read_library(find_images(shoot))
    assert [(mark.path.name, mark.rating, mark.label, mark.pick) for mark in library.marks] == [
        *((name, 2, "Red", None) for name in (*PICTURES, "d.png")),
        ("e.jpg", -1, None, False),
    ]
    assert (library.failures, library.conflicts) == ((), ())


def test_what_nimakit_wrote_is_a_persons_once_exiftool_changed_it(shoot: Path, tmp_path: Path) -> None:
    """Until then it is left out of the library."""
    path = shoot / "a.jpg"
    apply(plan([Mark(path=path, rating=4)], "lightroom"), tmp_path / "undo.json")
    assert (read_library([path]).marks, read_library([path]).own) == ((), 1)
    _run("exiftool", "-q", "-overwrite_original", "-XMP-dc:Title=other", path)
    assert read_library([path]).own == 1
    _run("exiftool", "-q", "-overwrite_original", "-XMP-xmp:Rating=1", path)
    assert [mark.rating for mark in read_library([path]).marks] == [1]
    assert plan([Mark(path=path, rating=4)], "lightroom").changes == ()
    assert len(undo(tmp_path / "undo.json").failures) == 1


def test_darktable_reads_what_nimakit_wrote_and_nimakit_what_darktable_wrote(tmp_path: Path) -> None:
    """Stars and colour of a sidecar are in what darktable exports, as it writes them."""
    path = write_photo(tmp_path / "a.jpg", size=(64, 48))
    marks = [Mark(path=path, rating=3, label="Green", pick=True)]
    apply(plan(marks, "darktable"), tmp_path / "undo.json")
    exported = tmp_path / "exported.jpg"
    configured = ("--configdir", tmp_path / "config", "--cachedir", tmp_path / "cache", "--disable-opencl")
    _run("darktable-cli", path, tmp_path / "a.jpg.xmp", exported, "--core", *configured)
    (tags,) = _tags([exported])
    assert (tags["XMP-xmp:Rating"], tags["XMP-darktable:Colorlabels"]) == (3, [2])
    _run("exiftool", "-q", "-overwrite_original", "-XMP-xmp:Rating=2", "-XMP-xmp:Label=", exported)
    (mark,) = read_library([exported]).marks
    assert (mark.rating, mark.label) == (2, "Green")
