"""Ratings one by one: who said what of which image; read, written, and counted into histograms."""

import re
import time
from collections.abc import Callable
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
_REPEAT_COLUMN = "repeat"
_YEAR_2200 = 7_258_118_400
_FOUR_DIGITS, _NINE_DIGITS, _DAY = 1000, 100_000_000, 86_400
_DATE_AND_TIME = re.compile(r"\d{12}(\d\d)?", re.ASCII)
_REMEDY = "; write 2023-05-31T09:12"
_MOST_INTEGER_BINS = 21
"""As many as from -10 to 10: a scale of more is taken for one of percents."""


@dataclass(frozen=True, slots=True, eq=False)
class Ratings:
    """R ratings of N images by U people.

    Attributes:
        image_ids: N file names without their last suffix, in the order of appearance, each once.
        user_ids: U people, in the order of appearance, each once.
        image: (R,) intp, place of each rating's image in `image_ids`.
        user: (R,) intp, place of each rating's rater in `user_ids`.
        rating: (R,) float64, finite, on whatever scale people used.
        time: (R,) float64, seconds since 1970 (UTC); NaN where unknown.
        anonymous: Whether it is unknown who gave some of them; each of those is by a person of its own then.
    """

    image_ids: tuple[str, ...]
    user_ids: tuple[str, ...]
    image: IntArray
    user: IntArray
    rating: FloatArray
    time: FloatArray
    anonymous: bool = False

    def __len__(self) -> int:
        return len(self.rating)

    def only(self, chosen: ArrayLike) -> "Ratings":
        """Some of the ratings, with the images and people they are of.

        Args:
            chosen: (R,) bool, or (n,) places of ratings.
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

    def latest(self) -> "Ratings":
        """One rating of each image by each person: the latest, or the last given where times are unknown."""
        pair = self.image * len(self.user_ids) + self.user
        order = np.argsort(np.nan_to_num(self.time, nan=-np.inf), kind="stable")
        _, first = np.unique(pair[order][::-1], return_index=True)
        return self.only(np.sort(order[::-1][first]))


def _compact(places: IntArray) -> tuple[IntArray, IntArray]:
    """The different places in the order of appearance, and the place of each among them."""
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
        image_column: Images, as `nimakit.images.names.ImageNames` reads them.
        user_column: Who rated; None for user_id, without which each rating is by a person of its own.
        rating_column: Numbers.
        time_column: ISO 8601 (UTC where it has no offset) or seconds since 1970.
        bins: (bins,), ascending; a rating below the first or above the last is a bad row.
        first_only: Leave out rows whose column ``repeat`` is there and 1: of people who were shown an
            image again to see how consistent they are, as the rating app exports them.
        rows: Takes note of bad rows; `BadRows.refuse` is called here.
        notify: Called with a sentence about names that may mean other images.

    Returns:
        The good ones, at least one.

    Raises:
        LabelError: No such table, or it lacks a column that is named; a bad row and `rows` does not skip
            them; or no good one.
    """
    low, high = (-np.inf, np.inf) if bins is None else (float(bins[0]), float(bins[-1]))
    images, users = ImageNames(), Names()
    image: list[int] = []
    user: list[int] = []
    rating: list[float] = []
    time: list[float] = []
    anonymous = False
    has_times = time_column is None
    columns = [image_column, rating_column, *([user_column] if user_column else [])]
    optional = [_USER_COLUMN, _REPEAT_COLUMN, *([time_column] if time_column else [])]
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
        image.append(place)
        user.append(users.place(f"line {line}" if person is None else person))
        rating.append(value)
        time.append(seconds)
    rows.refuse()
    image_ids, place_of = images.resolve(path, notify)
    if not rating:
        raise LabelError(f"A table of ratings has at least one good row. Received: {path}, with none")
    if not has_times:
        raise LabelError(f"The table needs the column {time_column!r} of times. Received: {path}, without")
    return Ratings(
        image_ids=image_ids,
        user_ids=tuple(users.places),
        image=place_of[image],
        user=np.array(user, np.intp),
        rating=np.array(rating),
        time=np.array(time),
        anonymous=anonymous,
    )


class Names:
    """Different names in the order of appearance, each with its place.

    Attributes:
        places: Name -> place, from 0.
    """

    def __init__(self) -> None:
        self.places: dict[str, int] = {}

    def place(self, name: str) -> int:
        """The place of a name, which is added where it is new."""
        return self.places.setdefault(name, len(self.places))


def is_repeat(text: str | None) -> bool:
    """Whether a row is of an image that was shown again, to see how consistent people are.

    Args:
        text: Of the column ``repeat``: 0 or 1, or 0.0 or 1.0 as pandas writes them; None or empty for 0.

    Raises:
        ValueError: It is neither.
    """
    if text not in (None, "", "0", "0.0", "1", "1.0"):
        raise ValueError(f"repeat must be 0 or 1; received {text!r}")
    return text in ("1", "1.0")


def to_seconds(column: str | None, text: str | None) -> float:
    """A time of a row.

    Eight digits are a date, 20230501. Other numbers of four to eight digits are refused: they may be a year,
    a month, a date in another order, or a spreadsheet's days, and as seconds would all be in 1970 to 1973.
    Seconds of the future are refused, too: 2023050109 is in 2034, or an hour of 2023; and so are 12 or 14
    digits, which may be a date and a time of day without the T of ISO 8601.

    Args:
        column: Its name, for the message.
        text: ISO 8601 (UTC where it has no offset) or seconds since 1970.

    Returns:
        Seconds since 1970; NaN where the row has none.

    Raises:
        ValueError: It is neither, or could be read in two ways.
    """
    if not text:
        return np.nan
    seconds, hint = np.inf, ""
    if re.fullmatch(r"[+-]?\d+(\.\d*)?([eE]\+?\d+)?", text, re.ASCII) and not _is_basic_date(text):
        seconds = float(text)
        is_in_1970 = _FOUR_DIGITS <= seconds < _NINE_DIGITS
        if is_in_1970 or time.time() + _DAY < seconds < _YEAR_2200 or _DATE_AND_TIME.fullmatch(text):
            seconds, hint = np.inf, f", which could be read in several ways{_REMEDY}"
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


def _is_basic_date(text: str) -> bool:
    """Whether eight digits are a date of ISO 8601, of 1900 to 2199."""
    if not re.fullmatch(r"(19|2[01])\d{6}", text, re.ASCII):
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def write_ratings(path: Path, ratings: Ratings) -> None:
    """Write ratings as a .csv with the columns image_id, user_id, rating, and time where any is known.

    Args:
        path: Where to; the file appears whole or not at all.
        ratings: What to write; times as ISO 8601.

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
            times = [_iso(time)] if timed else []
            table.row([ratings.image_ids[image], ratings.user_ids[user], value, *times])


def _iso(seconds: float) -> str:
    return "" if np.isnan(seconds) else datetime.fromtimestamp(seconds, UTC).isoformat()


def to_counts(ratings: Ratings, bins: ArrayLike) -> FloatArray:
    """How many people chose each bin, for each image.

    A rating between two bins is shared by both so that its value is kept, and with it every mean.

    Args:
        ratings: R ratings of N images, all from the first to the last bin.
        bins: (bins,), the rating each bin stands for, ascending.

    Returns:
        (N, bins) float64, rows sum to the number of ratings of the image.

    Raises:
        ValueError: A rating outside the bins.
    """
    values = np.asarray(bins, np.float64)
    if (ratings.rating < values[0]).any() or (ratings.rating > values[-1]).any():
        raise ValueError(f"Ratings lie between the first bin, {values[0]:g}, and the last, {values[-1]:g}.")
    position = np.interp(ratings.rating, values, np.arange(len(values)))
    lower = np.minimum(position.astype(np.intp), len(values) - 2)
    upper_share = position - lower
    shape = (len(ratings.image_ids), len(values))
    first = ratings.image * len(values) + lower
    counts = np.bincount(first, 1 - upper_share, shape[0] * shape[1])
    counts += np.bincount(first + 1, upper_share, shape[0] * shape[1])
    return np.asarray(counts, np.float64).reshape(shape)


def infer_bins(ratings: Ratings) -> tuple[FloatArray, str]:
    """The bins a set of ratings was probably given on.

    Whole numbers from 1 (or the lowest rating below that) to the highest. Where that is more than twenty:
    percents, as 0, 10, ... 100, or eleven even steps where ratings are outside those.

    Args:
        ratings: At least one.

    Returns:
        (bins,) float64, ascending, at least two; and a sentence that says so.
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
        f"the bins are taken to be {bins[0]:g}, {bins[1]:g} ... {bins[-1]:g}, as the ratings run from {low:g}"
        f" to {high:g}{whole}; --bins says otherwise"
    )
