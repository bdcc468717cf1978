"""nimakit.culling.watching: photographs as they come, once they are whole."""

import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nimakit.culling import watching
from nimakit.errors import UsageError
from samples import write_photo

SETTLED = 0.1


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a photograph that has been there for long."""
    folder = tmp_path / "in"
    folder.mkdir()
    os.utime(write_photo(folder / "old.jpg"), (1e9, 1e9))
    return folder


@pytest.fixture(params=["notified", "polled"])
def _notifications(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With notifications, and without: then the folder is listed often."""
    if request.param == "polled":
        monkeypatch.setitem(sys.modules, "watchdog.events", None)
        monkeypatch.setattr(watching, "_POLL_SECONDS", 0.05)


def _names(found: Iterator[object]) -> list[str]:
    return sorted(path.name for path in next(found))  # type: ignore[attr-defined]


@pytest.mark.usefixtures("_notifications")
def test_a_file_comes_once_it_is_whole(folder: Path) -> None:
    """While it grows it is not seen; files there at the start are, at once; other files never."""
    messages: list[str] = []
    found = watching.watch(folder, settled_seconds=SETTLED, notify=messages.append)
    assert _names(found) == ["old.jpg"]
    done: list[float] = []

    def write() -> None:
        (folder / "notes.txt").touch()
        with (folder / "new.jpg").open("wb") as stream:
            for _ in range(5):
                time.sleep(SETTLED / 2)
                stream.write(b"part")
                stream.flush()
        done.append(time.monotonic())

    writer = threading.Thread(target=write)
    writer.start()
    assert _names(found) == ["new.jpg", "old.jpg"]
    assert done
    writer.join()
    (folder / "old.jpg").unlink()
    assert _names(found) == ["new.jpg"]
    found.close()  # type: ignore[attr-defined]
    assert bool(messages) == (watching._POLL_SECONDS < 1)


def test_a_replaced_file_comes_again_and_a_removed_folder_ends_it(folder: Path) -> None:
    """The state differs, so that it is read again."""
    found = watching.watch(folder, settled_seconds=SETTLED)
    before = next(found)
    write_photo(folder / "old.jpg", 200, (30, 20))
    assert next(found) == {}  # being written
    assert next(found)[folder / "old.jpg"] != before[folder / "old.jpg"]
    shutil.rmtree(folder)
    with pytest.raises(UsageError, match="must be a file or a folder that exists"):
        next(found)


def test_an_empty_folder_is_waited_for(tmp_path: Path) -> None:
    """An upload folder is empty at first."""
    found = watching.watch(tmp_path, settled_seconds=SETTLED)
    assert next(found) == {}
    write_photo(tmp_path / "a.jpg")
    assert _names(found) == ["a.jpg"]
