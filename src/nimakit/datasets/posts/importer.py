"""Rated posts: finding the ratings ("8/10") in their texts, and matching them with downloaded images."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from nimakit.datasets.posts.downloads import Failure
from nimakit.datasets.posts.image_store import Stored
from nimakit.datasets.posts.rating_text import find_rating
from nimakit.errors import AmbiguousRatingError, LabelError, UnratedError
from nimakit.images.files import image_id
from nimakit.io.atomic import atomic_writer
from nimakit.io.delimited import TableWriter
from nimakit.io.tables import BadRows, read_rows
from nimakit.labels.ratings import Ratings, to_iso, to_seconds
from nimakit.stats.histogram import FloatArray

Outside = Literal["clip", "drop"]
Status = Literal["imported", "unrated", "ambiguous", "out_of_range", "no_picture", "failed"]
STATUSES: tuple[Status, ...] = get_args(Status)

KNOWN_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "text": ("text", "tweet_text", "full_text"),
    "image": ("image_url", "image_urls", "media_url"),
    "id": ("post_id", "tweet_id", "id"),
    "user": ("user_id", "author_id", "user", "author"),
    "time": ("time", "created_at", "date"),
}
"""Kind of column -> default names, tried in this order."""
_NEEDED = ("text", "image")

# https://docs.x.com/fundamentals/x-ids: above the lowest 22 bits, an id has the milliseconds since then.
_X_EPOCH_MS = 1_288_834_974_657
_X_ID_DIGITS = range(15, 20)


@dataclass(frozen=True, kw_only=True, slots=True)
class Post:
    """A post with a text and any number of images.

    Attributes:
        post_id: Its id, or its line in the file if it has none.
        text: Its text.
        urls: URLs of its images.
        user_id: Its author.
        time: Its time in seconds since 1970; NaN if unknown.
    """

    post_id: str
    text: str
    urls: tuple[str, ...]
    user_id: str
    time: float


@dataclass(slots=True)
class Verdict:
    """The result for one image of a post, or for a post without images.

    Attributes:
        post: The post.
        url: URL of the image; empty if the post has none.
        status: One of `STATUSES`; "imported" also while the image still has to be downloaded.
        rating: On the scale of the bins; None if there is none.
        reason: Why it was not imported, or what was changed; may be empty.
        stored: The image, once it is downloaded.
    """

    post: Post
    url: str
    status: Status
    rating: float | None = None
    reason: str = ""
    stored: Stored | None = None


def read_posts(
    path: Path, rows: BadRows, *, columns: Mapping[str, str], notify: Callable[[str], None]
) -> list[Post]:
    """Read a table of posts.

    Args:
        path: .csv, .tsv or .jsonl. Several URLs are separated by spaces.
        rows: Collects bad rows; `BadRows.refuse` is called here.
        columns: Kind of column, as in `KNOWN_COLUMNS` -> its name, if not a default name. Without a user
            column all posts count as one person's, named after the file. Without a time column, times are
            read from the ids if all are ids of X.
        notify: Called with a sentence about each assumption.

    Returns:
        The posts of good rows, at least one.

    Raises:
        LabelError: No such table, a missing column, or a bad row that `rows` does not skip.
    """
    names = {what: (columns[what],) if what in columns else known for what, known in KNOWN_COLUMNS.items()}
    found: set[str] = set()
    posts = []
    for line, _, cells in read_rows(path, (), rows, optional=[n for group in names.values() for n in group]):
        values = {}
        given = iter(cells)
        for what, group in names.items():
            present = [value for value in (next(given) for _ in group) if value is not None]
            values[what] = present[0] if present else ""
            if present:
                found.add(what)
        try:
            posts.append(_post(line, values, path.stem))
        except ValueError as error:
            rows.add(path, line, str(error))
    for what in [*_NEEDED, *columns]:
        if what not in found and posts:
            raise LabelError(
                f"A table of posts needs a column {' or '.join(names[what])}. Received: {path}, without it;"
                f" name yours with --{what}-column."
            )
    rows.refuse()
    if not posts:
        raise LabelError(f"A table of posts must have at least one good row. Received: {path}, with none")
    if "user" not in found:
        notify(f"there is no column of raters: all ratings count as one person's, {path.stem}")
    return posts if "time" in found else _timed_by_id(posts, notify)


def _post(line: int, values: Mapping[str, str], user: str) -> Post:
    try:
        "".join(values.values()).encode()
    except UnicodeEncodeError:
        raise ValueError("it contains half a character (a lone surrogate)") from None
    return Post(
        post_id=values["id"] or f"line {line}",
        text=values["text"],
        urls=tuple(dict.fromkeys(values["image"].split())),
        user_id=values["user"] or user,
        time=to_seconds("the time", values["time"]),
    )


def _timed_by_id(posts: list[Post], notify: Callable[[str], None]) -> list[Post]:
    """Read the times from the ids, if all are ids of X."""
    times = [_time_of_id(post.post_id) for post in posts]
    if not np.isfinite(times).all():
        return posts
    notify("times of the posts are read from their ids, which are ids of X")
    return [replace(post, time=moment) for post, moment in zip(posts, times, strict=True)]


def _time_of_id(post_id: str) -> float:
    if not post_id.isdecimal() or len(post_id) not in _X_ID_DIGITS:
        return np.nan
    seconds = ((int(post_id) >> 22) + _X_EPOCH_MS) / 1000
    return seconds if seconds < time.time() else np.nan


def judge(posts: Iterable[Post], bins: FloatArray, outside: Outside) -> list[Verdict]:
    """Find the rating of each post.

    Args:
        posts: N posts.
        bins: (bins,), ascending; ratings are out of the last, an integer.
        outside: Whether to clip ratings outside the bins or to drop them.

    Returns:
        At least one verdict per post; posts with a rating and an image are "imported", for `settle`.
    """
    verdicts = []
    for post in posts:
        status, rating, reason = _rate(post, bins, outside)
        verdicts += [Verdict(post, url, status, rating, reason) for url in post.urls or ("",)]
    return verdicts


def _rate(post: Post, bins: FloatArray, outside: Outside) -> tuple[Status, float | None, str]:
    low, high = float(bins[0]), float(bins[-1])
    try:
        found = find_rating(post.text, int(high))
    except AmbiguousRatingError as error:
        return "ambiguous", None, str(error)
    except UnratedError as error:
        return "unrated", None, str(error)
    rating = min(max(found, low), high)
    reason = "" if rating == found else f"{found:g} is not from {low:g} to {high:g}"
    if reason and outside == "drop":
        return "out_of_range", None, reason
    if not post.urls:
        return "no_picture", rating, "the post has no image"
    return "imported", rating, reason and f"{reason}: counted as {rating:g}"


def wanted(verdicts: Iterable[Verdict]) -> list[str]:
    """URLs of the rated images, without repetitions."""
    return list(dict.fromkeys(verdict.url for verdict in verdicts if verdict.status == "imported"))


def settle(verdicts: Iterable[Verdict], outcomes: Mapping[str, Stored | Failure]) -> None:
    """Record which images were downloaded, and why others were not.

    Args:
        verdicts: From `judge`.
        outcomes: URL -> result, for each of `wanted`.
    """
    for verdict in verdicts:
        if verdict.status == "imported":
            outcome = outcomes[verdict.url]
            if isinstance(outcome, Failure):
                verdict.status, verdict.reason = "failed", outcome.reason
            else:
                verdict.stored = outcome


def count(verdicts: Sequence[Verdict]) -> dict[str, int]:
    """Count the posts by status; a post with several images is "failed" if one of them is."""
    by_post: dict[int, Status] = {}
    for verdict in verdicts:
        if by_post.get(id(verdict.post)) != "failed":
            by_post[id(verdict.post)] = verdict.status
    given = list(by_post.values())
    return {status: given.count(status) for status in STATUSES}


def to_ratings(verdicts: Iterable[Verdict]) -> Ratings:
    """The single ratings of all downloaded images."""
    return Ratings.of(
        (image_id(verdict.stored.file), verdict.post.user_id, verdict.rating or 0.0, verdict.post.time)
        for verdict in verdicts
        if verdict.stored
    )


def write_manifest(path: Path, verdicts: Iterable[Verdict], rows: BadRows) -> None:
    """Write the result for every post, one line per image; the file appears whole or not at all.

    Args:
        path: .csv.
        verdicts: The results, after `settle`.
        rows: Bad rows, which also get a line each.

    Raises:
        OutputError: It could not be written.
    """
    with atomic_writer(path) as stream:
        table = TableWriter(stream)
        table.row(
            ["post_id", "status", "reason", "rating", "time", "user_id", "image_id", "image_url", "sha256"]
        )
        for verdict in verdicts:
            post, stored = verdict.post, verdict.stored
            rating = "" if verdict.rating is None else f"{verdict.rating:g}"
            result = [post.post_id, verdict.status, verdict.reason, rating, to_iso(post.time), post.user_id]
            picture = [image_id(stored.file) if stored else "", verdict.url, stored.sha256 if stored else ""]
            table.row([*result, *picture])
        for problem in rows.problems:
            table.row(["", "bad_row", problem, *[""] * 6])
