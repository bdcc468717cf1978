"""nimakit.commands.train: `nimakit train`."""

from pathlib import Path

import pytest

from nimakit.errors import TrainingError
from nimakit.jobs import Job
from nimakit.training import job as training_job
from samples import write_photo
from small_jobs import write_config, write_labels
from terminal import Command


@pytest.fixture
def given(tmp_path: Path) -> list[object]:
    """Options of a small job with two photographs."""
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    for name in "ab":
        write_photo(photographs / f"{name}.jpg")
    return [
        *("--config-file", write_config(tmp_path / "config.json")),
        *("--samples-file", write_labels(tmp_path / "labels.json", ["a", "b"])),
        *("--image-dir", photographs),
        *("--jobs-dir", tmp_path / "train_jobs"),
    ]


@pytest.fixture
def prepared(tmp_path: Path) -> Job:
    """A job that cannot run: its folder has a run.json and hardly anything else."""
    return Job.create(tmp_path / "train_jobs", {}, {})


@pytest.mark.parametrize("left_out", ["--config-file", "--samples-file", "--image-dir"])
def test_needs_config_labels_and_images(nimakit: Command, given: list[object], left_out: str) -> None:
    """The message names the three required options, and --resume."""
    place = given.index(left_out)
    result = nimakit("train", *given[:place], *given[place + 2 :])
    assert (result.code, result.out) == (1, "")
    assert "A job needs --config-file, --samples-file and --image-source, or --features" in result.err


@pytest.mark.parametrize(
    "further", [["--config-file", "c.json"], ["--test-samples-file", "t.json"], ["--prepare-only"]]
)
def test_resume_takes_no_other_job(nimakit: Command, prepared: Job, further: list[str]) -> None:
    """Options that would change a resumed job are refused."""
    result = nimakit("train", "--resume", prepared.folder, *further)
    assert (result.code, result.out) == (1, "")
    assert "--resume JOB takes everything else from the job folder" in result.err
    assert prepared.run()["status"] == "prepared"


def test_a_resumed_job_goes_on_otherwise_where_it_may(
    nimakit: Command, prepared: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--allow-missing and --docker-image may change on resume; all else is kept."""
    found: list[object] = []
    monkeypatch.setattr(training_job, "train", lambda _job, *, changes, **_: found.append(changes))
    assert nimakit("train", "--resume", prepared.folder).code == 0
    assert nimakit("train", "--resume", prepared.folder, "--allow-missing", "--docker-image", "x").code == 0
    assert found == [{}, {"allow_missing": True, "docker_image": "x"}]


def test_refuses_an_unknown_option(nimakit: Command) -> None:
    """An unknown option is refused by name."""
    result = nimakit("train", "--epochs", 3)
    assert (result.code, result.out) == (1, "")
    assert "--epochs" in result.err


def test_prepare_only_prints_the_folder_and_ends(
    nimakit: Command, given: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stdout is the path of a prepared job; nothing is trained."""
    monkeypatch.setattr(training_job, "train", lambda *_, **__: pytest.fail("trained"))
    image = ("--docker-image", "nima-gpu")
    result = nimakit("train", *given, "--prepare-only", "--detach", *image)
    assert result.code == 0
    [folder] = (tmp_path / "train_jobs").iterdir()
    assert result.out == f"{folder}\n"
    run = Job.open(folder).run()
    assert (run["status"], run["docker_image"]) == ("prepared", "nima-gpu")


def test_trains_what_it_prepared(
    nimakit: Command, given: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder is on stderr before the job, and is the only output on stdout after it."""
    trained: list[Job] = []
    monkeypatch.setattr(training_job, "train", lambda job, **_: trained.append(job))
    result = nimakit("train", *given)
    [job] = trained
    assert (result.code, result.out) == (0, f"{job.folder}\n")
    assert f"nimakit: job folder {job.folder}\n" in result.err
    assert job.folder.parent == tmp_path / "train_jobs"


def test_leaves_no_folder_of_a_refused_job(nimakit: Command, given: list[object], tmp_path: Path) -> None:
    """A problem gives exit code 1 and a message, and no folder is created."""
    write_config(tmp_path / "config.json", n_classes=7)
    result = nimakit("train", *given)
    assert (result.code, result.out) == (1, "")
    assert "n_classes must be the number of bins" in result.err
    assert "Traceback" not in result.err
    assert not (tmp_path / "train_jobs").exists()


def test_resuming_a_complete_job_changes_nothing(nimakit: Command, prepared: Job) -> None:
    """A complete job is reported as such, with exit code 0."""
    write_config(prepared.config_file)
    prepared.update("complete")
    before = prepared.run()
    result = nimakit("train", "--resume", prepared.folder)
    assert (result.code, result.out) == (0, f"{prepared.folder}\n")
    assert "the job is complete" in result.err
    assert prepared.run() == before


def test_resumes_job_folders_alone(nimakit: Command, tmp_path: Path) -> None:
    """A folder that is not a job is named in the error."""
    result = nimakit("train", "--resume", tmp_path)
    assert (result.code, result.out) == (1, "")
    assert f"Received: {tmp_path}, without one" in result.err


@pytest.mark.parametrize(
    ("error", "code"),
    [(TrainingError("The loss must stay finite."), 1), (KeyboardInterrupt(), 130)],
    ids=["failed", "stopped"],
)
def test_exit_codes_tell_how_a_job_ended(
    nimakit: Command, prepared: Job, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int
) -> None:
    """1 for a job that failed, 130 for one that was stopped; neither leaves a path on stdout."""

    def end(job: Job, **_: object) -> None:
        raise error

    monkeypatch.setattr(training_job, "train", end)
    result = nimakit("train", "--resume", prepared.folder)
    assert (result.code, result.out) == (code, "")
    assert str(error) in result.err
    assert "Traceback" not in result.err
