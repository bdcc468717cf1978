"""nimakit.culling.marks: marks go where photo programs read them, and a person's marks stay."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from nimakit.culling.marks import Mark, apply, plan, statements, undo
from nimakit.culling.shots import Folders, Style
from nimakit.errors import ImageError
from photo_formats import dng
from samples import write_photo
from xmp_texts import DARKTABLE, EXIFTOOL, MAIN, app, jpeg, pixels, sidecar

UNREADABLE = b"not XML"


@pytest.fixture
def shoot(tmp_path: Path) -> Path:
    """A RAW with its JPEG, a picture of each other kind, and XMP by other programs."""
    folder = tmp_path / "shoot"
    folder.mkdir()
    (folder / "a.JPG").write_bytes(jpeg(app(0xE1, MAIN + EXIFTOOL.replace(">4<", ">0<").encode())))
    (folder / "a.CR2").write_bytes(b"sensor data")
    (folder / "b.CR2").write_bytes(b"sensor data")
    (folder / "c.dng").write_bytes(dng())
    write_photo(folder / "d.tif")
    write_photo(folder / "e.png")
    (folder / "a.CR2.xmp").write_text(
        DARKTABLE.replace('"3"', '"0"').replace("colorlabels", "colors"), "utf-8"
    )
    return folder


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _marks(folder: Path, *names: str, **values: object) -> list[Mark]:
    return [Mark(path=folder / name, **values) for name in names]  # type: ignore[arg-type]


def _said(folder: Path, name: str) -> list[tuple[str, int | None, str | None, bool | None]]:
    found = statements(Folders().shot(folder / name))
    return [(path.name, said.rating, said.label, said.pick) for path, said in found]


def test_darktable_gets_a_sidecar_for_every_file(shoot: Path, tmp_path: Path) -> None:
    """Originals stay; the sidecar that exists keeps all but the fields; undo restores every byte."""
    before = _contents(shoot)
    marks = _marks(shoot, "a.JPG", "b.CR2", "e.png", rating=4, label="Red", pick=True)
    planned = plan(marks, "darktable")
    assert _contents(shoot) == before, "a plan only reads"
    applied = apply(planned, tmp_path / "undo.json")
    names = ["a.CR2.xmp", "a.JPG.xmp", "b.CR2.xmp", "e.png.xmp"]
    assert [path.name for path in applied.written] == names
    after = _contents(shoot)
    assert {name: after[name] for name in before if name != "a.CR2.xmp"} == {
        name: content for name, content in before.items() if name != "a.CR2.xmp"
    }
    assert sorted(after.keys() - before.keys()) == names[1:]
    old = before["a.CR2.xmp"].decode()
    head, tail = old[: old.index('"0"')], old[old.index("<darktable:colors>") :]
    assert after["a.CR2.xmp"].decode().startswith(head + '"4"')
    assert after["a.CR2.xmp"].decode().endswith(tail)
    assert _said(shoot, "a.JPG")[:2] == [("a.CR2.xmp", 4, "Red", True), ("a.JPG.xmp", 4, "Red", True)]
    assert plan(marks, "darktable").changes == ()
    assert len(undo(tmp_path / "undo.json").restored) == 4
    assert _contents(shoot) == before


def test_lightroom_gets_raw_sidecars_and_embedded_xmp(shoot: Path, tmp_path: Path) -> None:
    """IMG.xmp names the RAW it belongs to; pixels, sensor data and foreign XMP stay."""
    before = _contents(shoot)
    marks = _marks(shoot, "a.JPG", "b.CR2", "c.dng", "d.tif", rating=-1, pick=False)
    applied = apply(plan(marks, "lightroom"), tmp_path / "undo.json")
    assert [path.name for path in applied.written] == ["a.xmp", "a.JPG", "b.xmp", "c.dng", "d.tif"]
    after = _contents(shoot)
    assert b'photoshop:SidecarForExtension="CR2"' in after["b.xmp"]
    assert b'xmpDM:pick="-1"' in after["b.xmp"]
    for name in ("a.JPG", "d.tif"):
        assert pixels(after[name]) == pixels(before[name])
        assert (name, -1, None, False) in _said(shoot, name)
    assert ("c.dng", -1, None, False) in _said(shoot, "c.dng")
    assert after["a.CR2"] == before["a.CR2"]
    assert len(after["a.JPG"]) < len(before["a.JPG"]) + 400
    for foreign in ('Zürich &amp; "lake"', "<!-- <a:Rating>1</a:Rating> -->", "<a:Label/>"):
        assert foreign.encode() in after["a.JPG"]
    undo(tmp_path / "undo.json")
    assert _contents(shoot) == before


def test_lightroom_refuses_formats_it_does_not_read(shoot: Path) -> None:
    """A PNG is listed with the way out; the others are marked."""
    planned = plan(_marks(shoot, "e.png", "d.tif", rating=3), "lightroom")
    assert [path.name for path, _ in planned.failures] == ["e.png"]
    assert "sidecars" in planned.failures[0].reason
    assert [change.path.name for change in planned.changes] == ["d.tif"]


def test_a_raw_is_marked_where_its_other_file_cannot_be(shoot: Path) -> None:
    """The RAW next to a PNG has a sidecar in either style; pipes in the folder are no sidecars."""
    shutil.copyfile(shoot / "b.CR2", shoot / "e.CR2")
    os.mkfifo(shoot / "e.CR2.xmp")
    planned = plan(_marks(shoot, "e.png", rating=3), "lightroom")
    assert [change.path.name for change in planned.changes] == ["e.xmp"]
    assert [path.name for path, _ in planned.failures] == ["e.png"]


GIVEN: Mapping[str, tuple[str, bytes]] = {
    "stars in its sidecar": ("b.CR2.xmp", sidecar("xmp:Rating='2'")),
    "stars in the sidecar of another style": ("b.xmp", sidecar("xmp:Rating='2'")),
    "a pick": ("b.CR2.xmp", sidecar("digiKam:PickLabel='3'")),
    "a rating that means nothing": ("b.CR2.xmp", sidecar("xmp:Rating='99'")),
}


@pytest.mark.parametrize(("name", "content"), GIVEN.values(), ids=GIVEN)
def test_what_a_person_gave_is_kept(shoot: Path, name: str, content: bytes) -> None:
    """Rating and pick are one judgement; a label is another, and is still written."""
    (shoot / name).write_bytes(content)
    (mark,) = _marks(shoot, "b.CR2", rating=5, pick=True)
    planned = plan([mark], "darktable")
    assert (planned.changes, planned.unchanged) == ((), ())
    assert [(kept.path, kept.where, kept.fields) for kept in planned.kept] == [
        (mark.path, shoot / name, ("rating", "pick"))
    ]
    (change,) = plan(_marks(shoot, "b.CR2", rating=5, label="Red"), "darktable").changes
    assert b"Red" in b"".join(splice.content for splice in change.splices)
    (change,) = plan([mark], "darktable", overwrite_ratings=True).changes
    assert change.path == shoot / "b.CR2.xmp"


@pytest.mark.parametrize("style", ["darktable", "lightroom"])
def test_stars_of_a_raw_keep_its_jpeg_from_being_marked(shoot: Path, style: Style) -> None:
    """A RAW and its JPEG are one picture, whichever of both a person rated, and where."""
    (shoot / "a.xmp").write_bytes(sidecar("xmp:Rating='1'"))
    assert plan(_marks(shoot, "a.JPG", rating=5), style).changes == ()
    (shoot / "a.xmp").unlink()
    (shoot / "a.JPG").write_bytes(jpeg(app(0xE1, MAIN + sidecar("xmp:Rating='1'"))))
    assert plan(_marks(shoot, "a.JPG", rating=5), style).changes == ()


def test_a_mark_of_nimakit_is_replaced_until_a_person_changes_it(shoot: Path, tmp_path: Path) -> None:
    """Its own value is known by the copy next to it."""
    apply(plan(_marks(shoot, "b.CR2", rating=2), "darktable"), tmp_path / "1.json")
    apply(plan(_marks(shoot, "b.CR2", rating=5), "darktable"), tmp_path / "2.json")
    path = shoot / "b.CR2.xmp"
    assert _said(shoot, "b.CR2") == [("b.CR2.xmp", 5, None, None)]
    path.write_bytes(path.read_bytes().replace(b'xmp:Rating="5"', b'xmp:Rating="1"'))
    assert plan(_marks(shoot, "b.CR2", rating=4), "darktable").changes == ()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("b.CR2.xmp", UNREADABLE, "b.CR2.xmp: XMP must be XML"),
        ("b.xmp", b"<!DOCTYPE a>" + sidecar(), "b.xmp: .*DOCTYPE"),
        ("a.JPG", jpeg()[:30], "a.JPG: The JPEG is damaged or truncated"),
        ("d.tif", b"II*\0\x08\0\0\0\x09", "d.tif: The TIFF is damaged or truncated"),
    ],
)
def test_one_broken_file_leaves_its_picture_and_marks_the_others(
    shoot: Path, tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    """What nimakit cannot read, it does not write; nothing of it changes."""
    (shoot / name).write_bytes(content)
    before = _contents(shoot)
    planned = plan(_marks(shoot, "a.JPG", "b.CR2", "d.tif", "c.dng", rating=3), "lightroom")
    (failure,) = planned.failures
    assert failure.path.name[0] == name[0]
    with pytest.raises(ImageError, match=message):
        raise ImageError(failure.reason)
    apply(planned, tmp_path / "undo.json")
    after = _contents(shoot)
    assert {file for file in before if after[file] != before[file] and file[0] == name[0]} == set()
    assert after["c.dng"] != before["c.dng"]


def test_a_missing_folder_or_file_is_a_failure(shoot: Path) -> None:
    """A picture that vanished is listed, and nothing is written for it."""
    (shoot / "d.tif").unlink()
    planned = plan(
        [*_marks(shoot, "d.tif", rating=1), *_marks(shoot / "gone", "a.jpg", rating=1)], "darktable"
    )
    assert [path.name for path, _ in planned.failures] == ["d.tif", "a.jpg"]
    assert all("No such file" in reason for _, reason in planned.failures)
    assert planned.changes == ()


def test_two_pictures_with_one_sidecar_are_not_both_marked(shoot: Path) -> None:
    """Lightroom has one IMG.xmp for a.CR2 and a.NEF."""
    shutil.copyfile(shoot / "b.CR2", shoot / "b.NEF")
    planned = plan(_marks(shoot, "b.CR2", "b.NEF", rating=1), "lightroom")
    assert [change.path.name for change in planned.changes] == ["b.xmp"]
    assert [path.name for path, _ in planned.failures] == ["b.NEF"]


def test_sidecars_are_found_in_either_case_of_their_suffix(shoot: Path) -> None:
    """An existing b.CR2.XMP is used, not joined by another; names differ by case otherwise."""
    (shoot / "b.CR2.XMP").write_bytes(sidecar())
    (change,) = plan(_marks(shoot, "b.CR2", rating=1), "darktable").changes
    assert change.path.name == "b.CR2.XMP"
    (change,) = plan(_marks(shoot, "e.png", rating=1), "darktable").changes
    assert (change.path.name, change.before) == ("e.png.xmp", None)


def test_files_keep_permissions_and_links(shoot: Path, tmp_path: Path) -> None:
    """The target of a link is changed, not the link; the time of modification is new."""
    target = tmp_path / "elsewhere.jpg"
    (shoot / "a.JPG").rename(target)
    (shoot / "a.JPG").symlink_to(target)
    target.chmod(0o640)
    os.utime(target, (1e9, 1e9))
    apply(plan(_marks(shoot, "a.JPG", rating=3), "lightroom"), tmp_path / "undo.json")
    assert (shoot / "a.JPG").is_symlink()
    assert target.stat().st_mode & 0o777 == 0o640
    assert target.stat().st_mtime > 1.5e9
