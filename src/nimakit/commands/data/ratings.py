"""`nimakit data ratings`: make a label file from single ratings."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nimakit.commands.data.outcome import Import, importer
from nimakit.commands.parameters import FILE, Bins, labels_output, rating_columns
from nimakit.progress import say

if TYPE_CHECKING:
    from nimakit.stats.histogram import FloatArray


@click.command()
@click.argument("ratings_file", type=FILE, metavar="RATINGS")
@labels_output
@rating_columns
@click.option(
    "--bins",
    type=Bins(),
    help="The rating of each bin: 1-10, or a list such as 0,25,50,75,100; ratings outside are bad rows."
    " Otherwise the bins are inferred and reported.",
)
@click.option(
    "--repeats",
    type=click.Choice(["latest", "all"]),
    default="latest",
    help="If a person rated an image more than once: count the latest rating, or all of them.",
)
@importer
def ratings(
    *,
    ratings_file: Path,
    output: Path,
    columns: dict[str, Any],
    bins: "FloatArray | None",
    repeats: str,
    outcome: Import,
) -> None:
    """Count single ratings, one per row, into a label file. RATINGS is a .csv, .tsv or .jsonl.

    A rating between two bins is divided between them so that its value is kept. The summary on stdout lists
    the rating of each bin of the label file.

    \b
    Example:
      nimakit data ratings ratings.csv --output labels.json
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    from nimakit.labels.label_file import write_labels
    from nimakit.labels.ratings import infer_bins, read_ratings, to_counts

    given = read_ratings(ratings_file, **columns, bins=bins, rows=outcome.rows, notify=say)
    counted = given.latest() if repeats == "latest" else given
    if bins is None:
        bins, sentence = infer_bins(counted)
        say(sentence)
    if counted.anonymous:
        say("there is no column 'user_id': each rating counts as a different rater's")
    write_labels(output, counted.image_ids, to_counts(counted, bins))
    outcome.files[output] = len(counted.image_ids)
    outcome.report(ratings_file, counted, bins)
    summary = {
        "images": len(counted.image_ids),
        "people": len(counted.user_ids),
        "ratings": len(counted),
        "repeats_left_out": len(given) - len(counted),
    }
    outcome.finish(summary, bins)
