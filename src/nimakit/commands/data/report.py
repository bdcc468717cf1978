"""`nimakit data report`: what there is to know of ratings before a model is trained on them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nimakit.commands.data.outcome import finish
from nimakit.commands.parameters import FILE, Bins, Finite, recursive, skip_bad
from nimakit.errors import UsageError
from nimakit.progress import say

if TYPE_CHECKING:
    from nimakit.io.tables import BadRows
    from nimakit.labels.summary import Summary
    from nimakit.stats.histogram import FloatArray
    from nimakit.stats.sample_size import Goals


@click.command()
@click.argument("source", type=FILE, metavar="RATINGS|LABELS")
@click.option("--output", type=FILE, help="The report to write: .html, or its charts alone as .png.")
@click.option("--image-dir", type=FILE, help="The folder of the images: shows some of them, worst to best.")
@recursive
@click.option(
    "--image-column", default="image_id", show_default=True, help="Column of the image's name or image_id."
)
@click.option("--user-column", help="Column of who rated.  [default: user_id, where there]")
@click.option("--rating-column", default="rating", show_default=True, help="Column of the rating.")
@click.option("--time-column", help="Column of when it was given: ISO 8601, or seconds since 1970.")
@click.option(
    "--bins",
    type=Bins(),
    help="The scale: 1-10, or a list as 0,25,50,75,100.  [default: inferred; 1, 2, ... for labels]",
)
@click.option(
    "--reliability",
    "reliabilities",
    multiple=True,
    type=Finite(0, 1, min_open=True, max_open=True),
    default=(0.8, 0.9, 0.95),
    show_default=True,
    help="How reliable the mean ratings should be; may be given several times.",
)
@click.option(
    "--standard-error",
    "standard_errors",
    multiple=True,
    type=Finite(0.001, 1_000_000),
    help="Standard error the mean ratings should have, in points of the scale; may be given several times."
    "  [default: one that suits the scale]",
)
@click.option(
    "--max-pixels", type=click.IntRange(min=1), help="Show no image larger than this.  [default: 89478485]"
)
@skip_bad
def report(
    *,
    source: Path,
    output: Path | None,
    image_dir: Path | None,
    recursive: bool,
    image_column: str,
    user_column: str | None,
    rating_column: str,
    time_column: str | None,
    bins: "FloatArray | None",
    reliabilities: tuple[float, ...],
    standard_errors: tuple[float, ...],
    max_pixels: int | None,
    skip_bad: bool,
) -> int:
    """Say how far people agree, who is unlike the rest, and how many more ratings would help.

    Of single ratings (.csv, .tsv or .jsonl) all of it can be told; of a label file (.json) what does not need
    to know who rated. The figures go to stdout as a JSON object.

    \b
    Example:
      nimakit data report ratings.csv --image-dir photos --output report.html
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    from nimakit.images.photo import MAX_PIXELS
    from nimakit.io.atomic import check_output
    from nimakit.io.tables import BadRows
    from nimakit.labels import report as data_report
    from nimakit.stats.sample_size import Goals

    if output:
        data_report.require()
        check_output(output, data_report.SUFFIXES)
    if image_dir and not image_dir.is_dir():
        raise UsageError(f"--image-dir is a folder of images. Received: {image_dir}")
    rows = BadRows(skip=skip_bad)
    goals = Goals(reliabilities, standard_errors)
    if source.suffix.lower() == ".json":
        summary = _of_labels(source, bins, goals)
    else:
        columns = {
            "image_column": image_column,
            "user_column": user_column,
            "rating_column": rating_column,
            "time_column": time_column,
        }
        summary = _of_ratings(source, columns, bins, goals, rows)
    paths = _paths(summary, image_dir, recursive=recursive) if image_dir else None
    if output:
        facts = {"Ratings": str(source), **({"Images": str(image_dir)} if image_dir else {})}
        data_report.write(
            output,
            title=f"Ratings: {source.name}",
            facts=facts,
            summary=summary,
            paths=paths,
            max_pixels=max_pixels or MAX_PIXELS,
        )
        say(f"report: {output}")
    missing = None if paths is None else sum(path is None for path in paths.values())
    images = len(summary.pictures.means)
    finish({**summary.to_dict(), "images_without_file": missing}, {output: images} if output else {}, rows)
    return 0


def _of_labels(path: Path, bins: "FloatArray | None", goals: "Goals") -> "Summary":
    from nimakit.labels import summary as data_summary
    from nimakit.labels.label_file import read_labels

    return data_summary.of_labels(read_labels(path), bins, goals)


def _of_ratings(
    path: Path, columns: dict[str, Any], bins: "FloatArray | None", goals: "Goals", rows: "BadRows"
) -> "Summary":
    from nimakit.labels import summary as data_summary
    from nimakit.labels.ratings import infer_bins, read_ratings

    ratings = read_ratings(path, **columns, bins=bins, rows=rows, notify=say)
    if bins is None:
        bins, sentence = infer_bins(ratings)
        say(sentence)
    return data_summary.of_ratings(ratings, bins, goals)


def _paths(summary: "Summary", image_dir: Path, *, recursive: bool) -> dict[str, Path | None]:
    from nimakit.images.files import match_images

    return match_images(summary.pictures.image_ids, image_dir, recursive=recursive, notify=say)
