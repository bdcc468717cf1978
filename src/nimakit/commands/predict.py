"""`nimakit predict`: score photographs."""

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nimakit.commands.parameters import recursive
from nimakit.errors import ImageError, UsageError
from nimakit.progress import say

if TYPE_CHECKING:
    from nimakit.models.engine import Augmentation, Model

_FILE = click.Path(path_type=Path)


@click.command()
@click.option("--image-source", required=True, type=_FILE, help="A photo, or a folder of photos.")
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="NAME|FILE",
    help="A public model (aesthetic), an .onnx file, or an ensemble .json. Given several times, the models"
    " are averaged. Default: aesthetic.",
)
@click.option("--weights-file", type=_FILE, help="Keras weights: .hdf5, .h5, .weights.h5 or .keras.")
@click.option(
    "--base-model-name", metavar="NAME", help="Backbone of those weights, as keras.applications names it."
)
@click.option("--config-file", type=_FILE, help="A training config: scores with the model it stands for.")
@click.option(
    "--user",
    "user_file",
    type=_FILE,
    help="One person's file, from nimakit personalise: scores as they would, with the model it belongs to.",
)
@click.option(
    "--samples-file",
    type=_FILE,
    help="A label file: scores the images it names, and compares with its labels (figures on stderr).",
)
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
@click.option("--predictions-file", type=_FILE, help="Write the records here too: .json, .jsonl or .csv.")
@click.option("--metrics-file", type=_FILE, help="Write the agreement with the labels here: .json.")
@click.option("--report", type=_FILE, help="Write a contact sheet here, best first: .html, one file.")
@click.option(
    "--max-pixels",
    type=click.IntRange(min=1),
    help="Refuse larger images before decoding them.  [default: 89478485]",
)
@click.option(
    "--docker-image",
    metavar="IMAGE",
    help="For the ./predict launcher: the image it runs. Without effect inside it.",
)
@click.option(
    "--trust-image",
    metavar="IMAGE",
    help="For the ./predict launcher: run this image if the config chooses it, though it is not ours. Without"
    " effect inside it.",
)
def predict(
    *,
    image_source: Path,
    models: tuple[str, ...],
    weights_file: Path | None,
    base_model_name: str | None,
    config_file: Path | None,
    user_file: Path | None,
    samples_file: Path | None,
    recursive: bool,
    tta: "Augmentation",
    normalize: str | None,
    top: int | None,
    predictions_file: Path | None,
    metrics_file: Path | None,
    report: Path | None,
    max_pixels: int | None,
    docker_image: str | None,  # noqa: ARG001 - the launcher's
    trust_image: str | None,  # noqa: ARG001 - the launcher's
) -> int:
    """Score a photo or a folder of photos; a JSON array of score records goes to stdout.

    Exit code: 0 all scored, 1 usage or model error, 2 some images could not be scored (their records say
    why, all others are scored).

    \b
    Example:
      nimakit predict --image-source data/samples --top 3
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    from nimakit.jobs import read_splits
    from nimakit.labels.label_file import read_labels
    from nimakit.models.taste import read_taste
    from nimakit.scoring.run import Run

    _refuse_overwriting(
        [image_source, samples_file, config_file, weights_file, user_file, *map(Path, models)],
        [predictions_file, metrics_file, report],
    )
    labels = read_labels(samples_file) if samples_file else None
    if metrics_file and (labels is None or labels.histograms is None):
        raise UsageError("--metrics-file needs a --samples-file with labels.")
    run = Run(
        source=image_source,
        labels=labels,
        recursive=recursive,
        tta=tta,
        normalise=normalize == "minmax",
        top=top,
        predictions_file=predictions_file,
        metrics_file=metrics_file,
        report_file=report,
        max_pixels=max_pixels,
        split=read_splits(_files(models, weights_file, config_file), notify=say) if labels else None,
    )
    items = run.items()
    taste = read_taste(user_file) if user_file else None
    model = _model(models, weights_file, base_model_name, config_file)
    if taste:
        model = model.for_user(taste)
    started = time.monotonic()
    summary = run.score(items, model, sys.stdout)
    if summary.metrics:
        say(str(summary.metrics))
        for note in summary.metrics.notes:
            say(note)
    say(
        f"scored {summary.scored} of {summary.scored + summary.failed} images with {model.name}"
        f" on the {model.device} in {time.monotonic() - started:.1f} s"
    )
    for line in summary.failures:
        say(line)
    if report:
        say(f"report: {report}")
    return ImageError.exit_code if summary.failed else 0


def _model(
    models: tuple[str, ...], weights_file: Path | None, base_model_name: str | None, config_file: Path | None
) -> "Model":
    from nimakit.config import TrainConfig, read_train_config
    from nimakit.models import loading

    chosen = [
        name
        for name, given in (
            ("--model", models),
            ("--config-file", config_file),
            ("--base-model-name", base_model_name),
        )
        if given
    ]
    if len(chosen) > 1 or (models and weights_file):
        received = ", ".join([*chosen, *(["--weights-file"] if weights_file else [])])
        raise UsageError(
            "One thing says which model: --model, --config-file, or --base-model-name (the latter two with"
            f" --weights-file or without). Received: {received}"
        )
    if models:
        return loading.load_models(models, notify=say)
    config = read_train_config(config_file) if config_file else None
    if base_model_name:
        config = TrainConfig(base_model_name=base_model_name)
    if config is None:
        if weights_file:
            raise UsageError("--weights-file needs --base-model-name (or a --config-file that names it).")
        return loading.load_model(notify=say)
    if weights_file:
        return loading.load_weights(weights_file, config.base_model_name, config=config, notify=say)
    return loading.load_config(config, notify=say)


def _files(models: tuple[str, ...], weights_file: Path | None, config_file: Path | None) -> list[Path]:
    """The files of the user's own that a model is made from."""
    from nimakit.config import read_train_config
    from nimakit.models import loading

    files = [file for name in models for file in loading.model_files(name)]
    weights = weights_file or (read_train_config(config_file).existing_weights if config_file else None)
    return [*files, Path(weights)] if weights else files


def _refuse_overwriting(inputs: Sequence[Path | None], outputs: Sequence[Path | None]) -> None:
    """An output that is also an input, or another output, would be lost."""
    taken = {os.path.realpath(path) for path in inputs if path}
    for path in outputs:
        if path and os.path.realpath(path) in taken:
            raise UsageError(f"An output file must not be an input, or another output. Received: {path}")
        if path:
            taken.add(os.path.realpath(path))
