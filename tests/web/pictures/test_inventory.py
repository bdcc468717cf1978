"""Scanning a folder, and updating the pictures in the database."""

import errno
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nimakit.web.db.tables import BROKEN, LEFT_OUT, MISSING, OK, Image
from nimakit.web.pictures.inventory import FolderScan, Found, is_inside, synchronise
from samples import write_photo
from web.conftest import MakeStudy
from web.study import Study, on_both


def paths(study: Study) -> dict[str, str]:
    """Path -> state of each picture."""
    return {image.path: image.state for image in study.images}


def test_pictures_of_all_folders_are_found(study: Study) -> None:
    """They are found by suffix in all sub-folders, without hidden and other files."""
    (study.folder / ".hidden.jpg").write_bytes(b"x")
    (study.folder / "notes.txt").write_text("x")
    synchronise(study.database, study.collection)
    assert list(paths(study)) == ["more/photo 5.png", *(f"photo {number}.jpg" for number in range(5))]


def test_other_files_are_counted(study: Study, tmp_path: Path) -> None:
    """Files of other kinds and linked folders are counted; a link to itself does no harm."""
    (study.folder / "raw.xmp").write_bytes(b"x")
    (study.folder / "more" / "linked").symlink_to(tmp_path)
    (study.folder / "loop").symlink_to(study.folder / "loop")
    (study.folder / "loop.jpg").symlink_to(study.folder / "loop.jpg")
    walk = synchronise(study.database, study.collection)
    assert str(walk.left_out) == "1 .xmp, 1 linked folder (more/linked)"
    assert set(paths(study).values()) == {OK}


def test_a_raw_file_and_its_jpeg_are_one_picture(study: Study) -> None:
    """The JPEG is rated; a RAW file without one is a picture, too."""
    (study.folder / "photo 1.CR2").write_bytes(b"x")
    (study.folder / "only.CR2").write_bytes(b"x")
    walk = synchronise(study.database, study.collection)
    assert str(walk.left_out) == "1 RAW next to a picture of the same name"
    assert "photo 1.jpg" in paths(study)
    assert [path for path in paths(study) if path.endswith("CR2")] == ["only.CR2"]


def test_a_new_picture_is_picked_up(study: Study) -> None:
    """The next scan finds it, and raters see it."""
    write_photo(study.folder / "new.webp")
    synchronise(study.database, study.collection)
    assert paths(study)["new.webp"] == OK


@on_both
def test_a_picture_that_is_gone_is_missing_and_its_ratings_stay(study: Study) -> None:
    """Nothing is deleted, and a returned picture is as it was."""
    image = study.images[1]
    study.visitor().rate(image.id, 7)
    content = (study.folder / image.path).read_bytes()
    (study.folder / image.path).unlink()
    synchronise(study.database, study.collection)
    assert paths(study)[image.path] == MISSING
    assert [rating.value for rating in study.ratings] == [7]
    (study.folder / image.path).write_bytes(content)
    synchronise(study.database, study.collection)
    assert paths(study)[image.path] == OK
    assert len(study.images) == 6


def test_a_replaced_broken_picture_is_read_again(study: Study) -> None:
    """New content clears the old problem and the old predicted score."""
    image = study.images[1]

    def mark(session: object) -> None:
        found = session.get_one(Image, image.id)  # type: ignore[attr-defined]
        found.state, found.problem, found.position = BROKEN, "damaged", 0.5

    study.change(mark)
    synchronise(study.database, study.collection)
    assert paths(study)[image.path] == BROKEN
    write_photo(study.folder / image.path, 99, (30, 30))
    synchronise(study.database, study.collection)
    found = study.images[1]
    assert (found.state, found.problem, found.position) == (OK, "", None)


@on_both
def test_two_copies_of_the_app_may_find_a_picture_at_once(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that the other process wrote meanwhile stay, and the rest are added."""
    write_photo(study.folder / "new 1.jpg")
    files = FolderScan.files

    def raced(walk: FolderScan) -> Iterator[Found]:
        monkeypatch.setattr(FolderScan, "files", files)
        synchronise(study.database, study.collection)
        write_photo(study.folder / "new 2.jpg")
        return files(walk)

    monkeypatch.setattr(FolderScan, "files", raced)
    synchronise(study.database, study.collection)
    assert [path for path in paths(study) if "new" in path] == ["new 1.jpg", "new 2.jpg"]


def test_links_out_of_the_folder_are_skipped(study: Study, tmp_path: Path) -> None:
    """Links inside the folder are pictures; links that lead out are reported and never shown."""
    outside = write_photo(tmp_path / "outside.jpg")
    (study.folder / "out.jpg").symlink_to(outside)
    (study.folder / "dead.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (study.folder / "in.jpg").symlink_to(study.folder / "photo 1.jpg")
    (study.folder / "elsewhere").symlink_to(tmp_path, target_is_directory=True)
    walk = synchronise(study.database, study.collection)
    assert "in.jpg" in paths(study)
    assert not {"out.jpg", "dead.jpg", "elsewhere/outside.jpg"} & paths(study).keys()
    assert any("out.jpg: the link leads out" in line for line in walk.refused)


def test_names_that_are_not_text_are_skipped(study: Study) -> None:
    """Names that a database cannot store are reported, and other pictures are found."""
    shutil.copy(study.folder / "photo 1.jpg", study.folder / os.fsdecode(b"bad \xff.jpg"))
    walk = synchronise(study.database, study.collection)
    assert len(study.images) == 6
    assert any("text without control characters" in line for line in walk.refused)


def test_every_kind_of_space_and_emoji_is_part_of_a_name(study: Study) -> None:
    """Pictures with such names are rated like others."""
    names = (
        "4.42.48\u202fPM.jpg",
        "\u5199\u771f\u30001.jpg",
        "a\u00a013.jpg",
        "\U0001f468\u200d\U0001f469.jpg",
    )
    for name in names:
        shutil.copy(study.folder / "photo 1.jpg", study.folder / name)
    assert synchronise(study.database, study.collection).refused == []
    assert set(names) < paths(study).keys()


def test_a_picture_keeps_its_ratings_when_its_name_is_spelt_anew(study: Study) -> None:
    """Moving a folder from a Mac changes the normalisation; two files with both forms both stay."""
    mac, other = "Zu\u0308rich.jpg", "Z\u00fcrich.jpg"
    shutil.copy(study.folder / "photo 1.jpg", study.folder / mac)
    synchronise(study.database, study.collection)
    [image] = [image for image in study.images if image.path == mac]
    assert image.image_id == "Z\u00fcrich"
    study.visitor().rate(image.id, 7)
    (study.folder / mac).rename(study.folder / other)
    synchronise(study.database, study.collection)
    assert [(one.id, one.state) for one in study.images if "rich" in one.path] == [(image.id, OK)]
    shutil.copy(study.folder / "photo 1.jpg", study.folder / mac)
    synchronise(study.database, study.collection)
    assert {one.path for one in study.images if one.image_id == "Z\u00fcrich"} == {mac, other}


def test_a_missing_folder_marks_no_picture_as_missing(study: Study) -> None:
    """An unplugged disk does not mark all pictures as missing."""
    study.folder.rename(study.folder.with_name("moved"))
    with pytest.raises(OSError, match="No such file"):
        synchronise(study.database, study.collection)
    assert set(paths(study).values()) == {OK}
    study.services.background.once()
    assert "cannot be read" in study.collection.note
    study.folder.with_name("moved").rename(study.folder)
    study.services.background.once()
    assert study.collection.note == ""


def test_what_is_not_on_the_list_stays_left_out(study: Study) -> None:
    """After a list was imported, new pictures are left out."""
    image = study.images[0]

    def leave_out(session: object) -> None:
        session.get_one(Image, image.id).state = LEFT_OUT  # type: ignore[attr-defined]

    study.change(leave_out)
    write_photo(study.folder / "new.jpg")
    synchronise(study.database, study.collection)
    assert (paths(study)["new.jpg"], paths(study)[image.path]) == (LEFT_OUT, LEFT_OUT)


def test_a_scan_knows_when_it_is_outdated(study: Study) -> None:
    """Added and removed files change the modification time of their folder."""
    walk = FolderScan(study.folder)
    assert walk.changed()
    assert len(list(walk.files())) == 6
    assert not walk.changed()
    write_photo(study.folder / "more" / "new.jpg")
    assert walk.changed()


@pytest.mark.parametrize(
    ("path", "inside"),
    [("a.jpg", True), ("../a.jpg", False), ("more/../a.jpg", True), ("/etc/passwd", False)],
)
def test_is_inside_follows_the_path(tmp_path: Path, path: str, *, inside: bool) -> None:
    """Links and .. in a path are resolved first."""
    assert is_inside(tmp_path, path) is inside


@pytest.mark.slow
def test_many_pictures_are_found_in_seconds(make_study: MakeStudy, photos: Path) -> None:
    """Twenty thousand are scanned in seconds, and a deck of them is served at once."""
    for number in range(20_000):
        folder = photos / f"folder {number // 1000:02d}"
        if number % 1000 == 0:  # a file can have only so many links
            folder.mkdir()
            first = write_photo(folder / f"picture {number:06d}.jpg", 128, (60, 40))
        else:
            os.link(first, folder / f"picture {number:06d}.jpg")
    started = time.process_time()
    study = make_study()
    assert time.process_time() - started < 8
    visitor = study.visitor()
    assert visitor.deck()["total"] == 20_006
    started = time.process_time()
    visitor.deck()
    assert time.process_time() - started < 1


def test_a_failing_machine_marks_no_picture_as_missing(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures of a folder that cannot be read for lack of file handles stay."""
    before = os.scandir

    def fail(path: Path) -> Any:
        if path.name == "more":
            raise OSError(errno.EMFILE, "Too many open files", str(path))
        return before(path)

    monkeypatch.setattr(os, "scandir", fail)
    with pytest.raises(OSError, match="Too many"):
        synchronise(study.database, study.collection)
    assert set(paths(study).values()) == {OK}
