"""nimakit.culling.placing and .companions: pictures go to a folder with what belongs to them, and back."""

import errno
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from nimakit.culling import placing
from nimakit.culling.placing import How
from nimakit.errors import UsageError

FAMILY = ("IMG_1.JPG", "IMG_1.CR2", "IMG_1.xmp", "IMG_1.CR2.xmp", "IMG_1_01.CR2.xmp", "IMG_1.WAV")
OTHERS = ("IMG_1.PNG", "IMG_1.PNG.xmp", "IMG_1.b.JPG", "IMG_10.JPG", "IMG_1_02.CR2", "IMG_1_02.CR2.xmp")


@pytest.fixture
def shoot(tmp_path: Path) -> Path:
    """A folder with a picture, its companions, and files of similar names."""
    folder = tmp_path / "shoot"
    folder.mkdir()
    for number, name in enumerate((*FAMILY, *OTHERS)):
        (folder / name).write_bytes(name.encode())
        os.utime(folder / name, (1e9 + number, 1e9 + number))
    return folder


def _state(folder: Path) -> Mapping[str, tuple[bytes, float]]:
    """Name -> content and time of each file below a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime) for path in files}


def _plan(shoot: Path, folder: Path, how: How, *names: str) -> placing.Plan:
    judged = [path for path in shoot.rglob("*") if path.suffix in (".JPG", ".PNG")]
    return placing.plan([shoot / name for name in names or ("IMG_1.JPG",)], folder, how, judged=judged)


@pytest.mark.parametrize("how", ["copy", "move", "link"])
def test_companions_go_along_and_undo_puts_everything_back(shoot: Path, tmp_path: Path, how: How) -> None:
    """RAW file, sidecars and voice memo have the picture's name; other pictures and theirs stay."""
    before = _state(shoot)
    picks = tmp_path / "picks"
    plan = _plan(shoot, picks, how)
    assert not picks.exists()
    entries = placing.records(plan)
    assert placing.apply(plan) == placing.Outcome(done=(shoot / "IMG_1.JPG",))
    assert {path.name for path in picks.iterdir()} == {*FAMILY}
    assert _state(picks) == {name: before[name] for name in FAMILY}
    assert {path.is_symlink() for path in picks.iterdir()} == {how == "link"}
    assert {*_state(shoot)} == ({*OTHERS} if how == "move" else {*before})
    undone = placing.undo(entries)
    assert ({path.name for path in undone.done}, undone.failures) == ({*FAMILY}, ())
    assert _state(shoot) == before
    assert not [*picks.iterdir()]
    assert placing.undo(entries).done == ()


def test_a_taken_name_gets_a_number_and_nothing_is_replaced(shoot: Path, tmp_path: Path) -> None:
    """The whole family is renamed, also where only the RAW file's name is taken, in any case."""
    picks = tmp_path / "picks"
    picks.mkdir()
    (picks / "img_1.cr2").write_bytes(b"mine")
    (shoot / "b").mkdir()
    (shoot / "b" / "IMG_1.JPG").write_bytes(b"another")
    placing.apply(_plan(shoot, picks, "copy", "IMG_1.JPG", "b/IMG_1.JPG"))
    second = {name.replace("IMG_1", "IMG_1-2", 1) for name in FAMILY}
    assert {path.name for path in picks.iterdir()} == {"img_1.cr2", *second, "IMG_1-3.JPG"}
    assert (picks / "img_1.cr2").read_bytes() == b"mine"
    assert (picks / "IMG_1-3.JPG").read_bytes() == b"another"


@pytest.mark.parametrize("how", ["copy", "link"])
def test_a_second_run_places_nothing_twice(shoot: Path, tmp_path: Path, how: How) -> None:
    """What is there already is recognised by its content, or by what the link leads to."""
    placing.apply(_plan(shoot, tmp_path / "picks", how))
    again = _plan(shoot, tmp_path / "picks", how)
    assert (again.placements, again.present) == ((), (shoot / "IMG_1.JPG",))


def test_another_file_system_is_copied_to_and_compared(
    shoot: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Originals are removed only after the copies are found equal."""
    before = _state(shoot)

    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(Path, "rename", refuse)
    plan = _plan(shoot, tmp_path / "picks", "move")
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copy2", lambda _, target: target.write_bytes(b"damaged"))
        failed = placing.apply(plan)
    assert failed.done == ()
    assert "was not equal to it" in dict(failed.failures)[shoot / "IMG_1.JPG"]
    assert _state(shoot) == before
    assert not [*(tmp_path / "picks").iterdir()]
    assert len(placing.apply(plan).done) == 1
    assert _state(tmp_path / "picks") == {name: before[name] for name in FAMILY}
    assert {*_state(shoot)} == {*OTHERS}


def test_no_room_is_noticed_before_anything_is_written(
    shoot: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message says how much is free and how much is needed; links need none."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 5, 5))
    with pytest.raises(UsageError, match=r"need 0\.0 MB in .* with 0\.0 MB free; make room"):
        _plan(shoot, tmp_path / "picks", "copy")
    assert not (tmp_path / "picks").exists()
    assert _plan(shoot, tmp_path / "picks", "link").placements


def test_a_disk_that_fills_up_leaves_nothing_half_written(
    shoot: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A picture without its RAW file would be half: the family is removed again, and the rest not begun."""
    picks = tmp_path / "picks"
    plan = _plan(shoot, picks, "copy", "IMG_10.JPG", "IMG_1.JPG", "IMG_1.PNG")
    copy = shutil.copy2

    def fill(source: Path, target: Path) -> None:
        if source.name == "IMG_1.CR2":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        copy(source, target)

    monkeypatch.setattr(shutil, "copy2", fill)
    outcome = placing.apply(plan)
    assert outcome.done == (shoot / "IMG_10.JPG",)
    assert [failure.path for failure in outcome.failures] == [shoot / "IMG_1.JPG", shoot / "IMG_1.PNG"]
    assert "No space left on device" in dict(outcome.failures)[shoot / "IMG_1.JPG"]
    assert [path.name for path in picks.iterdir()] == ["IMG_10.JPG"]


def test_what_vanishes_or_appears_after_the_plan_is_left(shoot: Path, tmp_path: Path) -> None:
    """Each is one failure with its reason; the others are placed."""
    picks = tmp_path / "picks"
    plan = _plan(shoot, picks, "move", "IMG_1.JPG", "IMG_10.JPG", "IMG_1.PNG")
    (shoot / "IMG_1.CR2").unlink()
    picks.mkdir()
    (picks / "IMG_10.JPG").write_bytes(b"new")
    outcome = placing.apply(plan)
    assert outcome.done == (shoot / "IMG_1.PNG",)
    assert "IMG_1.CR2 does not exist any more" in dict(outcome.failures)[shoot / "IMG_1.JPG"]
    assert "IMG_10.JPG exists now" in dict(outcome.failures)[shoot / "IMG_10.JPG"]
    assert (shoot / "IMG_1.JPG").exists()
    assert (picks / "IMG_10.JPG").read_bytes() == b"new"


def test_undo_keeps_changed_copies_and_occupied_places(shoot: Path, tmp_path: Path) -> None:
    """Work that was done on a copy is not lost, and a new file at the old place is not replaced."""
    copies, moved = tmp_path / "copies", tmp_path / "moved"
    first = _plan(shoot, copies, "copy", "IMG_1.JPG")
    second = _plan(shoot, moved, "move", "IMG_10.JPG")
    entries = placing.records(first) + placing.records(second)
    placing.apply(first)
    placing.apply(second)
    (copies / "IMG_1.xmp").write_text("edited", encoding="utf-8")
    (shoot / "IMG_10.JPG").write_bytes(b"new")
    outcome = placing.undo(entries)
    assert len(outcome.done) == len(FAMILY) - 1
    assert dict(outcome.failures)[copies / "IMG_1.xmp"] == "The copy was changed, and is kept."
    assert "exists now, and is not replaced" in dict(outcome.failures)[moved / "IMG_10.JPG"]
    assert [path.name for path in copies.iterdir()] == ["IMG_1.xmp"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_refused(shoot: Path, tmp_path: Path) -> None:
    """Before any work is done."""
    tmp_path.chmod(0o500)
    with pytest.raises(UsageError, match="must be writable"):
        _plan(shoot, tmp_path / "picks", "copy")
