"""Prepare a training job: check everything about it at once, then create its folder."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from nimakit.config import HeadConfig, TrainConfig, read_config, valid_values
from nimakit.errors import NimakitError, NoImagesError, UsageError, first_few
from nimakit.features import VIEWS
from nimakit.heads.blocks import check_encoders, load_blocks
from nimakit.heads.rater_bias import read_single_ratings
from nimakit.images.files import find_images, match_images
from nimakit.io.atomic import check_folder
from nimakit.jobs import Job
from nimakit.labels.label_file import Outline, outline, read_labels
from nimakit.progress import say, say_once
from nimakit.sources.places import is_stored
from nimakit.stats.histogram import default_bins
from nimakit.training.distillation import student_config
from nimakit.training.network_checks import model_problems
from nimakit.training.problems import collect, joined
from nimakit.training.stored_features import StoredFeatures

_LISTED = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """The inputs of a job.

    Attributes:
        config_file: Training config, JSON.
        samples_file: Label file to train with, JSON.
        image_dir: Folder of its images; None if there are features.
        recursive: Whether to look for images in sub-folders too.
        test_samples_file: Label file to test with, JSON, if any.
        jobs_dir: Folder in which to create the job folder.
        allow_missing: Whether to leave out images that are missing or cannot be decoded.
        docker_image: Container image the job runs in; None outside containers.
        student: Backbone of a small network that learns the scores of the head, as keras.applications names
            it; None for no student.
        student_images: Folder of photographs without ratings, from which it learns; None without a student.
        features: Path or URL of features from `nimakit features`, in place of the images.
    """

    config_file: Path
    samples_file: Path
    image_dir: Path | None
    recursive: bool
    test_samples_file: Path | None
    jobs_dir: Path
    allow_missing: bool
    docker_image: str | None
    student: str | None = None
    student_images: Path | None = None
    features: str | None = None

    @property
    def place(self) -> str:
        """Where images or their features are."""
        return self.features or str(self.image_dir)


def prepare(request: Request) -> Job:
    """Check a job and create its folder.

    Returns:
        The job, with the status "prepared".

    Raises:
        UsageError: Everything that would stop the job later, in one error: config keys, labels, images,
            weights. A `NoImagesError` if the images may be in sub-folders.
    """
    inputs = filter(None, (request.config_file, request.samples_file, request.test_samples_file))
    odd = [str(file) for file in inputs if file.exists() and not (file.is_file() or file.is_dir())]
    if odd:  # a pipe can only be read once
        raise UsageError(
            "Config and label files are read more than once, so they must be regular files. Received:"
            f" {', '.join(odd)}; save the contents to a file."
        )
    problems: list[NimakitError] = []
    config = collect(problems, lambda: read_config(request.config_file))
    values = asdict(config) if config else valid_values(request.config_file)
    find = _finder(problems, request, config)
    missing: list[str] = []
    outlines: list[Outline] = []
    for file in filter(None, (request.samples_file, request.test_samples_file)):
        found = _outline(problems, file)
        outlines.append(found)
        if found.bins and (values.get("n_classes") or found.bins) != found.bins:
            problems.append(
                UsageError(
                    f"n_classes must be the number of bins of the labels. Received: {values['n_classes']} in"
                    f" {request.config_file}, {found.bins} bins in {file}"
                )
            )
        if find:
            missing += _missing(problems, request, file, found, find)
    shared = _shared(outlines)
    if shared:
        problems.append(
            UsageError(
                "Test images must not be training images too. Received:"
                f" {len(shared)} image_ids in both files: {', '.join(shared)}"
            )
        )
    if isinstance(config, HeadConfig):
        problems += _head_problems(config, outlines[0].bins)
    elif not values.get("head_only"):
        problems += model_problems(values)
    student = _student(problems, request, config, outlines[0].bins)
    collect(problems, lambda: check_folder(request.jobs_dir))
    if problems:
        is_flat = any(isinstance(problem, NoImagesError) for problem in problems)
        raise (NoImagesError if is_flat else UsageError)(joined(problems))
    return _create(request, missing, config, student)


def _outline(problems: list[NimakitError], file: Path) -> Outline:
    """The image_ids and bins of a label file; its errors are added to the problems."""

    def read() -> Outline:
        labels = read_labels(file)
        if labels.histograms is None:
            raise UsageError(f"Training needs labels. Received: {file}, whose entries have only image_ids.")
        return Outline(labels.image_ids, labels.histograms.shape[1])

    return collect(problems, read) or collect(problems, lambda: outline(file)) or Outline((), 0)


def _shared(outlines: list[Outline]) -> list[str]:
    """image_ids that are in both label files, if there are two."""
    if len(outlines) < 2:
        return []
    return sorted(set.intersection(*(set(found.image_ids) for found in outlines)))


_Find = Callable[[Sequence[str]], set[str]]


def _finder(
    problems: list[NimakitError], request: Request, config: TrainConfig | HeadConfig | None
) -> _Find | None:
    """Which of some image_ids have an image, or features; None if there are neither."""
    notify = say_once()
    folder = request.image_dir
    if request.features:
        features = collect(problems, lambda: StoredFeatures(str(request.features)))
        if config and not isinstance(config, HeadConfig):
            problems.append(
                UsageError(
                    "Only a head, whose config has 'head_only', learns from features. Received:"
                    f" {request.config_file} with {request.features}"
                )
            )
        if features and isinstance(config, HeadConfig):
            views = VIEWS if config.random_flip else VIEWS[:1]
            collect(problems, lambda: features.check(load_blocks(config, notify=say), views))
        return partial(_find_features, features) if features else None
    if folder is None or not folder.is_dir():
        problems.append(UsageError(f"The image directory must be a folder that exists. Received: {folder}"))
        return None

    def find(names: Sequence[str]) -> set[str]:
        matched = match_images(names, folder, recursive=request.recursive, notify=notify)
        return {name for name, path in matched.items() if path is not None}

    return find


def _find_features(features: StoredFeatures, names: Sequence[str]) -> set[str]:
    found, others = features.find(names)
    say(f"{features.place} has features of {len(found)} of {len(names)} images; {others} rows of others")
    return found


def _missing(
    problems: list[NimakitError], request: Request, file: Path, outlined: Outline, find: _Find
) -> list[str]:
    """image_ids of a label file without an image; a problem unless they may be left out."""
    found = collect(problems, lambda: find(outlined.image_ids))
    absent = [] if found is None else [name for name in outlined.image_ids if name not in found]
    if absent and len(absent) == len(outlined.image_ids):
        problems.append(
            UsageError(f"{request.place} must contain images that {file} lists. Received: none of them")
        )
    elif absent and not request.allow_missing:
        listed = first_few(absent, _LISTED) if request.features else absent
        problems.append(
            UsageError(
                f"{len(absent)} of {len(outlined.image_ids)} images that {file} lists are not in"
                f" {request.place} (leave them out with --allow-missing):"
                f" {', '.join(listed)}"
            )
        )
    return absent


def _head_problems(config: HeadConfig, bins: int) -> list[NimakitError]:
    """Problems with the encoders of a head, and with the single ratings."""
    problems: list[NimakitError] = []
    collect(problems, lambda: check_encoders(config))
    if config.ratings_file and bins:
        file = Path(config.ratings_file)
        collect(problems, lambda: read_single_ratings(file, default_bins(bins)))
    return problems


def _student(
    problems: list[NimakitError], request: Request, config: TrainConfig | HeadConfig | None, bins: int
) -> dict[str, Any]:
    """The config of the student, empty without one; what is wrong with it is added to the problems."""
    folder = request.student_images
    if not request.student or config is None:
        return {}
    if request.features:
        problems.append(
            UsageError(
                "A student is tested on the rated photographs, so it needs their --image-source. Received:"
                f" --features {request.features}"
            )
        )
    if not isinstance(config, HeadConfig):
        problems.append(
            UsageError(
                "Only a head, whose config has 'head_only', teaches a student. Received:"
                f" {request.config_file} with a student"
            )
        )
        return {}
    if folder is None or not folder.is_dir():
        problems.append(UsageError(f"A student learns from a folder of photographs. Received: {folder}"))
    else:
        collect(problems, lambda: find_images(folder, recursive=request.recursive))
    values = student_config(request.student, config, bins)
    problems += collect(problems, lambda: model_problems(values)) or []
    return values


def _create(
    request: Request,
    missing: list[str],
    config: TrainConfig | HeadConfig | None,
    student: Mapping[str, Any],
) -> Job:
    files = {"config.json": request.config_file, "samples.json": request.samples_file}
    if request.test_samples_file:
        files["test_samples.json"] = request.test_samples_file
    if isinstance(config, HeadConfig) and config.ratings_file:
        ratings = Path(config.ratings_file)
        files[f"ratings{ratings.suffix}"] = ratings
    contents = {name: file.read_bytes() for name, file in files.items()}
    more: dict[str, Any] = {}
    if student and request.student_images:
        contents["student.json"] = f"{json.dumps(student, indent=2)}\n".encode()
        more = {"student_images": str(request.student_images.absolute())}
    return Job.create(
        request.jobs_dir,
        contents,
        {
            **_where(request),
            "samples_file": str(request.samples_file),
            "recursive": request.recursive,
            "allow_missing": request.allow_missing,
            "missing": missing,
            "docker_image": request.docker_image,
            **more,
        },
        folders=() if isinstance(config, HeadConfig) else ("logs", "weights"),
    )


def _where(request: Request) -> dict[str, str]:
    """What run.json says of where the images or their features are."""
    if request.image_dir:
        return {"image_dir": str(request.image_dir.absolute())}
    place = request.place
    return {"features": place if is_stored(place) else str(Path(place).absolute())}
