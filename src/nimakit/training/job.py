"""Run a training job: train, export, evaluate and report."""

import json
import shutil
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import metadata as packages
from pathlib import Path
from platform import python_version
from typing import Any

import numpy as np

from nimakit import __version__
from nimakit.config import TrainConfig, read_train_config
from nimakit.errors import ModelError, NimakitError, TrainingError, UsageError, first_line
from nimakit.images.photo import MAX_PIXELS, Preprocessing
from nimakit.io.atomic import ESCAPE, atomic_writer
from nimakit.jobs import Job, epochs_done, now, read_splits
from nimakit.labels.label_file import read_labels
from nimakit.models.engine import Member, Model
from nimakit.models.metadata import Metadata
from nimakit.models.network import Network
from nimakit.models.pretrained import Notify
from nimakit.scoring import model_card, report
from nimakit.scoring.evaluation import Evaluation, evaluate
from nimakit.scoring.items import Item, list_items
from nimakit.stats import histogram
from nimakit.training import upload

_LIBRARIES = ("keras", "tensorflow", "tensorflow-cpu", "numpy", "pillow", "onnxruntime")
_QUANTILES = 101


def train(
    job: Job,
    *,
    notify: Notify,
    device_names: Sequence[str] | None = None,
    changes: Mapping[str, Any] | None = None,
) -> None:
    """Start or resume a job.

    Args:
        job: A job that is prepared, stopped, killed or failed.
        notify: Called with messages about the progress.
        device_names: Devices that share each batch; all GPUs if None.
        changes: New values in run.json when a job is resumed: allow_missing, docker_image.

    Raises:
        NimakitError: The job failed, and can be resumed once the cause is fixed; or it is complete and only
            its upload failed.
        KeyboardInterrupt: The job was stopped; the best epoch so far is exported.
    """
    with job.lock():
        _train_locked(job, notify, device_names, changes or {})


def _train_locked(
    job: Job, notify: Notify, device_names: Sequence[str] | None, changes: Mapping[str, Any]
) -> None:
    run = job.run()
    config = read_train_config(job.config_file)
    if config.s3_bucket:
        upload.require()
    if run["status"] != "complete":
        report.require()
        if changes:
            job.update(run["status"], **changes)
        _run(job, config, {**run, **changes}, notify, device_names)
    shutil.rmtree(job.state, ignore_errors=True)
    if config.s3_bucket and "uploaded" not in run:
        url = upload.upload_job(job.folder, config.s3_bucket, notify=notify)
        job.update("complete", uploaded=url)
        notify(f"uploaded to {url}")
    notify(f"the job is complete: {job.report_file}")


def _run(
    job: Job,
    config: TrainConfig,
    run: Mapping[str, Any],
    notify: Notify,
    device_names: Sequence[str] | None,
) -> None:
    """Train and evaluate up to the status "complete", or record why the job ended before."""
    starts = [*run.get("starts", ()), now()]
    job.update("training", seed=config.seed, versions=_versions(), starts=starts, error=None)
    try:
        data = _JobData(job, config, run)
        history = _train_and_export(job, config, data, notify, device_names)
        _evaluate_and_report(job, config, data, history, notify)
    except KeyboardInterrupt:
        job.update("stopped", ended=now())
        raise
    except NimakitError as error:
        job.update("failed", ended=now(), error=first_line(error))
        raise
    except Exception as error:
        job.update("failed", ended=now(), error=first_line(error))
        (job.logs / "error.txt").write_text("".join(traceback.format_exception(error)), "utf-8", ESCAPE)
        raise TrainingError(
            f"Training failed: {first_line(error)} (details in {job.logs / 'error.txt'})."
            " If memory ran out, use a smaller batch_size."
        ) from error
    job.update("complete", ended=now())


class _JobData:
    """The labelled photos of a job, split.

    Args:
        job: The job.
        config: Its config.
        run: The contents of run.json.

    Attributes:
        allow_missing: Whether photos that are missing or cannot be decoded are left out.
        items: N photos that exist.
        labels: (N, bins) float64, rows sum to 1.
        bins: (bins,) float64.
        parts: "training" and "validation" -> indices.
        test: The photos of the test set; may be empty.
    """

    def __init__(self, job: Job, config: TrainConfig, run: Mapping[str, Any]) -> None:
        self.allow_missing = bool(run["allow_missing"])
        self.items = _available(job.samples_file, run)
        self.test: list[Item] = []
        if job.test_samples_file.is_file():
            self.test = _available(job.test_samples_file, run)
        self.labels = np.stack([item.label for item in self.items if item.label is not None])
        self.bins = histogram.default_bins(self.labels.shape[1])
        self.parts = self._split_once(job, config)

    def _split_once(self, job: Job, config: TrainConfig) -> dict[str, list[int]]:
        """The split of the first start, even if images went missing since."""
        if job.split_file.is_file():
            rows = {item.image_id: row for row, item in enumerate(self.items)}
            return {
                part: sorted(rows[name] for name in ids if name in rows) for part, ids in job.split().items()
            }
        parts = split(len(self.items), config.validation_split, config.seed)
        with atomic_writer(job.split_file) as stream:
            json.dump(
                {part: [self.items[row].image_id for row in rows] for part, rows in parts.items()}, stream
            )
        return parts

    def metadata(self, job: Job, config: TrainConfig, preprocessing: Preprocessing) -> Metadata:
        """The metadata of the trained model; its percentiles are those of the ratings it was trained on."""
        learned = self.labels[self.parts["training"]]
        quantiles = np.quantile(histogram.mean(learned, self.bins), np.linspace(0, 1, _QUANTILES))
        return Metadata(
            name=f"{config.base_model_name}-{job.name}",
            base_model=config.base_model_name,
            bins=tuple(self.bins.tolist()),
            preprocessing=preprocessing,
            trained_on=f"{len(learned)} photographs with ratings from {self.bins[0]:g} to {self.bins[-1]:g}",
            reference_quantiles=tuple(quantiles.round(6).tolist()),
            reference=f"mean ratings people gave the {len(learned)} photographs it learned from",
        )


def _available(samples_file: Path, run: Mapping[str, Any]) -> list[Item]:
    """The photos of a label file that exist, if others may be missing."""
    image_dir = Path(run["image_dir"])
    # Jobs of earlier versions, which lack the key, looked into one folder only.
    items = list_items(image_dir, read_labels(samples_file), recursive=run.get("recursive", False))
    absent = [item.image_id for item in items if item.path is None]
    if absent and not run["allow_missing"]:
        raise UsageError(
            f"The images of a job must stay where they are. Received: {image_dir}, without {len(absent)} of"
            f" them: {', '.join(absent)}; restore them, or leave them out: --resume with --allow-missing"
        )
    present = [item for item in items if item.path is not None]
    if not present:
        raise UsageError(f"The images of a job must stay where they are. Received: {image_dir}, without any.")
    return present


def split(count: int, share: float, seed: int) -> dict[str, list[int]]:
    """Sorted indices of the training and the validation set: at least one of each if the share is above 0."""
    n_validation = min(count - 1, max(1, round(count * share))) if share else 0
    order = np.random.default_rng(seed).permutation(count)
    return {
        "training": sorted(order[n_validation:].tolist()),
        "validation": sorted(order[:n_validation].tolist()),
    }


def _train_and_export(
    job: Job, config: TrainConfig, data: _JobData, notify: Notify, device_names: Sequence[str] | None
) -> list[dict[str, Any]]:
    """Train both phases and export the best epoch, even if the job is interrupted."""
    from nimakit.nn.training.fit import Training
    from nimakit.nn.training.training_data import LabelledPhotos

    notify(
        f"{config.base_model_name}: {len(data.parts['training'])} photographs to learn from,"
        f" {len(data.parts['validation'])} to validate with"
    )
    photographs = LabelledPhotos(
        paths=[item.path for item in data.items if item.path is not None],
        labels=data.labels,
        bins=data.bins,
        **data.parts,
    )
    training = Training(
        job,
        config,
        photographs,
        allow_missing=data.allow_missing,
        notify=notify,
        device_names=device_names,
    )
    metadata = data.metadata(job, config, training.preprocessing)
    try:
        training.run()
    except KeyboardInterrupt:
        training.roll_back()
        if training.history:
            notify("stopping: exporting what was learned so far")
            training.export(metadata)
        raise
    notify("exporting the model")
    training.export(metadata)
    return training.history


def _evaluate_and_report(
    job: Job,
    config: TrainConfig,
    data: _JobData,
    history: list[dict[str, Any]],
    notify: Notify,
) -> None:
    """Evaluate the exported model on validation and test set; write metrics, report and model card."""
    network = Network(job.model_file)
    model = Model([Member(network)])
    sets = {"validation": [data.items[index] for index in data.parts["validation"]], "test": data.test}
    if not any(sets.values()):
        sets = {"training": data.items}
    weights = [Path(config.existing_weights)] if config.existing_weights else []
    started_from = read_splits(weights, notify=notify)
    trained = frozenset(data.items[index].image_id for index in data.parts["training"])
    split = {**started_from, "training": trained | started_from.get("training", frozenset())}
    evaluations: dict[str, Evaluation] = {}
    for name, items in sets.items():
        try:
            if items:
                evaluations[name] = evaluate(
                    model, items, label=f"scoring the {name} photographs", split=split
                )
        except UsageError as error:  # none of them can be decoded
            notify(f"no figures for the {name} set: {error}")
    for name, evaluation in evaluations.items():
        notify(f"{name}: {evaluation.metrics}")
        for note in evaluation.metrics.notes:
            notify(f"{name}: {note}")
    figures = {name: evaluation.metrics for name, evaluation in evaluations.items()}
    with atomic_writer(job.metrics_file) as stream:
        json.dump({name: figure.to_dict() for name, figure in figures.items()}, stream, indent=2)
        stream.write("\n")
    facts = _facts(job, config, data, history)
    with atomic_writer(job.card_file) as stream:
        stream.write(model_card.render(metadata=network.metadata, metrics=figures, facts=facts))
    page = report.render(
        title=f"{config.base_model_name}, {job.name}",
        facts=facts,
        history=history,
        evaluations=evaluations,
        bins=data.bins,
        max_pixels=MAX_PIXELS,
        explain=_explainer(job, notify) if evaluations else None,
    )
    with atomic_writer(job.report_file) as stream:
        stream.write(page)
    notify(f"report: {job.report_file}")


def _explainer(job: Job, notify: Notify) -> report.Explain | None:
    """Draws the saliency maps of the report; None if the weights give other scores than the model file."""
    from nimakit.nn import saliency
    from nimakit.nn.networks import keras_model

    try:
        network = keras_model.load(job.folder)
    except ModelError as error:
        notify(f"no saliency maps in the report: {error}")
        return None
    return saliency.drawer(network, side=report.THUMBNAIL_SIDE)


def _facts(
    job: Job, config: TrainConfig, data: _JobData, history: Sequence[Mapping[str, Any]]
) -> dict[str, str]:
    return {
        "base model": config.base_model_name,
        "started from": config.existing_weights or "ImageNet weights",
        "learned from": f"{len(data.parts['training'])} photographs",
        "head": config.head,
        "epochs": f"{epochs_done(history, 'dense')} of the head alone,"
        f" {epochs_done(history, 'all')} of all layers",
        "seed": str(config.seed),
        "began": job.run()["starts"][0],
        "nimakit": __version__,
    }


def _versions() -> dict[str, str]:
    """Versions of the installed software that results depend on."""
    versions = {"nimakit": __version__, "python": python_version()}
    for name in _LIBRARIES:
        with suppress(packages.PackageNotFoundError):
            versions[name] = packages.version(name)
    return versions
