"""`nimakit data posts`: collect images, ratings and a label file from rated posts."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from nimakit.commands.data.outcome import (
    Import,
    importer,
    output_dir,
    prepare_folder,
    refuse_inputs,
    report_list,
)
from nimakit.commands.parameters import FILE, Bins, Decorated, max_pixels
from nimakit.errors import ImageError, LabelError, UsageError, require_extra
from nimakit.progress import say, track

if TYPE_CHECKING:
    from nimakit.datasets.posts.downloads import Failure, Limits
    from nimakit.datasets.posts.image_store import ImageStore, Stored
    from nimakit.datasets.posts.importer import Outside
    from nimakit.labels.ratings import Ratings
    from nimakit.stats.histogram import FloatArray

_FILES = ("manifest.csv", "ratings.csv", "labels.json", "downloads.jsonl")
_COLUMNS = {
    "text": "the text.  [default: text, tweet_text or full_text]",
    "image": "the image's URL, or several URLs.  [default: image_url, image_urls or media_url]",
    "id": "the post's id.  [default: post_id, tweet_id or id, if present]",
    "user": "the rater.  [default: user_id, author_id, user or author, if present]",
    "time": "the time: ISO 8601, or seconds since 1970.  [default: time, created_at or date, if present; else"
    " from the ids, if they are ids of X]",
}


def _column_options(command: Decorated) -> Decorated:
    for name, meaning in reversed(_COLUMNS.items()):
        command = click.option(f"--{name}-column", help=f"Column of {meaning}")(command)
    return command


@click.command()
@click.argument("posts_file", type=FILE, metavar="POSTS")
@output_dir("data/posts")
@click.option(
    "--images-from",
    metavar="URL|FOLDER",
    help="Take the images from a mirror instead: a server, which may be local, or a folder. Each image is"
    " looked up there under the path of its URL.",
)
@click.option(
    "--bins",
    type=Bins(),
    default="0-10",
    help="The scale: the rating of each bin of the label file. Ratings are out of the last: 8/10.",
)
@click.option(
    "--outside",
    type=click.Choice(["clip", "drop"]),
    default="clip",
    help="What to do with a rating outside the scale (11/10): clip it to the nearest, or drop it.",
)
@_column_options
@click.option(
    "--account",
    metavar="NAME",
    help="If POSTS is missing, first create it from the posts of this account of X, through its API. The"
    " bearer token is read from the environment variable X_BEARER_TOKEN.",
)
@click.option(
    "--concurrency", type=click.IntRange(1, 64), default=8, help="How many images to download at once."
)
@click.option("--attempts", type=click.IntRange(1, 20), default=4, help="Attempts per image.")
@click.option(
    "--backoff",
    type=click.FloatRange(0, 60),
    default=1.0,
    help="Seconds before the second attempt; doubled before each further one.",
)
@click.option(
    "--timeout", type=click.FloatRange(0.1, 3600), default=120.0, help="Maximum seconds per attempt."
)
@click.option("--max-bytes", type=click.IntRange(min=1), default=30_000_000, help="Refuse larger files.")
@max_pixels
@importer
def posts(
    *,
    posts_file: Path,
    output_dir: Path,
    images_from: str | None,
    bins: "FloatArray",
    outside: "Outside",
    account: str | None,
    concurrency: int,
    attempts: int,
    backoff: float,
    timeout: float,
    max_bytes: int,
    max_pixels: int,
    outcome: Import,
    **columns: str | None,
) -> int:
    """Collect rated posts: find "8/10" in their texts and download their images.

    POSTS is a .csv, .tsv or .jsonl. Writes images/, labels.json and ratings.csv to train on, and
    manifest.csv, which lists the result for every post. Images are named by their content. Run it again to
    download what is missing; nothing is downloaded twice.

    Exit code: 0 all images of rated posts are there, 1 usage error, 2 some could not be downloaded.

    \b
    Example:
      nimakit data posts posts.csv --output-dir data/rooms --outside drop
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    require_extra("data", "Downloading images needs httpx.", "httpx")
    from nimakit.datasets.posts import importer
    from nimakit.datasets.posts.downloads import Limits
    from nimakit.datasets.posts.image_store import ImageStore

    if bins[-1] < 1 or bins[-1] % 1:
        raise UsageError(f"The last bin must be a whole number, as in 8/10. Received: {bins[-1]:g}")
    limits = Limits(
        max_bytes=max_bytes,
        max_pixels=max_pixels,
        total_seconds=timeout,
        attempts=attempts,
        backoff_seconds=backoff,
    )
    outputs = prepare_folder(output_dir, _FILES)
    refuse_inputs(outputs, [posts_file])
    manifest, ratings_file, labels_file, log = outputs
    if account is not None:
        _pull(account, posts_file)
    named = {option.removesuffix("_column"): name for option, name in columns.items() if name is not None}
    found = importer.read_posts(posts_file, outcome.rows, columns=named, notify=say)
    verdicts = importer.judge(found, bins, outside)
    urls = importer.wanted(verdicts)
    with ImageStore.open(output_dir / "images", log) as store:
        importer.settle(verdicts, _download(store, urls, images_from, concurrency, limits))
    importer.write_manifest(manifest, verdicts, outcome.rows)
    if not urls:
        raise LabelError(
            f"At least one post must have a rating out of {bins[-1]:g} and an image. Received: {posts_file},"
            f" with none; {manifest} lists the reason for each"
        )
    ratings = importer.to_ratings(verdicts).latest()
    outcome.files[manifest] = len(verdicts)
    if len(ratings):
        _write(ratings, bins, ratings_file, labels_file)
        outcome.files |= {ratings_file: len(ratings), labels_file: len(ratings.image_ids)}
    outcome.report(posts_file, ratings, bins)
    failed = [verdict for verdict in verdicts if verdict.status == "failed"]
    # The texts come from strangers: line breaks in them must not look like messages of ours.
    lines = [f"post {one.post.post_id}, {one.url}: {one.reason}" for one in failed]
    report_list(
        "images that could not be downloaded; run again to retry", [" ".join(line.split()) for line in lines]
    )
    say(f"{manifest} lists the result for each post")
    outcome.finish({**importer.count(verdicts), "downloaded": store.added}, bins)
    return ImageError.exit_code if failed else 0


def _pull(account: str, posts_file: Path) -> None:
    """Write the posts of an account to a file, unless it exists."""
    from nimakit.datasets.posts.x_api import pull_posts
    from nimakit.io.atomic import check_output

    if posts_file.exists():
        say(f"{posts_file} exists: the posts of {account} are read from it")
        return
    check_output(posts_file, (".jsonl",))
    say(f"{pull_posts(account, posts_file, notify=say)} posts of {account} are in {posts_file}")


def _download(
    store: "ImageStore", urls: list[str], images_from: str | None, concurrency: int, limits: "Limits"
) -> dict[str, "Stored | Failure"]:
    """Download what is missing; returns the result for each URL."""
    import httpx

    from nimakit.datasets.posts.downloads import download
    from nimakit.datasets.posts.mirrors import is_url, mirrored
    from nimakit.io.public_http import origin

    sources = mirrored(urls, images_from) if images_from else {url: url for url in urls}
    trusted = origin(httpx.URL(images_from)) if images_from and is_url(images_from) else None
    found = download(store, sources, concurrency=concurrency, limits=limits, trusted=trusted)
    return {result.url: result for result in track(found, len(urls), "downloading")}


def _write(ratings: "Ratings", bins: "FloatArray", ratings_file: Path, labels_file: Path) -> None:
    """Write both files, or neither."""
    from nimakit.io.atomic import atomic_folder
    from nimakit.labels.label_file import write_labels
    from nimakit.labels.ratings import to_counts, write_ratings

    with atomic_folder(labels_file.parent) as folder:
        write_ratings(folder / ratings_file.name, ratings)
        write_labels(folder / labels_file.name, ratings.image_ids, to_counts(ratings, bins))
