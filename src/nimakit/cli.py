"""The `nimakit` command. Heavy imports stand inside the commands, so that --help is instant."""

import os
import signal
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nimakit import __version__
from nimakit.errors import ImageError, NimakitError, UsageError

if TYPE_CHECKING:
    from nimakit.engine import Augmentation, Model

_INTERRUPTED = 130
_FILE = click.Path(path_type=Path)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code.

    Exit codes: 0 done; 1 usage or model error; 2 some images could not be scored; 130 interrupted.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stopping a container is an interruption too
    warnings.filterwarnings("ignore", module="PIL")  # what matters of it becomes the image's own error
    try:
        code = cli.main(arguments, prog_name="nimakit", standalone_mode=False)
    except NimakitError as error:
        say(f"error: {error}")
        code = error.exit_code
    except click.ClickException as error:
        say(f"error: {error.format_message()}")
        code = 1
    except (click.Abort, KeyboardInterrupt):
        say("interrupted")
        code = _INTERRUPTED
    except BrokenPipeError:
        # Whoever reads stdout wants no more of it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except OSError as error:
        say(f"error: {error}")
        code = 1
    sys.exit(code or 0)


def say(text: str) -> None:
    """A line for people, on stderr: stdout carries results alone."""
    print(f"nimakit: {text}", file=sys.stderr, flush=True)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="nimakit")
def cli() -> None:
    """Score how good photographs look, and learn it from people's ratings."""


@cli.command()
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
    "--samples-file",
    type=_FILE,
    help="A label file: scores the images it names, and compares with its labels (figures on stderr).",
)
@click.option("--recursive", is_flag=True, help="Look into sub-folders too.")
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
    help="Give the N best, best first; and what could not be scored.",
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
def predict(
    *,
    image_source: Path,
    models: tuple[str, ...],
    weights_file: Path | None,
    base_model_name: str | None,
    config_file: Path | None,
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
) -> int:
    """Score a photo or a folder of photos; a JSON array of score records goes to stdout.

    Exit code: 0 all scored, 1 usage or model error, 2 some images could not be scored (their records say
    why, all others are scored).

    \b
    Example:
      nimakit predict --image-source data/samples --top 3
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    from nimakit.labels import read_labels
    from nimakit.run import Run

    _refuse_overwriting(
        [image_source, samples_file, config_file, weights_file, *map(Path, models)],
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
    )
    items = run.items()
    model = _model(models, weights_file, base_model_name, config_file)
    started = time.monotonic()
    summary = run.score(items, model, sys.stdout)
    if summary.metrics:
        say(str(summary.metrics))
    say(
        f"scored {summary.scored} of {summary.scored + summary.failed} images with {model.name}"
        f" on the {model.device} in {time.monotonic() - started:.1f} s"
    )
    for line in summary.failures:
        say(line)
    return ImageError.exit_code if summary.failed else 0


def _model(
    models: tuple[str, ...], weights_file: Path | None, base_model_name: str | None, config_file: Path | None
) -> "Model":
    from nimakit import zoo
    from nimakit.config import TrainConfig, read_train_config

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
        return zoo.load_models(models, notify=say)
    config = read_train_config(config_file) if config_file else None
    if base_model_name:
        config = TrainConfig(base_model_name=base_model_name)
    if config is None:
        if weights_file:
            raise UsageError("--weights-file needs --base-model-name (or a --config-file that names it).")
        return zoo.load_model(notify=say)
    if weights_file:
        return zoo.load_weights(weights_file, config.base_model_name, notify=say)
    return zoo.load_config(config, notify=say)


def _refuse_overwriting(inputs: Sequence[Path | None], outputs: Sequence[Path | None]) -> None:
    """An output that is also an input, or another output, would be lost."""
    taken = {os.path.realpath(path) for path in inputs if path}
    for path in outputs:
        if path and os.path.realpath(path) in taken:
            raise UsageError(f"An output file must not be an input, or another output. Received: {path}")
        if path:
            taken.add(os.path.realpath(path))


@cli.command()
@click.argument("name", default="aesthetic")
def fetch(name: str) -> None:
    """Obtain a public model now, so that no later use needs a network; prints where it is kept.

    \b
    Example:
      nimakit fetch aesthetic
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    from nimakit import conversion

    click.echo(conversion.fetch(name, notify=say))
