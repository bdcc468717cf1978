"""A training job before it starts: everything about it is checked at once, then its folder is made."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from nimakit.config import RANDOM_WEIGHTS, TrainConfig, read_train_config
from nimakit.errors import NimakitError, UsageError
from nimakit.files import match_images
from nimakit.jobs import Job
from nimakit.labels import Labels, read_labels
from nimakit.pretrained import PUBLIC

_Read = TypeVar("_Read")


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What a job is asked to do.

    Attributes:
        config_file: Training config, JSON.
        samples_file: Label file to learn from, JSON.
        image_dir: Folder of its images.
        test_samples_file: Label file to test with, JSON; None for none.
        jobs_dir: Folder the job folder is made in.
        allow_missing: Whether images that are not there, or cannot be decoded, are left out.
        docker_image: Container image the job is run in; None outside containers.
    """

    config_file: Path
    samples_file: Path
    image_dir: Path
    test_samples_file: Path | None
    jobs_dir: Path
    allow_missing: bool
    docker_image: str | None


def prepare(request: Request) -> Job:
    """Check a job, and make its folder.

    Args:
        request: What is asked.

    Returns:
        The job, its status "prepared".

    Raises:
        UsageError: What would stop the job later, all of it at once: config keys, labels, images.
    """
    problems: list[str] = []
    config = _collect(problems, lambda: read_train_config(request.config_file))
    missing: list[str] = []
    read: list[Labels] = []
    for file in (request.samples_file, request.test_samples_file):
        labels = _collect(problems, lambda: _read_labelled(file)) if file else None  # noqa: B023
        if file is None or labels is None:
            continue
        read.append(labels)
        absent = _collect(problems, lambda: _missing(labels, request.image_dir))  # noqa: B023
        if config and labels.histograms is not None and labels.histograms.shape[1] != config.n_classes:
            problems.append(
                f"n_classes must be the number of bins of the labels. Received: {config.n_classes}"
                f" in {request.config_file}, {labels.histograms.shape[1]} bins in {file}"
            )
        if absent and len(absent) == len(labels.image_ids):
            problems.append(f"{request.image_dir} must hold images that {file} names. Received: none of them")
        elif absent and not request.allow_missing:
            problems.append(
                f"{len(absent)} of {len(labels.image_ids)} images that {file} names are not in"
                f" {request.image_dir} (leave them out with --allow-missing): {', '.join(absent)}"
            )
        missing += absent or []
    shared = _shared(read)
    if shared:
        problems.append(
            "Test images must not be among those to learn from. Received:"
            f" {len(shared)} image_ids in both files: {', '.join(shared)}"
        )
    if config:
        problems += _model_problems(config)
    if problems:
        raise UsageError(_joined(problems))
    return _create(request, missing)


def _collect(problems: list[str], read: Callable[[], _Read]) -> _Read | None:
    """What a reader gives; or None, and its complaint among the others, once."""
    try:
        return read()
    except NimakitError as error:
        if str(error) not in problems:
            problems.append(str(error))
        return None


def _read_labelled(file: Path) -> Labels:
    labels = read_labels(file)
    if labels.histograms is None:
        raise UsageError(f"Training needs labels. Received: {file}, whose entries have image_ids alone.")
    return labels


def _shared(read: list[Labels]) -> list[str]:
    """image_ids that are in all of the label files, where there are two."""
    return sorted(set.intersection(*(set(labels.image_ids) for labels in read))) if len(read) > 1 else []


def _missing(labels: Labels, image_dir: Path) -> list[str]:
    if not image_dir.is_dir():
        raise UsageError(f"The image directory must be a folder that exists. Received: {image_dir}")
    found = match_images(labels.image_ids, image_dir)
    return [name for name, path in found.items() if path is None]


def _model_problems(config: TrainConfig) -> list[str]:
    from nimakit.nn import backbones

    problems: list[str] = []
    _collect(problems, lambda: backbones.get(config.base_model_name))
    weights = config.existing_weights
    if weights not in (None, RANDOM_WEIGHTS, *PUBLIC) and not Path(str(weights)).is_file():
        problems.append(
            "existing_weights must be a Keras weight file, null (ImageNet), 'random', or public weights"
            f" ({', '.join(PUBLIC)}). Received: {weights}, which is not there"
        )
    return problems


def _joined(problems: list[str]) -> str:
    if len(problems) == 1:
        return problems[0]
    return "\n  - ".join([f"The job has {len(problems)} problems, and was not started:", *problems])


def _create(request: Request, missing: list[str]) -> Job:
    files = {"config.json": request.config_file, "samples.json": request.samples_file}
    if request.test_samples_file:
        files["test_samples.json"] = request.test_samples_file
    return Job.create(
        request.jobs_dir,
        {name: file.read_bytes() for name, file in files.items()},
        {
            "image_dir": str(request.image_dir.absolute()),
            "samples_file": str(request.samples_file),
            "allow_missing": request.allow_missing,
            "missing": missing,
            "docker_image": request.docker_image,
        },
    )
