"""The state a stopped job resumes from: weights and optimiser after each epoch, and the history."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import keras

from nimakit.errors import OutputError, UsageError, first_line
from nimakit.io.atomic import atomic_writer
from nimakit.io.delimited import TableWriter
from nimakit.io.rules import read_json
from nimakit.jobs import Job, epochs_done
from nimakit.models import weight_files

_STATE = "state.json"
_KEPT_WEIGHTS = re.compile(r"\.?weights_\w+_\d{2,}_(\d+\.\d{3}|inf|nan)\.weights\.h5")
"""Names of kept weights, and of files that a kill left incomplete."""
HISTORY_COLUMNS = ("phase", "epoch", "learning_rate", "loss", "val_loss", "seconds")


def save_weights(model: keras.Model, path: Path) -> None:
    """Write weights, with the optimiser of a compiled model, atomically.

    Raises:
        OutputError: They could not be written; an earlier file is untouched.
    """
    partial = path.with_name(f".{path.name}")
    try:
        model.save_weights(partial, overwrite=True)
        partial.replace(path)
    except OSError as error:  # which h5py raises for a full disk
        raise OutputError(f"{path} could not be written: {first_line(error)}.") from error


@dataclass
class State:
    """The progress of a job, saved atomically: a kill at any moment loses one epoch at most.

    Attributes:
        folder: The folder of the state.
        weights: Phase -> file of its latest weights and optimiser.
        history: A row for each epoch: `HISTORY_COLUMNS`.
        best_file: Name of the weights to export; empty before the first epoch.
        best_loss: Their validation loss, or training loss without a validation set.
        ended: Phases that early stopping ended.
    """

    folder: Path
    weights: dict[str, str] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    best_file: str = ""
    best_loss: float = math.inf
    ended: list[str] = field(default_factory=list)

    @classmethod
    def load(cls, job: Job) -> "State":
        """The state of a job; an empty one if it has not begun.

        Raises:
            UsageError: The state is damaged.
        """
        job.state.mkdir(exist_ok=True)
        path = job.state / _STATE
        if not path.is_file():
            return cls(job.state)
        values = read_json(path, UsageError, "The state of a job")
        known = {item.name for item in fields(cls)} - {"folder"}
        if not isinstance(values, dict) or set(values) != known or not _are_file_names(values):
            raise UsageError(
                f"The state of a job must have been written by this version of nimakit. Received: {path};"
                " start a new job."
            )
        state = cls(folder=job.state, **values)
        state._write_history(job)  # which a kill may have prevented
        return state

    def epochs(self, phase: str) -> int:
        """The number of finished epochs of a phase."""
        return epochs_done(self.history, phase)

    def restore(self, model: keras.Model, phase: str) -> None:
        """Load the weights and the optimiser of the last epoch of a phase, if any, into a compiled model.

        Raises:
            WeightsError: The file is damaged, or links to other files.
        """
        if phase in self.weights:
            path = self.folder / self.weights[phase]
            weight_files.check(path)
            model.load_weights(path)

    def save(self, job: Job, model: keras.Model, row: dict[str, Any], *, ended: bool = False) -> None:
        """Save an epoch: the state, weights and optimiser to resume from, and history.csv.

        Args:
            job: The job.
            model: The compiled model.
            row: `HISTORY_COLUMNS`.
            ended: Whether early stopping ends the phase with this epoch.

        Raises:
            OutputError: The disk is full.
        """
        phase = row["phase"]
        previous = self.weights.get(phase)
        self.history.append(row)
        self.weights[phase] = f"{phase}_{row['epoch']:04d}.weights.h5"
        if ended:
            self.ended.append(phase)
        save_weights(model, self.folder / self.weights[phase])
        values = asdict(self)
        del values["folder"]
        with atomic_writer(self.folder / _STATE) as stream:
            json.dump(values, stream)
        if previous and previous != self.weights[phase]:
            (self.folder / previous).unlink(missing_ok=True)
        self._write_history(job)

    def delete_other_weights(self, job: Job) -> None:
        """Delete kept weights except those of the best epoch; files with other names stay."""
        for file in job.weights.iterdir():
            if _KEPT_WEIGHTS.fullmatch(file.name) and file.name != self.best_file:
                file.unlink()

    def _write_history(self, job: Job) -> None:
        with atomic_writer(job.history_file) as stream:
            table = TableWriter(stream)
            table.row(HISTORY_COLUMNS)
            for row in self.history:
                table.row(row.get(column, "") for column in HISTORY_COLUMNS)


def _are_file_names(values: Mapping[str, Any]) -> bool:
    """Whether all files are bare names: a job's weights are in its own folder."""
    files = [values["best_file"], *dict(values["weights"]).values()]
    return all(isinstance(file, str) and file == Path(file).name for file in files)
