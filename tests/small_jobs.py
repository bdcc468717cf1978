"""Training jobs small enough for a test: two dozen photographs, rated by how bright they are."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from nimakit.jobs import Job
from nimakit.stats.histogram import normalise
from nimakit.training.preparation import Request, prepare

SMALL = "Small"
"""The base model of small_backbone, which only that module, with TensorFlow, makes known."""
BINS = 5
COUNT = 24
SIDE = 64
CONFIG: dict[str, Any] = {
    "base_model_name": "MobileNet",  # and not small_backbone's, which needs TensorFlow to be known
    "existing_weights": "random",
    "n_classes": BINS,
    "input_size": [SIDE, SIDE],
    "batch_size": 4,
    "epochs_train_dense": 1,
    "epochs_train_all": 2,
    "learning_rate_dense": 0.01,
    "learning_rate_all": 1e-3,
    "dropout_rate": 0.1,
    "validation_split": 0.25,
    "cache_memory_mb": 50,
    "cache_disk_mb": 50,
}
"""Both phases in seconds on one core."""


def label_of(level: float) -> list[float]:
    """(BINS,) shares that sum to 1: people agree that a photograph of level 0 to 1 is as good as bright."""
    rating = level * (BINS - 1)
    shares = normalise([float(np.exp(-((index - rating) ** 2))) for index in range(BINS)])
    return [round(float(share), 6) for share in shares]


def write_photographs(folder: Path, count: int = COUNT, *, prefix: str = "p", seed: int = 0) -> list[str]:
    """Write photographs of random colours, from dark to bright.

    Returns:
        Their image_ids, which are their names without the suffix.
    """
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    names = [f"{prefix}{index:02d}" for index in range(count)]
    for name, level in zip(names, np.linspace(0, 1, count), strict=True):
        colour = np.clip(255 * level + random.integers(-20, 21, 3), 0, 255)
        texture = random.integers(-10, 11, (SIDE + 16, SIDE, 3))
        pixels = np.clip(colour + texture, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.jpg", quality=95)
    return names


def write_labels(path: Path, names: Sequence[str]) -> Path:
    """Write the label file of photographs that are as bright as they come late."""
    levels = np.linspace(0, 1, len(names))
    entries = [
        {"image_id": name, "label": label_of(level)} for name, level in zip(names, levels, strict=True)
    ]
    path.write_text(json.dumps(entries), encoding="utf-8")
    return path


def write_config(path: Path, **changes: Any) -> Path:
    """Write the config of a small job."""
    path.write_text(json.dumps({**CONFIG, **changes}), encoding="utf-8")
    return path


def small_job(
    folder: Path, *, allow_missing: bool = False, test: bool = False, count: int = COUNT, **changes: Any
) -> Job:
    """Prepare a small job; its photographs are made where they are missing.

    Args:
        folder: Where photographs, label files, config and jobs go.
        allow_missing: As on the command line.
        test: Whether there is a test set.
        count: How many photographs are made.
        changes: Keys of the config.
    """
    photographs = folder / "photographs"
    if not photographs.exists():
        write_labels(folder / "labels.json", write_photographs(photographs, count))
        write_labels(folder / "test_labels.json", write_photographs(photographs, 6, prefix="test", seed=1))
    request = Request(
        config_file=write_config(folder / "config.json", **changes),
        samples_file=folder / "labels.json",
        image_dir=photographs,
        recursive=False,
        test_samples_file=folder / "test_labels.json" if test else None,
        jobs_dir=folder / "train_jobs",
        allow_missing=allow_missing,
        docker_image=None,
    )
    return prepare(request)


def history(job: Job) -> list[dict[str, str]]:
    """The rows of a job's history.csv."""
    return list(csv.DictReader(job.history_file.read_text("utf-8").splitlines()))


def losses(job: Job) -> list[tuple[float, float]]:
    """Loss and validation loss of each epoch; the latter no number where nothing is kept back."""
    return [(float(row["loss"]), float(row["val_loss"] or "nan")) for row in history(job)]
