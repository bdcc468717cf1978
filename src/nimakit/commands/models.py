"""`nimakit models`: list public and local models."""

import json
from collections.abc import Sequence
from pathlib import Path

import click

from nimakit.progress import printable

_FOLDERS = ("models", "train_jobs")


@click.command()
@click.argument("folders", nargs=-1, metavar="[FOLDER]...", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array instead of a table.")
def models(*, folders: tuple[Path, ...], as_json: bool) -> None:
    """List the public models, and every .onnx file in the folders: models and train_jobs by default.

    SRCC and EMD come from the metrics.json next to a file: of the test set if it has them, else of the
    validation set, else of the training set. The column SET marks metrics of fewer than 30 images, or of
    images the model was trained on. A file that cannot be used is listed with the reason.

    \b
    Example:
      nimakit models train_jobs
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    from nimakit.models.catalogue import CatalogueEntry, list_models

    found = list_models(folders or [Path(name) for name in _FOLDERS if Path(name).is_dir()])
    if as_json:
        click.echo(json.dumps([entry.to_dict() for entry in found], indent=2))
        return
    rows = [CatalogueEntry.COLUMNS, *(entry.row() for entry in found)]
    click.echo(printable("\n".join(align(rows))))
    for entry in found:
        for problem in entry.problems:
            click.echo(printable(f"{entry.model}: {problem}"))


def align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table with aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
