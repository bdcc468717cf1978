"""`nimakit data filter`: the images of a label file that are worth keeping."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from nimakit.commands.data.outcome import finish, refuse_inputs, tell
from nimakit.commands.parameters import FILE, Bins, skip_bad
from nimakit.errors import UsageError

if TYPE_CHECKING:
    from nimakit.stats.histogram import FloatArray

_LISTS = (
    "a text file with an image_id a line, a .csv with a column image_id, a label file, or the output of"
    " nimakit data check, of which its list of what to drop is taken."
)


@click.command("filter")
@click.argument("labels_file", type=FILE, metavar="LABELS")
@click.option("--output", type=FILE, required=True, help="The label file to write, .json.")
@click.option("--keep", type=FILE, metavar="LIST", help="Keep the images of a list alone: " + _LISTS)
@click.option("--drop", type=FILE, metavar="LIST", help="Drop the images of such a list.")
@click.option("--min-raters", type=click.IntRange(min=1), help="Drop images that fewer people rated.")
@click.option(
    "--keep-ratings",
    multiple=True,
    metavar="LOW:HIGH",
    help="Keep images whose mean rating is in the range, both ends included; several times: in one of them.",
)
@click.option(
    "--drop-ratings", multiple=True, metavar="LOW:HIGH", help="Drop images whose mean rating is in the range."
)
@click.option("--bins", type=Bins(), help="The rating each bin stands for, where it is not 1, 2, ...: 0-9.")
@click.option(
    "--tags", "tags_file", type=FILE, help="A .csv, .tsv or .jsonl with a row for each tag of an image."
)
@click.option("--tag", "with_tags", multiple=True, help="Keep images with this tag; several times: with any.")
@click.option("--without-tag", "without_tags", multiple=True, help="Drop images with this tag.")
@click.option("--tag-column", default="tag", show_default=True, help="Column of the tag.")
@click.option(
    "--image-column", default="image_id", show_default=True, help="Column of the image's name or image_id."
)
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
) -> int:
    """Write those images of LABELS that fulfil every condition, and say how many each one dropped.

    \b
    Example:
      nimakit data filter labels.json --min-raters 5 --drop-ratings 4.5:5.5 --output clear.json
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    import numpy as np

    from nimakit.io.atomic import check_output
    from nimakit.io.tables import BadRows
    from nimakit.labels import image_tables, sets
    from nimakit.labels.filtering import Criteria, dropped, parse_span
    from nimakit.labels.label_file import read_labels, write_labels

    if not (keep or drop or min_raters or keep_ratings or drop_ratings or with_tags or without_tags):
        raise UsageError("A filter has a condition at least, such as --min-raters 5. Received: none")
    if bool(tags_file) != bool(with_tags or without_tags):
        raise UsageError("--tags goes with --tag or --without-tag. Received: one without the other")
    check_output(output, (".json",))
    refuse_inputs((output,), (labels_file, keep, drop, tags_file))
    rows = BadRows(skip=skip_bad)
    labels = read_labels(labels_file)
    ids = frozenset(labels.image_ids)
    listed = {
        option: image_tables.read_image_ids(path, labels_file, ids, rows)
        for option, path in (("keep", keep), ("drop", drop))
        if path
    }
    criteria = Criteria(
        keep=listed.get("keep"),
        drop=listed.get("drop"),
        min_raters=min_raters or 0,
        keep_ratings=[parse_span(text) for text in keep_ratings],
        drop_ratings=[parse_span(text) for text in drop_ratings],
        bins=bins,
        tags=()
        if tags_file is None
        else image_tables.read_tags(tags_file, tag_column, labels.image_ids, rows, image_column=image_column),
        with_tags=with_tags,
        without_tags=without_tags,
    )
    reasons = dropped(labels, labels_file, criteria)
    kept = sets.only(labels, ~np.logical_or.reduce(list(reasons.values())))
    counts = {reason: int(chosen.sum()) for reason, chosen in reasons.items()}
    if not kept.image_ids:
        raise UsageError(f"A filter leaves at least one image. Received: none left, {counts}")
    write_labels(output, kept.image_ids, kept.counts)
    for option, names in listed.items():
        tell(f"images of --{option} that are not in {labels_file}", sorted(names - ids))
    finish({"images": len(ids), "dropped": counts}, {output: len(kept.image_ids)}, rows)
    return 0
