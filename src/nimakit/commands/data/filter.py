"""`nimakit data filter`: select images of a label file."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from nimakit.commands.data.outcome import finish, refuse_inputs, report_list
from nimakit.commands.parameters import FILE, image_column, label_bins, labels_output, skip_bad
from nimakit.errors import UsageError

if TYPE_CHECKING:
    from nimakit.stats.histogram import FloatArray

_LISTS = (
    "a text file with an image_id per line, a .csv with a column image_id, a label file, or the output of"
    " nimakit data check (its list of images to drop)."
)


@click.command("filter")
@click.argument("labels_file", type=FILE, metavar="LABELS")
@labels_output
@click.option("--keep", type=FILE, metavar="LIST", help="Keep only the images in this list: " + _LISTS)
@click.option(
    "--drop", type=FILE, metavar="LIST", help="Drop the images in this list; formats as for --keep."
)
@click.option("--min-raters", type=click.IntRange(min=1), help="Drop images with fewer ratings than this.")
@click.option(
    "--keep-ratings",
    multiple=True,
    metavar="LOW:HIGH",
    help="Keep only images whose mean rating is in this range, ends included. Given several times: in any of"
    " the ranges.",
)
@click.option(
    "--drop-ratings",
    multiple=True,
    metavar="LOW:HIGH",
    help="Drop images whose mean rating is in this range.",
)
@label_bins
@click.option("--tags", "tags_file", type=FILE, help="A .csv, .tsv or .jsonl with a row per image and tag.")
@click.option(
    "--tag",
    "with_tags",
    multiple=True,
    help="Keep images with this tag. Given several times: with any of them.",
)
@click.option("--without-tag", "without_tags", multiple=True, help="Drop images with this tag.")
@click.option("--tag-column", default="tag", help="Column of the tag.")
@image_column
@skip_bad
def filter_(
    *,
    labels_file: Path,
    output: Path,
    keep: Path | None,
    drop: Path | None,
    min_raters: int | None,
    keep_ratings: tuple[str, ...],
    drop_ratings: tuple[str, ...],
    bins: "FloatArray | None",
    tags_file: Path | None,
    with_tags: tuple[str, ...],
    without_tags: tuple[str, ...],
    tag_column: str,
    image_column: str,
    skip_bad: bool,
) -> None:
    """Write the images of LABELS that meet every condition, and report how many images each one dropped.

    \b
    Example:
      nimakit data filter labels.json --min-raters 5 --drop-ratings 4.5:5.5 --output clear.json
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    import numpy as np

    from nimakit.io.tables import BadRows
    from nimakit.labels import image_tables, sets
    from nimakit.labels.filtering import Criteria, dropped, parse_range
    from nimakit.labels.label_file import read_labels, write_labels

    if not (keep or drop or min_raters or keep_ratings or drop_ratings or with_tags or without_tags):
        raise UsageError("A filter needs at least one condition, such as --min-raters 5. Received: none")
    if bool(tags_file) != bool(with_tags or without_tags):
        raise UsageError("--tags goes with --tag or --without-tag. Received: one without the other")
    refuse_inputs((output,), (labels_file, keep, drop, tags_file))
    rows = BadRows(skip=skip_bad)
    labels = read_labels(labels_file)
    ids = frozenset(labels.image_ids)
    lists = {
        option: image_tables.read_image_ids(path, labels_file, ids, rows)
        for option, path in (("keep", keep), ("drop", drop))
        if path
    }
    tags = (
        image_tables.read_tags(tags_file, tag_column, labels.image_ids, rows, image_column=image_column)
        if tags_file
        else ()
    )
    criteria = Criteria(
        **lists,
        min_raters=min_raters or 0,
        keep_ratings=[parse_range(text) for text in keep_ratings],
        drop_ratings=[parse_range(text) for text in drop_ratings],
        bins=bins,
        tags=tags,
        with_tags=with_tags,
        without_tags=without_tags,
    )
    reasons = dropped(labels, labels_file, criteria)
    kept = sets.only(labels, ~np.logical_or.reduce(list(reasons.values())))
    counts = {reason: int(chosen.sum()) for reason, chosen in reasons.items()}
    if not kept.image_ids:
        raise UsageError(f"A filter must leave at least one image. Received: none left, {counts}")
    write_labels(output, kept.image_ids, kept.counts)
    for option, names in lists.items():
        report_list(f"images of --{option} that are not in {labels_file}", sorted(names - ids))
    finish({"images": len(ids), "dropped": counts}, {output: len(kept.image_ids)}, rows)
