"""`nimakit export`: write the model file of Keras weights."""

from pathlib import Path

import click

from nimakit.commands.parameters import FILE
from nimakit.errors import UsageError
from nimakit.progress import say


@click.command()
@click.option(
    "--weights-file", required=True, type=FILE, help="Keras weights: .hdf5, .h5, .weights.h5 or .keras."
)
@click.option("--base-model-name", metavar="NAME", help="Backbone of the weights.")
@click.option(
    "--config-file",
    type=FILE,
    help="Or their training config, which also gives head, input size and fit.",
)
@click.option("--output", required=True, type=FILE, help="The model file: .onnx.")
def export(
    *, weights_file: Path, base_model_name: str | None, config_file: Path | None, output: Path
) -> None:
    """Write the .onnx model file of Keras weights, such as those in the weights folder of a job.

    \b
    Example:
      nimakit export --weights-file nima.hdf5 --base-model-name MobileNet --output nima.onnx
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    from nimakit.config import TrainConfig, read_train_config
    from nimakit.io.atomic import atomic_copy, check_output
    from nimakit.models.conversion import convert

    if bool(base_model_name) == bool(config_file):
        raise UsageError("Weights need their backbone: give either --base-model-name or --config-file.")
    check_output(output, (".onnx",))
    config = (
        read_train_config(config_file) if config_file else TrainConfig(base_model_name=str(base_model_name))
    )
    model = convert(weights_file, config.base_model_name, config=config, notify=say)
    atomic_copy(model, output)
    say(f"wrote {output}")
