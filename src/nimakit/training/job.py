"""A training job from its folder to a model people can use: trained, exported, evaluated, reported."""

import json
import shutil
import traceback
from collections.abc import Mapping, Sequence
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
    """Do a job, or the rest of it.

    Args:
        job: Prepared, stopped, killed or failed.
        notify: Told in a sentence what happens.
        device_names: Devices that share each batch; all GPUs where None.
        changes: Of run.json, where the job goes on otherwise than it began: allow_missing, docker_image.

    Raises:
        NimakitError: The job cannot go on, and may be resumed once the reason is mended; or it is complete,
            and only its copy to a bucket failed.
        KeyboardInterrupt: It was stopped; the best epoch so far is exported.
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
        _do(job, config, {**run, **changes}, notify, device_names)
    shutil.rmtree(job.state, ignore_errors=True)
    if config.s3_bucket and "uploaded" not in run:
        url = upload.upload_job(job.folder, config.s3_bucket, notify=notify)
        job.update("complete", uploaded=url)
        notify(f"uploaded to {url}")
    notify(f"the job is complete: {job.report_file}")


def _do(
    job: Job,
    config: TrainConfig,
    run: Mapping[str, Any],
    notify: Notify,
    device_names: Sequence[str] | None,
) -> None:
    """Everything up to the status "complete"; whatever ends it before that is noted too."""
    starts = [*run.get("starts", ()), now()]
    job.update("training", seed=config.seed, versions=_versions(), starts=starts, error=None)
    try:
        data = _Data(job, config, run)
        history = _learn(job, config, data, notify, device_names)
        _judge(job, config, data, history, notify)
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
            f"Training failed: {first_line(error)} (all of it in {job.logs / 'error.txt'})."
            " Out of memory? Take a smaller batch_size."
        ) from error
    job.update("complete", ended=now())


class _Data:
    """The labelled photographs of a job, split.

    Args:
        job: Its folder.
        config: Seed and share of the validation set, kind of head.
        run: What run.json says.

    Attributes:
        allow_missing: Whether photographs that are not there, or cannot be decoded, are left out.
        items: N photographs that are there.
        labels: (N, bins) float64, rows sum to 1.
        bins: (bins,) float64.
        parts: "training" and "validation" -> indices.
        test: The photographs of the test set; may be empty.
    """

    def __init__(self, job: Job, config: TrainConfig, run: Mapping[str, Any]) -> None:
        self.allow_missing = bool(run["allow_missing"])
        self.items = _present(job.samples_file, run)
        self.test: list[Item] = []
        if job.test_samples_file.is_file():
            self.test = _present(job.test_samples_file, run)
        self.labels = np.stack([item.label for item in self.items if item.label is not None])
        self.bins = histogram.default_bins(self.labels.shape[1])
        self.parts = self._split_once(job, config)

    def _split_once(self, job: Job, config: TrainConfig) -> dict[str, list[int]]:
        """The split of the first start, whatever images went missing since."""
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
        """What the trained model says of itself; scores are ranked among the ratings it learned from."""
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


def _present(samples_file: Path, run: Mapping[str, Any]) -> list[Item]:
    """The photographs a label file names, as far as they may be missing."""
    image_dir = Path(run["image_dir"])
    # Jobs of earlier versions looked into one folder alone, and do not say so.
    items = list_items(image_dir, read_labels(samples_file), recursive=run.get("recursive", False))
    absent = [item.image_id for item in items if item.path is None]
    if absent and not run["allow_missing"]:
        raise UsageError(
            f"The images of a job must stay where they are. Received: {image_dir}, without"
            f" {len(absent)} of them: {', '.join(absent)}; bring them back, or leave them out:"
            " --resume with --allow-missing"
        )
    present = [item for item in items if item.path is not None]
    if not present:
        raise UsageError(f"The images of a job must stay where they are. Received: {image_dir}, without any.")
    return present


def split(count: int, share: float, seed: int) -> dict[str, list[int]]:
    """Indices to train on and to validate with, ascending: one of each at the least, for a share above 0."""
    kept_back = min(count - 1, max(1, round(count * share))) if share else 0
    order = np.random.default_rng(seed).permutation(count)
    return {"training": sorted(order[kept_back:].tolist()), "validation": sorted(order[:kept_back].tolist())}


def _learn(
    job: Job, config: TrainConfig, data: _Data, notify: Notify, device_names: Sequence[str] | None
) -> list[dict[str, Any]]:
    """Both phases, and the export of the best epoch, also where the job is stopped in the middle."""
    from nimakit.nn.training.fit import Training
    from nimakit.nn.training.training_data import Photographs

    notify(
        f"{config.base_model_name}: {len(data.parts['training'])} photographs to learn from,"
        f" {len(data.parts['validation'])} to validate with"
    )
    photographs = Photographs(
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


def _judge(
    job: Job,
    config: TrainConfig,
    data: _Data,
    history: list[dict[str, Any]],
    notify: Notify,
) -> None:
    """What the exported model makes of photographs it did not learn from: metrics, report, model card."""
    network = Network(job.model_file)
    model = Model([Member(network)])
    sets = {"validation": [data.items[index] for index in data.parts["validation"]], "test": data.test}
    if not any(sets.values()):
        sets = {"training": data.items}
    weights = [Path(config.existing_weights)] if config.existing_weights else []
    started_from = read_splits(weights, notify=notify)
    learned = frozenset(data.items[index].image_id for index in data.parts["training"])
    split = {**started_from, "training": learned | started_from.get("training", frozenset())}
    judged: dict[str, Evaluation] = {}
    for name, items in sets.items():
        try:
            if items:
                judged[name] = evaluate(model, items, label=f"scoring the {name} photographs", split=split)
        except UsageError as error:  # none of them can be decoded
            notify(f"no figures for the {name} set: {error}")
    for name, evaluation in judged.items():
        notify(f"{name}: {evaluation.metrics}")
        for note in evaluation.metrics.notes:
            notify(f"{name}: {note}")
    figures = {name: evaluation.metrics for name, evaluation in judged.items()}
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
        evaluations=judged,
        bins=data.bins,
        max_pixels=MAX_PIXELS,
        explain=_explainer(job, notify) if judged else None,
    )
    with atomic_writer(job.report_file) as stream:
        stream.write(page)
    notify(f"report: {job.report_file}")


def _explainer(job: Job, notify: Notify) -> report.Explain | None:
    """What draws the maps of the report; None where the weights give other scores than the model file."""
    from nimakit.nn import saliency
    from nimakit.nn.networks import keras_model

    try:
        network = keras_model.load(job.folder)
    except ModelError as error:
        notify(f"no maps of what the model looks at in the report: {error}")
        return None
    return saliency.drawer(network, side=report.THUMBNAIL_SIDE)


def _facts(
    job: Job, config: TrainConfig, data: _Data, history: Sequence[Mapping[str, Any]]
) -> dict[str, str]:
    run = job.run()
    return {
        "base model": config.base_model_name,
        "started from": config.existing_weights or "ImageNet weights",
        "learned from": f"{len(data.parts['training'])} photographs",
        "head": config.head,
        "epochs": f"{epochs_done(history, 'dense')} of the head alone,"
        f" {epochs_done(history, 'all')} of all layers",
        "seed": str(config.seed),
        "began": run["starts"][0],
        "nimakit": __version__,
    }


def _versions() -> dict[str, str]:
    """Of what a result depends on, as far as it is installed."""
    found = {"nimakit": __version__, "python": python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = packages.version(name)
        except packages.PackageNotFoundError:
            continue
    return found
