"""`nimakit evaluate`: agreement of a model's scores with people's ratings."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nimakit.commands.batch import kept_note, say_failures
from nimakit.commands.parameters import FILE, image_source, max_pixels, models, recursive, tta
from nimakit.errors import ImageError, UsageError
from nimakit.progress import say

if TYPE_CHECKING:
    from nimakit.models.engine import Model
    from nimakit.models.preparation import Augmentation
    from nimakit.scoring.evaluation import Evaluation
    from nimakit.scoring.items import Item
    from nimakit.scoring.judgement import Judgement
    from nimakit.scoring.report import Explain

_PREDICTIONS, _METRICS, _REPORT = "predictions.csv", "metrics.json", "report.html"


@click.command()
@models(required=True)
@click.option(
    "--samples-file", required=True, type=FILE, help="Label file: the images and people's ratings of them."
)
@image_source("image_dir", required=True, help="The folder of those images.")
@recursive
@tta
@click.option(
    "--output-dir",
    type=FILE,
    help="Write metrics.json, report.html and predictions.csv to this folder; created if missing.",
)
@click.option(
    "--explain",
    is_flag=True,
    help="Show in the report, below each picture, what raises and lowers its score, as nimakit explain does.",
)
@max_pixels
def evaluate(
    *,
    models: tuple[str, ...],
    samples_file: Path,
    image_dir: Path,
    recursive: bool,
    tta: "Augmentation",
    output_dir: Path | None,
    explain: bool,
    max_pixels: int,
) -> int:
    """Compare a model's scores with people's ratings, and print the metrics as a JSON object.

    Exit code: 0 all scored, 1 usage or model error, 2 some images could not be scored (the metrics are of all
    others).

    \b
    Example:
      nimakit evaluate --model aesthetic --samples-file labels.json --image-source photos \\
        --output-dir evaluation
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    from nimakit.io.atomic import atomic_bytes, atomic_writer
    from nimakit.jobs import read_splits
    from nimakit.models import loading
    from nimakit.scoring import evaluation, records, report

    items = _items(samples_file, image_dir, recursive=recursive)
    if output_dir:
        _prepare(output_dir, samples_file)
    if explain and not output_dir:
        raise UsageError("--explain adds to the report: it needs --output-dir.")
    model = loading.load_models(models, notify=say)
    drawer = _drawer(model, max_pixels) if explain else None
    with ExitStack() as files:
        writer = None
        if output_dir:
            path = output_dir / _PREDICTIONS
            stream = files.enter_context(atomic_writer(path))
            columns = ("image_id", evaluation.LABEL_MEAN, *records.CSV_COLUMNS[1:])
            writer = records.RecordWriter(stream, str(path), ".csv", columns=columns)
            files.callback(writer.close)
        found = evaluation.evaluate(
            model,
            items,
            tta=tta,
            max_pixels=max_pixels,
            split=read_splits(loading.model_files(*models), notify=say),
            on_record=writer.write if writer else None,
        )
    metrics = json.dumps(found.metrics.to_dict(), indent=2)
    judgement = _judgement(found, model, models, max_pixels)
    if output_dir:
        atomic_bytes(f"{metrics}\n".encode(), output_dir / _METRICS)
        page = report.render(
            title=f"How well {model.name} judges photographs",
            facts=_facts(model, tta, samples_file, image_dir),
            history=[],
            evaluations={judgement.part: found},
            bins=model.bins,
            max_pixels=max_pixels,
            judgement=judgement,
            explain=drawer,
        )
        with atomic_writer(output_dir / _REPORT) as stream:
            stream.write(page)
        say(f"report: {output_dir / _REPORT}")
    click.echo(metrics)
    for line in [*judgement.lines, *found.metrics.lines()]:
        say(line)
    say(f"scored {len(found.image_ids)} images{kept_note(found.known)}")
    say_failures(found.failures)
    return ImageError.exit_code if found.failures else 0


def _items(samples_file: Path, image_dir: Path, *, recursive: bool) -> list["Item"]:
    from nimakit.labels.label_file import read_labels
    from nimakit.scoring.items import list_items

    labels = read_labels(samples_file)
    if labels.histograms is None:
        raise UsageError(
            f"An evaluation needs labels. Received: {samples_file}, which only names images;"
            " nimakit predict scores them."
        )
    if not image_dir.is_dir():
        raise UsageError(f"--image-source must be a folder of images. Received: {image_dir}")
    return list_items(image_dir, labels, recursive=recursive, notify=say)


def _prepare(output_dir: Path, samples_file: Path) -> None:
    """Create the output folder; refuse what would fail only after scoring, or overwrite inputs."""
    from nimakit.io.atomic import check_output, make_folder
    from nimakit.jobs import Job
    from nimakit.scoring import report

    report.require()
    if Job(output_dir).run_file.exists():
        raise UsageError(
            "--output-dir must not be a job folder: its own metrics and report would be lost."
            f" Received: {output_dir}"
        )
    make_folder(output_dir)
    for file in (output_dir / name for name in (_PREDICTIONS, _METRICS, _REPORT)):
        check_output(file, (file.suffix,))
        if file.resolve() == samples_file.resolve():
            raise UsageError(f"An output file must not be an input. Received: {file}")


def _judgement(found: "Evaluation", model: "Model", names: tuple[str, ...], max_pixels: int) -> "Judgement":
    """Whether the model is good enough, next to the one it started from if a job folder names that."""
    from nimakit import jobs
    from nimakit.config import TrainConfig, read_config
    from nimakit.models import loading
    from nimakit.scoring.judgement import judge, predictions_of_start

    metrics = found.metrics
    part = jobs.part_name(metrics.images, metrics.training_images, metrics.validation_images)
    files = loading.model_files(*names)
    start = None
    if len(files) == 1 and (job := jobs.Job(files[0].parent)).run_file.is_file():
        config = read_config(job.config_file)
        if isinstance(config, TrainConfig) and (name := loading.starting_model(config, notify=say)):
            start = predictions_of_start(name, found, max_pixels=max_pixels, notify=say)
    return judge(part, found, model.bins, start=start)


def _drawer(model: "Model", max_pixels: int) -> "Explain":
    """What draws the maps in the report."""
    from nimakit.explain import Explainer
    from nimakit.explain.drawing import drawer
    from nimakit.scoring.report import THUMBNAIL_SIDE

    return drawer(Explainer(model), side=THUMBNAIL_SIDE, max_pixels=max_pixels)


def _facts(model: "Model", tta: str, samples_file: Path, image_dir: Path) -> dict[str, str]:
    """Metadata of the members' files, and what was scored, for the report."""
    fields = {"Base model": "base_model", "Trained on": "trained_on", "Licence": "licence"}
    metadata = [member.network.metadata for member in model.members]
    return {
        "Model": model.name,
        **{
            title: ", ".join(dict.fromkeys(getattr(values, field) for values in metadata))
            for title, field in fields.items()
        },
        "Test-time augmentation": tta,
        "Labels": str(samples_file),
        "Images": str(image_dir),
    }
