"""nimakit.nn.training.state: the state that a stopped job resumes from."""

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from nimakit.errors import OutputError, UsageError, WeightsError
from nimakit.jobs import Job
from nimakit.nn.training import state as state_module
from nimakit.nn.training.state import HISTORY_COLUMNS, State, save_weights

pytestmark = [
    # Keras and TensorFlow are behind NumPy 2 in two places.
    pytest.mark.filterwarnings("ignore:In the future `np.object`:FutureWarning"),
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
]


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """A job folder."""
    return Job.create(tmp_path, {}, {})


def _model(seed: int = 0) -> keras.Model:
    """A compiled model, as `State` saves it."""
    keras.utils.set_random_seed(seed)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    model.compile("adam", "mse", run_eagerly=True)  # a graph takes longer to build than two steps
    model.optimizer.build(model.trainable_variables)
    return model


def _fit(model: keras.Model, steps: int = 2) -> keras.Model:
    x = np.linspace(-1, 1, 8, dtype=np.float32).reshape(4, 2)
    for _ in range(steps):
        model.train_on_batch(x, np.ones((4, 3), np.float32))
    return model


def _row(phase: str, epoch: int, **changes: Any) -> dict[str, Any]:
    row = {"phase": phase, "epoch": epoch, "learning_rate": 0.1, "loss": 0.5, "val_loss": 0.4, "seconds": 1.0}
    return {**row, **changes}


def _weights_files(job: Job) -> list[str]:
    return sorted(path.name for path in job.state.glob("*.weights.h5"))


def test_begins_empty(job: Job) -> None:
    """A job that was never trained has no epoch, and any loss is the best one."""
    state = State.load(job)
    assert (state.history, state.best_file, state.best_loss, state.ended) == ([], "", math.inf, [])
    assert (state.epochs("dense"), job.state.is_dir()) == (0, True)
    fresh, kept = _model(), _model().get_weights()
    state.restore(fresh, "dense")
    np.testing.assert_array_equal(fresh.get_weights()[0], kept[0])


def test_comes_back_as_it_was_saved(job: Job) -> None:
    """History, best epoch and ended phases outlive the process."""
    state, model = State.load(job), _model()
    state.best_file, state.best_loss = "w.h5", 0.25
    state.save(job, model, _row("dense", 1, val_loss=None))
    state.save(job, model, _row("all", 2), ended=True)
    again = State.load(job)
    assert again == state
    assert (again.epochs("dense"), again.epochs("all"), again.ended) == (1, 1, ["all"])


def test_resumes_with_weights_and_optimiser(job: Job) -> None:
    """After a restore, the next step is the one that would have followed."""
    model = _fit(_model())
    State.load(job).save(job, model, _row("all", 1))
    restored = _model(seed=1)
    State.load(job).restore(restored, "all")
    for expected, found in zip(_fit(model).get_weights(), _fit(restored).get_weights(), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_keeps_only_the_last_weights_of_each_phase(job: Job) -> None:
    """Each phase has its own model; the weights of older epochs are deleted."""
    state, model = State.load(job), _model()
    for phase, epoch in (("dense", 1), ("dense", 2), ("all", 3), ("all", 4)):
        state.save(job, model, _row(phase, epoch))
    assert _weights_files(job) == ["all_0004.weights.h5", "dense_0002.weights.h5"]


def test_a_start_fitted_in_closed_form_is_no_epoch(job: Job) -> None:
    """It is in the history, as epoch 0, and all epochs are still to come."""
    state = State.load(job)
    state.save(job, _model(), _row("dense", 0))
    assert (len(state.history), state.epochs("dense")) == (1, 0)


def test_mends_a_history_that_a_kill_left_behind(job: Job) -> None:
    """It is written after the state, and again when the state is read."""
    State.load(job).save(job, _model(), _row("all", 1))
    known = job.history_file.read_bytes()
    job.history_file.unlink()
    State.load(job)
    assert job.history_file.read_bytes() == known


def test_writes_the_history_for_people(job: Job) -> None:
    """It has a row for each epoch; the validation loss is blank where there is none."""
    state, model = State.load(job), _model()
    state.save(job, model, _row("dense", 1, val_loss=None))
    state.save(job, model, _row("all", 2))
    rows = list(csv.DictReader(job.history_file.read_text("utf-8").splitlines()))
    assert [(row["phase"], row["epoch"], row["val_loss"]) for row in rows] == [
        ("dense", "1", ""),
        ("all", "2", "0.4"),
    ]
    assert tuple(rows[0]) == HISTORY_COLUMNS


def test_deletes_only_the_weights_of_other_epochs(job: Job) -> None:
    """Including incomplete files after a kill; other files stay."""
    ours = ("weights_Small_02_0.100.weights.h5", ".weights_EfficientNetLite0_123_12.345.weights.h5")
    others = ("notes.txt", "weights_mine.weights.h5", "weights_Small_01_0.100.weights.h5.bak")
    best = "weights_Small_01_0.200.weights.h5"
    for name in (*ours, *others, best):
        (job.weights / name).touch()
    state = State.load(job)
    state.best_file = best
    state.delete_other_weights(job)
    assert {path.name for path in job.weights.iterdir()} == {*others, best}


@pytest.mark.parametrize("breaks", ["save_weights", "atomic_writer"])
def test_an_epoch_is_saved_whole_or_not_at_all(
    job: Job, monkeypatch: pytest.MonkeyPatch, breaks: str
) -> None:
    """A job that is killed while it writes weights or state resumes after the previous epoch."""
    state = State.load(job)
    model = _model()
    state.save(job, model, _row("all", 1))
    kept = [values.copy() for values in model.get_weights()]

    def kill(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    model.set_weights([values + 1 for values in kept])
    with monkeypatch.context() as patched:
        patched.setattr(state_module, breaks, kill)
        with pytest.raises(KeyboardInterrupt):
            state.save(job, model, _row("all", 2))
    again = State.load(job)
    assert again.epochs("all") == 1
    restored = _model(seed=1)
    again.restore(restored, "all")
    for expected, found in zip(kept, restored.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_reports_a_disk_that_cannot_be_written_to(tmp_path: Path) -> None:
    """The error of h5py becomes one that names the file."""
    with pytest.raises(OutputError, match=r"w\.weights\.h5 could not be written"):
        save_weights(_model(), tmp_path / "none" / "w.weights.h5")


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda _: "[]",
        lambda text: json.dumps({**json.loads(text), "odd": 1}),
    ],
    ids=["half of it", "a list", "unknown keys"],
)
def test_refuses_a_damaged_state(job: Job, damage: Callable[[str], str]) -> None:
    """A job never resumes from it."""
    State.load(job).save(job, _model(), _row("all", 1))
    path = job.state / "state.json"
    path.write_text(damage(path.read_text("utf-8")), encoding="utf-8")
    with pytest.raises(UsageError, match=r"The state of a job"):
        State.load(job)


@pytest.mark.parametrize("name", ["../{file}", "/etc/{file}", "sub/{file}", 3, None])
def test_refuses_a_state_that_names_files_elsewhere(job: Job, name: Any) -> None:
    """A job's weights are in its own folder."""
    state = State.load(job)
    state.save(job, _model(), _row("dense", 1))
    [path] = job.state.glob("*.json")
    values = json.loads(path.read_text("utf-8"))
    [(phase, file)] = values["weights"].items()
    values["weights"][phase] = name.format(file=file) if isinstance(name, str) else name
    path.write_text(json.dumps(values), "utf-8")
    with pytest.raises(UsageError, match="must have been written by this version"):
        State.load(job)


def test_refuses_weights_that_link_to_another_file(job: Job) -> None:
    """Someone else's job folder cannot make training read another file."""
    state, model = State.load(job), _model()
    state.save(job, model, _row("dense", 1))
    with h5py.File(job.state / state.weights["dense"], "r+") as file:
        file["elsewhere"] = h5py.ExternalLink("/etc/passwd", "/")
    with pytest.raises(WeightsError, match="must have no links"):
        state.restore(model, "dense")
