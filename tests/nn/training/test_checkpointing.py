"""nimakit.nn.training.checkpointing: what happens around every epoch."""

import csv
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from nimakit.config import TrainConfig
from nimakit.errors import TrainingError
from nimakit.jobs import Job
from nimakit.nn.training.batches import Batches, Features
from nimakit.nn.training.checkpointing import Checkpointing
from nimakit.nn.training.state import State

pytestmark = [
    # Keras and TensorFlow are behind NumPy 2 in two places.
    pytest.mark.filterwarnings("ignore:In the future `np.object`:FutureWarning"),
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
]

VALUES = np.random.default_rng(0).normal(size=(8, 2, 3)).astype(np.float32)
TARGETS = VALUES[:, 0].sum(axis=1, keepdims=True)

CONFIG = TrainConfig(
    base_model_name="Tiny", epochs_train_dense=2, epochs_train_all=7, seed=5, early_stopping_patience=None
)

NewCallback = Callable[..., Checkpointing]


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """A job folder."""
    return Job.create(tmp_path, {}, {})


@pytest.fixture(scope="module")
def linear() -> keras.Model:
    """A linear model with dropout, which no test trains."""
    keras.utils.set_random_seed(0)
    x = keras.Input((3,))
    model = keras.Model(x, keras.layers.Dense(1)(keras.layers.Dropout(0.5)(x)))
    model.compile("sgd", "mse", run_eagerly=True)  # a graph takes longer to build than two batches
    return model


@pytest.fixture
def model(linear: keras.Model) -> keras.Model:
    """The linear model, in training."""
    linear.stop_training = False
    return linear


@pytest.fixture
def batches() -> Batches:
    """Two batches of four."""
    return Batches(Features(VALUES), TARGETS, range(8), batch_size=4, seed=0)


@pytest.fixture
def messages() -> list[str]:
    """The messages."""
    return []


@pytest.fixture
def new(job: Job, model: keras.Model, batches: Batches, messages: list[str]) -> NewCallback:
    """Makes callbacks for the second phase, which follows two epochs of the first."""

    def make(**changes: Any) -> Checkpointing:
        phase = changes.pop("phase", "all")
        epochs = Checkpointing(
            job,
            replace(CONFIG, **changes),
            State.load(job),
            phase=phase,
            batches=batches,
            network=model,
            averages=None,
            notify=messages.append,
        )
        epochs.set_model(model)
        return epochs

    return make


def _run(epochs: Checkpointing, epoch: int, loss: float, val_loss: float | None) -> None:
    """What Keras does around one epoch, counted from 0."""
    epochs.on_epoch_begin(epoch)
    if val_loss is not None:
        epochs.on_test_end({"loss": val_loss})
    logs = {"loss": loss} if val_loss is None else {"loss": loss, "val_loss": val_loss}
    epochs.on_epoch_end(epoch, logs)


def _kept(job: Job) -> list[str]:
    return [path.name for path in job.weights.iterdir()]


def test_keeps_the_epoch_with_the_least_validation_loss(new: NewCallback, job: Job) -> None:
    """Only its weights are kept, and the state names them."""
    epochs = new()
    for epoch, val_loss in enumerate((0.5, 0.3, 0.4), start=2):
        _run(epochs, epoch, 0.1, val_loss)
    assert _kept(job) == ["weights_Tiny_04_0.300.weights.h5"]
    state = State.load(job)
    assert (state.best_file, state.best_loss, state.epochs("all")) == (_kept(job)[0], 0.3, 3)


def test_judges_by_the_loss_where_nothing_is_kept_back(
    new: NewCallback, job: Job, messages: list[str]
) -> None:
    """The last epoch counts as the best one."""
    epochs = new()
    for epoch, loss in enumerate((0.5, 0.3), start=2):
        _run(epochs, epoch, loss, None)
    assert _kept(job) == ["weights_Tiny_04_0.300.weights.h5"]
    assert messages[-1].startswith("epoch 4 of 9 (all): loss 0.3000, ")
    assert "val_loss" not in messages[-1]


def test_keeps_the_last_epoch_where_asked_to(new: NewCallback, job: Job) -> None:
    """Also one whose validation loss is worse."""
    epochs = new(exported_epoch="last")
    for epoch, val_loss in enumerate((0.3, 0.5), start=2):
        _run(epochs, epoch, 0.1, val_loss)
    assert _kept(job) == ["weights_Tiny_04_0.500.weights.h5"]


def test_reports_and_records_every_epoch(
    new: NewCallback, job: Job, batches: Batches, messages: list[str]
) -> None:
    """An epoch gets a message, a row in the history, and its own batches."""
    _run(new(), 2, 0.25, 0.5)
    assert messages[0].startswith("epoch 3 of 9 (all): loss 0.2500, val_loss 0.5000, ")
    [row] = csv.DictReader(job.history_file.read_text("utf-8").splitlines())
    assert (row["phase"], row["epoch"], row["loss"], row["val_loss"]) == ("all", "3", "0.25", "0.5")
    assert float(row["learning_rate"]) == pytest.approx(0.01)
    assert (batches.epoch, batches.title) == (3, "epoch 3 of 9")


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_refuses_a_loss_that_is_not_finite(new: NewCallback, job: Job, loss: float) -> None:
    """The epoch is not kept, so that a resumed job does not begin with broken weights."""
    epochs = new()
    with pytest.raises(TrainingError, match=rf"must stay finite. Received: {loss} in epoch 3"):
        _run(epochs, 2, loss, math.nan)
    assert _kept(job) == []
    assert State.load(job).history == []


@pytest.mark.parametrize(
    ("val_losses", "ended"),
    [
        ((0.5, 0.4, 0.3, 0.2), 0),
        ((0.5, 0.4, 0.6, 0.4), 4),
        ((0.5, 0.6, 0.4, 0.6), 0),
        ((0.5, 0.5, 0.5), 3),
    ],
    ids=["falling", "no better", "better in time", "equal"],
)
def test_stops_after_epochs_without_a_better_loss(
    new: NewCallback, model: keras.Model, messages: list[str], val_losses: tuple[float, ...], ended: int
) -> None:
    """Training stops, with a message, after as many epochs as the patience."""
    epochs = new(early_stopping_patience=2)
    for count, val_loss in enumerate(val_losses, start=1):
        assert not model.stop_training
        _run(epochs, count + 1, 0.1, val_loss)
    assert model.stop_training == bool(ended)
    assert ("no better for 2 epochs: the phase ends early" in messages) == bool(ended)


def test_records_that_a_phase_ended_early(new: NewCallback, job: Job) -> None:
    """A resumed job does not start the phase again."""
    for epoch, ended in ((2, []), (3, ["all"])):
        _run(new(early_stopping_patience=1), epoch, 0.1, 0.5)
        assert State.load(job).ended == ended


def test_patience_begins_anew_with_a_phase(new: NewCallback, model: keras.Model) -> None:
    """A best epoch of the phase before does not use up the patience of this one."""
    first = new(phase="dense", early_stopping_patience=2)
    _run(first, 0, 0.1, 0.1)
    _run(first, 1, 0.1, 0.2)
    _run(new(early_stopping_patience=2), 2, 0.1, 0.3)
    assert not model.stop_training
    _run(new(early_stopping_patience=2), 3, 0.1, 0.3)
    assert model.stop_training


def test_the_same_epoch_drops_the_same_features(new: NewCallback, model: keras.Model) -> None:
    """Dropout is seeded by seed and epoch, whatever was run before."""
    drawn = []
    for seed, epoch in ((5, 2), (5, 3), (5, 2), (6, 2)):
        new(seed=seed).on_epoch_begin(epoch)
        drawn.append(np.asarray(model.layers[1](np.ones((8, 8), np.float32), training=True)))
    np.testing.assert_array_equal(drawn[0], drawn[2])
    assert (drawn[0] != drawn[1]).any()
    assert (drawn[0] != drawn[3]).any()


@pytest.mark.parametrize("is_validated", [True, False])
def test_a_start_fitted_in_closed_form_may_be_the_best(
    new: NewCallback, job: Job, model: keras.Model, batches: Batches, is_validated: bool
) -> None:
    """It is recorded as epoch 0, with its losses."""
    data = batches.validation(lambda inputs: inputs)
    new(phase="dense").record_start(model, data, data if is_validated else None)
    loss = float(model.evaluate(VALUES[:, 0], TARGETS, verbose=0))
    assert _kept(job) == [f"weights_Tiny_00_{loss:.3f}.weights.h5"]
    [row] = State.load(job).history
    assert (row["phase"], row["epoch"], row["loss"]) == ("dense", 0, pytest.approx(loss, rel=1e-5))
    assert (row["val_loss"] is not None) == is_validated
