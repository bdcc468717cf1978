"""Cross-validation of training configs: a job for each fold, which later runs resume or use again."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nimakit.config import HeadConfig, read_config
from nimakit.errors import ConfigError, TrainingError
from nimakit.jobs import Job
from nimakit.labels import label_file, sets
from nimakit.labels.label_file import Labels
from nimakit.scoring.candidates import LabelledImages, Outcome, Settings, cross_validated_head, merged, scored
from nimakit.stats.histogram import IntArray


@dataclass(frozen=True, kw_only=True, slots=True)
class Jobs:
    """Where jobs find their images, and where they are.

    Attributes:
        labels: Labels of the images, among others.
        image_dir: Folder of the images.
        recursive: Whether to look into sub-folders.
        folder: Where each fold has a folder, with its label files and the jobs of each config.
        seed: Seed of the folds, in the names of these folders.
    """

    labels: Labels
    image_dir: Path
    recursive: bool
    folder: Path
    seed: int


def cross_validated(
    images: LabelledImages, config_file: Path, name: str, settings: Settings, jobs: Jobs
) -> Outcome:
    """Predict each image by a head, or a whole network, that was trained without its fold.

    Networks are trained by `nimakit train`, as a user runs it.

    Args:
        images: The images.
        config_file: A training config.
        name: Its name.
        settings: How to predict, and in which folds.
        jobs: What the jobs need.

    Raises:
        ConfigError: Not a config, or with another number of bins.
        UsageError: A head, and an augmentation other than "none" and "flips".
        ModelError: An encoder is missing, or a network fails.
        TrainingError: A job failed; the others are used again by the next run.
    """
    config = read_config(config_file)
    if config.n_classes not in (None, len(images.bins)):
        raise ConfigError(
            f"n_classes must be the number of bins of the labels. Received: {config.n_classes} in"
            f" {config_file}, {len(images.bins)} bins"
        )
    if isinstance(config, HeadConfig):
        return cross_validated_head(images, config, name, settings)
    outcomes = []
    for fold in settings.chosen:
        folder = jobs.folder / f"seed_{jobs.seed}_fold_{fold}_of_{int(settings.folds.max()) + 1}"
        own = np.flatnonzero(settings.folds == fold)
        others = np.flatnonzero(settings.folds != fold)
        files = [
            _label_file(folder / f"{part}.json", images, rows, jobs.labels)
            for part, rows in (("training", others), ("test", own))
        ]
        settings.notify(f"{name}: training without fold {fold + 1}")
        job = _trained(config_file, files[0], folder / name.replace("/", "_"), jobs)
        outcomes.append(scored(images, str(job.model_file), settings, rows=own))
    return merged(outcomes, name)


def _label_file(path: Path, images: LabelledImages, rows: IntArray, labels: Labels) -> Path:
    place = {name: number for number, name in enumerate(labels.image_ids)}
    part = sets.only(labels, [place[images.image_ids[row]] for row in rows])
    path.parent.mkdir(parents=True, exist_ok=True)
    label_file.write_labels(path, part.image_ids, part.counts)
    return path


def _trained(config_file: Path, samples_file: Path, folder: Path, jobs: Jobs) -> Job:
    """The job of a config without one fold: that of an earlier run with the same labels, or a new one."""
    for job in (Job.open(file.parent) for file in sorted(folder.glob("*/run.json"))):
        same = job.config_file.read_bytes() == config_file.read_bytes()
        if same and job.samples_file.read_bytes() == samples_file.read_bytes():
            if job.run()["status"] != "complete":
                _train(["--resume", str(job.folder)])
            return job
    options = ["--config-file", str(config_file), "--samples-file", str(samples_file)]
    options += ["--image-source", str(jobs.image_dir), "--jobs-dir", str(folder)]
    return Job.open(Path(_train([*options, "--recursive"] if jobs.recursive else options)))


def _train(options: Sequence[str]) -> str:
    """Run `nimakit train` in a process of its own, which gives all memory back; returns the job folder."""
    done = subprocess.run(
        [sys.executable, "-m", "nimakit", "train", *options], stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise TrainingError(
            "A job of the cross-validation failed, for the reason above. Once it is fixed, the same command"
            " continues with the jobs that are complete."
        )
    return done.stdout.strip().splitlines()[-1]
