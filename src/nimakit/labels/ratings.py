"""Single ratings by rater and image: reading, writing, and counting into histograms."""

import re
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from nimakit.errors import LabelError
from nimakit.images.names import ImageNames
from nimakit.io.atomic import atomic_writer
from nimakit.io.delimited import TableWriter
from nimakit.io.tables import BadRows, number, read_rows
from nimakit.stats.histogram import FloatArray, IntArray

_USER_COLUMN = "user_id"
REPEAT_COLUMN = "repeat"
_YEAR_2200 = 7_258_118_400
_FOUR_DIGITS, _NINE_DIGITS, _DAY = 1000, 100_000_000, 86_400
_DATE_AND_TIME = re.compile(r"\d{12}(\d\d)?", re.ASCII)
_REMEDY = "; write 2023-05-31T09:12"
_MOST_INTEGER_BINS = 21
"""Enough for -10 to 10; wider scales are assumed to be percentages."""


@dataclass(frozen=True, slots=True, eq=False)
class Ratings:
    """R ratings of N images by U people.

    Attributes:
        image_ids: N different file names without their last suffix, in the order of appearance.
        user_ids: U different people, in the order of appearance.
        image: (R,) intp, index of each rating's image in `image_ids`.
        user: (R,) intp, index of each rating's rater in `user_ids`.
        rating: (R,) float64, finite, on any scale.
        time: (R,) float64, seconds since 1970 (UTC); NaN if unknown.
        anonymous: Whether some raters are unknown; each of their ratings then counts as a different person's.
    """

    image_ids: tuple[str, ...]
    user_ids: tuple[str, ...]
    image: IntArray
    user: IntArray
    rating: FloatArray
    time: FloatArray
    anonymous: bool = False

    @classmethod
    def of(cls, rows: Iterable[tuple[str, str, float, float]]) -> "Ratings":
        """Make ratings from rows of image_id, user_id, rating and time."""
        images: dict[str, int] = {}
        users: dict[str, int] = {}
        table = [
            (images.setdefault(image_id, len(images)), users.setdefault(user_id, len(users)), rating, time)
            for image_id, user_id, rating, time in rows
        ]
        image, user, rating, time = zip(*table, strict=True) if table else [()] * 4
        return cls(
            image_ids=tuple(images),
            user_ids=tuple(users),
            image=np.array(image, np.intp),
            user=np.array(user, np.intp),
            rating=np.array(rating, np.float64),
            time=np.array(time, np.float64),
        )

    def __len__(self) -> int:
        return len(self.rating)

    def only(self, chosen: ArrayLike) -> "Ratings":
        """A subset of the ratings, with only their images and people.

        Args:
            chosen: (R,) bool, or (n,) indices of ratings.
        """
        images, image = _compact(self.image[np.asarray(chosen)])
        users, user = _compact(self.user[np.asarray(chosen)])
        return replace(
            self,
            image_ids=tuple(self.image_ids[i] for i in images),
            user_ids=tuple(self.user_ids[i] for i in users),
            image=image,
            user=user,
            rating=self.rating[np.asarray(chosen)],
            time=self.time[np.asarray(chosen)],
        )

    def among(self, image_ids: Iterable[str]) -> "Ratings":
        """The ratings of some images, which become `image_ids` whether they are rated or not.

        Args:
            image_ids: Different names.
        """
        place = {name: number for number, name in enumerate(image_ids)}
        kept = self.only(np.isin(self.image, [i for i, name in enumerate(self.image_ids) if name in place]))
        places = np.array([place[name] for name in kept.image_ids], np.intp)
        return replace(kept, image_ids=tuple(place), image=places[kept.image])

    def latest(self) -> "Ratings":
        """The latest rating of each image by each person; the last one listed if times are unknown."""
        pair = self.image * len(self.user_ids) + self.user
        order = np.argsort(np.nan_to_num(self.time, nan=-np.inf), kind="stable")
        _, first = np.unique(pair[order][::-1], return_index=True)
        return self.only(np.sort(order[::-1][first]))


def _compact(places: IntArray) -> tuple[IntArray, IntArray]:
    """The distinct values in the order of appearance, and the index of each value among them."""
    different, first, inverse = np.unique(places, return_index=True, return_inverse=True)
    order = np.argsort(first)
    return different[order], np.argsort(order)[inverse]


def read_ratings(
    path: Path,
    *,
    image_column: str = "image_id",
    user_column: str | None = None,
    rating_column: str = "rating",
    time_column: str | None = None,
    bins: FloatArray | None = None,
    first_only: bool = False,
    rows: BadRows,
    notify: Callable[[str], None] | None = None,
) -> Ratings:
    """Read ratings from a table.

    Args:
        path: .csv, .tsv or .jsonl.
        image_column: Column of images, read by `nimakit.images.names.ImageNames`.
        user_column: Column of raters; None for user_id, without which each rating is a different person's.
        rating_column: Column of numbers.
        time_column: Column of times: ISO 8601 (UTC if it has no offset) or seconds since 1970.
        bins: (bins,), ascending; a rating below the first or above the last is a bad row.
        first_only: Leave out rows with 1 in the column ``repeat``: people were shown an image again to test
            their consistency, as the rating app exports it.
        rows: Collects bad rows; `BadRows.refuse` is called here.
        notify: Called with warnings about ambiguous names.

    Returns:
        The ratings of good rows, at least one.

    Raises:
        LabelError: No such table, a missing column, a bad row that `rows` does not skip, or no good row.
    """
    low, high = (-np.inf, np.inf) if bins is None else (float(bins[0]), float(bins[-1]))
    images = ImageNames()
    users: dict[str, int] = {}
    table: list[tuple[int, int, float, float]] = []
    anonymous = False
    has_times = time_column is None
    columns = [image_column, rating_column, *([user_column] if user_column else [])]
    optional = [_USER_COLUMN, REPEAT_COLUMN, *([time_column] if time_column else [])]
    for line, (name, text, *named), (user_id, again, *times) in read_rows(
        path, columns, rows, optional=optional, numbers=[rating_column]
    ):
        person = named[0] if named else user_id
        has_times |= times != [None]
        try:
            if first_only and is_repeat(again):
                continue
            seconds = to_seconds(time_column, times[0]) if times else np.nan
            value = number(text, low, high, name=rating_column)
            if person == "":
                raise ValueError(f"{_USER_COLUMN} must not be empty")
            place = images.place(name)
        except ValueError as error:
            rows.add(path, line, str(error))
            continue
        anonymous |= person is None
        user = users.setdefault(f"line {line}" if person is None else person, len(users))
        table.append((place, user, value, seconds))
    rows.refuse()
    image_ids, place_of = images.resolve(path, notify)
    if not table:
        raise LabelError(f"A table of ratings must have at least one good row. Received: {path}, with none")
    if not has_times:
        raise LabelError(f"The table needs the column {time_column!r} of times. Received: {path}, without")
    image, user_of, rating, time = map(np.array, zip(*table, strict=True))
    return Ratings(image_ids, tuple(users), place_of[image], user_of, rating, time, anonymous)


def is_repeat(text: str | None) -> bool:
    """Whether a rating is of an image that was shown again to test a person's consistency.

    Args:
        text: Value of the column ``repeat``: 0 or 1, or 0.0 or 1.0 as written by pandas; None or empty for 0.

    Raises:
        ValueError: Any other value.
    """
    if text not in (None, "", "0", "0.0", "1", "1.0"):
        raise ValueError(f"repeat must be 0 or 1; received {text!r}")
    return text in ("1", "1.0")


def to_seconds(column: str | None, text: str | None) -> float:
    """Parse a time.

    Eight digits are a date, 20230501. Other numbers of four to eight digits are refused: they may be a year,
    a month, a date in another order, or a spreadsheet's days, and as seconds would all be in 1970 to 1973.
    Seconds in the future are refused too: 2023050109 is in 2034, or an hour in 2023. So are 12 or 14 digits,
    which may be a date and a time of day without the T of ISO 8601.

    Args:
        column: Its name, for the message.
        text: ISO 8601 (UTC if it has no offset) or seconds since 1970.

    Returns:
        Seconds since 1970; NaN if the text is empty.

    Raises:
        ValueError: It is neither, or is ambiguous.
    """
    if not text:
        return np.nan
    seconds, hint = np.inf, ""
    if re.fullmatch(r"[+-]?\d+(\.\d*)?([eE]\+?\d+)?", text, re.ASCII) and not _is_basic_date(text):
        seconds = float(text)
        is_in_1970 = _FOUR_DIGITS <= seconds < _NINE_DIGITS
        if is_in_1970 or time.time() + _DAY < seconds < _YEAR_2200 or _DATE_AND_TIME.fullmatch(text):
            seconds, hint = np.inf, f", which is ambiguous{_REMEDY}"
        elif _YEAR_2200 <= seconds < 1000 * _YEAR_2200:
            hint = ", which may be milliseconds"
    else:
        hint = _REMEDY
        with suppress(ValueError):
            moment = datetime.fromisoformat(text)
            seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if not abs(seconds) < _YEAR_2200:
        raise ValueError(f"{column} must be ISO 8601 or seconds since 1970; received {text!r}{hint}")
    return seconds


def to_iso(seconds: float) -> str:
    """Format seconds since 1970 as ISO 8601 in UTC; empty for NaN."""
    return "" if np.isnan(seconds) else datetime.fromtimestamp(seconds, UTC).isoformat()


def _is_basic_date(text: str) -> bool:
    """Whether eight digits are an ISO 8601 date from 1900 to 2199."""
    if not re.fullmatch(r"(19|2[01])\d{6}", text, re.ASCII):
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def write_ratings(path: Path, ratings: Ratings) -> None:
    """Write ratings as a .csv with the columns image_id, user_id, rating, and time if any is known.

    Args:
        path: The file, which appears whole or not at all.
        ratings: The ratings; times are written as ISO 8601.

    Raises:
        OutputError: It could not be written.
    """
    timed = bool(np.isfinite(ratings.time).any())
    with atomic_writer(path) as stream:
        table = TableWriter(stream)
        table.row(["image_id", "user_id", "rating", *(["time"] if timed else [])])
        for image, user, rating, time in zip(
            ratings.image.tolist(), ratings.user.tolist(), ratings.rating.tolist(), ratings.time, strict=True
        ):
            value = int(rating) if rating.is_integer() else rating
            times = [to_iso(time)] if timed else []
            table.row([ratings.image_ids[image], ratings.user_ids[user], value, *times])


def to_counts(ratings: Ratings, bins: ArrayLike) -> FloatArray:
    """Count the ratings in each bin, for each image.

    A rating between two bins is divided between them so that its value is kept, and with it every mean.

    Args:
        ratings: R ratings of N images, all from the first to the last bin.
        bins: (bins,), the rating of each bin, ascending.

    Returns:
        (N, bins) float64, rows sum to the number of ratings of the image.

    Raises:
        ValueError: A rating outside the bins.
    """
    values = np.asarray(bins, np.float64)
    if (ratings.rating < values[0]).any() or (ratings.rating > values[-1]).any():
        raise ValueError(f"Ratings must be from {values[0]:g}, the first bin, to {values[-1]:g}, the last.")
    position = np.interp(ratings.rating, values, np.arange(len(values)))
    lower = np.minimum(position.astype(np.intp), len(values) - 2)
    upper_share = position - lower
    shape = (len(ratings.image_ids), len(values))
    first = ratings.image * len(values) + lower
    counts = np.bincount(first, 1 - upper_share, shape[0] * shape[1])
    counts += np.bincount(first + 1, upper_share, shape[0] * shape[1])
    return np.asarray(counts, np.float64).reshape(shape)


def infer_bins(ratings: Ratings) -> tuple[FloatArray, str]:
    """Infer the bins that ratings were probably given on.

    Integers from 1 (or the lowest rating, if lower) to the highest. If there would be more than 21:
    percentages 0, 10, ... 100, or eleven even steps if ratings lie outside those.

    Args:
        ratings: At least one.

    Returns:
        (bins,) float64, ascending, at least two; and a sentence that explains them.
    """
    low, high = float(ratings.rating.min()), float(ratings.rating.max())
    first = min(1.0, float(np.floor(low)))
    last = max(float(np.ceil(high)), first + 1)
    if last - first < _MOST_INTEGER_BINS:
        bins = np.arange(first, last + 1)
    else:
        bins = np.linspace(0, 100, 11) if low >= 0 and high <= 100 else np.linspace(first, last, 11)
    whole = ", in whole numbers" if (ratings.rating % 1 == 0).all() else ""
    return bins, (
        f"bins inferred: {bins[0]:g}, {bins[1]:g} ... {bins[-1]:g}, because the ratings run from {low:g} to"
        f" {high:g}{whole}; use --bins for others"
    )
