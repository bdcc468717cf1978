"""`nimakit data posts`: rated posts to pictures, ratings and a label file."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from nimakit.commands.data.outcome import (
    check_report,
    draw_report,
    finish,
    output_dir,
    prepare_folder,
    refuse_inputs,
    report,
    scale,
    tell,
)
from nimakit.commands.parameters import FILE, Bins, skip_bad
from nimakit.errors import ImageError, LabelError, MissingExtraError, UsageError
from nimakit.progress import say, track

if TYPE_CHECKING:
    from nimakit.datasets.posts.downloads import Failure, Limits
    from nimakit.datasets.posts.image_store import PictureStore, Stored
    from nimakit.datasets.posts.importer import Outside, Verdict
    from nimakit.labels.ratings import Ratings
    from nimakit.stats.histogram import FloatArray

_FILES = ("manifest.csv", "ratings.csv", "labels.json", "downloads.jsonl")


@click.command()
@click.argument("posts_file", type=FILE, metavar="POSTS")
@output_dir("data/posts")
@click.option(
    "--images-from",
    metavar="URL|FOLDER",
    help="Take the pictures from a mirror instead: a server, which may be a local one, or a folder. A picture"
    " is looked for there under the path of its URL.",
)
@click.option(
    "--bins",
    type=Bins(),
    default="0-10",
    show_default=True,
    help="The scale: the rating each bin of the label file stands for. Ratings are out of the last: 8/10.",
)
@click.option(
    "--outside",
    type=click.Choice(["clip", "drop"]),
    default="clip",
    show_default=True,
    help="Whether a rating outside the scale (11/10) counts as the nearest on it, or not at all.",
)
@click.option("--text-column", help="Column of the text.  [default: text, tweet_text or full_text]")
@click.option(
    "--image-column",
    help="Column of the picture's URL, or of several with spaces between.  [default: image_url, image_urls or"
    " media_url]",
)
@click.option("--id-column", help="Column of the post's id.  [default: post_id, tweet_id or id, where there]")
@click.option(
    "--user-column",
    help="Column of who rated.  [default: user_id, author_id, user or author, where there]",
)
@click.option(
    "--time-column",
    help="Column of when: ISO 8601, or seconds since 1970.  [default: time, created_at or date, where there;"
    " else from the ids, where they are ids of X]",
)
@click.option(
    "--account",
    metavar="NAME",
    help="Where POSTS is missing, make it first from the posts of this account of X, through its API. The"
    " bearer token is taken from the environment, X_BEARER_TOKEN.",
)
@click.option(
    "--concurrency",
    type=click.IntRange(1, 64),
    default=8,
    show_default=True,
    help="Pictures fetched at once.",
)
@click.option(
    "--attempts", type=click.IntRange(1, 20), default=4, show_default=True, help="Attempts for a picture."
)
@click.option(
    "--backoff",
    type=click.FloatRange(0, 60),
    default=1.0,
    show_default=True,
    help="Seconds before a second attempt; twice as long before each further one.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0.1, 3600),
    default=120.0,
    show_default=True,
    help="Seconds an attempt may take.",
)
@click.option(
    "--max-bytes",
    type=click.IntRange(min=1),
    default=30_000_000,
    show_default=True,
    help="Give up larger files.",
)
@click.option(
    "--max-pixels",
    type=click.IntRange(min=1),
    help="Refuse larger images before decoding them.  [default: 89478485]",
)
@report
@skip_bad
def posts(
    *,
    posts_file: Path,
    output_dir: Path,
    images_from: str | None,
    bins: "FloatArray",
    outside: "Outside",
    text_column: str | None,
    image_column: str | None,
    id_column: str | None,
    user_column: str | None,
    time_column: str | None,
    account: str | None,
    concurrency: int,
    attempts: int,
    backoff: float,
    timeout: float,
    max_bytes: int,
    max_pixels: int | None,
    report_file: Path | None,
    skip_bad: bool,
) -> int:
    """Gather rated posts: find "8/10" in their texts, fetch their pictures. POSTS is a .csv, .tsv or .jsonl.

    Writes images/, labels.json and ratings.csv to learn from, and manifest.csv, which says of every post what
    became of it. A picture is named by its content. Run again, it fetches what is missing, and nothing twice.

    Exit code: 0 all pictures of rated posts are there, 1 usage error, 2 some could not be had.

    \b
    Example:
      nimakit data posts posts.csv --output-dir data/rooms --outside drop
    """  # noqa: D301 - click looks for the character \b, which a raw docstring does not have
    _require_httpx()
    from nimakit.datasets.posts.downloads import Limits
    from nimakit.datasets.posts.image_store import PictureStore
    from nimakit.datasets.posts.importer import (
        count,
        judge,
        read_posts,
        settle,
        to_ratings,
        wanted,
        write_manifest,
    )
    from nimakit.images.photo import MAX_PIXELS
    from nimakit.io.tables import BadRows

    if bins[-1] < 1 or bins[-1] % 1:
        raise UsageError(f"The last bin is a whole number, as in 8/10. Received: {bins[-1]:g}")
    limits = Limits(
        max_bytes=max_bytes,
        max_pixels=max_pixels or MAX_PIXELS,
        total_seconds=timeout,
        attempts=attempts,
        backoff_seconds=backoff,
    )
    named = {
        "text": text_column,
        "image": image_column,
        "id": id_column,
        "user": user_column,
        "time": time_column,
    }
    outputs = prepare_folder(output_dir, _FILES)
    refuse_inputs(outputs, [posts_file])
    check_report(report_file)
    manifest, ratings_file, labels_file, log = outputs
    if account is not None:
        _pull(account, posts_file)
    rows = BadRows(skip=skip_bad)
    columns = {what: name for what, name in named.items() if name is not None}
    verdicts = judge(read_posts(posts_file, rows, columns=columns, notify=say), bins, outside)
    urls = wanted(verdicts)
    with PictureStore.open(output_dir / "images", log) as store:
        settle(verdicts, _fetch(store, urls, images_from, concurrency, limits))
        added = store.added
    write_manifest(manifest, verdicts, rows)
    if not urls:
        raise LabelError(
            f"At least one post has a rating out of {bins[-1]:g} and a picture. Received: {posts_file}, with"
            f" none; {manifest} says why of each"
        )
    ratings = to_ratings(verdicts).latest()
    files = {manifest: len(verdicts), **_write(ratings, bins, ratings_file, labels_file)}
    if report_file and len(ratings):
        draw_report(report_file, posts_file, ratings, bins)
        files[report_file] = len(ratings.image_ids)
    failed = [verdict for verdict in verdicts if verdict.status == "failed"]
    tell("pictures could not be had, and are tried again the next time", [_shown(one) for one in failed])
    say(f"{manifest} says what became of each post")
    finish({**count(verdicts), "downloaded": added, **scale(bins)}, files, rows)
    return ImageError.exit_code if failed else 0


def _require_httpx() -> None:
    try:
        import httpx  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            "Fetching pictures needs httpx. Install it: pip install 'nimakit[data]'"
        ) from error


def _pull(account: str, posts_file: Path) -> None:
    """The posts of an account, unless they are here already."""
    from nimakit.datasets.posts.x_api import pull_posts
    from nimakit.io.atomic import check_output

    if posts_file.exists():
        say(f"{posts_file} is here already: the posts of {account} are read from there")
        return
    check_output(posts_file, (".jsonl",))
    say(f"{pull_posts(account, posts_file, notify=say)} posts of {account} are in {posts_file}")


def _fetch(
    store: "PictureStore", urls: list[str], images_from: str | None, concurrency: int, limits: "Limits"
) -> dict[str, "Stored | Failure"]:
    """What became of each URL."""
    import httpx

    from nimakit.datasets.posts.downloads import download
    from nimakit.datasets.posts.mirrors import is_url, mirrored
    from nimakit.io.public_http import origin

    sources = mirrored(urls, images_from) if images_from else {url: url for url in urls}
    trusted = origin(httpx.URL(images_from)) if images_from and is_url(images_from) else None
    found = download(store, sources, concurrency=concurrency, limits=limits, trusted=trusted)
    return {outcome.url: outcome for outcome in track(found, len(urls), "fetching")}


def _write(ratings: "Ratings", bins: "FloatArray", ratings_file: Path, labels_file: Path) -> dict[Path, int]:
    """Both files, where there is anything to write: file -> number of entries."""
    from nimakit.io.atomic import together
    from nimakit.labels.label_file import write_labels
    from nimakit.labels.ratings import to_counts, write_ratings

    if not len(ratings):
        return {}
    with together(labels_file.parent) as folder:
        write_ratings(folder / ratings_file.name, ratings)
        write_labels(folder / labels_file.name, ratings.image_ids, to_counts(ratings, bins))
    return {ratings_file: len(ratings), labels_file: len(ratings.image_ids)}


def _shown(verdict: "Verdict") -> str:
    """A line on a picture; strangers wrote what is in it, and it must not steer a terminal."""
    line = f"post {verdict.post.post_id}, {verdict.url}: {verdict.reason}"
    return "".join(letter if letter.isprintable() else "?" for letter in line)
