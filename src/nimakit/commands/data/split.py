"""`nimakit data split`: split a label file into parts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from nimakit.commands.data.outcome import finish, prepare_folder, refuse_inputs, report_list
from nimakit.commands.parameters import FILE, FOLDER, image_column, image_source, recursive, seed, skip_bad
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
    help="A part: its name, and a share (0.1), a number of images (500), or rest. By time, oldest first.",
)
@click.option("--stratify", is_flag=True, help="Give each part its share of every tenth of the ratings.")
@click.option(
    "--group-pattern",
    metavar="REGEX",
    help="Keep images together if this finds the same text in their image_id (first group, or match).",
)
@click.option(
    "--group-column", help="Keep images together if they have the same value in this column of --table."
)
@click.option(
    "--time-column", help="Split by this column of --table, oldest first: ISO 8601, or seconds since 1970."
)
@click.option(
    "--table", type=FILE, help="A .csv, .tsv or .jsonl with a row per image, such as from nimakit data index."
)
@image_column
@click.option(
    "--keep-together",
    type=FILE,
    metavar="CHECK",
    help="Keep copies of the same picture together: the output of nimakit data check for LABELS.",
)
@image_source(
    "image_dir",
    FOLDER,
    help="The folder of the images: compare them, and keep copies of the same picture together.",
)
@recursive
@click.option("--output-dir", type=FILE, help="The folder to write to.  [default: the folder of LABELS]")
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
) -> None:
    """Split LABELS into parts at random, by default labels_train.json and labels_test.json.

    Each image is in exactly one part. Sizes are exact, except that groups are kept whole. With
    --image-source, no picture ends up in two parts, not even as a resized, re-encoded, mirrored or slightly
    cropped copy.

    \b
    Example:
      nimakit data split labels.json --image-source photos --part train=rest --part test=0.2 --stratify
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    import numpy as np

    from nimakit.images import fingerprints
    from nimakit.io.atomic import atomic_folder
    from nimakit.io.tables import BadRows
    from nimakit.labels import image_tables, sets, splitting
    from nimakit.labels.label_file import read_labels, write_labels

    _refuse_both("Groups come", group_pattern=group_pattern, group_column=group_column)
    _refuse_both("The order comes", stratify=stratify, time_column=time_column)
    _refuse_both("Copies of a picture come", image_source=image_dir, keep_together=keep_together)
    if bool(group_column or time_column) != bool(table):
        received = "only --table" if table else "no --table"
        raise UsageError(f"--table goes with --group-column or --time-column. Received: {received}")
    if image_dir:
        fingerprints.require()
    planned = [splitting.parse_part(text) for text in parts]
    names = [f"{labels_file.stem}_{part.name}.json" for part in planned]
    outputs = prepare_folder(output_dir or labels_file.parent, names)
    refuse_inputs(outputs, (labels_file, table, keep_together))
    rows = BadRows(skip=skip_bad)
    labels = read_labels(labels_file)
    ids = labels.image_ids
    means = sets.mean_ratings(labels, labels_file) if stratify or labels.counts is not None else None
    groups = splitting.groups_by_pattern(ids, group_pattern) if group_pattern else None
    times = None
    columns: dict[str, Any] = {"image_ids": ids, "rows": rows, "image_column": image_column}
    if table and group_column:
        groups = image_tables.read_values(table, group_column, **columns)
    if table and time_column:
        times = image_tables.read_times(table, time_column, **columns)
    same = _same_pictures(labels_file, ids, keep_together, image_dir, recursive=recursive)
    if same is not None:
        groups = splitting.join_groups(groups or ids, ids, same)
    found = splitting.split(
        len(ids), planned, seed=seed, groups=groups, times=times, ratings=means if stratify else None
    )
    with atomic_folder(outputs[0].parent) as folder:
        for path, places in zip(outputs, found, strict=True):
            part = sets.only(labels, places)
            write_labels(folder / path.name, part.image_ids, part.counts)
    summary: dict[str, Any] = {"images": len(ids), "seed": seed}
    if groups:
        summary["groups"] = len(np.unique(groups))
    if means is not None:
        summary["mean_ratings"] = {
            part.name: round(float(means[places].mean()), 4)
            for part, places in zip(planned, found, strict=True)
        }
    finish(summary, {path: len(places) for path, places in zip(outputs, found, strict=True)}, rows)


def _refuse_both(what: str, **options: object) -> None:
    names = [f"--{name.replace('_', '-')}" for name in options]
    if all(options.values()):
        raise UsageError(f"{what} from either {' or '.join(names)}. Received: both")


def _same_pictures(
    labels_file: Path,
    image_ids: Sequence[str],
    checked: Path | None,
    image_dir: Path | None,
    *,
    recursive: bool,
) -> list[list[str]] | None:
    """Images of the same picture, as `nimakit data check` finds them; None if they were not compared."""
    from nimakit.labels import image_checks, image_tables

    if checked:
        return image_tables.read_groups(checked, labels_file)
    if not image_dir:
        say("pictures were not compared: --image-source keeps copies of the same picture in one part")
        return None
    images = image_checks.labelled(str(labels_file), image_ids, image_dir, recursive=recursive)
    found = image_checks.check_images([images])
    report_list("the same picture more than once, kept together", [str(group) for group in found.duplicates])
    lost = [*found.missing, *found.unreadable]
    report_list(
        "images that are missing or unreadable, and were not compared", [str(entry) for entry in lost]
    )
    return [[entry.image_id for entry in group.images] for group in found.duplicates]
