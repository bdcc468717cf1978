"""nimakit.training.head: a job that fits a head, from ratings to one model file, without TensorFlow."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

from clients import client, form, service
from nimakit.config import HeadConfig, read_config
from nimakit.errors import ImageError, UsageError
from nimakit.explain import Explainer
from nimakit.features import extract
from nimakit.heads.blocks import load_blocks
from nimakit.heads.rater_bias import read_single_ratings
from nimakit.jobs import Job
from nimakit.models.encoders.importing import import_encoder
from nimakit.models.encoders.wrapping import Exported
from nimakit.models.engine import Scorer
from nimakit.models.loading import load_model
from nimakit.models.network import Network
from nimakit.models.score import Score
from nimakit.scoring import report
from nimakit.scoring.comparison import ceiling
from nimakit.scoring.evaluation import of_predictions
from nimakit.scoring.items import Item
from nimakit.stats.agreement import icc_of_means
from nimakit.stats.histogram import default_bins
from nimakit.training import distillation
from nimakit.training import job as training_job
from nimakit.training.preparation import Request, prepare
from small_encoders import WIDTH, encoder_metadata, write_encoder
from small_jobs import BINS, COUNT, write_labels, write_photographs
from terminal import Command

if TYPE_CHECKING:
    from nimakit.training.labelled_set import JobData

KERAS = Path(__file__).parents[1] / "data" / "encoders" / "keras_cnn.onnx"
Prepare = Callable[..., Job]


def _write_ratings(path: Path, names: list[str]) -> Path:
    """Single ratings by three people, one of whom always gives a point more."""
    rows = [
        f"{name},r{rater},{min(5, 1 + 4 * place // len(names) + (rater == 2))}"
        for place, name in enumerate(names)
        for rater in range(3)
        if (place + rater) % 3
    ]
    path.write_text("\n".join(["image_id,user_id,rating", *rows]), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs, labels and an encoder."""
    folder = tmp_path_factory.mktemp("head")
    names = write_photographs(folder / "photographs")
    write_labels(folder / "labels.json", names)
    test_names = write_photographs(folder / "photographs", 6, prefix="test", seed=1)
    write_labels(folder / "test.json", test_names)
    _write_ratings(folder / "ratings.csv", [*names, *test_names])
    for seed in range(2):
        write_encoder(folder / f"encoder{seed}.onnx", seed=seed, name=f"encoder{seed}")
    return folder


def _prepare(
    folder: Path,
    *,
    test: bool = False,
    allow_missing: bool = False,
    student: str | None = None,
    student_images: Path | None = None,
    **changes: Any,
) -> Job:
    values = {
        "head_only": True,
        "encoders": [
            {"name": str(folder / "encoder0.onnx")},
            {"name": str(folder / "encoder0.onnx"), "input_size": [32, 48]},
            {"name": str(folder / "encoder1.onnx"), "input_size": [40, 32]},
        ],
        **changes,
    }
    config = folder / "config.json"
    config.write_text(json.dumps(values), encoding="utf-8")
    request = Request(
        config_file=config,
        samples_file=folder / "labels.json",
        image_dir=folder / "photographs",
        recursive=False,
        test_samples_file=folder / "test.json" if test else None,
        jobs_dir=folder / "jobs",
        allow_missing=allow_missing,
        docker_image=None,
        student=student,
        student_images=student_images,
    )
    return prepare(request)


@pytest.fixture(scope="module")
def done(folder: Path) -> tuple[Job, list[str]]:
    """A finished job with a test set and single ratings, and its messages."""
    messages: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NIMAKIT_CACHE", str(folder / "cache"))
        patch.delenv("NIMAKIT_FEATURES_GB")
        job = _prepare(folder, test=True, ratings_file=str(folder / "ratings.csv"))
        training_job.train(job, notify=messages.append)
    return job, messages


def test_writes_a_job_folder_without_what_keras_needs(done: tuple[Job, list[str]]) -> None:
    """Model, metrics, report and card; no weights, TensorBoard logs or history."""
    job, messages = done
    assert sorted(path.name for path in job.folder.iterdir() if not path.name.startswith(".")) == [
        "MODEL_CARD.md", "config.json", "metrics.json", "model.onnx", "ratings.csv", "report.html",
        "run.json", "samples.json", "split.json", "test_samples.json",
    ]  # fmt: skip
    assert job.run()["status"] == "complete"
    assert any("levels of 3 raters removed" in text for text in messages)
    assert any("head fitted in" in text for text in messages)


def test_evaluates_on_images_that_were_left_out_and_on_the_test_set(done: tuple[Job, list[str]]) -> None:
    """Each training image is judged by a fit to all others, so no figure needs a warning."""
    figures = json.loads(done[0].metrics_file.read_text("utf-8"))
    assert {name: figure["images"] for name, figure in figures.items()} == {
        "leave-one-out": COUNT,
        "test": 6,
    }
    assert figures["leave-one-out"]["srcc_mean"] > 0.9
    assert figures["leave-one-out"]["training_images"] is None
    page = done[0].report_file.read_text("utf-8")
    for text in ("Leave-one-out: 24 pictures", "encoder0@16x16", "time for an image", "learned from each"):
        assert text in page


def test_the_report_knows_from_single_ratings_how_far_people_agree(
    done: tuple[Job, list[str]], folder: Path
) -> None:
    """The ceiling does not take a lenient rater for one who disagrees."""
    ratings = read_single_ratings(folder / "ratings.csv", default_bins(BINS))
    test = ratings.only([name.startswith("test") for name in np.array(ratings.image_ids)[ratings.image]])
    reached = ceiling(icc_of_means(test.image, test.user, test.rating))
    assert reached is not None
    assert f"would have a PLCC of only {reached:.3f}" in done[0].report_file.read_text("utf-8")


def test_the_file_is_a_model_like_any_other(done: tuple[Job, list[str]], folder: Path) -> None:
    """It scores photographs by itself, and its metadata say what it is."""
    job, _ = done
    model = load_model(job.model_file)
    about = model.members[0].network.metadata
    assert about.base_model == "encoder0@16x16 + encoder0@32x48 + encoder1@40x32"
    assert (about.preprocessing.height, about.preprocessing.width) == (40, 48)
    assert (len(about.bins), about.trained_on) == (BINS, "24 photographs with ratings from 1 to 5")
    paths = sorted((folder / "photographs").glob("p*.jpg"))
    scores = [score.mean for score in Scorer(model).score(paths) if isinstance(score, Score)]
    assert np.corrcoef(scores, np.arange(COUNT))[0, 1] > 0.95


def test_the_file_has_the_errors_of_images_left_out(done: tuple[Job, list[str]], folder: Path) -> None:
    """So scores get intervals; the report says how wide they are."""
    job, _ = done
    model = load_model(job.model_file)
    found = model.members[0].network.known_errors
    assert found is not None
    assert (len(found.errors), found.basis) == (COUNT, "24 photographs, leave-one-out")
    [record] = model.with_intervals(0.9).predict([folder / "photographs" / "p12.jpg"], augmented=True)
    low, high = record["interval"]
    assert low < record["mean_score_prediction"] < high
    assert "90% of mean ratings are within" in job.report_file.read_text("utf-8")


def test_scores_are_those_of_the_kept_features(
    done: tuple[Job, list[str]], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With and without the store, they agree within 0.0001."""
    monkeypatch.setenv("NIMAKIT_CACHE", str(folder / "cache"))
    monkeypatch.delenv("NIMAKIT_FEATURES_GB")
    job, _ = done
    config = read_config(job.config_file)
    assert isinstance(config, HeadConfig)
    paths = sorted((folder / "photographs").glob("p*.jpg"))
    table = extract(load_blocks(config), paths)
    assert table.computed == 0
    scores = Scorer(load_model(job.model_file)).score(paths)
    scored = [score.features for score in scores if isinstance(score, Score) and score.features is not None]
    kept = np.concatenate([block[0] for block in table.blocks], axis=1)
    assert kept.shape == (COUNT, 3 * WIDTH)
    np.testing.assert_allclose(scored, kept, atol=1e-4)


def test_commands_say_how_many_photographs_were_known(
    done: tuple[Job, list[str]], folder: Path, nimakit: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that the job has seen are scored from kept features, and only another one is computed."""
    monkeypatch.setenv("NIMAKIT_CACHE", str(folder / "cache"))
    monkeypatch.delenv("NIMAKIT_FEATURES_GB")
    model = ["--model", done[0].model_file]
    rated = [*model, "--samples-file", folder / "labels.json", "--image-source", folder / "photographs"]
    assert f"scored {COUNT} images, {COUNT} of them from kept features" in nimakit("evaluate", *rated).err
    compared = nimakit("compare", *rated).err
    assert f"{COUNT} of {COUNT} images are scored from kept features" in compared
    seen = folder / "seen"
    write_photographs(seen, 3, prefix="new", seed=3)
    for name in ("p00.jpg", "test00.jpg"):
        (seen / name).write_bytes((folder / "photographs" / name).read_bytes())
    predicted = [nimakit("predict", *model, "--image-source", seen).err for _ in range(2)]
    assert [text.rstrip().rpartition(" s, ")[2] for text in predicted] == [
        f"{known} of them from kept features" for known in (2, 5)
    ]
    flipped = nimakit("predict", *model, "--image-source", seen, "--tta", "flips").err
    assert "1 of them from kept features" in flipped


@pytest.fixture
def _without_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports, which take most of the time, are empty."""
    monkeypatch.setattr(report, "render", lambda **_: "")


@pytest.mark.usefixtures("empty_cache", "_without_report")
def test_a_regression_head_on_a_validation_set(folder: Path) -> None:
    """A share can be set aside; the head may be linear, balanced, and without mirror images."""
    changes: dict[str, Any] = {"validation_split": 0.25, "balance_ratings": True, "random_flip": False}
    job = _prepare(folder, head="regression", kernel="linear", **changes)
    training_job.train(job, notify=lambda _: None)
    figures = json.loads(job.metrics_file.read_text("utf-8"))
    assert {name: figure["images"] for name, figure in figures.items()} == {
        "leave-one-out": 18,
        "validation": 6,
    }
    assert figures["validation"]["srcc_mean"] > 0.9
    assert Network(job.model_file).is_regression


@pytest.mark.usefixtures("empty_cache", "_without_report")
def test_leaves_out_photographs_that_cannot_be_decoded_only_if_allowed(folder: Path, tmp_path: Path) -> None:
    """Otherwise the job fails with their names, and can be resumed with the permission."""
    names = write_photographs(tmp_path / "photographs", 8)
    write_labels(tmp_path / "labels.json", names)
    for seed in range(2):
        (tmp_path / f"encoder{seed}.onnx").write_bytes((folder / f"encoder{seed}.onnx").read_bytes())
    (tmp_path / "photographs" / "p03.jpg").write_bytes(b"no image")
    job = _prepare(tmp_path)
    with pytest.raises(ImageError, match=r"1 photographs cannot be decoded.*\n.*p03\.jpg"):
        training_job.train(job, notify=lambda _: None)
    assert job.run()["status"] == "failed"
    training_job.train(job, notify=lambda _: None, changes={"allow_missing": True})
    assert json.loads(job.metrics_file.read_text("utf-8"))["leave-one-out"]["images"] == 7


def test_refuses_all_problems_at_once(folder: Path) -> None:
    """An encoder that is missing and ratings that are on another scale; nothing is made."""
    (folder / "wide.csv").write_text("image_id,user_id,rating\np00,a,9\n", encoding="utf-8")
    before = len(list((folder / "jobs").glob("*")))
    with pytest.raises(UsageError) as caught:
        _prepare(folder, encoders=[{"name": "none.onnx"}], ratings_file=str(folder / "wide.csv"))
    assert "2 problems" in str(caught.value)
    assert "none.onnx" in str(caught.value)
    assert "rating must be" in str(caught.value)
    assert len(list((folder / "jobs").glob("*"))) == before


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:In the future `np.object`:FutureWarning")
@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
@pytest.mark.usefixtures("empty_cache", "_without_report")
def test_a_student_learns_the_scores_of_a_head(folder: Path) -> None:
    """From other photographs; it is a job of its own, which the report compares with head and ratings."""
    import small_backbone

    others = folder / "others"
    write_photographs(others, 20, prefix="other", seed=2)
    (others / "p00.jpg").write_bytes((folder / "photographs" / "p00.jpg").read_bytes())
    (others / "other03.jpg").write_bytes(b"no image")
    messages: list[str] = []
    with small_backbone.registered():
        job = _prepare(folder, student=small_backbone.NAME, student_images=others)
        training_job.train(job, notify=messages.append)
    assert any(text.startswith("1 photographs are left out for the student: they are") for text in messages)
    assert any(text.startswith("1 photographs for the student cannot be decoded") for text in messages)
    learned = json.loads(job.student.samples_file.read_text("utf-8"))
    assert [entry["image_id"] for entry in learned] == [f"other{n:02d}" for n in range(20) if n != 3]
    teacher = load_model(job.model_file)
    [score] = Scorer(teacher).score([others / "other10.jpg"])
    [label] = [entry["label"] for entry in learned if entry["image_id"] == "other10"]
    assert isinstance(score, Score)
    assert np.dot(label, np.arange(1, BINS + 1)) == pytest.approx(score.mean, abs=1e-3)
    figures = json.loads(job.metrics_file.read_text("utf-8"))
    assert figures["student"]["images"] == COUNT
    assert figures["student"]["srcc_mean"] > 0.5
    assert "learned from the scores of 17 other photographs" in job.card_file.read_text("utf-8")
    # The head learned from all ratings, and the student's own job knows none.
    with pytest.raises(UsageError, match="validation_split above 0"):
        load_model(job.student.model_file).with_intervals(0.5)
    with small_backbone.registered():
        job.update("failed")
        training_job.train(job, notify=lambda _: None)
    assert job.student.run()["status"] == "complete"


def test_a_student_has_errors_only_on_photographs_unknown_to_its_head(
    tiny_file: Path, tmp_path: Path
) -> None:
    """On the others it repeats what the head learned from their ratings."""
    student = Job(tmp_path)
    student.model_file.write_bytes(tiny_file.read_bytes())
    items = [Item(image_id=name, path=None, label=None) for name in "abcd"]
    found = of_predictions(
        image_ids="abcd",
        paths=[tmp_path] * 4,
        labels=np.eye(10)[[3, 3, 3, 3]],
        label_bins=np.arange(1.0, 11),
        means=np.array([4.0, 6.0, 4.0, 3.5]),
        sds=None,
        histograms=None,
        bins=np.arange(1.0, 11),
    )
    for validation, expected in (([], None), ([1, 3], (0.5, 2.0))):
        data = cast("JobData", SimpleNamespace(items=items, parts={"validation": validation}))
        distillation._store_errors(student, found, data)
        known = Network(student.model_file).known_errors
        assert (known.errors if known else None) == expected


def test_a_student_of_a_regression_head_learns_from_histograms_too() -> None:
    """A score becomes shares of the two nearest bins, whose mean it is; beyond the scale, the end of it."""
    bins = np.arange(1.0, 6.0)
    for mean, expected in ((2.25, 2.25), (5.0, 5.0), (0.5, 1.0)):
        label = distillation._label(Score(mean=mean, sd=None, histogram=None, percentile=None), bins)
        assert (label.sum(), label @ bins) == pytest.approx((1.0, expected))
        assert (label > 0).sum() <= 2


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:In the future `np.object`:FutureWarning")
def test_refuses_a_student_that_cannot_learn(folder: Path) -> None:
    """Without photographs, or of a backbone that does not exist; all problems at once."""
    with pytest.raises(UsageError, match=r"2 problems") as caught:
        _prepare(folder, student="Owl", student_images=folder / "none")
    assert "folder of photographs" in str(caught.value)
    assert "Owl" in str(caught.value)


@pytest.mark.slow
def test_needs_no_tensorflow(folder: Path) -> None:
    """Where importing TensorFlow or Keras fails, a job runs to its end."""
    code = (
        "import sys; sys.modules.update(tensorflow=None, keras=None, tf2onnx=None)\n"
        "from nimakit.cli import main; raise SystemExit(main(sys.argv[1:]))"
    )
    config = _prepare(folder).config_file
    options = ["--config-file", config, "--samples-file", folder / "labels.json"]
    options += ["--image-source", folder / "photographs", "--jobs-dir", folder / "without"]
    run = subprocess.run(
        [sys.executable, "-c", code, "train", *map(str, options)], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert (Path(run.stdout.strip()) / "model.onnx").is_file()


@pytest.mark.usefixtures("empty_cache", "_without_report")
def test_what_keras_exported_is_learned_from_served_and_explained(tmp_path: Path) -> None:
    """From the exported file to the score that a server gives, which is a sum over patches."""
    exported = Exported(mean=(0.5,) * 3, std=(0.5,) * 3)
    import_encoder(KERAS, tmp_path / "keras.onnx", exported, encoder_metadata("keras", side=32))
    write_labels(tmp_path / "labels.json", write_photographs(tmp_path / "photographs"))
    job = _prepare(tmp_path, encoders=[{"name": str(tmp_path / "keras.onnx")}], head="regression")
    training_job.train(job, notify=lambda _: None)
    photo = tmp_path / "photographs" / "p20.jpg"
    served = client(job.model_file)
    [record] = served.post("/predict", data=form((photo.name, photo.read_bytes()))).json
    service(served).close()
    explained = Explainer(load_model(job.model_file), method="patches").explain(photo)
    assert explained.parts is not None
    assert explained.constant is not None
    score = explained.constant + explained.parts.sum()
    assert score == pytest.approx(record["mean_score_prediction"], abs=1e-5)
    assert json.loads(job.metrics_file.read_text("utf-8"))["leave-one-out"]["srcc_mean"] > 0.5
