"""`nimakit data split`: a label file in parts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from nimakit.commands.data.outcome import finish, prepare_folder, refuse_inputs, seed, tell
from nimakit.commands.parameters import FILE, recursive, skip_bad
from nimakit.errors import UsageError
from nimakit.progress import say


@click.command()
@click.argument("labels_file", type=FILE, metavar="LABELS")
@click.option(
    "--part",
    "parts",
    multiple=True,
    metavar="NAME=SIZE",
    default=("train=rest", "test=0.1"),
    show_default=True,
    help="A part: its name, and a share (0.1), a number of images (500), or rest. By time, oldest first.",
)
@click.option("--stratify", is_flag=True, help="Give each part its share of every tenth of the ratings.")
@click.option(
    "--group-pattern",
    metavar="REGEX",
    help="Images stay together of which this finds the same in the image_id: its first parenthesis, or all.",
)
@click.option("--group-column", help="Images stay together that have the same in this column of --table.")
@click.option(
    "--time-column",
    help="Split by this column of --table, oldest first: ISO 8601, or seconds since 1970.",
)
@click.option(
    "--table", type=FILE, help="A .csv, .tsv or .jsonl with a row for each image, as of nimakit data index."
)
@click.option(
    "--image-column", default="image_id", show_default=True, help="Column of the image's name or image_id."
)
@click.option(
    "--keep-together",
    type=FILE,
    metavar="CHECK",
    help="Keep together what is the same picture: the output of nimakit data check for LABELS.",
)
@click.option(
    "--image-dir",
    type=FILE,
    help="The folder of the images: they are compared, and what is the same picture is kept together.",
)
@recursive
@click.option("--output-dir", type=FILE, help="Where the files go.  [default: the folder of LABELS]")
@seed
@skip_bad
def split(
    *,
    labels_file: Path,
    parts: tuple[str, ...],
    stratify: bool,
    group_pattern: str | None,
    group_column: str | None,
    time_column: str | None,
    table: Path | None,
    image_column: str,
    keep_together: Path | None,
    image_dir: Path | None,
    recursive: bool,
    output_dir: Path | None,
    seed: int,
    skip_bad: bool,
) -> int:
    """Split LABELS into parts, by default labels_train.json and labels_test.json, at random.

    Each image is in exactly one part. Sizes are exact, except that groups are never torn. With --image-dir,
    no picture ends up in two parts, not even as a resized, re-encoded, mirrored or slightly cropped copy.

    \b
    Example:
      nimakit data split labels.json --image-dir photos --part train=rest --part test=0.2 --stratify
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    import numpy as np

    from nimakit.images import fingerprints
    from nimakit.io.atomic import together
    from nimakit.io.tables import BadRows
    from nimakit.labels import image_tables, sets, splitting
    from nimakit.labels.label_file import read_labels, write_labels

    _check_options(stratify, group_pattern, group_column, time_column, table)
    if keep_together and image_dir:
        raise UsageError("Pictures are compared by --image-dir or --keep-together. Received: both")
    if image_dir:
        fingerprints.require()
    wanted = [splitting.parse_part(text) for text in parts]
    names = [f"{labels_file.stem}_{part.name}.json" for part in wanted]
    outputs = prepare_folder(output_dir or labels_file.parent, names)
    refuse_inputs(outputs, (labels_file, table, keep_together))
    rows = BadRows(skip=skip_bad)
    labels = read_labels(labels_file)
    ids = labels.image_ids
    means = sets.mean_ratings(labels, labels_file) if stratify or labels.counts is not None else None
    groups = splitting.groups_by_pattern(ids, group_pattern) if group_pattern else None
    times = None
    if table and group_column:
        groups = image_tables.read_values(table, group_column, ids, rows, image_column=image_column)
    if table and time_column:
        times = image_tables.read_times(table, time_column, ids, rows, image_column=image_column)
    if keep_together:
        groups = splitting.join_groups(
            groups or ids, ids, image_tables.read_groups(keep_together, labels_file)
        )
    elif image_dir:
        same = _same_pictures(labels_file, ids, image_dir, recursive=recursive)
        groups = splitting.join_groups(groups or ids, ids, same)
    else:
        say("pictures were not compared, so the same one may be in several parts; --image-dir prevents that")
    found = splitting.split(
        len(ids), wanted, seed=seed, groups=groups, times=times, ratings=means if stratify else None
    )
    with together(outputs[0].parent) as folder:
        for path, places in zip(outputs, found, strict=True):
            part = sets.only(labels, places)
            write_labels(folder / path.name, part.image_ids, part.counts)
    summary: dict[str, Any] = {"images": len(ids), "seed": seed}
    if groups:
        summary["groups"] = len(np.unique(groups))
    if means is not None:
        summary["mean_ratings"] = {
            part.name: round(float(means[places].mean()), 4)
            for part, places in zip(wanted, found, strict=True)
        }
    finish(summary, {path: len(places) for path, places in zip(outputs, found, strict=True)}, rows)
    return 0


def _same_pictures(
    labels_file: Path, image_ids: Sequence[str], image_dir: Path, *, recursive: bool
) -> list[list[str]]:
    """Images that show the same picture, as `nimakit data check` finds them."""
    from nimakit.labels import image_checks

    images = image_checks.labelled(str(labels_file), image_ids, image_dir, recursive=recursive)
    found = image_checks.check_images([images])
    tell("the same picture more than once, kept together", [str(one) for one in found.duplicates])
    lost = [*found.missing, *(entry for entry, _ in found.unreadable)]
    tell("images that are missing or cannot be read, and were not compared", [str(entry) for entry in lost])
    return [[entry.image_id for entry in one.images] for one in found.duplicates]


def _check_options(
    stratify: bool,
    group_pattern: str | None,
    group_column: str | None,
    time_column: str | None,
    table: Path | None,
) -> None:
    if group_pattern and group_column:
        raise UsageError("Groups come from --group-pattern or from --group-column. Received: both")
    if stratify and time_column:
        raise UsageError("A split is stratified or by time. Received: --stratify and --time-column")
    if bool(group_column or time_column) != bool(table):
        raise UsageError(
            "--table goes with --group-column or --time-column. Received:"
            f" {'--table alone' if table else 'no --table'}"
        )
