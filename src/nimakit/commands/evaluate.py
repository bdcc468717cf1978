"""`nimakit evaluate`: how well a model agrees with people."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nimakit.commands.parameters import recursive
from nimakit.errors import ImageError, UsageError
from nimakit.progress import say

if TYPE_CHECKING:
    from nimakit.models.engine import Augmentation, Model
    from nimakit.scoring.evaluation import Evaluation
    from nimakit.scoring.items import Item
    from nimakit.scoring.report import Explain

_FILE = click.Path(path_type=Path)
_LISTED = 20
_OUTPUTS = ("predictions.csv", "metrics.json", "report.html")


@click.command()
@click.option(
    "--model",
    "models",
    multiple=True,
    required=True,
    metavar="NAME|FILE",
    help="A public model (aesthetic), an .onnx file, or an ensemble .json. Given several times, the models"
    " are averaged.",
)
@click.option(
    "--samples-file", required=True, type=_FILE, help="A label file: the images, and what people said."
)
@click.option("--image-dir", required=True, type=_FILE, help="The folder of those images.")
@recursive
@click.option(
    "--tta",
    is_flag=False,
    flag_value="flips",
    default="none",
    type=click.Choice(["none", "flips", "crops"]),
    help="Test-time augmentation: average the photo and its mirror image (flips, which is what --tta alone"
    " means), or also corners and centre (crops, 10 times the work).",
)
@click.option(
    "--output-dir",
    type=_FILE,
    help="Write metrics.json, report.html and predictions.csv into this folder; it is made where missing.",
)
@click.option(
    "--explain",
    is_flag=True,
    help="Show in the report what the model looks at (Grad-CAM), below each of its pictures; needs a single"
    " model with Keras weights, as nimakit explain does.",
)
@click.option(
    "--max-pixels",
    type=click.IntRange(min=1),
    help="Refuse larger images before decoding them.  [default: 89478485]",
)
def evaluate(
    *,
    models: tuple[str, ...],
    samples_file: Path,
    image_dir: Path,
    recursive: bool,
    tta: "Augmentation",
    output_dir: Path | None,
    explain: bool,
    max_pixels: int | None,
) -> int:
    """Compare a model's scores with people's ratings; the figures go to stdout as a JSON object.

    Exit code: 0 all scored, 1 usage or model error, 2 some images could not be scored (the figures are of all
    others).

    \b
    Example:
      nimakit evaluate --model aesthetic --samples-file labels.json --image-dir photos --output-dir judged
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    from nimakit.images.photo import MAX_PIXELS
    from nimakit.jobs import read_splits
    from nimakit.models import loading
    from nimakit.scoring.evaluation import evaluate as evaluate_model

    items = _items(samples_file, image_dir, recursive=recursive)
    if output_dir:
        _prepare(output_dir, samples_file)
    drawn = _explainer(models, output_dir, max_pixels or MAX_PIXELS) if explain else None
    model = loading.load_models(models, notify=say)
    split = read_splits((file for name in models for file in loading.model_files(name)), notify=say)
    score = partial(evaluate_model, model, items, tta=tta, max_pixels=max_pixels or MAX_PIXELS, split=split)
    if output_dir:
        evaluation = _score_into(output_dir, score)
        facts = {
            "Model": model.name,
            **_about(model),
            "Test-time augmentation": tta,
            "Labels": str(samples_file),
            "Images": str(image_dir),
        }
        limit = max_pixels or MAX_PIXELS
        _write_report(output_dir, evaluation, model, facts, max_pixels=limit, explain=drawn)
    else:
        evaluation = score()
    click.echo(json.dumps(evaluation.metrics.to_dict(), indent=2))
    say(str(evaluation.metrics))
    for note in evaluation.metrics.notes:
        say(note)
    for line in evaluation.failures[:_LISTED]:
        say(line)
    if len(evaluation.failures) > _LISTED:
        say(f"and {len(evaluation.failures) - _LISTED} more that could not be scored")
    return ImageError.exit_code if evaluation.failures else 0


def _items(samples_file: Path, image_dir: Path, *, recursive: bool) -> list["Item"]:
    from nimakit.labels.label_file import read_labels
    from nimakit.scoring.items import list_items

    labels = read_labels(samples_file)
    if labels.histograms is None:
        raise UsageError(
            f"An evaluation needs labels. Received: {samples_file}, which names images only;"
            " nimakit predict scores them."
        )
    if not image_dir.is_dir():
        raise UsageError(f"--image-dir is a folder of images. Received: {image_dir}")
    return list_items(image_dir, labels, recursive=recursive, notify=say)


def _prepare(output_dir: Path, samples_file: Path) -> None:
    """What would fail only after the work is done, or lose something, is refused here."""
    from nimakit.io.atomic import check_output, make_folder
    from nimakit.jobs import Job
    from nimakit.scoring import report as training_report

    training_report.require()
    if Job(output_dir).run_file.exists():
        raise UsageError(
            "--output-dir must not be a job's folder, whose own metrics and report would be lost."
            f" Received: {output_dir}"
        )
    make_folder(output_dir)
    for name in _OUTPUTS:
        check_output(output_dir / name, (Path(name).suffix,))
        if (output_dir / name).resolve() == samples_file.resolve():
            raise UsageError(f"An output file must not be an input. Received: {output_dir / name}")


def _score_into(output_dir: Path, score: Callable[..., "Evaluation"]) -> "Evaluation":
    """Score, with a row of predictions.csv an image, and write the figures."""
    from nimakit.io import atomic
    from nimakit.scoring import evaluation, records

    predictions = output_dir / "predictions.csv"
    with atomic.atomic_writer(predictions) as stream:
        columns = ("image_id", evaluation.LABEL_MEAN, *records.CSV_COLUMNS[1:])
        writer = records.RecordWriter(stream, str(predictions), ".csv", columns=columns)
        found = score(on_record=writer.write)
        writer.close()
    with atomic.atomic_writer(output_dir / "metrics.json") as stream:
        json.dump(found.metrics.to_dict(), stream, indent=2)
        stream.write("\n")
    return found


def _write_report(
    output_dir: Path,
    evaluation: "Evaluation",
    model: "Model",
    facts: dict[str, str],
    *,
    max_pixels: int,
    explain: "Explain | None",
) -> None:
    from nimakit import jobs
    from nimakit.io import atomic
    from nimakit.scoring import report as training_report

    found = evaluation.metrics
    name = jobs.part_name(found.images, found.training_images, found.validation_images)
    report = training_report.render(
        title=f"How well {model.name} judges photographs",
        facts=facts,
        history=[],
        evaluations={name: evaluation},
        bins=model.bins,
        max_pixels=max_pixels,
        explain=explain,
    )
    file = output_dir / "report.html"
    with atomic.atomic_writer(file) as stream:
        stream.write(report)
    say(f"report: {file}")


def _explainer(models: Sequence[str], output_dir: Path | None, max_pixels: int) -> "Explain":
    """What draws the maps of the report; loaded before hours of scoring."""
    if output_dir is None or len(models) > 1:
        raise UsageError(
            "--explain draws into the report of one model: it needs --output-dir and one --model."
        )
    from nimakit.nn import saliency
    from nimakit.personal import keras_loading
    from nimakit.scoring.report import THUMBNAIL_SIDE

    network = keras_loading.load_keras_model(models[0], notify=say)
    return saliency.drawer(network, side=THUMBNAIL_SIDE, max_pixels=max_pixels)


def _about(model: "Model") -> dict[str, str]:
    """What the members' files say of themselves."""
    metadata = [member.network.metadata for member in model.members]
    return {
        "Base model": ", ".join(dict.fromkeys(one.base_model for one in metadata)),
        "Trained on": ", ".join(dict.fromkeys(one.trained_on for one in metadata)),
        "Licence": ", ".join(dict.fromkeys(one.licence for one in metadata)),
    }
