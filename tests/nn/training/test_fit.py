"""nimakit.nn.training.fit: whole jobs that take seconds; jobs that are killed, stopped and resumed."""

import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import small_backbone
from nimakit.config import TrainConfig, read_train_config
from nimakit.errors import ImageError, TrainingError
from nimakit.images.photo import open_photo, prepare
from nimakit.jobs import Job
from nimakit.models.network import Network
from nimakit.nn.networks import backbones, heads
from nimakit.nn.training import losses as nn_losses
from nimakit.nn.training.state import State
from nimakit.stats.histogram import default_bins
from nimakit.training import job as training_job
from nimakit.training import labelled_set
from samples import random_pixels
from small_jobs import BINS, COUNT, SIDE, history, label_of, losses, small_job

pytestmark = [
    # Keras and TensorFlow are behind NumPy 2 in two places.
    pytest.mark.filterwarnings("ignore:In the future `np.object`:FutureWarning"),
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
]

PROGRAM = Path(small_backbone.__file__)
EPOCHS = 6
SAME = 1e-4
"""Losses of two runs of one job differ by less, relatively."""
SMALLEST_SIDE = {
    "ConvNeXtTiny": 64,
    "InceptionResNetV2": 75,
    "InceptionV3": 75,
    "ResNet50V2": 64,
    "Xception": 71,
}
"""Of the input of some backbones, in pixels; of all others 32. On a single pixel the ONNX exporter gets the
layer normalisation of a ConvNeXt wrong, and ResNet50V2's own, of two values, divides by nearly nothing."""
FAMILIES = ("MobileNetV3Small",)
"""Backbones that slow tests train, here with inner scaling and gates; exhaustive tests train the others."""

NewJob = Callable[..., Job]
JUDGE = training_job._evaluate_and_report


class _KilledError(BaseException):
    """Ends a job like a kill: none of the job's own code handles it."""


def _ignore(text: str) -> None:
    """Ignore a message."""


@pytest.fixture(scope="module", autouse=True)
def _registered() -> Iterator[None]:
    """Let configs name the small backbone, and end jobs with the export: evaluation is tested elsewhere."""
    with small_backbone.registered(), pytest.MonkeyPatch.context() as patched:
        patched.setattr(training_job, "_evaluate_and_report", lambda *_: None)
        yield


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where photographs, labels and jobs are."""
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def new_job(work: Path) -> NewJob:
    """Prepares jobs with the small backbone."""

    def make(folder: Path = work, **changes: Any) -> Job:
        return small_job(folder, **{"base_model_name": small_backbone.NAME, **changes})

    return make


@pytest.fixture(scope="module")
def whole(new_job: NewJob) -> Job:
    """A job that was trained without interruption."""
    return _done(new_job(epochs_train_all=EPOCHS))


def _done(job: Job, messages: list[str] | None = None, **options: Any) -> Job:
    training_job.train(job, notify=_ignore if messages is None else messages.append, **options)
    assert job.run()["status"] == "complete"
    return job


def _killed(job: Job, after: str) -> Job:
    """Train a job until a message starts with these words."""

    def notify(text: str) -> None:
        if text.startswith(after):
            raise _KilledError

    with pytest.raises(_KilledError):
        training_job.train(job, notify=notify)
    assert job.run()["status"] == "training"
    return job


def _in_process(job: Job, number: signal.Signals) -> None:
    """Train a job in its own process, and send a signal after the first epoch of the second phase."""
    with subprocess.Popen(
        [sys.executable, PROGRAM, job.folder], stderr=subprocess.PIPE, text=True
    ) as process:
        end = time.monotonic() + 120
        while not (job.history_file.is_file() and "all" in {row["phase"] for row in history(job)}):
            assert process.poll() is None, process.stderr and process.stderr.read()
            assert time.monotonic() < end
            time.sleep(0.01)
        process.send_signal(number)
        process.communicate(timeout=120)
    assert process.returncode != 0
    assert 1 < len(history(job)) < 1 + EPOCHS


def _best(job: Job) -> Path:
    [path] = job.weights.iterdir()
    return path


def _model(job: Job) -> tuple[keras.Model, backbones.Backbone]:
    """The Keras model of a job's best weights."""
    config = read_train_config(job.config_file)
    backbone = backbones.get(config.base_model_name)
    model = heads.add_head(backbone.build(input_size=config.input_size), default_bins(BINS), config)
    model.load_weights(_best(job))
    return model, backbone


def _same_course(job: Job, other: Job) -> None:
    """Two jobs had the same losses epoch by epoch, and kept the same one."""
    assert [row["epoch"] for row in history(job)] == [row["epoch"] for row in history(other)]
    np.testing.assert_allclose(losses(job), losses(other), rtol=SAME)
    assert _best(job).name == _best(other).name
    networks = [Network(done.model_file) for done in (job, other)]
    size = networks[0].metadata.preprocessing
    pixels = np.stack([random_pixels(size.height, size.width, seed) for seed in range(3)])
    values = [network.run(pixels).values for network in networks]
    np.testing.assert_allclose(values[0], values[1], atol=SAME)


def test_trains_the_head_and_then_all_layers(whole: Job) -> None:
    """Numbers of epochs continue across phases, each phase has its learning rate, and the loss falls."""
    rows = history(whole)
    assert [row["phase"] for row in rows] == ["dense", *["all"] * EPOCHS]
    assert [int(row["epoch"]) for row in rows] == list(range(1, EPOCHS + 2))
    np.testing.assert_allclose([float(row["learning_rate"]) for row in rows], [0.01, *[1e-3] * EPOCHS], 1e-6)
    validation = [loss for _, loss in losses(whole)]
    assert min(validation) < 0.75 * validation[0]


def test_keeps_only_the_weights_of_the_best_epoch(whole: Job) -> None:
    """Their file is named after backbone, epoch and validation loss; logs stay, the state is deleted."""
    validation = [loss for _, loss in losses(whole)]
    best = int(np.argmin(validation))
    assert _best(whole).name == f"weights_Small_{best + 1:02d}_{validation[best]:.3f}.weights.h5"
    assert {path.parent.relative_to(whole.logs).as_posix() for path in whole.logs.rglob("events*")} == {
        "dense/train",
        "dense/validation",
        "all/train",
        "all/validation",
    }
    assert not whole.state.exists()


def _answers_alike(job: Job) -> Network:
    """The exported model gives what Keras gives with the best weights."""
    model, backbone = _model(job)
    network = Network(job.model_file)
    pixels = np.stack(
        [random_pixels(model.input_shape[1], model.input_shape[2], seed) // (1 + seed) for seed in range(3)]
    )
    expected = np.asarray(model(backbone.preprocess(keras.ops.convert_to_tensor(pixels.astype(np.float32)))))
    np.testing.assert_allclose(network.run(pixels).values, expected, atol=1e-4)
    return network


def test_exports_the_best_epoch(whole: Job) -> None:
    """A histogram head gives in ONNX what it gives in Keras, from pixels."""
    assert not _answers_alike(whole).is_regression


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"head": "regression"}, marks=pytest.mark.exhaustive),
        pytest.param({"head": "regression", "score_activation": "sigmoid"}, marks=pytest.mark.slow),
        pytest.param({"head": "classification", "pooled_levels": 2}, marks=pytest.mark.exhaustive),
    ],
    ids=["regression", "sigmoid", "classification"],
)
def test_trains_every_head(new_job: NewJob, changes: dict[str, Any]) -> None:
    """Both phases end with a loss below that of the first epoch, and the export agrees with Keras."""
    job = _done(new_job(epochs_train_all=3, **changes))
    assert {row["phase"] for row in history(job)} == {"dense", "all"}
    assert min(loss for loss, _ in losses(job)[1:]) < losses(job)[0][0]
    network = _answers_alike(job)
    assert network.is_regression == (changes["head"] == "regression")


@pytest.mark.slow
def test_the_same_seed_gives_the_same_metrics(whole: Job, new_job: NewJob) -> None:
    """On a CPU, losses agree to the last digit; another seed gives other losses."""
    again = _done(new_job(epochs_train_all=2))
    np.testing.assert_allclose(losses(again), losses(whole)[:3], rtol=1e-6)
    other = _done(new_job(epochs_train_all=0, seed=1))
    assert abs(losses(other)[0][0] / losses(whole)[0][0] - 1) > 10 * SAME


@pytest.mark.slow
def test_resumes_after_a_kill(whole: Job, new_job: NewJob) -> None:
    """A process that is killed in the second phase loses only the epoch it was training."""
    job = new_job(epochs_train_all=EPOCHS)
    _in_process(job, signal.SIGKILL)
    assert job.run()["status"] == "training"
    assert not job.model_file.exists()
    done = losses(job)
    _done(job)
    assert losses(job)[: len(done)] == done
    _same_course(job, whole)
    assert len(job.run()["starts"]) == 2


@pytest.mark.slow
def test_a_stopped_job_has_a_model(new_job: NewJob) -> None:
    """A process that is interrupted exports its best epoch so far; another test resumes such a job."""
    job = new_job(epochs_train_all=EPOCHS)
    _in_process(job, signal.SIGINT)
    assert job.run()["status"] == "stopped"
    _answers_alike(job)
    assert job.state.exists()


@pytest.mark.slow
def test_an_interrupt_drops_an_unfinished_epoch(
    whole: Job, new_job: NewJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights of an epoch that is not in the history yet are deleted: model file and history agree."""
    job = new_job(epochs_train_all=EPOCHS)
    save = State.save

    def interrupt(state: State, *args: Any, **options: Any) -> None:
        if job.history_file.is_file():
            raise KeyboardInterrupt
        save(state, *args, **options)

    monkeypatch.setattr(State, "save", interrupt)
    with pytest.raises(KeyboardInterrupt):
        training_job.train(job, notify=_ignore)
    monkeypatch.undo()
    assert job.run()["status"] == "stopped"
    assert len(history(job)) == 1
    assert "_01_" in _best(job).name
    _answers_alike(job)
    _same_course(_done(job), whole)


RESUMED: dict[str, dict[str, Any]] = {
    "plain": {},
    "averages": {"weight_averaging": 0.8},
    "ridge": {"ridge_start": True, "pooled_levels": 2},
    "schedule": {"learning_rate_schedule": "cosine", "layer_decay": 0.5, "balance_ratings": True},
    "decay": {"decay_dense": 0.1, "decay_all": 0.1, "freeze_batch_norm": True},
    "nothing on disk": {"cache_memory_mb": 0, "cache_disk_mb": 0},
    "patient": {"early_stopping_patience": 1, "learning_rate_dense": 1e-12, "epochs_train_dense": 3},
    "averages, nothing kept back": {"weight_averaging": 0.8, "validation_split": 0},
    "as shipped": {
        "epochs_train_dense": 0,
        "epochs_train_all": 4,
        "exported_epoch": "last",
        "learning_rate_schedule": "cosine",
        "pooled_levels": 2,
        "ridge_start": True,
        "weight_averaging": 0.8,
    },
    "16 bits": {"mixed_precision": True, "weight_averaging": 0.8, "decay_all": 0.1},
}


COMBINED: dict[str, tuple[dict[str, Any], slice]] = {
    "as shipped": ({**RESUMED["as shipped"], "epochs_train_all": 3}, slice(0, 1)),
    "averages, decay, 16 bits, no cache": (
        {
            **RESUMED["decay"],
            **RESUMED["16 bits"],
            **RESUMED["nothing on disk"],
            **RESUMED["averages, nothing kept back"],
            "balance_ratings": True,
            "layer_decay": 0.5,
        },
        slice(1, None, 2),
    ),
    "patient": (RESUMED["patient"], slice(1, 2)),
}
"""Configs that use most of what `RESUMED` has, and after which epochs their jobs are killed: within a phase,
between phases, and after the last epoch."""


@pytest.mark.parametrize(
    ("changes", "kills"),
    [
        *(pytest.param(*case, id=name, marks=pytest.mark.slow) for name, case in COMBINED.items()),
        *(
            pytest.param(changes, slice(None), id=f"{name}, every epoch", marks=pytest.mark.exhaustive)
            for name, changes in RESUMED.items()
        ),
    ],
)
def test_resumes_after_an_epoch(new_job: NewJob, changes: dict[str, Any], kills: slice) -> None:
    """A job that is killed after some epochs, and resumed each time, ends like one that is not."""
    messages: list[str] = []
    changes = {"epochs_train_dense": 2, "epochs_train_all": 2, **changes}
    unbroken = _done(new_job(**changes), messages)
    job = new_job(**changes)
    epochs = [found[0] for found in (re.match("epoch .*?:", text) for text in messages) if found]
    for epoch in epochs[kills]:
        _killed(job, epoch)
    _done(job)
    _same_course(job, unbroken)


def _best_loss(job: Job) -> float:
    """The validation loss of the weights a job kept."""
    model, backbone = _model(job)
    kept = labelled_set.split(COUNT, 0.25, 0)["validation"]
    size = Network(job.model_file).metadata.preprocessing
    paths = [Path(job.run()["image_dir"], f"p{index:02d}.jpg") for index in kept]
    pixels = np.stack([prepare(open_photo(path), size) for path in paths]).astype(np.float32)
    labels = np.array([label_of(index / (COUNT - 1)) for index in kept], np.float32)
    found = nn_losses.emd(labels, model(backbone.preprocess(keras.ops.convert_to_tensor(pixels))))
    return float(np.mean(found))


def test_what_is_exported_is_what_was_validated(whole: Job) -> None:
    """The exported weights give the validation loss for which they were chosen."""
    assert _best_loss(whole) == pytest.approx(min(loss for _, loss in losses(whole)), rel=SAME)


@pytest.mark.slow
def test_averages_are_exported_where_they_were_validated(whole: Job, new_job: NewJob) -> None:
    """Averages of weights have another loss than the weights; the best averages are exported."""
    job = _done(new_job(epochs_train_all=3, weight_averaging=0.8))
    assert not np.allclose(losses(job), losses(whole)[:4], rtol=10 * SAME)
    assert _best_loss(job) == pytest.approx(min(loss for _, loss in losses(job)), rel=SAME)


@pytest.mark.slow
def test_stops_early(new_job: NewJob) -> None:
    """A phase ends, with a message, once its loss has not improved for as many epochs as the patience."""
    messages: list[str] = []
    still = {"learning_rate_all": 1e-12, "freeze_batch_norm": True}
    job = _done(new_job(epochs_train_all=6, early_stopping_patience=2, **still), messages)
    assert [row["phase"] for row in history(job)] == ["dense", "all", "all"]
    assert "no better for 2 epochs: the phase ends early" in messages


@pytest.mark.slow
def test_starts_from_a_whole_model(whole: Job, new_job: NewJob) -> None:
    """Weights with the same head are loaded whole: the first loss is that of the previous job's best."""
    job = _done(
        new_job(
            existing_weights=str(_best(whole)),
            epochs_train_dense=0,
            epochs_train_all=1,
            learning_rate_all=1e-12,
            freeze_batch_norm=True,
        )
    )
    assert losses(job)[0][1] == pytest.approx(min(loss for _, loss in losses(whole)), rel=SAME)


@pytest.mark.slow
def test_refuses_a_loss_that_is_no_number(new_job: NewJob) -> None:
    """The job fails with advice, instead of training on."""
    job = new_job(learning_rate_dense=1e30, head="regression", epochs_train_dense=5, epochs_train_all=0)
    with pytest.raises(TrainingError, match=r"must stay finite. Received: .*lower the learning rate"):
        training_job.train(job, notify=_ignore)
    assert job.run()["status"] == "failed"
    assert "must stay finite" in job.run()["error"]


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory, work: Path, new_job: NewJob) -> tuple[Path, list[Path]]:
    """A folder for jobs, and its truncated photographs: one to learn from, one to validate with."""
    new_job()
    folder = tmp_path_factory.mktemp("damaged")
    for name in ("photographs", "labels.json", "test_labels.json"):
        copy = shutil.copytree if (work / name).is_dir() else shutil.copy
        copy(work / name, folder / name)
    parts = labelled_set.split(COUNT, 0.25, 0)
    paths = [folder / "photographs" / f"p{parts[name][0]:02d}.jpg" for name in ("training", "validation")]
    for path in paths:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return folder, paths


def test_refuses_truncated_photographs_by_name(new_job: NewJob, damaged: tuple[Path, list[Path]]) -> None:
    """The error names all of them, before a model is trained."""
    folder, paths = damaged
    job = new_job(folder)
    with pytest.raises(ImageError, match="2 photographs cannot be decoded") as caught:
        training_job.train(job, notify=_ignore)
    assert all(str(path) in str(caught.value) for path in paths)
    assert (job.run()["status"], job.history_file.exists()) == ("failed", False)


def _three_bins() -> keras.Model:
    keras.utils.set_random_seed(5)
    base = small_backbone.construct(input_shape=(SIDE, SIDE, 3))
    return heads.add_head(base, default_bins(3), TrainConfig(base_model_name=small_backbone.NAME))


@pytest.fixture(scope="module")
def head_only(new_job: NewJob, damaged: tuple[Path, list[Path]]) -> tuple[Job, list[str]]:
    """A job that trained only the head, from weights for three bins, without the truncated photographs."""
    folder, _ = damaged
    _three_bins().save_weights(folder / "three.weights.h5")
    messages: list[str] = []
    weights = str(folder / "three.weights.h5")
    job = new_job(folder, allow_missing=True, existing_weights=weights, epochs_train_all=0)
    return _done(job, messages), messages


@pytest.mark.slow
def test_leaves_truncated_photographs_out_where_allowed(
    head_only: tuple[Job, list[str]], damaged: tuple[Path, list[Path]]
) -> None:
    """A message names them, and the job is trained with the others."""
    job, messages = head_only
    [left_out] = [text for text in messages if text.startswith("left out 2 photographs")]
    assert all(str(path) in left_out for path in damaged[1])
    assert Network(job.model_file).metadata.name.startswith("Small-")


@pytest.mark.slow
def test_starts_from_weights_with_another_number_of_bins(head_only: tuple[Job, list[str]]) -> None:
    """The backbone is used, the head starts anew, and a message says so."""
    job, messages = head_only
    assert any(
        "has a head of 3 outputs: its backbone is used, and the head of 5" in text for text in messages
    )
    model, _ = _model(job)
    for kept, given in zip(model.get_weights()[:-2], _three_bins().get_weights()[:-2], strict=True):
        np.testing.assert_array_equal(kept, given)


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        pytest.param({}, 1e-3, marks=pytest.mark.exhaustive, id="plain"),
        pytest.param({"weight_averaging": 0.8}, 1e-3, marks=pytest.mark.slow, id="averages"),
        pytest.param(
            {"weight_averaging": 0.8, "mixed_precision": True},
            1e-2,
            marks=pytest.mark.exhaustive,
            id="16 bits",
        ),
    ],
)
def test_two_devices_learn_what_one_learns(new_job: NewJob, changes: dict[str, Any], same: float) -> None:
    """Two devices that share each batch have nearly the losses of one device."""
    # Dropout and batch statistics are each device's own, and would differ.
    changes = {"dropout_rate": 0, "freeze_batch_norm": True, **changes}
    one = _done(new_job(**changes))
    two = new_job(**changes)
    ended = subprocess.run(
        [sys.executable, PROGRAM, two.folder, "2"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    np.testing.assert_allclose(losses(two), losses(one), rtol=same)


@pytest.fixture
def eager() -> Iterator[None]:
    """Without graphs: those of hundreds of layers take minutes to build, and a step or two take seconds."""
    tf.config.run_functions_eagerly(run_eagerly=True)
    yield
    tf.config.run_functions_eagerly(run_eagerly=False)
    keras.backend.clear_session()


def _marks(name: str) -> list[pytest.MarkDecorator]:
    return [pytest.mark.slow if name in FAMILIES else pytest.mark.exhaustive]


@pytest.mark.parametrize("name", [pytest.param(name, marks=_marks(name)) for name in backbones.names()])
@pytest.mark.filterwarnings("ignore:Even though the `tf.config.experimental_run_functions_eagerly`")
@pytest.mark.usefixtures("eager")
def test_every_backbone_can_be_trained(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One epoch of each phase from random weights, exported, evaluated and reported."""
    monkeypatch.setattr(training_job, "_evaluate_and_report", JUDGE)
    side = SMALLEST_SIDE.get(name, 32)
    changes: dict[str, Any] = {"batch_size": 2, "validation_split": 0.5, "epochs_train_all": 1}
    job = _done(small_job(tmp_path, count=4, base_model_name=name, input_size=[side, side], **changes))
    assert [row["phase"] for row in history(job)] == ["dense", "all"]
    assert np.isfinite(losses(job)).all()
    assert _answers_alike(job).metadata.base_model == name
    assert job.report_file.is_file()
