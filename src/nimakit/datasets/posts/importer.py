"""Rated posts: texts with a rating in them ("8/10"), each beside one picture or several."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import numpy as np

from nimakit.datasets.posts.downloads import Failure
from nimakit.datasets.posts.image_store import Stored
from nimakit.datasets.posts.rating_text import find_rating
from nimakit.errors import AmbiguousRatingError, LabelError, UnratedError
from nimakit.images.files import image_id
from nimakit.io.atomic import atomic_writer
from nimakit.io.delimited import TableWriter
from nimakit.io.tables import BadRows, read_rows
from nimakit.labels.ratings import Ratings, to_seconds
from nimakit.stats.histogram import FloatArray

Outside = Literal["clip", "drop"]
Status = Literal["imported", "unrated", "ambiguous", "out_of_range", "no_picture", "failed"]
STATUSES: tuple[Status, ...] = ("imported", "unrated", "ambiguous", "out_of_range", "no_picture", "failed")

KNOWN_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "text": ("text", "tweet_text", "full_text"),
    "image": ("image_url", "image_urls", "media_url"),
    "id": ("post_id", "tweet_id", "id"),
    "user": ("user_id", "author_id", "user", "author"),
    "time": ("time", "created_at", "date"),
}
"""What -> the names a column is looked for under, in this order, where it is not named."""
_NEEDED = ("text", "image")

# https://docs.x.com/fundamentals/x-ids: milliseconds since this moment, above 22 bits of other things.
_X_EPOCH_MS = 1_288_834_974_657
_X_ID_DIGITS = range(15, 20)


@dataclass(frozen=True, kw_only=True, slots=True)
class Post:
    """What somebody wrote under a picture.

    Attributes:
        post_id: Of the post; its line in the file where it has none.
        text: What was written.
        urls: Of its pictures; none where it has none.
        user_id: Who wrote it.
        time: When, in seconds since 1970; NaN where unknown.
    """

    post_id: str
    text: str
    urls: tuple[str, ...]
    user_id: str
    time: float


@dataclass(slots=True)
class Verdict:
    """What became of one picture of one post, or of a post without any.

    Attributes:
        post: The post.
        url: Of the picture; empty where the post shows none.
        status: One of `STATUSES`; "imported" once the picture is there.
        rating: On the scale of the bins; None without one.
        reason: Why it was not imported, or what was changed; may be empty.
        stored: The picture, once it is there.
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
        path: .csv, .tsv or .jsonl. URLs of several pictures are separated by spaces.
        rows: Takes note of bad rows; `BadRows.refuse` is called here.
        columns: What -> the name of its column, for those of `KNOWN_COLUMNS` that are named. Without a user
            column all posts are by one person, called as the file. Without a time column times are taken
            from the ids, where they are all ids of X.
        notify: Told in a sentence what was assumed.

    Returns:
        The good ones, at least one.

    Raises:
        LabelError: No such table, a column is missing, or a bad row and `rows` does not skip them.
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
                f"A table of posts has a column {' or '.join(names[what])}. Received: {path}, without;"
                f" name it by --{what}-column."
            )
    rows.refuse()
    if not posts:
        raise LabelError(f"A table of posts has at least one good row. Received: {path}, with none")
    if "user" not in found:
        notify(f"no column says who rated: all ratings count as by one person, {path.stem}")
    return posts if "time" in found else _timed_by_id(posts, notify)


def _post(line: int, values: Mapping[str, str], user: str) -> Post:
    try:
        "".join(values.values()).encode()
    except UnicodeEncodeError:
        raise ValueError("it has half a character (a lone surrogate)") from None
    return Post(
        post_id=values["id"] or f"line {line}",
        text=values["text"],
        urls=tuple(dict.fromkeys(values["image"].split())),
        user_id=values["user"] or user,
        time=to_seconds("the time", values["time"]),
    )


def _timed_by_id(posts: list[Post], notify: Callable[[str], None]) -> list[Post]:
    """Ids of X are made of the moment they were given."""
    times = [_time_of_id(post.post_id) for post in posts]
    if not np.isfinite(times).all():
        return posts
    notify("times of the posts are read from their ids, which are of the kind X gives")
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
        bins: (bins,), ascending; ratings are out of the last, a whole number.
        outside: Whether a rating outside the bins counts as the nearest bin, or not at all.

    Returns:
        At least one verdict a post; those of posts with rating and picture are "imported", to be settled.
    """
    verdicts = []
    for post in posts:
        status, rating, reason = _rate(post, bins, outside)
        verdicts += [Verdict(post, url, status, rating, reason) for url in post.urls or ("",)]
    return verdicts


def _rate(post: Post, bins: FloatArray, outside: Outside) -> tuple[Status, float | None, str]:
    low, high = float(bins[0]), float(bins[-1])
    try:
        said = find_rating(post.text, int(high))
    except AmbiguousRatingError as error:
        return "ambiguous", None, str(error)
    except UnratedError as error:
        return "unrated", None, str(error)
    rating = min(max(said, low), high)
    reason = "" if rating == said else f"{said:g} is not from {low:g} to {high:g}"
    if reason and outside == "drop":
        return "out_of_range", None, reason
    if not post.urls:
        return "no_picture", rating, "the post shows no picture"
    return "imported", rating, reason and f"{reason}: counted as {rating:g}"


def wanted(verdicts: Iterable[Verdict]) -> list[str]:
    """URLs of the pictures that have a rating, each once."""
    return list(dict.fromkeys(verdict.url for verdict in verdicts if verdict.status == "imported"))


def settle(verdicts: Iterable[Verdict], outcomes: Mapping[str, Stored | Failure]) -> None:
    """Note which pictures came, and why others did not.

    Args:
        verdicts: From `judge`.
        outcomes: URL -> what became of it, for each of `wanted`.
    """
    for verdict in verdicts:
        if verdict.status == "imported":
            outcome = outcomes[verdict.url]
            if isinstance(outcome, Failure):
                verdict.status, verdict.reason = "failed", outcome.reason
            else:
                verdict.stored = outcome


def count(verdicts: Sequence[Verdict]) -> dict[str, int]:
    """How many posts have each status; a post with several pictures is "failed" where one of them is."""
    by_post: dict[int, Status] = {}
    for verdict in verdicts:
        if by_post.get(id(verdict.post)) != "failed":
            by_post[id(verdict.post)] = verdict.status
    given = list(by_post.values())
    return {status: given.count(status) for status in STATUSES}


def to_ratings(verdicts: Iterable[Verdict]) -> Ratings:
    """The single ratings of all pictures that are there."""
    images: dict[str, int] = {}
    users: dict[str, int] = {}
    table = [
        (
            images.setdefault(image_id(verdict.stored.file), len(images)),
            users.setdefault(verdict.post.user_id, len(users)),
            verdict.rating,
            verdict.post.time,
        )
        for verdict in verdicts
        if verdict.stored
    ]
    columns = list(zip(*table, strict=True)) or [()] * 4
    return Ratings(
        image_ids=tuple(images),
        user_ids=tuple(users),
        image=np.array(columns[0], np.intp),
        user=np.array(columns[1], np.intp),
        rating=np.array(columns[2], np.float64),
        time=np.array(columns[3], np.float64),
    )


def write_manifest(path: Path, verdicts: Iterable[Verdict], rows: BadRows) -> None:
    """Write what became of every post, a line a picture; it appears whole or not at all.

    Args:
        path: .csv.
        verdicts: Settled.
        rows: Bad rows have a line each, too.

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
            moment = "" if np.isnan(post.time) else datetime.fromtimestamp(post.time, UTC).isoformat()
            rating = "" if verdict.rating is None else f"{verdict.rating:g}"
            picture = [image_id(stored.file) if stored else "", verdict.url, stored.sha256 if stored else ""]
            table.row([post.post_id, verdict.status, verdict.reason, rating, moment, post.user_id, *picture])
        for problem in rows.problems:
            table.row(["", "bad_row", problem, *[""] * 6])
