"""A small network that learns the scores of a head from photographs without ratings."""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nimakit.config import HeadConfig, TrainConfig, parse_train_config
from nimakit.errors import ImageError, UsageError
from nimakit.features import make_scorer
from nimakit.jobs import Job
from nimakit.models import intervals
from nimakit.models.engine import Member, Model
from nimakit.models.intervals import KnownErrors
from nimakit.models.network import Network
from nimakit.models.pretrained import PUBLIC, Notify
from nimakit.models.score import DIGITS, Score
from nimakit.progress import track
from nimakit.scoring.evaluation import Evaluation, evaluate
from nimakit.scoring.items import Item, list_items, score_items
from nimakit.stats import histogram
from nimakit.stats.histogram import FloatArray
from nimakit.training.labelled_set import JobData
from nimakit.training.results import seconds_per_image

STUDENT = "student"
"""Name of the evaluation of the student on photographs with ratings, none of which it has seen."""

_VALIDATION_SHARE = 0.1
_FEWEST = 10
"""Photographs without ratings that a student needs at least."""
_CONFIG: Mapping[str, Any] = {
    "batch_size": 32,
    "epochs_train_dense": 0,
    "epochs_train_all": 10,
    "learning_rate_all": 5e-5,
    "learning_rate_schedule": "cosine",
    "dropout_rate": 0.0,
    "ridge_start": True,
    "weight_averaging": 0.95,
    "exported_epoch": "last",
    "validation_split": _VALIDATION_SHARE,
    "resize_filter": "bicubic",
    "decode": "scaled",
}
"""As configs for few ratings: a student has no more to learn from than a head knows."""


@dataclass(frozen=True, slots=True)
class Student:
    """A trained student.

    Attributes:
        evaluation: Its scores of the photographs with ratings.
        fact: A sentence about it, for the report.
    """

    evaluation: Evaluation
    fact: str


def student_config(name: str, config: HeadConfig, bins: int) -> dict[str, Any]:
    """The config of a student's own job.

    Args:
        name: Its backbone, as keras.applications names it.
        config: Of the head.
        bins: Number of bins.
    """
    public = (key for key, weights in PUBLIC.items() if weights.base_model == name)
    own = {"existing_weights": weights} if (weights := next(public, None)) else {}
    values = {"base_model_name": name, **own, "n_classes": bins, "head": config.head, "seed": config.seed}
    return {**values, **_CONFIG, **({"fit": config.fit} if config.fit else {})}


def distil(
    job: Job, data: JobData, teacher: Model, *, train: Callable[[Job], None], notify: Notify
) -> Student:
    """Train a student on the scores of a head, in a job of its own in the folder ``student`` of the job.

    Args:
        job: The job of the head, prepared with a student.
        data: Its photographs with ratings, on which the student is evaluated.
        teacher: The head.
        train: Runs or resumes a job.
        notify: Called with messages about the progress.

    Raises:
        UsageError: There are too few photographs without ratings.
        NimakitError: The student's job failed.
    """
    student = job.student
    if not student.run_file.is_file():
        _prepare(job, data, teacher, notify)
    train(student)
    network = Network(student.model_file)
    rated = [*data.items, *data.test]
    found = evaluate(Model([Member(network)]), rated, label="scoring the rated photographs")
    _store_errors(student, found, data)
    counts = {part: len(ids) for part, ids in student.split().items()}
    alike = json.loads(student.metrics_file.read_text("utf-8"))["validation"]["srcc_mean"]
    own: TrainConfig = parse_train_config(json.loads(student.config_file.read_text("utf-8")), "student")
    fact = (
        f"{own.base_model_name}, learned from the scores of {counts['training']} other photographs;"
        f" SRCC {_shown(alike)} with the scores of {counts['validation']} that it did not learn from,"
        f" {_shown(found.metrics.srcc_mean)} with the ratings of {len(found.image_ids)};"
        f" {student.model_file.stat().st_size / 1e6:.1f} MB,"
        f" {seconds_per_image(network, found.paths):.3f} s for an image, on one core"
    )
    return Student(found, fact)


def _prepare(job: Job, data: JobData, teacher: Model, notify: Notify) -> None:
    """Score the photographs, and create the student's job."""
    run = job.run()
    folder = Path(run["student_images"])
    items = _unrated(list_items(folder, recursive=run["recursive"], notify=notify), data, notify)
    entries, failed = [], 0
    results = score_items(make_scorer(teacher), items)
    for item, result in track(results, len(items), "scoring photographs for the student"):
        if isinstance(result, ImageError):
            failed += 1
        else:
            label = _label(result, teacher.bins).round(DIGITS).tolist()
            entries.append({"image_id": item.image_id, "label": label})
    if failed:
        notify(f"{failed} photographs for the student cannot be decoded, and are left out")
    if len(entries) < _FEWEST:
        raise UsageError(
            f"A student needs at least {_FEWEST} photographs without ratings. Received: {len(entries)} in"
            f" {folder}"
        )
    shared = {name: run[name] for name in ("recursive", "allow_missing", "docker_image")}
    Job.create_at(
        job.student.folder,
        {
            "config.json": job.student_config_file.read_bytes(),
            "samples.json": f"{json.dumps(entries)}\n".encode(),
        },
        {
            "image_dir": str(folder),
            "samples_file": str(job.student.samples_file),
            "missing": [],
            "teacher": job.name,
            **shared,
        },
    )


def _store_errors(student: Job, found: Evaluation, data: JobData) -> None:
    """Store the student's errors on the validation set of the head, if there is one.

    On the other rated photographs its errors are too small: the head learned from their ratings, and the
    student from the head.
    """
    held_out = {data.items[row].image_id for row in data.parts["validation"]}
    rows = [row for row, image_id in enumerate(found.image_ids) if image_id in held_out]
    if rows:
        real = histogram.mean(found.labels[rows], found.label_bins)
        known_errors = KnownErrors.of(found.means[rows], real, f"{len(rows)} photographs, validation")
        intervals.write(student.model_file, known_errors)


def _unrated(items: list[Item], data: JobData, notify: Notify) -> list[Item]:
    """The photographs that are not rated, and whose image_id is theirs only."""
    rated = {item.image_id for item in [*data.items, *data.test]}
    count = Counter(item.image_id for item in items)
    kept = [item for item in items if item.image_id not in rated and count[item.image_id] == 1]
    if len(kept) < len(items):
        notify(
            f"{len(items) - len(kept)} photographs are left out for the student: they are rated, or share"
            " their image_id"
        )
    return kept


def _label(score: Score, bins: FloatArray) -> FloatArray:
    """(bins,) float64, sums to 1: the histogram; of a regression head the one on the two nearest bins."""
    if score.histogram is not None:
        return score.histogram
    mean = np.clip(score.mean, bins[0], bins[-1])
    return np.asarray(np.maximum(0.0, 1.0 - np.abs(bins - mean)))  # the bins of labels are 1 apart


def _shown(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"
