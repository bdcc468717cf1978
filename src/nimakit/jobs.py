"""Job folders: what a ``train_jobs/<timestamp>/`` holds, and how it is made, found and kept up to date."""

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from nimakit.errors import OutputError, UsageError
from nimakit.images.files import canonical
from nimakit.io.atomic import atomic_writer
from nimakit.io.rules import read_json

Split = Mapping[str, frozenset[str]]
"""image_ids that a model was trained on ("training") and validated with ("validation")."""

Status = Literal["prepared", "training", "stopped", "failed", "complete"]

_STAMP = "%Y_%m_%d_%H_%M_%S"


@dataclass(frozen=True, slots=True)
class Job:
    """One training job: a folder, and the names in it.

    Attributes:
        folder: Absolute path.
    """

    folder: Path

    @classmethod
    def create(cls, jobs_folder: Path, files: Mapping[str, bytes], run: Mapping[str, Any]) -> "Job":
        """Make a job folder named after the second it was made in; a second job waits for the next one.

        Args:
            jobs_folder: Made where it is missing.
            files: Name -> content of the files to begin with: config.json, samples.json.
            run: What run.json says to begin with; status and time of making are added.

        Returns:
            The job, its status "prepared".

        Raises:
            OutputError: The folder could not be made or written to.
        """
        try:
            jobs_folder.mkdir(parents=True, exist_ok=True)
            job = cls(_new_folder(jobs_folder.absolute()))
            for folder in (job.logs, job.weights):
                folder.mkdir()
            for name, content in files.items():
                (job.folder / name).write_bytes(content)
        except OSError as error:
            raise OutputError(
                f"The jobs folder must be writable. Received: {jobs_folder} ({error.strerror})"
            ) from error
        job.note("prepared", created=now(), **run)
        return job

    @classmethod
    def open(cls, folder: Path) -> "Job":
        """The job of a folder.

        Raises:
            UsageError: No job folder.
        """
        job = cls(folder.absolute())
        if not job.run_file.is_file():
            raise UsageError(
                f"A job folder holds run.json, as train-local leaves it. Received: {folder}, without one."
            )
        return job

    @property
    def name(self) -> str:
        """The timestamp the folder is named after."""
        return self.folder.name

    @property
    def config_file(self) -> Path:
        """The training config, as it was given."""
        return self.folder / "config.json"

    @property
    def samples_file(self) -> Path:
        """The label file, as it was given."""
        return self.folder / "samples.json"

    @property
    def test_samples_file(self) -> Path:
        """The label file of the test set, as it was given; it need not exist."""
        return self.folder / "test_samples.json"

    @property
    def split_file(self) -> Path:
        """The image_ids learned from, and those validated with."""
        return self.folder / "split.json"

    @property
    def logs(self) -> Path:
        """TensorBoard logs."""
        return self.folder / "logs"

    @property
    def weights(self) -> Path:
        """Keras weights of the exported epoch: ``weights_<base>_<epoch>_<val_loss>.weights.h5``."""
        return self.folder / "weights"

    @property
    def state(self) -> Path:
        """What a stopped job needs to go on; gone once the job is complete."""
        return self.folder / "state"

    @property
    def history_file(self) -> Path:
        """A row an epoch: phase, epoch, learning rate, losses."""
        return self.folder / "history.csv"

    @property
    def run_file(self) -> Path:
        """Status, versions, seed, times."""
        return self.folder / "run.json"

    @property
    def model_file(self) -> Path:
        """The best epoch, exported."""
        return self.folder / "model.onnx"

    @property
    def metrics_file(self) -> Path:
        """Agreement with the labels: of the validation set, and of the test set where there is one."""
        return self.folder / "metrics.json"

    @property
    def report_file(self) -> Path:
        """The report people look at."""
        return self.folder / "report.html"

    @property
    def card_file(self) -> Path:
        """The model card."""
        return self.folder / "MODEL_CARD.md"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep every other process, in a container or not, from doing this job at the same time.

        Raises:
            UsageError: Another process is at it.
            OutputError: The folder cannot be written to.
        """
        import fcntl  # not on Windows, where jobs can still be read

        try:
            file = (self.folder / ".lock").open("w")
        except OSError as error:
            raise OutputError(
                f"A job folder must be writable. Received: {self.folder} ({error.strerror})"
            ) from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise UsageError(
                    f"A job is done by one process at a time. Received: {self.folder}, in training already;"
                    " stop that one first."
                ) from error
            yield

    def run(self) -> dict[str, Any]:
        """What run.json says.

        Raises:
            UsageError: It is damaged.
        """
        values = read_json(self.run_file, UsageError, "run.json")
        if not isinstance(values, dict) or "status" not in values:
            raise UsageError(f"run.json is an object with a status. Received: {self.run_file}")
        return values

    def split(self) -> Split:
        """What split.json says: the image_ids of each part, in the spelling that labels are read in.

        Raises:
            UsageError: It is damaged.
        """
        values = read_json(self.split_file, UsageError, "split.json")
        if (
            not isinstance(values, dict)
            or "training" not in values
            or not all(
                isinstance(ids, list) and all(isinstance(name, str) for name in ids)
                for ids in values.values()
            )
        ):
            raise UsageError(f"split.json lists the image_ids of each part. Received: {self.split_file}")
        return {part: frozenset(map(canonical, ids)) for part, ids in values.items()}

    def note(self, status: Status, **values: Any) -> None:
        """Set the status, and add to what run.json says.

        Raises:
            OutputError: It could not be written.
        """
        known = self.run() if self.run_file.is_file() else {}
        with atomic_writer(self.run_file) as stream:
            json.dump({**known, "status": status, **values}, stream, indent=2)
            stream.write("\n")


def read_splits(files: Iterable[Path], *, notify: Callable[[str], None] | None = None) -> Split:
    """What models were trained on and validated with, as the jobs say whose files they are.

    A job that started from another job's weights has learned from that job's images too.

    Args:
        files: Model files in a job's folder, weights in its ``weights/``; others add nothing.
        notify: Called with a sentence where a split.json outside of a job is passed over: other programs
            give files that name, too.

    Returns:
        Empty where none of them lies in a job with a split.

    Raises:
        UsageError: A split.json or config.json of a job that is damaged.
    """
    found: dict[str, frozenset[str]] = {}
    waiting, seen = list(files), set()
    while waiting:
        file = waiting.pop().absolute()
        job = Job(file.parent.parent if file.parent.name == "weights" else file.parent)
        if job.folder in seen or not (file.is_file() and job.split_file.is_file()):
            continue
        seen.add(job.folder)
        try:
            parts = job.split()
        except UsageError as error:
            if job.run_file.is_file():
                raise
            if notify:
                notify(f"passed over, because it is of no training job: {error}")
            continue
        for part, image_ids in parts.items():
            found[part] = found.get(part, frozenset()) | image_ids
        config = read_json(job.config_file, UsageError, "config.json") if job.config_file.is_file() else {}
        if isinstance(config, dict) and isinstance(config.get("existing_weights"), str):
            waiting.append(Path(config["existing_weights"]))
    return found


def epochs_done(history: Sequence[Mapping[str, Any]], phase: str) -> int:
    """How many epochs of a phase are in a history; a head fitted in closed form is none of them."""
    return sum(row["phase"] == phase and row["epoch"] > 0 for row in history)


def now() -> str:
    """The time in UTC, as ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _new_folder(jobs_folder: Path) -> Path:
    """Claim the first free second: making a folder either succeeds for one caller alone, or fails."""
    while True:
        folder = jobs_folder / datetime.now().astimezone().strftime(_STAMP)
        try:
            folder.mkdir(mode=0o777)
        except FileExistsError:
            time.sleep(0.05)
        else:
            return folder


def find_jobs(jobs_folder: Path) -> list[Job]:
    """The jobs in a folder, oldest first; none where the folder is missing."""
    if not jobs_folder.is_dir():
        return []
    with os.scandir(jobs_folder) as entries:
        folders = sorted(entry.path for entry in entries if entry.is_dir())
    return [Job(Path(folder).absolute()) for folder in folders if Path(folder, "run.json").is_file()]


def set_name(images: int, training_images: int | None, validation_images: int | None) -> str:
    """What a set is to a model: "training" or "validation" where all of its images are, else "test"."""
    if images == training_images:
        return "training"
    return "validation" if images == validation_images else "test"
