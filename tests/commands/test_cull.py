"""nimakit.commands.cull: `nimakit cull`."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from PIL import Image

from nimakit.culling import frames, watching
from nimakit.culling.watching import State
from nimakit.images.photo import Photo, open_photo
from samples import write_photo
from terminal import Command

COLOURS = {"red": (250, 10, 10), "green": (10, 200, 10), "blue": (10, 10, 240)}


@pytest.fixture
def shoot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of two copies of a red picture, a green one, and a blue one with its RAW file."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "shoot"
    folder.mkdir()
    for name, colour in COLOURS.items():
        Image.new("RGB", (64, 48), colour).save(folder / f"{name}.jpg", quality=95)
    shutil.copy(folder / "red.jpg", folder / "red copy.jpg")
    (folder / "blue.CR2").write_bytes(b"raw")
    return folder


@pytest.fixture
def cull(nimakit: Command, tiny_file: Path) -> Command:
    """Runs `nimakit cull` with the small model, and its features."""
    return lambda *arguments: nimakit("cull", "--model", tiny_file, "--encoder", tiny_file, *arguments)


def state(folder: Path) -> Mapping[str, bytes]:
    """Name -> content of each file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_without_apply_only_the_report_and_the_list_are_written(cull: Command, shoot: Path) -> None:
    """The summary says what was found, and what --apply would do."""
    before = state(shoot.parent)
    wanted = ("--keep", "2", "--report", "cull.html", "--list", "picks.txt")
    done = cull("--images", shoot, *wanted, "--xmp", "darktable", "--copy-to", "picks")
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0] == "2 of 4 photos kept: 2 single photographs and 1 set of duplicates in 3 scenes"
    assert lines[-2:] == ["would copy 2 picks to picks", "nothing was changed: add --apply"]
    assert re.fullmatch(r"would write stars and picks for darktable into \d files", lines[-3])
    after = state(shoot.parent)
    new = {name.partition("/")[0] for name in set(after) - set(before)}
    assert new == {"cull.html", "cull_files", "picks.txt"}
    assert {name: after[name] for name in before} == before
    picks = Path("picks.txt").read_text("utf-8").splitlines()
    assert len(picks) == 2
    assert picks[0] == "green.jpg"
    assert "<h1>2 of 4 photographs kept</h1>" in Path("cull.html").read_text("utf-8")


@pytest.mark.parametrize("how", ["copy", "move"])
def test_apply_marks_and_places_the_picks_and_undo_restores_every_byte(
    cull: Command, shoot: Path, how: str
) -> None:
    """The new sidecars and the RAW file go with the picks; one undo file is for all."""
    before = state(shoot)
    done = cull(
        "--images", shoot, "--xmp", "darktable", f"--{how}-to", "picks", "--apply", "--report", "r.html"
    )
    assert done.code == 0
    assert not done.out.endswith("add --apply\n")
    placed = state(Path("picks"))
    [undo_file] = (name for name in placed if name.startswith("cull-undo-"))
    assert placed["blue.CR2"] == b"raw"
    assert {"blue.jpg", "blue.jpg.xmp", "blue.CR2.xmp", "green.jpg", "green.jpg.xmp"} < set(placed)
    assert b'Rating="' in placed["green.jpg.xmp"]
    assert sum(name.startswith("red") and name.endswith(".jpg") for name in placed) == 1
    href = f"{'picks' if how == 'move' else 'shoot'}/green.jpg"
    assert f'href="{href}"' in Path("r.html").read_text("utf-8")
    assert f"nimakit cull --undo picks/{undo_file}" in done.err
    undone = cull("--undo", f"picks/{undo_file}")
    assert (undone.code, state(shoot)) == (0, before)
    assert set(state(Path("picks"))) == {undo_file}


def test_one_bad_photo_does_not_end_the_run(
    cull: Command, shoot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken files, RAW files without a preview, and files that vanish while they are read are listed."""
    (shoot / "broken.jpg").write_bytes((shoot / "red.jpg").read_bytes()[:200])
    (shoot / "raw.nef").write_bytes(b"II*\0\x08\0\0\0\0\0\0\0\0\0")
    write_photo(shoot / "gone.png")

    def vanish(path: Path, *, max_pixels: int) -> Photo:
        if path.name == "gone.png":
            path.unlink()
        return open_photo(path, max_pixels=max_pixels)

    monkeypatch.setattr(frames, "open_photo", vanish)
    done = cull("--images", shoot, "--report", "cull.html")
    assert done.code == 2
    assert done.out.startswith("3 of 4 photos kept")
    page = Path("cull.html").read_text("utf-8")
    for name in ("broken.jpg", "raw.nef", "gone.png"):
        assert f"{name}: " in done.err
        assert f"<b>{name}</b>" in page


def test_a_folder_of_one_photo_and_of_identical_ones(cull: Command, tmp_path: Path) -> None:
    """One is kept, with average stars; nothing is compared with nothing."""
    folder = tmp_path / "shoot"
    folder.mkdir()
    write_photo(folder / "a.jpg")
    done = cull("--images", folder, "--stars", "--keep", "50%")
    assert (done.code, done.out.splitlines()[0]) == (
        0,
        "1 of 1 photo kept: 1 single photograph in 1 scene",
    )
    assert "stars: 1 with 3" in done.out
    for name in ("b", "c"):
        shutil.copy(folder / "a.jpg", folder / f"{name}.jpg")
    done = cull("--images", folder, "--keep", "3")
    assert done.out.startswith("1 of 3 photos kept: 1 set of duplicates in 1 scene")


def test_a_disk_that_cannot_be_written_leaves_everything(
    cull: Command, shoot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The undo file comes first: where it cannot be written, nothing is."""
    before = state(shoot)
    real = Path.replace

    def refuse(self: Path, target: Path) -> Path:
        if shoot in Path(target).parents:
            raise OSError(30, "Read-only file system")
        return real(self, target)

    monkeypatch.setattr(Path, "replace", refuse)
    done = cull("--images", shoot, "--xmp", "darktable", "--apply")
    assert done.code == 1
    assert re.search(r"cull-undo-\S+\.json could not be written: Read-only file system", done.err)
    assert state(shoot) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Name the photos by one of --images, --watch, --undo. Received: none of them"),
        (("--images", "shoot", "--watch", "shoot"), "Received: --images and --watch"),
        (("--images", "shoot", "--apply"), "--apply needs something to do"),
        (("--images", "shoot", "--overwrite-ratings"), "needs --xmp"),
        (("--images", "shoot", "--copy-to", "a", "--link-to", "b"), "Received: --copy-to and --link-to"),
        (("--images", "shoot", "--move-to", "shoot"), "must not be among those that are culled"),
        (("--images", "shoot", "--recursive", "--copy-to", "shoot/a"), "with --recursive and shoot/a"),
        (("--watch", "shoot", "--xmp", "darktable"), "--watch writes only --report and --list"),
        (("--images", "shoot", "--keep", "0"), "a number of photos such as 40"),
        (("--images", "shoot", "--keep", "150%"), "a share such as 10%. Received: 150%"),
        (("--images", "shoot", "--stars", "50,50"), "five percentages"),
        (("--undo", "shoot/red.jpg"), "An undo file must be one that nimakit wrote"),
        (("--undo", "none.json"), "The undo file must be readable"),
        (("--images", "none"), "must be a file or a folder that exists"),
    ],
)
def test_refuses_options_that_contradict_each_other(
    cull: Command, shoot: Path, arguments: tuple[str, ...], message: str
) -> None:
    """Before any photo is read."""
    done = cull(*arguments)
    assert done.code == 1
    assert message in done.err
    assert not done.out


def test_watch_prints_a_line_for_each_new_photo(
    cull: Command, shoot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what is new is read; the page reloads itself until the end."""
    first = {shoot / "red.jpg": State(1, 1)}
    second = first | {shoot / "red copy.jpg": State(2, 2), shoot / "blue.CR2": State(3, 3)}
    pages = []

    def watch(*_: object, **__: object) -> object:
        for whole in ({}, first, second):
            yield whole
            pages.append(Path("cull.html").read_text("utf-8"))
        raise KeyboardInterrupt

    monkeypatch.setattr(watching, "watch", watch)
    done = cull("--watch", shoot, "--report", "cull.html", "--list", "picks.txt")
    assert done.code == 0
    records = [json.loads(line) for line in done.out.splitlines()]
    assert [record["image"] for record in records] == ["red.jpg", "red copy.jpg"]
    assert (records[1]["group"], records[1]["frames"]) == ("duplicates", 2)
    assert sorted(record["kept"] for record in records[1:]) == [False]
    assert done.err.count("blue.CR2: ") == 1
    assert all('http-equiv="refresh"' in page for page in pages)
    assert 'http-equiv="refresh"' not in Path("cull.html").read_text("utf-8")
    assert Path("picks.txt").read_text("utf-8") == "red.jpg\n"
    assert done.err.endswith("nimakit: stopped watching\n")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_watch_stops_cleanly(shoot: Path, tiny_file: Path, number: signal.Signals) -> None:
    """A photo that comes is scored within seconds; then a signal ends the process with exit code 0."""
    options = ["--model", str(tiny_file), "--encoder", str(tiny_file), "--watch", str(shoot)]
    command = [sys.executable, "-m", "nimakit", "cull", *options]
    os.utime(shoot / "blue.CR2")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        images = {json.loads(process.stdout.readline())["image"] for _ in range(4)}
        assert images == {"red.jpg", "red copy.jpg", "green.jpg", "blue.jpg"}
        write_photo(shoot / "new.jpg", 200)
        started = time.monotonic()
        assert json.loads(process.stdout.readline())["image"] == "new.jpg"
        assert time.monotonic() - started < 9  # the folder is listed every ten seconds without notifications
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 0
    assert errors.endswith("stopped watching\n")
