"""`nimakit data ratings`: single ratings to a label file."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from nimakit.commands.data.outcome import check_report, draw_report, finish, report, scale
from nimakit.commands.parameters import FILE, Bins, skip_bad
from nimakit.progress import say

if TYPE_CHECKING:
    from nimakit.stats.histogram import FloatArray


@click.command()
@click.argument("ratings_file", type=FILE, metavar="RATINGS")
@click.option("--output", type=FILE, required=True, help="The label file to write, .json.")
@click.option(
    "--image-column", default="image_id", show_default=True, help="Column of the image's name or image_id."
)
@click.option(
    "--user-column",
    help="Column of who rated; without one each rating counts as a person of its own."
    "  [default: user_id, where there]",
)
@click.option("--rating-column", default="rating", show_default=True, help="Column of the rating.")
@click.option("--time-column", help="Column of when it was given: ISO 8601, or seconds since 1970.")
@click.option(
    "--bins",
    type=Bins(),
    help="The rating each bin stands for: 1-10, or a list as 0,25,50,75,100; ratings outside are bad rows."
    " Otherwise the bins are inferred and reported.",
)
@click.option(
    "--repeats",
    type=click.Choice(["latest", "all"]),
    default="latest",
    show_default=True,
    help="Where a person rated an image more than once: count the latest rating, or all of them.",
)
@report
@skip_bad
def ratings(
    *,
    ratings_file: Path,
    output: Path,
    image_column: str,
    user_column: str | None,
    rating_column: str,
    time_column: str | None,
    bins: "FloatArray | None",
    repeats: str,
    report_file: Path | None,
    skip_bad: bool,
) -> int:
    """Count single ratings, a row each, into a label file. RATINGS is a .csv, .tsv or .jsonl.

    A rating between two bins is shared by both so that it keeps its value. The summary on stdout says which
    rating each bin of the label file stands for.

    \b
    Example:
      nimakit data ratings ratings.csv --output labels.json
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    from nimakit.io.atomic import check_output
    from nimakit.io.tables import BadRows
    from nimakit.labels.label_file import write_labels
    from nimakit.labels.ratings import infer_bins, read_ratings, to_counts

    check_output(output, (".json",))
    check_report(report_file)
    rows = BadRows(skip=skip_bad)
    given = read_ratings(
        ratings_file,
        image_column=image_column,
        user_column=user_column,
        rating_column=rating_column,
        time_column=time_column,
        bins=bins,
        rows=rows,
        notify=say,
    )
    counted = given.latest() if repeats == "latest" else given
    if bins is None:
        bins, sentence = infer_bins(counted)
        say(sentence)
    if counted.anonymous:
        say("without 'user_id' it is unknown who rated: each rating counts as a person's only one")
    write_labels(output, counted.image_ids, to_counts(counted, bins))
    summary = {
        "images": len(counted.image_ids),
        "people": len(counted.user_ids),
        "ratings": len(counted),
        "repeats_left_out": len(given) - len(counted),
        **scale(bins),
    }
    files = {output: len(counted.image_ids)}
    if report_file:
        draw_report(report_file, ratings_file, counted, bins)
        files[report_file] = len(counted.image_ids)
    finish(summary, files, rows)
    return 0
