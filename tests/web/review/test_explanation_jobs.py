"""Pictures of what a model looks at, made by a process of its own."""

import sys
import threading
import time
from pathlib import Path

import pytest
from PIL import Image

from nimakit.web.review import explanation_jobs
from nimakit.web.review.explanation_jobs import Explainer, Explanation
from samples import write_photo

# Draws as `nimakit explain` does, once the file `go` is there; counts how often it was started.
DRAWS = """\
import sys, time
from pathlib import Path
from PIL import Image
here = Path({here!r})
options = dict(word[2:].split("=", 1) for word in sys.argv[1:])
with (here / "started").open("a") as stream:
    stream.write(options["model"] + chr(10))
while not (here / "go").exists():
    time.sleep(0.02)
picture = Path(options["image-source"])
with Image.open(picture) as photo:
    photo.save(Path(options["output-dir"]) / (picture.stem + "_side_by_side.png"))
"""
FAILS = """\
import sys
print("nimakit: converting", file=sys.stderr)
print("nimakit: error: No such model. Received: x", file=sys.stderr)
sys.exit(1)
"""


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A picture whose name looks like an option."""
    return write_photo(tmp_path / "--a b.png", 120, (60, 40))


def made(tmp_path: Path, script: str = DRAWS) -> Explainer:
    """An explainer that runs a script; it draws at once where `go` is there already."""
    return Explainer(
        tmp_path / "data" / "explanations", command=(sys.executable, "-c", script.format(here=str(tmp_path)))
    )


def waited(found: Explainer, version: str = "1", model: str = "m") -> Explanation:
    """How it ended."""
    for _ in range(1000):
        state = found.find(version, model)
        if state.state != "working":
            return state
        time.sleep(0.02)
    pytest.fail("it never ended")


def test_a_picture_of_a_long_name_is_explained(tmp_path: Path, photo: Path) -> None:
    """Though nothing can be added to its name."""
    (tmp_path / "go").touch()
    found = made(tmp_path)
    found.ask(photo.rename(tmp_path / f"{'a' * 250}.png"), "1", "m")
    assert waited(found).state == "ready"


def test_a_picture_is_explained_once_and_kept(tmp_path: Path, photo: Path) -> None:
    """Whoever asks again, after a restart too, gets what was drawn; nothing else is left in the folder."""
    (tmp_path / "go").touch()
    found = made(tmp_path)
    assert found.find("1", "m").state == "none"
    assert found.ask(photo, "1", "m").state == "working"
    kept = waited(found)
    assert (kept.state, kept.reason) == ("ready", "")
    assert kept.file is not None
    with Image.open(kept.file) as drawn:
        assert drawn.size == (60, 40)
    assert made(tmp_path).ask(photo, "1", "m") == kept
    assert (tmp_path / "started").read_text() == "m\n"
    assert list(kept.file.parent.iterdir()) == [kept.file]


def test_one_at_a_time(tmp_path: Path, photo: Path) -> None:
    """However many ask at once, one process runs; who asks for another picture is told to wait."""
    found = made(tmp_path)
    askers = [threading.Thread(target=found.ask, args=(photo, "1", "m")) for _ in range(8)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert found.find("1", "m").state == "working"
    assert found.ask(photo, "2", "m").state == "busy"
    assert found.find("2", "m").state == "none"
    (tmp_path / "go").touch()
    assert waited(found).state == "ready"
    assert (tmp_path / "started").read_text() == "m\n"
    assert found.ask(photo, "2", "m").state == "working"
    assert waited(found, "2").state == "ready"


def test_a_failure_is_told_and_may_be_tried_again(tmp_path: Path, photo: Path) -> None:
    """In the words of the command; the next picture is not held up."""
    found = made(tmp_path, FAILS)
    found.ask(photo, "1", "m")
    failed = waited(found)
    assert (failed.state, failed.reason) == ("failed", "No such model. Received: x")
    assert found.ask(photo, "1", "m").state == "working"
    waited(found)


def test_output_that_is_no_text_fails_one_picture_alone(tmp_path: Path, photo: Path) -> None:
    """Libraries write what they like; the next picture is drawn."""
    found = made(tmp_path, "import os, sys; os.write(2, bytes([255, 10])); sys.exit(1)")
    found.ask(photo, "1", "m")
    assert waited(found).state == "failed"


def test_what_nobody_foresaw_keeps_nobody_busy(
    tmp_path: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The picture has failed, and may be asked for again."""
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    found = made(tmp_path)
    monkeypatch.setattr(found, "_draw", lambda *_: 1 / 0)
    found.ask(photo, "1", "m")
    assert waited(found).state == "failed"
    assert found.ask(photo, "1", "m").state == "working"


def test_what_a_killed_app_had_begun_goes(tmp_path: Path, photo: Path) -> None:
    """The next picture that is drawn takes it along."""
    begun = tmp_path / "data" / "explanations" / "partial-x"
    begun.mkdir(parents=True)
    (tmp_path / "go").touch()
    found = made(tmp_path)
    found.ask(photo, "1", "m")
    assert waited(found).state == "ready"
    assert not begun.exists()


def test_a_process_that_is_stuck_is_stopped(
    tmp_path: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds up nobody for ever."""
    monkeypatch.setattr(explanation_jobs, "_SECONDS", 0.2)
    found = made(tmp_path)
    found.ask(photo, "1", "m")
    assert "was stopped" in waited(found).reason


def test_a_full_or_unwritable_folder_is_told(tmp_path: Path, photo: Path) -> None:
    """Instead of a thread that dies and a picture that is worked on for ever."""
    (tmp_path / "data").touch()
    found = made(tmp_path)
    found.ask(photo, "1", "m")
    assert waited(found).reason.startswith("The explanation could not be stored")


def test_another_picture_or_model_has_its_own(tmp_path: Path, photo: Path) -> None:
    """Also a model file that was replaced under the same name."""
    (tmp_path / "go").touch()
    model = tmp_path / "m.onnx"
    model.touch()
    found = made(tmp_path)
    found.ask(photo, "1", str(model))
    assert waited(found, "1", str(model)).state == "ready"
    assert found.find("2", str(model)).state == "none"
    assert found.find("1", "aesthetic").state == "none"
    model.unlink()
    assert found.find("1", str(model)).state == "none"


def test_not_more_are_kept_than_there_is_room_for(
    tmp_path: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The longest kept goes first."""
    monkeypatch.setattr(explanation_jobs, "_MAX_CACHED", 2)
    (tmp_path / "go").touch()
    found = made(tmp_path)
    for version in "123":
        found.ask(photo, version, "m")
        waited(found, version)
    assert [found.find(version, "m").state for version in "123"] == ["none", "ready", "ready"]
