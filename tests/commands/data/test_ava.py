"""nimakit.commands.data.ava: `nimakit data ava`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nimakit.labels.label_file import read_labels
from terminal import Command

LINES = 255_530
"""As many as AVA.txt has."""


def _write_ava(folder: Path, count: int) -> Path:
    """An AVA.txt of simulated ratings in its published form; image k * 7 + 1 stands on line k."""
    random = np.random.default_rng(0)
    counts = random.poisson([1, 2, 8, 25, 60, 65, 30, 12, 4, 2], (count, 10))
    tags, challenges = random.integers(0, 67, (count, 2)), random.integers(1, 1400, count)
    index = np.arange(1, count + 1)
    table = np.column_stack([index, index * 7 + 1, counts, tags, challenges])
    np.savetxt(folder / "AVA.txt", table, fmt="%d")
    (folder / "tags.txt").write_text("1 Abstract\n14 Interior\n20 Still Life\n", encoding="utf-8")
    return folder / "AVA.txt"


def test_makes_train_and_test_files(nimakit: Command, tmp_path: Path) -> None:
    """A tenth is tested with, no image is in both files, and every count is that of AVA.txt."""
    ava = _write_ava(tmp_path, 200)
    result = nimakit("data", "ava", ava, "--output-dir", tmp_path / "new" / "AVA")
    assert result.code == 0, result.err
    summary = json.loads(result.out)
    train, test = (tmp_path / "new" / "AVA" / f"ava_labels_{n}.json" for n in ("train_entire", "test"))
    assert summary["files"] == {str(train): 180, str(test): 20}
    assert (summary["images"], summary["bins"], summary["bad_rows"]) == (200, list(range(1, 11)), [])
    given: dict[str, list[float]] = {}
    for path in (train, test):
        labels = read_labels(path)
        assert labels.counts is not None
        given |= dict(zip(labels.image_ids, labels.counts.tolist(), strict=True))
    lines = [line.split() for line in ava.read_text("utf-8").splitlines()]
    assert given == {fields[1]: [float(count) for count in fields[2:12]] for fields in lines}


def test_a_seed_gives_the_same_split_again(nimakit: Command, tmp_path: Path) -> None:
    """Equal seeds draw equal test images, others draw others."""
    ava = _write_ava(tmp_path, 100)
    drawn = []
    for seed in (1, 1, 2):
        assert nimakit("data", "ava", ava, "--output-dir", tmp_path, "--seed", seed).code == 0
        drawn.append(read_labels(tmp_path / "ava_labels_test.json").image_ids)
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize("tag", ["interior", "14"])
def test_a_tag_gives_a_train_file_of_its_own(nimakit: Command, tmp_path: Path, tag: str) -> None:
    """It holds those train images, and only those, that have the tag; the entire file is there too."""
    ava = _write_ava(tmp_path, 500)
    assert nimakit("data", "ava", ava, "--output-dir", tmp_path, "--tag", tag).code == 0
    interior, entire = (
        read_labels(tmp_path / f"ava_labels_{name}.json").image_ids for name in ("train", "train_entire")
    )
    lines = [line.split() for line in ava.read_text("utf-8").splitlines()]
    tagged = {fields[1] for fields in lines if "14" in fields[12:14]}
    assert set(interior) == tagged & set(entire)
    assert 0 < len(interior) < len(entire) == 450


@pytest.mark.parametrize("name", ["ids.txt", "ids.json"])
def test_takes_a_list_of_test_images(nimakit: Command, tmp_path: Path, name: str) -> None:
    """A text file or a label file; ids that AVA.txt does not have are told."""
    ava = _write_ava(tmp_path, 10)
    ids = ["8", "22", "999999"]
    text = "\n".join(ids) if name == "ids.txt" else json.dumps([{"image_id": one} for one in ids])
    (tmp_path / name).write_text(text, encoding="utf-8")
    result = nimakit("data", "ava", ava, "--output-dir", tmp_path, "--test-ids", tmp_path / name)
    assert result.code == 0
    assert "2 of the 3 ids" in result.err
    assert read_labels(tmp_path / "ava_labels_test.json").image_ids == ("8", "22")


def test_lists_bad_lines_or_leaves_them_out(nimakit: Command, tmp_path: Path) -> None:
    """Without --skip-bad nothing is written; with it the summary lists what was left out."""
    ava = _write_ava(tmp_path, 20)
    with ava.open("a", encoding="utf-8") as stream:
        stream.write("21 5 1 2 3\n")
    result = nimakit("data", "ava", ava, "--output-dir", tmp_path)
    assert (result.code, result.out) == (1, "")
    assert "AVA.txt, line 21: it has 5 values instead of 15" in result.err
    assert list(tmp_path.glob("*.json")) == []
    result = nimakit("data", "ava", ava, "--output-dir", tmp_path, "--skip-bad")
    assert result.code == 0
    assert json.loads(result.out)["bad_rows"] == [f"{ava}, line 21: it has 5 values instead of 15"]
    assert "1 bad row left out" in result.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tag", "indoor"], "--tag must be one of: 1 Abstract"),
        (["--tag", "interior", "--tags-file", "none.txt"], "must be readable"),
        (["--test-ids", "none.txt"], "must be readable"),
        (["--test-share", "1"], "'--test-share'"),
        (["--output-dir", "AVA.txt"], "could not be written"),
        (["--report", "report.pdf"], r"end in .html, .png"),
    ],
)
def test_ends_with_1_on_a_usage_error(
    nimakit: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    """Nothing is written or on stdout, and stderr says what is wrong."""
    _write_ava(tmp_path, 20)
    monkeypatch.chdir(tmp_path)
    result = nimakit("data", "ava", "AVA.txt", *arguments)
    assert (result.code, result.out) == (1, "")
    assert message in result.err
    assert "Traceback" not in result.err
    assert list(tmp_path.rglob("*.json")) == []


def test_refuses_a_split_that_leaves_a_file_empty(nimakit: Command, tmp_path: Path) -> None:
    """A list of test ids that are all unknown is no test set."""
    ava = _write_ava(tmp_path, 20)
    (tmp_path / "ids.txt").write_text("5\n", encoding="utf-8")
    result = nimakit("data", "ava", ava, "--output-dir", tmp_path, "--test-ids", tmp_path / "ids.txt")
    assert result.code == 1
    assert "Each file must get at least one image" in result.err
    assert list(tmp_path.glob("*.json")) == []


def test_refuses_to_leave_a_file_of_another_split(nimakit: Command, tmp_path: Path) -> None:
    """A train file that stays from an earlier run could hold what is tested with now."""
    ava = _write_ava(tmp_path, 200)
    assert nimakit("data", "ava", ava, "--output-dir", tmp_path, "--tag", "interior").code == 0
    before = (tmp_path / "ava_labels_test.json").read_bytes()
    result = nimakit("data", "ava", ava, "--output-dir", tmp_path, "--seed", 1)
    assert result.code == 1
    assert "ava_labels_train.json" in result.err
    assert (tmp_path / "ava_labels_test.json").read_bytes() == before


def test_a_full_disk_leaves_no_half_file(
    nimakit: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the file, and nothing of it stays."""
    ava = _write_ava(tmp_path, 20)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    result = nimakit("data", "ava", ava, "--output-dir", tmp_path / "out")
    assert result.code == 1
    assert "ava_labels_train_entire.json could not be written: No space left on device" in result.err
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.slow
def test_draws_a_report(nimakit: Command, tmp_path: Path) -> None:
    """--report is a page on all ratings that were read."""
    ava = _write_ava(tmp_path, 40)
    result = nimakit("data", "ava", ava, "--output-dir", tmp_path, "--report", tmp_path / "r.html")
    assert result.code == 0, result.err
    assert json.loads(result.out)["files"][str(tmp_path / "r.html")] == 40
    assert "Ratings: AVA.txt" in (tmp_path / "r.html").read_text("utf-8")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_the_whole_data_set_takes_seconds_and_little_memory(tmp_path: Path) -> None:
    """255,530 lines: under 10 s of CPU time and 1 GB of memory."""
    ava = _write_ava(tmp_path, LINES)
    program = (
        "import pathlib, time; from nimakit.cli import main\n"
        "try: main()\n"
        "finally:\n"
        "    print(time.process_time())\n"
        "    print(pathlib.Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "data", "ava", ava, "--tag", "interior", "--output-dir", tmp_path],
        capture_output=True,
        text=True,
        check=True,
    )
    seconds, kilobytes = done.stdout.splitlines()[-2:]
    assert float(seconds) < 10
    assert int(kilobytes) < 1_000_000
    assert len(read_labels(tmp_path / "ava_labels_train_entire.json").image_ids) == round(LINES * 0.9)
