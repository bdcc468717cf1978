"""`nimakit predict`: score photographs."""

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nimakit.commands.batch import kept_note, say_failures
from nimakit.commands.bulk import bulk_options, bulk_source, read_cluster, refuse_whole_set, score_in_bulk
from nimakit.commands.parameters import (
    FILE,
    PLACE,
    Finite,
    max_pixels,
    models,
    recursive,
    tta,
    user_file,
)
from nimakit.errors import ImageError, UsageError
from nimakit.progress import say

if TYPE_CHECKING:
    from nimakit.config import TrainConfig
    from nimakit.models.engine import Model
    from nimakit.models.names import ModelSource
    from nimakit.models.preparation import Augmentation
    from nimakit.models.side_by_side import SideBySide
    from nimakit.scoring.run import Run


@click.command()
@bulk_source("records")
@models("  [default: aesthetic]")
@click.option(
    "--side-by-side",
    is_flag=True,
    help="Score with each --model on its own instead of averaging them: every record has each model's scores"
    " under its name, which --model NAME=MODEL sets. The first model decides the order.",
)
@click.option("--weights-file", type=FILE, help="Keras weights: .hdf5, .h5, .weights.h5 or .keras.")
@click.option(
    "--base-model-name", metavar="NAME", help="Backbone of those weights, as keras.applications names it."
)
@click.option("--config-file", type=FILE, help="A training config: score with the model it describes.")
@user_file
@click.option(
    "--samples-file",
    type=FILE,
    help="A label file: score the images it names, and compare with its labels (metrics on stderr).",
)
@recursive
@tta
@click.option(
    "--measures",
    is_flag=True,
    help="Add measures of technical quality: sharpness, noise, exposure, contrast, JPEG blocks, size.",
)
@click.option(
    "--intervals",
    is_flag=False,
    flag_value=0.9,
    type=Finite(0, 1, min_open=True, max_open=True),
    metavar="COVERAGE",
    help="Add interval: lower and upper end of where people's mean rating is with this probability"
    " (0.9 where --intervals has no value). Needs a model that nimakit train wrote.",
)
@click.option(
    "--normalize",
    type=click.Choice(["minmax"]),
    help="Add normalized_score: 0 for the lowest mean of this set, 1 for the highest.",
)
@click.option(
    "--top",
    type=click.IntRange(min=1),
    metavar="N",
    help="Output only the N best, best first, then any images that could not be scored.",
)
@click.option(
    "--predictions-file",
    type=PLACE,
    help="Also write the records here: .json, .jsonl, .csv or .parquet, or a folder of Parquet parts, which"
    " ends in a slash; here or in a store.",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Go on with a --predictions-file (.jsonl, .csv or a folder of parts) of a run that was interrupted:"
    " photos in it are not scored again.",
)
@click.option("--metrics-file", type=FILE, help="Write the agreement with the labels here: .json.")
@click.option("--report", type=FILE, help="Write a contact sheet here, best first: .html, one file.")
@max_pixels
@click.option(
    "--docker-image",
    metavar="IMAGE",
    help="For the ./predict launcher: the image to run. No effect inside the container.",
)
@click.option(
    "--trust-image",
    metavar="IMAGE",
    help="For the ./predict launcher: run this image if the config names it, although it is not ours. No"
    " effect inside the container.",
)
def predict(
    *,
    image_source: str,
    image_column: str,
    id_column: str | None,
    shard: str | None,
    models: tuple[str, ...],
    side_by_side: bool,
    weights_file: Path | None,
    base_model_name: str | None,
    config_file: Path | None,
    user_file: Path | None,
    samples_file: Path | None,
    recursive: bool,
    tta: "Augmentation",
    measures: bool,
    intervals: float | None,
    normalize: str | None,
    top: int | None,
    predictions_file: str | None,
    resume: bool,
    metrics_file: Path | None,
    report: Path | None,
    engine: str,
    ray_address: str | None,
    ray_cpus: int,
    ray_gpus: float,
    max_pixels: int,
    docker_image: str | None,  # noqa: ARG001 - the launcher's
    trust_image: str | None,  # noqa: ARG001 - the launcher's
) -> int:
    """Score photos, and print a JSON array of score records.

    A manifest, a pattern, tar files, a store, --shard, --resume or a folder of parts make it a run of any
    size: memory does not grow with the number of photos, and every record is written as it is made. With a
    --predictions-file, such a run prints a summary instead of the records.

    Exit code: 0 all scored, 1 usage or model error, 2 some images could not be scored (their records give
    the reason; all others are scored).

    \b
    Example:
      nimakit predict --image-source data/samples --top 3
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    from nimakit.config import TrainConfig, read_train_config
    from nimakit.jobs import read_splits
    from nimakit.labels.label_file import read_labels
    from nimakit.models import loading
    from nimakit.models.taste import read_taste
    from nimakit.scoring.bulk import BulkRun, Task
    from nimakit.scoring.records import ONLY
    from nimakit.scoring.run import Run
    from nimakit.scoring.shards import Shard
    from nimakit.sources import open_source

    _check_model_options(
        {"--model": models, "--config-file": config_file, "--base-model-name": base_model_name}, weights_file
    )
    sources = _side_by_side(models, user_file) if side_by_side else ()
    named = [source.model for source in sources] or models
    _refuse_overwriting(
        [image_source, samples_file, config_file, weights_file, user_file, *named],
        [predictions_file, metrics_file, report],
    )
    labels = read_labels(samples_file) if samples_file else None
    if metrics_file and (labels is None or labels.histograms is None):
        raise UsageError("--metrics-file needs a --samples-file with labels.")
    config = read_train_config(config_file) if config_file else None
    if base_model_name:
        config = TrainConfig(base_model_name=base_model_name)

    def load() -> "Model | SideBySide":
        model: Model | SideBySide
        if sources:
            model = loading.load_side_by_side(sources, notify=say)
        else:
            model = _load(models, weights_file, config, config_file.name if config_file else "")
            model = model.for_user(read_taste(user_file)) if user_file else model
        return model if intervals is None else model.with_intervals(intervals)

    cluster = read_cluster(engine, ray_address, ray_cpus, ray_gpus)
    bulk = bulk_options(image_source, shard, resume, {"--predictions-file": predictions_file}, cluster)
    if bulk:
        whole_set = {"--samples-file": labels, "--normalize": normalize, "--top": top, "--report": report}
        refuse_whole_set(bulk, whole_set)
        task = Task(
            source=open_source(
                image_source, image_column=image_column, id_column=id_column, recursive=recursive, notify=say
            ),
            output=predictions_file,
            shard=Shard.parse(shard) if shard else Shard(),
            resume=resume,
        )
        bulk_run = BulkRun(task=task, tta=tta, measures=measures, max_pixels=max_pixels, cluster=cluster)
        names = [source.name for source in sources] or [ONLY]
        return score_in_bulk(bulk_run, load, names, intervals=intervals)
    weights = weights_file or (config.existing_weights if config else None)
    files = {source.name: loading.model_files(source.model) for source in sources} or {
        ONLY: [*loading.model_files(*models), *([Path(weights)] if weights else [])]
    }
    run = Run(
        source=Path(image_source),
        labels=labels,
        recursive=recursive,
        tta=tta,
        measures=measures,
        normalise=normalize == "minmax",
        top=top,
        predictions_file=predictions_file,
        metrics_file=metrics_file,
        report_file=report,
        max_pixels=max_pixels,
        splits={name: read_splits(own, notify=say) for name, own in files.items()} if labels else {},
    )
    return _score(run, load)


def _score(run: "Run", load: Callable[[], "Model | SideBySide"]) -> int:
    """Score a photo or a folder, and say how it went; returns the exit code."""
    items = run.items()
    model = load()
    started = time.monotonic()
    summary = run.score(items, model, sys.stdout)
    for name, metrics in summary.metrics.items():
        for line in metrics.lines():
            say(f"{name}: {line}" if name else line)
    say(
        f"scored {summary.scored} of {len(items)} images with {model.name}"
        f" on the {model.device} in {time.monotonic() - started:.1f} s{kept_note(summary.known)}"
    )
    say_failures(summary.failures)
    if run.report_file:
        say(f"report: {run.report_file}")
    return ImageError.exit_code if summary.failures else 0


def _check_model_options(options: dict[str, object], weights_file: Path | None) -> None:
    """Refuse several options that name the model, and weights without their backbone."""
    given = [name for name, value in options.items() if value]
    if len(given) > 1 or (weights_file and "--model" in given):
        received = ", ".join([*given, *(["--weights-file"] if weights_file else [])])
        raise UsageError(
            "Name the model by one of --model, --config-file (with --weights-file or without) and"
            f" --base-model-name with --weights-file. Received: {received}"
        )
    if weights_file and not given:
        raise UsageError("--weights-file needs --base-model-name (or a --config-file that names it).")
    if "--base-model-name" in given and not weights_file:
        raise UsageError("--base-model-name needs --weights-file. Name a public model by --model aesthetic.")


def _side_by_side(models: Sequence[str], user_file: Path | None) -> "tuple[ModelSource, ...]":
    from nimakit.models.names import parse_sources

    if len(models) < 2:
        raise UsageError("--side-by-side needs two or more --model.")
    if user_file:
        raise UsageError(
            f"One person's scores come from one model. Received: --user {user_file} and --side-by-side"
        )
    return parse_sources(models)


def _load(
    models: tuple[str, ...], weights_file: Path | None, config: "TrainConfig | None", config_name: str
) -> "Model":
    from nimakit.models import loading

    if models:
        return loading.load_models(models, notify=say)
    if config is None:
        return loading.load_model(notify=say)
    if weights_file:
        return loading.load_weights(weights_file, config.base_model_name, config=config, notify=say)
    return loading.load_config(config, config_name, notify=say)


def _refuse_overwriting(inputs: Sequence[str | Path | None], outputs: Sequence[str | Path | None]) -> None:
    """Refuse an output that is also an input, or another output: one of the two would be lost."""
    taken = {os.path.realpath(path) for path in inputs if path}
    for path in outputs:
        if path and os.path.realpath(path) in taken:
            raise UsageError(f"An output file must not be an input, or another output. Received: {path}")
        if path:
            taken.add(os.path.realpath(path))
