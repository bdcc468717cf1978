"""`nimakit data flickr-aes`: means and ratings by worker to label files and rating files."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nimakit.commands.data.outcome import (
    MAX_ENTROPY,
    check_report,
    draw_report,
    finish,
    output_dir,
    prepare_folder,
    refuse_leftovers,
    report,
    scale,
)
from nimakit.commands.parameters import FILE, skip_bad
from nimakit.errors import LabelError, UsageError
from nimakit.progress import say

if TYPE_CHECKING:
    from nimakit.datasets.flickr_aes import Split
    from nimakit.labels.ratings import Ratings

_FILES = (
    "flickr_aes_labels_train.json",
    "flickr_aes_labels_test.json",
    "flickr_aes_ratings_train.csv",
    "flickr_aes_ratings_test.csv",
)


@click.command("flickr-aes")
@click.option("--workers-file", type=FILE, help="Ratings by worker: lines that end in worker, image, rating.")
@click.option("--means-file", type=FILE, help="Mean ratings: lines that end in image and mean.")
@click.option(
    "--test-workers",
    type=FILE,
    help="The test workers: their ids a line each, or a file of their ratings.  [default: the 37 who gave 112"
    " to 180 ratings]",
)
@click.option(
    "--scale",
    "wanted_scale",
    type=click.Choice(["raw", "z"]),
    default="raw",
    show_default=True,
    help="Rating files from 1 to 5, or as z-scores over the whole data set; whichever the input is.",
)
@output_dir("data/FLICKR-AES")
@report
@skip_bad
def flickr_aes(
    *,
    workers_file: Path | None,
    means_file: Path | None,
    test_workers: Path | None,
    wanted_scale: str,
    output_dir: Path,
    report_file: Path | None,
    skip_bad: bool,
) -> int:
    """Make label files and rating files of the FLICKR-AES data set, with the standard split by workers.

    The test images are those a test worker rated; no rating of them is trained with. Labels are counts of
    ratings; for an image of --means-file alone, the maximum-entropy distribution with that mean. Rating files
    have a row a rating; those of each test worker are in users/ too.

    \b
    Example:
      nimakit data flickr-aes --workers-file FLICKR-AES_image_labeled_by_each_worker.csv
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    from nimakit.datasets import flickr_aes
    from nimakit.io.tables import BadRows
    from nimakit.labels.label_file import Labels

    if not (workers_file or means_file):
        raise UsageError("FLICKR-AES is read from --workers-file, --means-file, or both. Received: neither")
    paths = prepare_folder(output_dir, _FILES)
    check_report(report_file)
    rows = BadRows(skip=skip_bad)
    ratings = flickr_aes.read_worker_ratings(workers_file, rows) if workers_file else flickr_aes.NO_RATINGS
    means = flickr_aes.read_means(means_file, rows) if means_file else {}
    workers = _test_workers(test_workers, ratings, skip_bad=skip_bad) if workers_file else []
    parts = flickr_aes.split(ratings, means, workers)
    files = _write(paths, parts, wanted_scale)
    if report_file and workers_file:
        draw_report(report_file, workers_file, ratings, flickr_aes.BINS)
        files[report_file] = len(ratings.image_ids)
    elif report_file and means_file:
        given = Labels(tuple(parts.train_ids), parts.train_labels, parts.train_labels)
        draw_report(report_file, means_file, given, flickr_aes.BINS, MAX_ENTROPY)
        files[report_file] = len(given.image_ids)
    summary = {
        "images": len(parts.train_ids) + len(parts.test_ids),
        "ratings": len(ratings),
        "workers": len(ratings.user_ids),
        "test_workers": len(parts.test_ratings.user_ids),
        "ratings_scale": wanted_scale,
        **scale(flickr_aes.BINS),
    }
    finish(summary, files, rows)
    return 0


def _write(paths: Sequence[Path], parts: "Split", wanted_scale: str) -> dict[Path, int]:
    """Write what there is; the files, each with how much it holds."""
    from nimakit.datasets.flickr_aes import z_scores
    from nimakit.io.atomic import together
    from nimakit.labels.label_file import write_labels
    from nimakit.labels.ratings import write_ratings

    train_labels, test_labels, train_ratings, test_ratings = paths
    users = train_labels.parent / "users"
    labels = {
        train_labels: (parts.train_ids, parts.train_labels),
        test_labels: (parts.test_ids, parts.test_labels),
    }
    rated = {train_ratings: parts.train_ratings, test_ratings: parts.test_ratings}
    for place, name in enumerate(parts.test_ratings.user_ids):
        rated[users / f"{name}.csv"] = parts.test_ratings.only(parts.test_ratings.user == place)
    sizes = {path: len(ids) for path, (ids, _) in labels.items()} | {
        path: len(r) for path, r in rated.items()
    }
    files = {path: size for path, size in sizes.items() if size}
    refuse_leftovers({*paths, *users.glob("*.csv")} - files.keys())
    with together(train_labels.parent) as folder:
        (folder / users.name).mkdir()
        for path in files:
            partial = folder / path.relative_to(train_labels.parent)
            if path in labels:
                write_labels(partial, *labels[path])
            else:
                given = rated[path]
                z = replace(given, rating=z_scores(given.rating))
                write_ratings(partial, z if wanted_scale == "z" else given)
    return files


def _test_workers(path: Path | None, ratings: "Ratings", *, skip_bad: bool) -> list[str]:
    """Ids of the test workers: the standard ones, those of a list, or those of a file of ratings."""
    from nimakit.datasets import flickr_aes
    from nimakit.io.tables import BadRows, read_lines

    if path is None:
        return flickr_aes.standard_test_workers(ratings)
    listed = [text for _, text in read_lines(path)]
    if any(" " in text or "," in text for text in listed):
        listed = list(flickr_aes.read_worker_ratings(path, BadRows(skip=skip_bad)).user_ids)
    unknown = set(listed) - set(ratings.user_ids)
    if unknown:
        names = ", ".join(sorted(unknown)[:20])
        say(f"{len(unknown)} of the {len(listed)} test workers gave no rating: {names}")
    if len(unknown) == len(listed):
        raise LabelError(
            f"--test-workers names workers of --workers-file. Received: {path}, with none of those"
        )
    return listed
