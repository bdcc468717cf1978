"""nimakit.io.atomic: files that appear whole or not at all."""

import errno
import json
import os
import re
from pathlib import Path

import pytest

from nimakit.errors import OutputError, UnwritableError, UsageError
from nimakit.io.atomic import (
    atomic_files,
    atomic_folder,
    atomic_update,
    atomic_writer,
    check_folder,
    check_output,
    output_errors,
)


def test_check_output_accepts_a_file_that_can_be_written(tmp_path: Path) -> None:
    """Suffixes count in any case, and an older file may be there."""
    (tmp_path / "old.JSON").touch()
    check_output(tmp_path / "old.JSON", (".json", ".csv"))


def test_check_output_rejects_what_would_fail_at_the_end(tmp_path: Path) -> None:
    """Another suffix, a missing folder and a folder in the file's place are refused up front."""
    (tmp_path / "folder.json").mkdir()
    for name, reason in (
        ("out.txt", r"must end in \.json, \.csv"),
        ("none/out.json", "must exist and be writable"),
        ("folder.json", "must not be a folder"),
    ):
        with pytest.raises(UsageError, match=reason):
            check_output(tmp_path / name, (".json", ".csv"))


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write everywhere")
def test_check_output_rejects_a_folder_without_write_permission(tmp_path: Path) -> None:
    """A folder that may not be written to is refused before any work is done."""
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(UsageError, match="must exist and be writable"):
            check_output(tmp_path / "out.json", (".json",))
    finally:
        tmp_path.chmod(0o700)


def test_check_output_rejects_a_name_that_no_file_can_have(tmp_path: Path) -> None:
    """It is found before the work, not after."""
    with pytest.raises(UsageError, match="at most 255 bytes"):
        check_output(tmp_path / f"{251 * 'a'}.json", (".json",))


def test_check_folder_makes_nothing(tmp_path: Path) -> None:
    """A folder that can be made is fine; one in a file's place, or below one, is refused."""
    check_folder(tmp_path / "new" / "below")
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    with pytest.raises(UsageError, match="at most 255 bytes"):
        check_folder(tmp_path / "new" / (256 * "a"))
    for name in ("file", "file/below", "link", "link/below"):
        with pytest.raises(UsageError, match="must be writable or possible to create"):
            check_folder(tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link"]


def test_all_or_none_names_the_file_that_was_wanted(tmp_path: Path) -> None:
    """Files of several folders appear together; after a failure none, and the right one is named."""
    (tmp_path / "b").mkdir()
    paths = [tmp_path / "a.csv", tmp_path / "b" / "c.json"]
    with atomic_files(paths) as partials:
        for partial, path in zip(partials, paths, strict=True):
            assert (partial.parent, partial.suffix) == (path.parent, path.suffix)
            partial.write_text("new")
    assert [path.read_text() for path in paths] == ["new", "new"]
    with pytest.raises(OutputError, match=r"a\.csv could not be written"), atomic_files(paths) as partials:  # noqa: PT012
        partials[1].write_text("newer")
        with output_errors(str(partials[0])):
            raise OSError(errno.ENOSPC, "No space left on device")
    assert paths[1].read_text() == "new"


def test_a_file_appears_whole(tmp_path: Path) -> None:
    """While it is written the old file stays; then the new one is there, and nothing else."""
    path = tmp_path / "out.json"
    path.write_text("old", encoding="utf-8")
    with atomic_writer(path) as stream:
        stream.write("n\udce9w\n")
        stream.flush()
        assert path.read_text(encoding="utf-8") == "old"
    assert path.read_bytes() == b"n%E9w\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_keeps_the_old_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    """Whatever goes wrong on the way is passed on, and no half of a file stays."""
    path = tmp_path / "out.json"
    path.write_text("old", encoding="utf-8")
    with pytest.raises(TypeError), atomic_writer(path) as stream:
        json.dump(["half", object()], stream)
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_an_output_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system has no space left the error says so, and nothing stays behind."""

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with (
        pytest.raises(OutputError, match=r"out\.json could not be written: No space left on device"),
        atomic_writer(tmp_path / "out.json") as stream,
    ):
        stream.write("half")
    assert list(tmp_path.iterdir()) == []


def test_files_that_belong_together_appear_at_once(tmp_path: Path) -> None:
    """Older ones stay until the last of the new ones is complete; files of other names stay for good."""
    for name in ("train", "other"):
        (tmp_path / name).write_text("old", encoding="utf-8")
    with atomic_folder(tmp_path) as folder:
        (folder / "train").write_text("new", encoding="utf-8")
        (folder / "users").mkdir()
        (folder / "users" / "ann").write_text("new", encoding="utf-8")
        assert (tmp_path / "train").read_text(encoding="utf-8") == "old"
    found = {str(path.relative_to(tmp_path)): path for path in tmp_path.rglob("*") if path.is_file()}
    contents = {name: path.read_text(encoding="utf-8") for name, path in found.items()}
    assert contents == {"train": "new", "other": "old", "users/ann": "new"}


def test_of_files_that_belong_together_none_appears_after_a_failure(tmp_path: Path) -> None:
    """The first one's being complete does not count, and nothing stays behind."""
    (tmp_path / "train").write_text("old", encoding="utf-8")
    wanted = re.escape(str(tmp_path / "missing" / "test.json"))

    def write() -> None:
        with atomic_folder(tmp_path) as folder:
            (folder / "train").write_text("new", encoding="utf-8")
            with atomic_writer(folder / "missing" / "test.json") as stream:
                stream.write("new")

    with pytest.raises(OutputError, match=f"^{wanted} could not be written"):
        write()
    assert [path.name for path in tmp_path.iterdir()] == ["train"]
    assert (tmp_path / "train").read_text(encoding="utf-8") == "old"


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    """Before anything is written."""
    with pytest.raises(OutputError, match="gone could not be written"), atomic_folder(tmp_path / "gone"):
        raise AssertionError("there is no folder to fill")


def test_an_update_keeps_the_old_file_until_it_is_complete(tmp_path: Path) -> None:
    """Permissions stay; a failure in the middle leaves the old content and no other file."""
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"old")
    path.chmod(0o640)
    with pytest.raises(TypeError), atomic_update(path) as stream:
        stream.writelines((b"half", None))  # type: ignore[arg-type]
    assert (path.read_bytes(), os.listdir(tmp_path)) == (b"old", ["photo.jpg"])
    with atomic_update(path) as stream:
        stream.write(b"new")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new", 0o640)


def test_an_update_refuses_a_write_protected_file(tmp_path: Path) -> None:
    """Even where the folder would allow a rename."""
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"old")
    path.chmod(0o444)
    with pytest.raises(UnwritableError, match="write-protected"), atomic_update(path) as stream:
        stream.write(b"new")
    assert path.read_bytes() == b"old"
