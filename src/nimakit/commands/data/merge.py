"""`nimakit data merge`: several label files in one."""

from pathlib import Path

import click

from nimakit.commands.data.outcome import finish, refuse_inputs
from nimakit.commands.parameters import FILE
from nimakit.errors import UsageError


@click.command()
@click.argument("labels_files", nargs=-1, required=True, type=FILE, metavar="LABELS...")
@click.option("--output", type=FILE, required=True, help="The label file to write, .json.")
@click.option(
    "--repeated",
    type=click.Choice(["refuse", "add"]),
    default="refuse",
    show_default=True,
    help="An image that is in several files: refuse it, or add up its ratings.",
)
def merge(*, labels_files: tuple[Path, ...], output: Path, repeated: str) -> int:
    """Write the images of all LABELS into one label file. All must be on the same bins.

    \b
    Example:
      nimakit data merge spring.json autumn.json --repeated add --output labels.json
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    from nimakit.io.atomic import check_output
    from nimakit.io.tables import BadRows
    from nimakit.labels import sets
    from nimakit.labels.label_file import read_labels, write_labels

    check_output(output, (".json",))
    refuse_inputs((output,), labels_files)
    if len({path.resolve() for path in labels_files}) < max(2, len(labels_files)):
        raise UsageError(
            f"Two or more different label files are merged. Received: {', '.join(map(str, labels_files))}"
        )
    files = {path: read_labels(path) for path in labels_files}
    merged, times = sets.merge(files, add=repeated == "add")
    write_labels(output, merged.image_ids, merged.counts)
    finish({"images": len(merged.image_ids), "repeated": times}, {output: len(merged.image_ids)}, BadRows())
    return 0
