"""nimakit.culling.library: what a person said about the pictures of a library."""

from pathlib import Path

from nimakit.culling.library import read_library
from nimakit.culling.marks import Mark, apply, plan
from nimakit.images.files import find_images
from samples import write_photo
from xmp_texts import MAIN, app, jpeg, sidecar


def _embedded(path: Path, attributes: str) -> Path:
    path.write_bytes(jpeg(app(0xE1, MAIN + sidecar(attributes))))
    return path


def test_sidecars_count_before_files_and_each_field_counts_alone(tmp_path: Path) -> None:
    """IMG.CR2.xmp, IMG.JPG.xmp, IMG.xmp, then the file; disagreements are listed with both files."""
    picture = _embedded(tmp_path / "a.jpg", "xmp:Rating='1' xmp:Label='Red' digiKam:PickLabel='3'")
    (tmp_path / "a.cr2").write_bytes(b"sensor data")
    (tmp_path / "a.xmp").write_bytes(sidecar("xmp:Rating='2' xmp:Label='Red'"))
    (tmp_path / "a.jpg.xmp").write_bytes(sidecar("xmp:Rating='3' xmp:Label=''"))
    (tmp_path / "a.cr2.xmp").write_bytes(sidecar("xmp:Rating='0'"))
    library = read_library([picture])
    assert library.marks == (Mark(path=picture, rating=3, label="Red", pick=True),)
    assert [
        (conflict.field, conflict.counts.name, conflict.other.name) for conflict in library.conflicts
    ] == [
        ("rating", "a.jpg.xmp", "a.xmp"),
        ("rating", "a.jpg.xmp", "a.jpg"),
    ]


def test_everything_is_counted(tmp_path: Path) -> None:
    """What is unmarked, what nimakit marked, what cannot be read, and sidecars without a picture.

    darktable's sidecar of another version of a picture is neither: the picture has the mark of the first.
    """
    for name in ("unmarked", "own", "changed", "broken", "strange"):
        write_photo(tmp_path / f"{name}.jpg")
    marks = [Mark(path=tmp_path / f"{name}.jpg", rating=4) for name in ("own", "changed")]
    apply(plan(marks, "darktable"), tmp_path / "undo.json")
    changed = tmp_path / "changed.jpg.xmp"
    changed.write_bytes(changed.read_bytes().replace(b'xmp:Rating="4"', b'xmp:Rating="5"'))
    (tmp_path / "broken.xmp").write_bytes(b"<!DOCTYPE a [<!ENTITY b 'c'>]>" + sidecar("xmp:Rating='5'"))
    (tmp_path / "strange.xmp").write_bytes(sidecar("xmp:Rating='99'"))
    (tmp_path / "gone.nef.xmp").write_bytes(sidecar("xmp:Rating='5'"))
    (tmp_path / "own_01.jpg.xmp").write_bytes(sidecar("xmp:Rating='1'"))
    library = read_library(find_images(tmp_path))
    assert [(mark.path.stem, mark.rating) for mark in library.marks] == [("changed", 5)]
    assert (library.own, library.unmarked) == (1, 2)
    assert [(path.name, reason[:24]) for path, reason in library.failures] == [
        ("broken.jpg", "broken.xmp: XMP must hav"),
        ("strange.xmp", "xmp:Rating must be a who"),
    ]
    assert [path.name for path in library.orphans] == ["gone.nef.xmp"]
