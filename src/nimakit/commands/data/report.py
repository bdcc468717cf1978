"""`nimakit data report`: report on the quality of ratings before you train on them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nimakit.commands.data.outcome import check_report, finish, write_report
from nimakit.commands.parameters import (
    FILE,
    FOLDER,
    Bins,
    Finite,
    image_source,
    max_pixels,
    rating_columns,
    recursive,
    skip_bad,
)
from nimakit.progress import say

if TYPE_CHECKING:
    from nimakit.io.tables import BadRows
    from nimakit.labels.summary import Summary
    from nimakit.stats.histogram import FloatArray
    from nimakit.stats.sample_size import Goals


@click.command()
@click.argument("source", type=FILE, metavar="RATINGS|LABELS")
@click.option("--output", type=FILE, help="The report to write: .html, or .png for its charts only.")
@image_source("image_dir", FOLDER, help="The folder of the images: show some of them, worst to best.")
@recursive
@rating_columns
@click.option(
    "--bins",
    type=Bins(),
    help="The scale: 1-10, or a list such as 0,25,50,75,100.  [default: inferred; 1, 2, ... for labels]",
)
@click.option(
    "--reliability",
    "reliabilities",
    multiple=True,
    type=Finite(0, 1, min_open=True, max_open=True),
    default=(0.8, 0.9, 0.95),
    help="The reliability you want for the mean ratings; can be repeated.",
)
@click.option(
    "--standard-error",
    "standard_errors",
    multiple=True,
    type=Finite(0.001, 1_000_000),
    help="The standard error you want for the mean ratings, in points of the scale; can be repeated."
    "  [default: one that suits the scale]",
)
@max_pixels
@skip_bad
def report(
    *,
    source: Path,
    output: Path | None,
    image_dir: Path | None,
    recursive: bool,
    columns: dict[str, Any],
    bins: "FloatArray | None",
    reliabilities: tuple[float, ...],
    standard_errors: tuple[float, ...],
    max_pixels: int,
    skip_bad: bool,
) -> None:
    """Report how well people agree, whose ratings are unusual, and how many more ratings would help.

    Single ratings (.csv, .tsv or .jsonl) give the full report; a label file (.json) does not identify raters,
    so figures about raters are left out. The figures go to stdout as a JSON object.

    \b
    Example:
      nimakit data report ratings.csv --image-source photos --output report.html
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    from nimakit.images.files import match_images
    from nimakit.io.tables import BadRows
    from nimakit.stats.sample_size import Goals

    if output:
        check_report(output)
    rows = BadRows(skip=skip_bad)
    summary = _summary(source, columns, bins, Goals(reliabilities, standard_errors), rows)
    image_ids = summary.pictures.image_ids
    paths = match_images(image_ids, image_dir, recursive=recursive, notify=say) if image_dir else None
    if output:
        facts = {"Images": str(image_dir)} if image_dir else {}
        write_report(output, source, summary, facts, paths=paths, max_pixels=max_pixels)
    missing = None if paths is None else sum(path is None for path in paths.values())
    files = {output: len(image_ids)} if output else {}
    finish({**summary.to_dict(), "images_without_file": missing}, files, rows)


def _summary(
    path: Path, columns: dict[str, Any], bins: "FloatArray | None", goals: "Goals", rows: "BadRows"
) -> "Summary":
    from nimakit.labels.label_file import read_labels
    from nimakit.labels.ratings import infer_bins, read_ratings
    from nimakit.labels.summary import of_labels, of_ratings

    if path.suffix.lower() == ".json":
        return of_labels(read_labels(path), bins, goals)
    ratings = read_ratings(path, **columns, bins=bins, rows=rows, notify=say)
    if bins is None:
        bins, sentence = infer_bins(ratings)
        say(sentence)
    return of_ratings(ratings, bins, goals)
