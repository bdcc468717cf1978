"""`nimakit data flickr-aes`: make label and rating files from the mean scores and the workers' ratings."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nimakit.commands.data.outcome import (
    MAX_ENTROPY,
    Import,
    importer,
    output_dir,
    prepare_folder,
    refuse_leftovers,
)
from nimakit.commands.parameters import FILE
from nimakit.errors import LabelError, UsageError
from nimakit.progress import say

if TYPE_CHECKING:
    from nimakit.datasets.flickr_aes import Split
    from nimakit.io.tables import BadRows
    from nimakit.labels.ratings import Ratings

_FILES = (
    "flickr_aes_labels_train.json",
    "flickr_aes_labels_test.json",
    "flickr_aes_ratings_train.csv",
    "flickr_aes_ratings_test.csv",
)


@click.command("flickr-aes")
@click.option("--workers-file", type=FILE, help="Ratings by worker: lines ending in worker, image, rating.")
@click.option("--means-file", type=FILE, help="Mean ratings: lines ending in image and mean.")
@click.option(
    "--test-workers",
    type=FILE,
    help="The test workers: one id per line, or a file of their ratings.  [default: the 37 with 112 to 180"
    " ratings]",
)
@click.option(
    "--scale",
    type=click.Choice(["raw", "z"]),
    default="raw",
    help="Write the rating files from 1 to 5, or as z-scores over the data set, whichever the input is.",
)
@output_dir("data/FLICKR-AES")
@importer
def flickr_aes(
    *,
    workers_file: Path | None,
    means_file: Path | None,
    test_workers: Path | None,
    scale: str,
    output_dir: Path,
    outcome: Import,
) -> None:
    """Make label files and rating files from the FLICKR-AES data set, with the standard split by workers.

    The test images are those rated by a test worker; none of their ratings are used for training. Labels are
    counts of ratings; for an image that is only in --means-file, the maximum-entropy distribution with that
    mean. Rating files have one rating per row; users/ also has a file for each test worker.

    \b
    Example:
      nimakit data flickr-aes --workers-file FLICKR-AES_image_labeled_by_each_worker.csv
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    from nimakit.datasets import flickr_aes
    from nimakit.io.tables import BadRows
    from nimakit.labels.label_file import Labels

    if not (workers_file or means_file):
        raise UsageError("FLICKR-AES needs --workers-file, --means-file, or both. Received: neither")
    paths = prepare_folder(output_dir, _FILES)
    rows = outcome.rows
    ratings = flickr_aes.read_worker_ratings(workers_file, rows) if workers_file else flickr_aes.NO_RATINGS
    means = flickr_aes.read_means(means_file, rows) if means_file else {}
    workers = _test_workers(test_workers, ratings, BadRows(skip=rows.skip)) if workers_file else []
    parts = flickr_aes.split(ratings, means, workers)
    outcome.files |= _write(paths, parts, scale)
    if workers_file:
        outcome.report(workers_file, ratings, flickr_aes.BINS)
    elif means_file:
        given = Labels(tuple(parts.train_ids), parts.train_labels, parts.train_labels)
        outcome.report(means_file, given, flickr_aes.BINS, MAX_ENTROPY)
    summary = {
        "images": len(parts.train_ids) + len(parts.test_ids),
        "ratings": len(ratings),
        "workers": len(ratings.user_ids),
        "test_workers": len(parts.test_ratings.user_ids),
        "ratings_scale": scale,
    }
    outcome.finish(summary, flickr_aes.BINS)


def _write(paths: Sequence[Path], parts: "Split", scale: str) -> dict[Path, int]:
    """Write the files that are not empty; returns how many images or ratings each contains."""
    from nimakit.datasets.flickr_aes import z_scores
    from nimakit.io.atomic import atomic_folder
    from nimakit.labels.label_file import write_labels
    from nimakit.labels.ratings import write_ratings

    train_labels, test_labels, train_ratings, test_ratings = paths
    users = train_labels.parent / "users"
    rated = {train_ratings: parts.train_ratings, test_ratings: parts.test_ratings}
    for place, name in enumerate(parts.test_ratings.user_ids):
        rated[users / f"{name}.csv"] = parts.test_ratings.only(parts.test_ratings.user == place)
    if scale == "z":
        rated = {path: replace(given, rating=z_scores(given.rating)) for path, given in rated.items()}
    labels = {
        train_labels: (parts.train_ids, parts.train_labels),
        test_labels: (parts.test_ids, parts.test_labels),
    }
    files = {path: len(ids) for path, (ids, _) in labels.items()}
    files |= {path: len(given) for path, given in rated.items()}
    files = {path: size for path, size in files.items() if size}
    refuse_leftovers({*paths, *users.glob("*.csv")} - files.keys())
    with atomic_folder(train_labels.parent) as folder:
        (folder / users.name).mkdir()
        for path in files:
            partial = folder / path.relative_to(train_labels.parent)
            if path in labels:
                write_labels(partial, *labels[path])
            else:
                write_ratings(partial, rated[path])
    return files


def _test_workers(path: Path | None, ratings: "Ratings", rows: "BadRows") -> list[str]:
    """Ids of the test workers: the standard ones, those in a list, or those in a file of ratings."""
    from nimakit.datasets import flickr_aes
    from nimakit.io.tables import read_lines

    if path is None:
        return flickr_aes.standard_test_workers(ratings)
    listed = [text for _, text in read_lines(path)]
    if any(" " in text or "," in text for text in listed):
        listed = list(flickr_aes.read_worker_ratings(path, rows).user_ids)
    unknown = set(listed) - set(ratings.user_ids)
    if unknown:
        names = ", ".join(sorted(unknown)[:20])
        say(f"{len(unknown)} of the {len(listed)} test workers gave no rating: {names}")
    if len(unknown) == len(listed):
        raise LabelError(f"--test-workers must be in --workers-file. Received: {path}, with none that are")
    return listed
