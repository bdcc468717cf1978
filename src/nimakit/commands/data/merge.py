"""`nimakit data merge`: merge label files."""

from pathlib import Path

import click

from nimakit.commands.data.outcome import finish, refuse_inputs
from nimakit.commands.parameters import FILE, labels_output
from nimakit.errors import UsageError


@click.command()
@click.argument("labels_files", nargs=-1, required=True, type=FILE, metavar="LABELS...")
@labels_output
@click.option(
    "--repeated",
    type=click.Choice(["refuse", "add"]),
    default="refuse",
    help="What to do with an image that is in several files: refuse it, or add up its ratings.",
)
def merge(*, labels_files: tuple[Path, ...], output: Path, repeated: str) -> None:
    """Write the images of all LABELS into one label file. All files must have the same bins.

    \b
    Example:
      nimakit data merge spring.json autumn.json --repeated add --output labels.json
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    from nimakit.labels import sets
    from nimakit.labels.label_file import read_labels, write_labels

    refuse_inputs((output,), labels_files)
    if len({path.resolve() for path in labels_files}) < max(2, len(labels_files)):
        raise UsageError(
            f"LABELS must be two or more different files. Received: {', '.join(map(str, labels_files))}"
        )
    files = {path: read_labels(path) for path in labels_files}
    merged, n_repeated = sets.merge(files, add=repeated == "add")
    write_labels(output, merged.image_ids, merged.counts)
    finish({"images": len(merged.image_ids), "repeated": n_repeated}, {output: len(merged.image_ids)})
