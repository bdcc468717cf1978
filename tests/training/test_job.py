"""nimakit.training.job: a job from its folder to a model, figures, a report and a model card."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nimakit import __version__
from nimakit.config import read_train_config
from nimakit.errors import MissingExtraError, OutputError, TrainingError, UsageError
from nimakit.jobs import Job
from nimakit.models.network import Network
from nimakit.scoring import charts
from nimakit.scoring import report as training_report
from nimakit.stats.histogram import default_bins, mean
from nimakit.training import job as training_job
from nimakit.training import labelled_set, upload
from nimakit.training.labelled_set import JobData
from small_jobs import BINS, COUNT, SMALL, history, label_of, small_job, write_labels, write_photographs

pytestmark = [
    pytest.mark.slow,
    # Keras and TensorFlow are behind NumPy 2 in two places.
    pytest.mark.filterwarnings("ignore:In the future `np.object`:FutureWarning"),
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
]

HEAD_ALONE: dict[str, Any] = {"base_model_name": SMALL, "epochs_train_all": 0}
NewJob = Callable[..., Job]


def _ignore(text: str) -> None:
    """Ignore a message."""


@pytest.fixture(scope="module", autouse=True)
def _registered() -> Iterator[None]:
    """Configs may name the small backbone."""
    import small_backbone

    with small_backbone.registered():
        yield


@pytest.fixture
def new_job(tmp_path: Path) -> NewJob:
    """Prepares jobs that train the head of the small backbone."""
    return lambda **changes: small_job(tmp_path, **{**HEAD_ALONE, **changes})


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Job, list[str]]:
    """A finished job with a test set, and its messages."""
    messages: list[str] = []
    decoded: dict[str, Any] = {"resize_filter": "bilinear", "decode": "scaled"}
    job = small_job(tmp_path_factory.mktemp("done"), test=True, seed=7, **HEAD_ALONE, **decoded)
    training_job.train(job, notify=messages.append)
    return job, messages


@pytest.mark.parametrize(
    ("count", "share", "kept_back"),
    [(100, 0.05, 5), (100, 0.0, 0), (10, 0.001, 1), (3, 0.99, 2), (2, 0.5, 1), (1, 0.5, 0), (5, 0.5, 2)],
)
def test_splits_by_share(count: int, share: float, kept_back: int) -> None:
    """Every index is in one part, ascending; one of each at the least where two can be had."""
    parts = labelled_set.split(count, share, 0)
    assert len(parts["validation"]) == kept_back
    assert sorted(parts["training"] + parts["validation"]) == list(range(count))
    assert all(part == sorted(part) for part in parts.values())


def test_splits_by_seed() -> None:
    """The same seed keeps the same photographs back, another one others."""
    assert labelled_set.split(100, 0.2, 3) == labelled_set.split(100, 0.2, 3)
    assert labelled_set.split(100, 0.2, 3) != labelled_set.split(100, 0.2, 4)


def test_ranks_scores_among_the_ratings_it_learned_from(done: tuple[Job, list[str]]) -> None:
    """The model file contains the quantiles of the mean ratings of the training set only."""
    job, _ = done
    about = Network(job.model_file).metadata
    learned = labelled_set.split(COUNT, 0.25, 7)["training"]
    labels = np.array([label_of(index / (COUNT - 1)) for index in learned])
    ratings = mean(labels / labels.sum(axis=1, keepdims=True), default_bins(BINS))
    expected = np.quantile(ratings, np.linspace(0, 1, 101))
    np.testing.assert_allclose(about.reference_quantiles, expected, atol=1e-5)
    assert about.reference == "mean ratings people gave the 18 photographs it learned from"
    assert about.trained_on == "18 photographs with ratings from 1 to 5"
    assert (about.name, about.base_model) == (f"Small-{job.name}", "Small")


def test_the_file_has_the_errors_of_the_validation_set(done: tuple[Job, list[str]]) -> None:
    """From which scores get intervals."""
    found = Network(done[0].model_file).known_errors
    assert found is not None
    assert (len(found.errors), found.basis) == (6, "6 photographs, validation")


def test_writes_how_photographs_are_decoded(done: tuple[Job, list[str]]) -> None:
    """Into the model file, which earlier versions refuse, and the model card."""
    job, _ = done
    written = Network(job.model_file).metadata
    assert (written.preprocessing.resize_filter, written.preprocessing.decode) == ("bilinear", "scaled")
    assert json.loads(written.to_json())["format_version"] == 2
    assert "after a JPEG was decoded at a fraction of its size" in job.card_file.read_text("utf-8")


def test_writes_the_figures_of_validation_and_test_set(done: tuple[Job, list[str]]) -> None:
    """metrics.json and the messages contain both."""
    job, messages = done
    figures = json.loads(job.metrics_file.read_text("utf-8"))
    assert {name: figure["images"] for name, figure in figures.items()} == {"validation": 6, "test": 6}
    assert all(0 < figure["emd"] < 1 for figure in figures.values())
    for name in figures:
        assert sum(text.startswith(f"{name}: 6 labelled images: EMD") for text in messages) == 1


def test_writes_a_report_and_a_model_card(done: tuple[Job, list[str]]) -> None:
    """Both name the model, its training data and its figures."""
    job, _ = done
    figures = json.loads(job.metrics_file.read_text("utf-8"))
    report, card = job.report_file.read_text("utf-8"), job.card_file.read_text("utf-8")
    assert "How it learned" in report
    assert "Test: 6 pictures" in report
    for page in (report, card):
        assert job.name in page.replace("\\_", "_")
        assert "18 photographs" in page
        assert f"{figures['test']['emd']:.2f}" in page
        assert "These figures are a rough guide, from only 6 images" in page


def test_shows_what_the_model_looks_at(done: tuple[Job, list[str]]) -> None:
    """The report has saliency maps below its pictures."""
    job, _ = done
    report = job.report_file.read_text("utf-8")
    assert report.count("What the model looks at in test") >= 6


@pytest.fixture
def no_charts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The charts of reports, which take a second, are empty."""
    monkeypatch.setattr(charts, "svg", lambda name, *_: f'<svg id="{name}"></svg>')


@pytest.fixture
def no_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports have no saliency maps, which take a second too."""
    monkeypatch.setattr(training_job, "_drawer", lambda *_: None)


def _judged(job: Job, folder: Path, messages: list[str], **changes: Any) -> Job:
    """Evaluate and report a copy of a finished job, with changes to its config and so another split."""
    copy = Job.open(Path(shutil.copytree(job.folder, folder / job.name)))
    copy.split_file.unlink()
    copy.test_samples_file.unlink()
    values = json.loads(copy.config_file.read_text("utf-8"))
    copy.config_file.write_text(json.dumps({**values, **changes}), "utf-8")
    config = read_train_config(copy.config_file)
    rows: list[dict[str, Any]] = [
        {name: value if name == "phase" else float(value) for name, value in row.items()}
        for row in history(copy)
    ]
    if not config.validation_split:
        rows = [{**row, "val_loss": None} for row in rows]
    training_job._evaluate_and_report(copy, config, JobData(copy, config, copy.run()), rows, messages.append)
    return copy


def test_says_in_run_json_what_a_result_depends_on(done: tuple[Job, list[str]]) -> None:
    """Seed, versions and times; a complete job has no state and no error."""
    job, _ = done
    run = job.run()
    assert (run["status"], run["seed"], run["error"], len(run["starts"])) == ("complete", 7, None, 1)
    assert run["versions"]["nimakit"] == __version__
    assert {"python", "keras", "numpy", "onnxruntime"} <= set(run["versions"])
    assert run["created"] <= run["starts"][0] <= run["ended"]
    assert not job.state.exists()


def test_notes_what_was_kept_back(done: tuple[Job, list[str]]) -> None:
    """split.json has the image_ids of both parts."""
    job, _ = done
    parts = json.loads(job.split_file.read_text("utf-8"))
    expected = labelled_set.split(COUNT, 0.25, 7)
    assert parts == {name: [f"p{row:02d}" for row in rows] for name, rows in expected.items()}


def test_keeps_its_split_whatever_goes_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If photos are left out when a job resumes, the others stay in their sets."""
    found: list[dict[str, list[int]]] = []

    def learn(_job: Job, _config: Any, data: Any, *_: Any) -> None:
        found.append(data.parts)
        raise KeyboardInterrupt

    monkeypatch.setattr(training_job, "_train_and_export", learn)
    job = small_job(tmp_path, allow_missing=True, **HEAD_ALONE)
    with pytest.raises(KeyboardInterrupt):
        training_job.train(job, notify=_ignore)
    parts = json.loads(job.split_file.read_text("utf-8"))
    Path(job.run()["image_dir"], f"{parts['training'][0]}.jpg").unlink()
    with pytest.raises(KeyboardInterrupt):
        training_job.train(job, notify=_ignore)
    assert [{name: len(rows) for name, rows in split.items()} for split in found] == [
        {"training": 18, "validation": 6},
        {"training": 17, "validation": 6},
    ]
    assert json.loads(job.split_file.read_text("utf-8")) == parts


def test_resumes_with_a_split_in_the_spelling_of_a_mac(tmp_path: Path) -> None:
    """Each photograph stays in its part of a split that an earlier version wrote."""
    names = write_photographs(tmp_path / "photographs", prefix="Zu\u0308rich")
    write_labels(tmp_path / "labels.json", names)
    job = small_job(tmp_path, **HEAD_ALONE)
    job.split_file.write_text(json.dumps({"training": names[5:], "validation": names[:5]}), "utf-8")
    data = JobData(job, read_train_config(job.config_file), job.run())
    assert data.parts == {"training": list(range(5, COUNT)), "validation": list(range(5))}


def test_leaves_a_complete_job_unchanged(done: tuple[Job, list[str]]) -> None:
    """Training it again reports that it is complete, and changes no file."""
    job, _ = done
    kept = [path for path in job.folder.rglob("*") if path.is_file() and path.name != ".lock"]
    before = {path: path.stat().st_mtime_ns for path in kept}
    messages: list[str] = []
    training_job.train(job, notify=messages.append)
    assert messages == [f"the job is complete: {job.report_file}"]
    assert before == {path: path.stat().st_mtime_ns for path in before}


@pytest.mark.usefixtures("no_charts", "no_maps")
def test_says_what_the_weights_it_started_from_have_learned_from(
    done: tuple[Job, list[str]], tmp_path: Path
) -> None:
    """Photographs kept back now were trained on by the previous job, whose model the new one is next to."""
    [weights] = done[0].weights.iterdir()
    messages: list[str] = []
    job = _judged(done[0], tmp_path, messages, existing_weights=str(weights), seed=8)
    figures = json.loads(job.metrics_file.read_text("utf-8"))["validation"]
    before, now = (set(labelled_set.split(COUNT, 0.25, seed)["validation"]) for seed in (7, 8))
    assert figures["training_images"] == len(now - before) > 0
    assert figures["validation_images"] == len(now & before)
    [sentence] = (text for text in messages if text.startswith("The model it started from has an SRCC of"))
    assert sentence in job.report_file.read_text("utf-8")


@pytest.mark.usefixtures("no_charts", "no_maps")
def test_evaluates_on_the_training_set_where_nothing_is_kept_back(
    done: tuple[Job, list[str]], tmp_path: Path
) -> None:
    """Without a validation set the figures are of the training set, and are called that."""
    job = _judged(done[0], tmp_path, [], validation_split=0)
    figures = json.loads(job.metrics_file.read_text("utf-8"))
    assert {name: figure["images"] for name, figure in figures.items()} == {"training": COUNT}
    report, card = (file.read_text("utf-8") for file in (job.report_file, job.card_file))
    assert "No pictures were kept for validation" in report
    for page in (report, card):
        assert "The model was trained on 24 of the 24 images" in page


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs are complete without being trained."""
    monkeypatch.setattr(training_job, "_train_and_export", lambda *_: [])
    monkeypatch.setattr(training_job, "_evaluate_and_report", lambda *_: None)


@pytest.mark.usefixtures("untrained")
def test_a_failed_job_says_why_and_can_be_resumed(new_job: NewJob) -> None:
    """A missing photograph fails the job; once it is back, the job completes."""
    job = new_job()
    photograph = Path(job.run()["image_dir"], "p03.jpg")
    away = photograph.with_suffix(".away")
    photograph.rename(away)
    with pytest.raises(UsageError, match=r"must stay where they are. Received: .* without 1 of them: p03"):
        training_job.train(job, notify=_ignore)
    run = job.run()
    assert (run["status"], "without 1 of them: p03" in run["error"]) == ("failed", True)
    away.rename(photograph)
    training_job.train(job, notify=_ignore)
    run = job.run()
    assert (run["status"], run["error"], len(run["starts"])) == ("complete", None, 2)


@pytest.mark.slow
def test_a_job_resumes_without_damaged_photographs_if_allowed(
    new_job: NewJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The advice in the error works: the job completes, and run.json says how it was resumed."""
    monkeypatch.setattr(training_job, "_evaluate_and_report", lambda *_: None)
    job = new_job()
    photographs = Path(job.run()["image_dir"])
    (photographs / "p03.jpg").write_bytes(b"no picture")
    (photographs / "p04.jpg").unlink()
    with pytest.raises(UsageError, match=r"without 1 of them: p04; .*: --resume with --allow-missing"):
        training_job.train(job, notify=_ignore)
    messages: list[str] = []
    training_job.train(job, notify=messages.append, changes={"allow_missing": True, "docker_image": "x"})
    run = job.run()
    assert (run["status"], run["allow_missing"], run["docker_image"]) == ("complete", True, "x")
    assert any("left out 1 photographs that cannot be decoded" in text for text in messages)


def test_an_unforeseen_error_fails_a_job_too(new_job: NewJob, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its first line is in run.json and in the message, the rest in the logs."""

    def learn(*_: Any) -> None:
        raise ValueError("odd\nand long")

    monkeypatch.setattr(training_job, "_train_and_export", learn)
    job = new_job()
    with pytest.raises(TrainingError, match=r"Training failed: odd .*error\.txt"):
        training_job.train(job, notify=_ignore)
    assert "and long" in (job.logs / "error.txt").read_text("utf-8")
    assert (job.run()["status"], job.run()["error"]) == ("failed", "odd")


def test_a_job_in_training_is_not_trained_twice(new_job: NewJob) -> None:
    """A second training is refused, and changes nothing."""
    job = new_job()
    with job.lock(), pytest.raises(UsageError, match="in training already"):
        training_job.train(job, notify=_ignore)
    assert job.run()["status"] == "prepared"


def test_asks_for_missing_packages_before_it_trains(new_job: NewJob, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job never runs for days to end without a report."""

    def missing() -> None:
        raise MissingExtraError("pip install it")

    monkeypatch.setattr(training_report, "require", missing)
    job = new_job()
    with pytest.raises(MissingExtraError):
        training_job.train(job, notify=_ignore)
    assert job.run()["status"] == "prepared"


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize("is_there", [True, False])
def test_copies_a_complete_job_to_its_bucket(
    new_job: NewJob, monkeypatch: pytest.MonkeyPatch, is_there: bool
) -> None:
    """A copy that fails is an error of its own: the job is complete all the same."""
    seen: list[object] = []

    def upload_job(folder: Path, bucket: str, *, notify: Any) -> str:
        seen.extend([folder, bucket, Job.open(folder).run()["status"]])
        if not is_there:
            raise OutputError("the bucket is gone")
        return "s3://photos/job/"

    monkeypatch.setattr(upload, "require", lambda: None)
    monkeypatch.setattr(upload, "upload_job", upload_job)
    job = new_job(s3_bucket="photos")
    messages: list[str] = []
    with nullcontext() if is_there else pytest.raises(OutputError, match="the bucket is gone"):
        training_job.train(job, notify=messages.append)
    assert seen == [job.folder, "photos", "complete"]
    assert job.run()["status"] == "complete"
    assert ("uploaded to s3://photos/job/" in messages) == is_there


@pytest.mark.usefixtures("untrained")
def test_a_copy_that_failed_is_made_when_the_job_is_resumed(
    new_job: NewJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A complete job is only uploaded, and only once."""
    answers: list[str | None] = [None, "s3://photos/job/"]

    def upload_job(*_: Any, **__: Any) -> str:
        answer = answers.pop(0)
        if answer is None:
            raise OutputError("the bucket is gone")
        return answer

    monkeypatch.setattr(upload, "require", lambda: None)
    monkeypatch.setattr(upload, "upload_job", upload_job)
    job = new_job(s3_bucket="photos")
    with pytest.raises(OutputError):
        training_job.train(job, notify=_ignore)
    for _ in range(2):
        training_job.train(job, notify=_ignore)
    assert job.run()["uploaded"] == "s3://photos/job/"
    assert answers == []
