"""nimakit.jobs: job folders."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nimakit.errors import OutputError, UsageError
from nimakit.jobs import Job, read_splits

LOCKED = """
import sys
from pathlib import Path
from nimakit.jobs import Job
with Job.open(Path(sys.argv[1])).lock():
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_makes_a_folder_named_after_the_second(tmp_path: Path) -> None:
    """It holds the files given, folders for logs and weights, and a run.json that says prepared."""
    job = Job.create(tmp_path / "new" / "jobs", {"config.json": b"{}", "samples.json": b"[]"}, {"seed": 3})
    assert job.folder.parent == tmp_path / "new" / "jobs"
    assert re.fullmatch(r"\d{4}(_\d\d){5}", job.name)
    assert (job.config_file.read_bytes(), job.samples_file.read_bytes()) == (b"{}", b"[]")
    assert (job.logs.is_dir(), job.weights.is_dir(), job.state.exists()) == (True, True, False)
    run = job.run()
    assert (run["status"], run["seed"]) == ("prepared", 3)
    assert run["created"].endswith("+00:00")


@pytest.mark.slow
def test_a_second_job_waits_for_the_next_second(tmp_path: Path) -> None:
    """Two jobs never share a folder, and their names sort by time."""
    time.sleep(1.01 - time.time() % 1)  # early in a second, so that both would begin in it
    first, second = (Job.create(tmp_path, {}, {}) for _ in range(2))
    assert first.name < second.name


def test_gives_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job goes on where the working directory changes."""
    monkeypatch.chdir(tmp_path)
    job = Job.create(Path("jobs"), {}, {})
    assert job.folder.is_absolute()
    assert Job.open(job.folder.relative_to(tmp_path)) == job


def test_refuses_a_jobs_folder_that_is_a_file(tmp_path: Path) -> None:
    """What is in the way is named."""
    (tmp_path / "jobs").write_text("in the way", encoding="utf-8")
    with pytest.raises(
        OutputError, match=r"The jobs folder must be writable. Received: .*jobs \(File exists"
    ):
        Job.create(tmp_path / "jobs", {}, {})


@pytest.mark.parametrize("name", ["none", "empty", "file"])
def test_opens_job_folders_alone(tmp_path: Path, name: str) -> None:
    """A folder that is missing, or holds no run.json, is no job; nor is a file."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=rf"holds run\.json.* Received: .*{name}, without one"):
        Job.open(tmp_path / name)


def test_notes_add_to_what_is_known(tmp_path: Path) -> None:
    """A note sets the status and what it is given, and keeps all else."""
    job = Job.create(tmp_path, {}, {"missing": ["a"], "seed": 1})
    job.update("failed", error="disk full", seed=2)
    run = job.run()
    assert (run["status"], run["error"], run["seed"], run["missing"]) == ("failed", "disk full", 2, ["a"])


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"status"'])
def test_refuses_a_damaged_run_file(tmp_path: Path, content: str) -> None:
    """What is no JSON object with a status is told by its name."""
    job = Job.create(tmp_path, {}, {})
    job.run_file.write_text(content, encoding="utf-8")
    with pytest.raises(UsageError, match=r"run\.json"):
        job.run()


def test_a_note_appears_whole(tmp_path: Path) -> None:
    """A note that cannot be written leaves the one before it."""
    job = Job.create(tmp_path, {}, {})
    with pytest.raises(TypeError):
        job.update("complete", answer=object())
    assert json.loads(job.run_file.read_text("utf-8"))["status"] == "prepared"
    assert sorted(path.name for path in job.folder.iterdir()) == ["logs", "run.json", "weights"]


def test_a_job_is_done_by_one_process_at_a_time(tmp_path: Path) -> None:
    """A second one is refused while the first is at it, however that ends."""
    job = Job.create(tmp_path, {}, {})
    with subprocess.Popen(
        [sys.executable, "-c", LOCKED, job.folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        with (
            pytest.raises(UsageError, match=r"only one process at a time. Received: .*in training"),
            job.lock(),
        ):
            pytest.fail("locked twice")
        other.kill()
    with job.lock():
        pass


def _split_job(folder: Path, **parts: list[str]) -> Job:
    job = Job.create(folder, {"split.json": json.dumps(parts).encode()}, {})
    (job.weights / "w.weights.h5").touch()
    job.model_file.touch()
    return job


def test_reads_what_models_were_trained_on(tmp_path: Path) -> None:
    """By a model or its weights; several models, or one that started from another, have learned from both."""
    first = _split_job(tmp_path / "1", training=["a"], validation=["b"])
    second = _split_job(tmp_path / "2", training=["c"], validation=[])
    expected = {"training": {"a"}, "validation": {"b"}}
    assert read_splits([first.model_file]) == read_splits([first.weights / "w.weights.h5"]) == expected
    both = {"training": {"a", "c"}, "validation": {"b"}}
    assert read_splits([first.model_file, second.model_file]) == both
    started_from = str(first.weights / "w.weights.h5")
    second.config_file.write_text(json.dumps({"existing_weights": started_from}), encoding="utf-8")
    assert read_splits([second.model_file]) == both
    first.config_file.write_text(json.dumps({"existing_weights": str(second.model_file)}), encoding="utf-8")
    assert read_splits([second.model_file]) == both  # a circle ends


def test_files_outside_of_jobs_have_no_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is no file is not looked for next to a split.json of the working directory."""
    monkeypatch.chdir(_split_job(tmp_path, training=["a"]).folder)
    (tmp_path / "m.onnx").touch()
    assert read_splits([tmp_path / "m.onnx", Path("aesthetic")]) == {}


def test_a_split_of_an_earlier_version_names_images_as_labels_do(tmp_path: Path) -> None:
    """Umlauts of a Mac, two characters each, are the one that labels have."""
    job = _split_job(tmp_path, training=["Zu\u0308rich", "a"], validation=["caf\u00e9"])
    expected = {"training": {"Z\u00fcrich", "a"}, "validation": {"caf\u00e9"}}
    assert job.split() == read_splits([job.model_file]) == expected


@pytest.mark.parametrize(
    "text", ['["a", "b"]', '{"train": ["a"], "val": ["b"]}', '{"training": 0.8}', "80/20", "{"]
)
def test_passes_over_the_split_of_another_program(tmp_path: Path, text: str) -> None:
    """A file of that name next to a model, outside of a job, is said once; that of a job is damaged."""
    (tmp_path / "m.onnx").touch()
    (tmp_path / "split.json").write_text(text, encoding="utf-8")
    said: list[str] = []
    assert read_splits([tmp_path / "m.onnx"], notify=said.append) == read_splits([tmp_path / "m.onnx"]) == {}
    [line] = said
    assert line.startswith("ignored, because it belongs to no training job: ")
    assert str(tmp_path / "split.json") in line
    (tmp_path / "run.json").write_text('{"status": "complete"}', encoding="utf-8")
    with pytest.raises(UsageError, match=r"split\.json"):
        read_splits([tmp_path / "m.onnx"])
