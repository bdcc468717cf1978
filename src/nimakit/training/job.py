"""Run a training job: train, export, evaluate and report."""

import shutil
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from importlib import metadata as packages
from pathlib import Path
from platform import python_version
from typing import Any

from nimakit import __version__
from nimakit.config import HeadConfig, TrainConfig, read_config
from nimakit.errors import NimakitError, TrainingError, first_line
from nimakit.explain import Explainer
from nimakit.explain.drawing import drawer
from nimakit.io.atomic import ESCAPE
from nimakit.jobs import Job, epochs_done, now, read_splits
from nimakit.models.engine import Member, Model
from nimakit.models.loading import starting_model
from nimakit.models.network import Network
from nimakit.models.pretrained import Notify
from nimakit.scoring import report
from nimakit.training import upload
from nimakit.training.head import train_head
from nimakit.training.labelled_set import JobData
from nimakit.training.results import Results, evaluate_sets, run_facts, store_errors, write_results

_LIBRARIES = ("keras", "tensorflow", "tensorflow-cpu", "numpy", "pillow", "onnxruntime")


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
    config = read_config(job.config_file)
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
    config: TrainConfig | HeadConfig,
    run: Mapping[str, Any],
    notify: Notify,
    device_names: Sequence[str] | None,
) -> None:
    """Train and evaluate up to the status "complete", or record why the job ended before."""
    starts = [*run.get("starts", ()), now()]
    job.update("training", seed=config.seed, versions=_versions(), starts=starts, error=None)
    try:
        data = JobData(job, config, run)
        if isinstance(config, HeadConfig):
            train_head(job, config, data, notify, partial(train, notify=notify, device_names=device_names))
        else:
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
        job.logs.mkdir(exist_ok=True)
        (job.logs / "error.txt").write_text("".join(traceback.format_exception(error)), "utf-8", ESCAPE)
        raise TrainingError(
            f"Training failed: {first_line(error)} (details in {job.logs / 'error.txt'})."
            " If memory ran out, use a smaller batch_size."
        ) from error
    job.update("complete", ended=now())


def _train_and_export(
    job: Job, config: TrainConfig, data: JobData, notify: Notify, device_names: Sequence[str] | None
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
    metadata = data.metadata(job, config.base_model_name, training.preprocessing)
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
    data: JobData,
    history: list[dict[str, Any]],
    notify: Notify,
) -> None:
    """Evaluate the exported model on validation and test set; write metrics, report and model card."""
    network = Network(job.model_file)
    model = Model([Member(network)])
    weights = [Path(config.existing_weights)] if config.existing_weights else []
    evaluations = evaluate_sets(model, data, read_splits(weights, notify=notify), notify)
    # A student's labels are scores, and intervals are for people's ratings.
    intervals = {} if "teacher" in job.run() else store_errors(job, evaluations)
    write_results(
        job,
        Results(
            title=f"{config.base_model_name}, {job.name}",
            metadata=network.metadata,
            facts=_facts(job, config, data, history) | intervals,
            history=history,
            evaluations=evaluations,
            bins=data.bins,
            start=starting_model(config, notify=notify) if evaluations else None,
            explain=_drawer(model) if evaluations else None,
        ),
        notify,
    )


def _drawer(model: Model) -> report.Explain | None:
    """Draws the maps of the report; None of a model for which each would cost many runs."""
    explainer = Explainer(model)
    return drawer(explainer, side=report.THUMBNAIL_SIDE) if explainer.method == "patches" else None


def _facts(
    job: Job, config: TrainConfig, data: JobData, history: Sequence[Mapping[str, Any]]
) -> dict[str, str]:
    return {
        "base model": config.base_model_name,
        "started from": config.existing_weights or "ImageNet weights",
        "learned from": f"{len(data.parts['training'])} photographs",
        "head": config.head,
        "epochs": f"{epochs_done(history, 'dense')} of the head alone,"
        f" {epochs_done(history, 'all')} of all layers",
        **run_facts(job, config.seed),
    }


def _versions() -> dict[str, str]:
    """Versions of the installed software that results depend on."""
    versions = {"nimakit": __version__, "python": python_version()}
    for name in _LIBRARIES:
        with suppress(packages.PackageNotFoundError):
            versions[name] = packages.version(name)
    return versions
