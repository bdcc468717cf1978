"""nimakit.culling.journal: changes with a way back."""

import errno
import json
import os
from pathlib import Path

import pytest

from nimakit.culling.journal import Change, undo, write_changes
from nimakit.errors import OutputError, UsageError
from nimakit.images.xmp.splices import Splice


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Two files to change, and the name of a new one."""
    (tmp_path / "a").write_bytes(b"one two three")
    (tmp_path / "b").write_bytes(b"four")
    return [tmp_path / name for name in "abc"]


def _changes(files: list[Path]) -> list[Change]:
    return [Change.of(path, (Splice(0, 3 if path.exists() else 0, b"XXXXX"),)) for path in files]


def _contents(files: list[Path]) -> list[bytes | None]:
    return [path.read_bytes() if path.exists() else None for path in files]


BEFORE = [b"one two three", b"four", None]
AFTER = [b"XXXXX two three", b"XXXXXr", b"XXXXX"]


def test_changes_are_written_and_undone(files: list[Path], tmp_path: Path) -> None:
    """A new file is deleted; a second undo finds nothing to do."""
    assert write_changes(_changes(files), tmp_path / "undo").written == tuple(files)
    assert _contents(files) == AFTER
    assert undo(tmp_path / "undo").restored == tuple(files)
    assert _contents(files) == BEFORE
    again = undo(tmp_path / "undo")
    assert (again.restored, again.unchanged) == ((), tuple(files))


@pytest.mark.parametrize("written", [0, 1, 2])
def test_undo_after_a_crash_in_the_middle(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    """The undo file is complete before the first file changes; each file is old or new."""
    replace = Path.replace
    names: list[str] = []

    def crash(self: Path, target: Path) -> Path:
        names.append(Path(target).name)
        if len(names) == written + 2:
            raise KeyboardInterrupt
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", crash)
        with pytest.raises(KeyboardInterrupt):
            write_changes(_changes(files), tmp_path / "undo")
    assert names[0] == "undo"
    assert _contents(files) == AFTER[:written] + BEFORE[written:]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "undo"]
    undone = undo(tmp_path / "undo")
    assert (len(undone.restored), len(undone.unchanged)) == (written, 3 - written)
    assert _contents(files) == BEFORE


def test_undo_leaves_files_that_were_changed_since(files: list[Path], tmp_path: Path) -> None:
    """Changed, deleted or created again by others: each is listed, the others are restored."""
    write_changes(_changes(files), tmp_path / "undo")
    files[0].write_bytes(b"mine")
    files[1].unlink()
    undone = undo(tmp_path / "undo")
    assert [path for path, _ in undone.failures] == files[:2]
    assert "changed since" in undone.failures[0].reason
    assert "missing" in undone.failures[1].reason
    assert (undone.restored, _contents(files)) == ((files[2],), [b"mine", None, None])


def test_a_file_that_changed_after_planning_is_left(files: list[Path], tmp_path: Path) -> None:
    """Nothing of what a person saved meanwhile is lost."""
    changes = _changes(files)
    files[0].write_bytes(b"one two and more")
    applied = write_changes(changes, tmp_path / "undo")
    assert [path for path, _ in applied.failures] == [files[0]]
    assert "was changed while" in applied.failures[0].reason
    assert _contents(files) == [b"one two and more", *AFTER[1:]]


def test_write_protected_and_unwritable_files_are_left(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is listed; a full disk ends the work, because every later file would fail too."""
    files[0].chmod(0o444)
    applied = write_changes(_changes(files), tmp_path / "undo")
    assert ["write-protected" in reason for _, reason in applied.failures] == [True]
    assert _contents(files) == [BEFORE[0], *AFTER[1:]]
    undo(tmp_path / "undo")
    files[0].chmod(0o644)

    def full(descriptor: int) -> None:
        if names:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        names.append(descriptor)

    names: list[int] = []
    changes = _changes(files)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        applied = write_changes(changes, tmp_path / "undo2")
    assert [path for path, _ in applied.failures] == files
    assert "No space left" in applied.failures[2].reason
    assert _contents(files) == BEFORE


def test_nothing_is_written_without_an_undo_file(files: list[Path], tmp_path: Path) -> None:
    """One that exists is not replaced, because it may be needed; without room for it, no file is touched."""
    (tmp_path / "undo").write_text("{}")
    with pytest.raises(UsageError, match="must be new"):
        write_changes(_changes(files), tmp_path / "undo")
    with pytest.raises(OutputError, match="could not be written"):
        write_changes(_changes(files), tmp_path / "missing" / "undo")
    assert _contents(files) == BEFORE
    write_changes([], tmp_path / "none")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    "content",
    [None, "", "[]", "{}", '{"nimakit_undo": 2, "changes": []}', '{"nimakit_undo": 1, "changes": [{}]}'],
)
def test_refuses_what_is_no_undo_file(tmp_path: Path, content: str | None) -> None:
    """Missing, broken, of a later version."""
    if content is not None:
        (tmp_path / "undo").write_text(content)
    with pytest.raises(UsageError, match="ndo file must be"):
        undo(tmp_path / "undo")


def test_names_that_are_not_utf8_are_restored(tmp_path: Path) -> None:
    """The undo file is plain JSON all the same."""
    path = tmp_path / os.fsdecode(b"caf\xe9")
    path.write_bytes(b"old")
    write_changes([Change.of(path, (Splice(0, 3, b"new"),))], tmp_path / "undo")
    json.loads((tmp_path / "undo").read_text("utf-8"))
    undo(tmp_path / "undo")
    assert path.read_bytes() == b"old"
