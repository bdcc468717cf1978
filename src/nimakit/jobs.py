"""Job folders ``train_jobs/<timestamp>/``: their files, creating and locking them, and their status."""

import json
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
"""Part ("training", "validation") -> image_ids of the images in it."""

Status = Literal["prepared", "training", "stopped", "failed", "complete"]

_STAMP = "%Y_%m_%d_%H_%M_%S"


class _PathInFolder:
    """Attribute of a job: the path of a file or folder in its folder."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, job: "Job", owner: type["Job"]) -> Path:
        return job.folder / self._name


@dataclass(frozen=True, slots=True)
class Job:
    """A training job: its folder and the files in it.

    Attributes:
        folder: Absolute path.
    """

    folder: Path

    config_file = _PathInFolder("config.json")
    """The training config, as it was given."""
    samples_file = _PathInFolder("samples.json")
    """The label file, as it was given."""
    test_samples_file = _PathInFolder("test_samples.json")
    """The label file of the test set, as it was given; may be missing."""
    split_file = _PathInFolder("split.json")
    """The image_ids trained on and those validated with."""
    logs = _PathInFolder("logs")
    """TensorBoard logs."""
    weights = _PathInFolder("weights")
    """Keras weights of the exported epoch: ``weights_<base>_<epoch>_<val_loss>.weights.h5``."""
    state = _PathInFolder("state")
    """State for resuming a stopped job; deleted once the job is complete."""
    history_file = _PathInFolder("history.csv")
    """A row per epoch: phase, epoch, learning rate, losses."""
    run_file = _PathInFolder("run.json")
    """Status, versions, seed, times."""
    model_file = _PathInFolder("model.onnx")
    """The exported model of the best epoch."""
    metrics_file = _PathInFolder("metrics.json")
    """Agreement with the labels of the validation set and, if there is one, of the test set."""
    report_file = _PathInFolder("report.html")
    """The training report."""
    card_file = _PathInFolder("MODEL_CARD.md")
    """The model card."""
    student_config_file = _PathInFolder("student.json")
    """The training config of the student of a head; missing without one."""

    @classmethod
    def create(
        cls,
        jobs_folder: Path,
        files: Mapping[str, bytes],
        run: Mapping[str, Any],
        *,
        folders: Iterable[str] = ("logs", "weights"),
    ) -> "Job":
        """Create a job folder, named after the current second; if that is taken, wait for the next second.

        Args:
            jobs_folder: The folder of all jobs, created if it is missing.
            files: Name -> content of the files to begin with: config.json, samples.json.
            run: Initial content of run.json; status and time of creation are added.
            folders: Names of the folders to begin with.

        Returns:
            The job, with status "prepared".

        Raises:
            OutputError: The folder could not be created or written to.
        """
        try:
            jobs_folder.mkdir(parents=True, exist_ok=True)
            folder = _new_folder(jobs_folder.absolute())
        except OSError as error:
            raise OutputError(
                f"The jobs folder must be writable. Received: {jobs_folder} ({error.strerror})"
            ) from error
        return cls.create_at(folder, files, run, folders=folders)

    @classmethod
    def create_at(
        cls,
        folder: Path,
        files: Mapping[str, bytes],
        run: Mapping[str, Any],
        *,
        folders: Iterable[str] = ("logs", "weights"),
    ) -> "Job":
        """As `create`, in a folder of any name, which is created if it is missing."""
        job = cls(folder)
        try:
            for name in folders:
                (folder / name).mkdir(parents=True, exist_ok=True)
            for name, content in files.items():
                (folder / name).write_bytes(content)
        except OSError as error:
            raise OutputError(
                f"A job folder must be writable. Received: {folder} ({error.strerror})"
            ) from error
        job.update("prepared", created=now(), **run)
        return job

    @classmethod
    def open(cls, folder: Path) -> "Job":
        """Open a job folder.

        Raises:
            UsageError: It is not a job folder.
        """
        job = cls(folder.absolute())
        if not job.run_file.is_file():
            raise UsageError(
                f"A job folder holds run.json, which train-local writes. Received: {folder}, without one."
            )
        return job

    def ratings_file(self, suffix: str) -> Path:
        """The table of single ratings, as it was given; its suffix tells the format."""
        return self.folder / f"ratings{suffix}"

    @property
    def student(self) -> "Job":
        """The job of the student of a head, which may not exist."""
        return Job(self.folder / "student")

    @property
    def name(self) -> str:
        """The name of the folder, a timestamp."""
        return self.folder.name

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the job against every other process, inside or outside containers.

        Raises:
            UsageError: Another process has the lock.
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
                    "A job can be run by only one process at a time. Received:"
                    f" {self.folder}, in training already; stop that process first."
                ) from error
            yield

    def run(self) -> dict[str, Any]:
        """Read run.json.

        Raises:
            UsageError: It is damaged.
        """
        values = read_json(self.run_file, UsageError, "run.json")
        if not isinstance(values, dict) or "status" not in values:
            raise UsageError(f"run.json must be an object with a status. Received: {self.run_file}")
        return values

    def split(self) -> Split:
        """Read split.json: the image_ids of each part, spelt as `canonical` spells those of labels.

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
            raise UsageError(f"split.json must list the image_ids of each part. Received: {self.split_file}")
        return {part: frozenset(map(canonical, ids)) for part, ids in values.items()}

    def update(self, status: Status, **values: Any) -> None:
        """Set the status and further values in run.json.

        Raises:
            OutputError: It could not be written.
        """
        previous = self.run() if self.run_file.is_file() else {}
        with atomic_writer(self.run_file) as stream:
            json.dump({**previous, "status": status, **values}, stream, indent=2)
            stream.write("\n")


def read_splits(files: Iterable[Path], *, notify: Callable[[str], None] | None = None) -> Split:
    """Read which images models were trained on and validated with, from the job folders they are in.

    If a job started from another job's weights, it has learned from that job's images too.

    Args:
        files: Model files in a job's folder or weights in its ``weights/``; other files are ignored.
        notify: Called with a sentence if a split.json outside a job is ignored: other programs also use that
            name.

    Returns:
        Empty if none of them is in a job with a split.

    Raises:
        UsageError: The split.json or config.json of a job is damaged.
    """
    found: dict[str, frozenset[str]] = {}
    queue, seen = list(files), set()
    while queue:
        file = queue.pop().absolute()
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
                notify(f"ignored, because it belongs to no training job: {error}")
            continue
        for part, image_ids in parts.items():
            found[part] = found.get(part, frozenset()) | image_ids
        config = read_json(job.config_file, UsageError, "config.json") if job.config_file.is_file() else {}
        if isinstance(config, dict) and isinstance(config.get("existing_weights"), str):
            queue.append(Path(config["existing_weights"]))
    return found


def epochs_done(history: Sequence[Mapping[str, Any]], phase: str) -> int:
    """Number of epochs of a phase in a history; epoch 0, a head fitted in closed form, does not count."""
    return sum(row["phase"] == phase and row["epoch"] > 0 for row in history)


def now() -> str:
    """The current time in UTC, in ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _new_folder(jobs_folder: Path) -> Path:
    """Create the folder of the first free second. mkdir is atomic, so it succeeds for one process only."""
    while True:
        folder = jobs_folder / datetime.now().astimezone().strftime(_STAMP)
        try:
            folder.mkdir(mode=0o777)
        except FileExistsError:
            time.sleep(0.05)
        else:
            return folder


def part_name(images: int, training_images: int | None, validation_images: int | None) -> str:
    """The part that a set is to a model: "training" or "validation" if it has as many images, else "test"."""
    if images == training_images:
        return "training"
    return "validation" if images == validation_images else "test"
