"""FLICKR-AES: 40,000 photographs from Flickr, each rated from 1 to 5 by about five of 210 workers.

Ren, Shen, Lin, Mech, Foran, "Personalized Image Aesthetics", ICCV 2017. Its files are separated by commas or
spaces, with or without a header and row names, and contain raw ratings or z-scores over all of them.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nimakit.errors import LabelError
from nimakit.images.files import plain_id
from nimakit.io.tables import BadRows, number, read_lines
from nimakit.labels.ratings import Ratings, to_counts
from nimakit.stats.histogram import FloatArray, max_entropy

BINS = np.arange(1.0, 6.0)
TEST_WORKERS = 37
TEST_RATINGS = (112, 180)
"""Minimum and maximum number of ratings from each test worker."""

NO_RATINGS = Ratings.of(())

_MEAN, _SD = 3.0183403576492833, 1.1001719588397239
"""Of all ratings; the published z-scores were computed with these."""
_TOLERANCE = 1e-6
_MOST_RATERS = 20
_HEADER = re.compile("worker|image|score|rating", re.IGNORECASE)
_WORKER = re.compile(r"[\w-]+")


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of a file: its number, and the names and the value at its end."""

    number: int
    names: tuple[str, ...]
    value: float


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """The data set, split by workers; test images are in none of the training data.

    Attributes:
        train_ids: Images that no test worker rated.
        train_labels: (train images, 5) float64, counts of their ratings, or shares if only a mean is known.
        test_ids: Images that a test worker rated.
        test_labels: (test images, 5) float64, counts of all their ratings.
        train_ratings: All ratings of train images; may be empty.
        test_ratings: The ratings by test workers; may be empty.
    """

    train_ids: list[str]
    train_labels: FloatArray
    test_ids: list[str]
    test_labels: FloatArray
    train_ratings: Ratings
    test_ratings: Ratings


def read_worker_ratings(path: Path, rows: BadRows) -> Ratings:
    """Read ratings by worker.

    Args:
        path: Each line ends with worker, image and rating.
        rows: Collects bad lines; `BadRows.refuse` is called here.

    Returns:
        The ratings of good lines, at least one, from 1 to 5.

    Raises:
        LabelError: No such file; numbers that are neither ratings nor the published z-scores; a bad line that
            `rows` does not skip; or no good line.
    """
    lines, values = _read(path, 2, rows, most_raters=1)
    return Ratings.of(
        (plain_id(image), worker, value, np.nan)
        for (worker, image), value in zip((line.names for line in lines), values.round(), strict=True)
    )


def read_means(path: Path, rows: BadRows) -> dict[str, float]:
    """Read the mean rating of each image.

    Args:
        path: Each line ends with image and mean.
        rows: Collects bad lines; `BadRows.refuse` is called here.

    Returns:
        Image id -> mean from 1 to 5; at least one.

    Raises:
        LabelError: As `read_worker_ratings`.
    """
    lines, values = _read(path, 1, rows, most_raters=_MOST_RATERS)
    return {
        plain_id(line.names[0]): value for line, value in zip(lines, values.clip(1, 5).tolist(), strict=True)
    }


def z_scores(ratings: FloatArray) -> FloatArray:
    """Convert ratings from 1 to 5 to z-scores, with the published mean and standard deviation."""
    return np.asarray((ratings - _MEAN) / _SD)


def standard_test_workers(ratings: Ratings) -> list[str]:
    """Find the test workers of the standard split by their number of ratings.

    Args:
        ratings: Ratings of the whole data set.

    Raises:
        LabelError: There are not exactly 37, so this is not the whole data set.
    """
    given = np.bincount(ratings.user, minlength=len(ratings.user_ids))
    low, high = TEST_RATINGS
    found = [name for name, count in zip(ratings.user_ids, given, strict=True) if low <= count <= high]
    if len(found) != TEST_WORKERS:
        raise LabelError(
            f"The whole data set has {TEST_WORKERS} test workers, who gave {low} to {high} ratings."
            f" Received: {len(found)} such workers. Name them with --test-workers."
        )
    return found


def split(ratings: Ratings, means: Mapping[str, float], workers: Sequence[str]) -> Split:
    """Split the data set by workers.

    Args:
        ratings: From `read_worker_ratings`, or `NO_RATINGS` if there are only means.
        means: From `read_means`; used for images without ratings.
        workers: Ids of the test workers.
    """
    by_test_worker = np.isin(ratings.user_ids, workers)[ratings.user]
    tested = np.zeros(len(ratings.image_ids), np.bool_)
    tested[ratings.image[by_test_worker]] = True
    counts = to_counts(ratings, BINS)
    ids = np.array(ratings.image_ids, object)
    rated = set(ratings.image_ids)
    only_means = {name: mean for name, mean in means.items() if name not in rated}
    return Split(
        train_ids=[*ids[~tested], *only_means],
        train_labels=np.vstack([counts[~tested], max_entropy([*only_means.values()], BINS)]),
        test_ids=ids[tested].tolist(),
        test_labels=counts[tested],
        train_ratings=ratings.only(~tested[ratings.image]),
        test_ratings=ratings.only(by_test_worker),
    )


def _read(path: Path, names: int, rows: BadRows, *, most_raters: int) -> tuple[list[_Line], FloatArray]:
    """The good lines of a file, and their values on the scale from 1 to 5."""
    lines = _lines(path, names, rows)
    if not lines:
        rows.refuse()
        raise LabelError(f"A file of ratings must have at least one good line. Received: {path}, with none")
    values = np.array([line.value for line in lines])
    values, good = _rescaled(path, values, most_raters)
    for line, fine in zip(lines, good, strict=True):
        if not fine:
            rows.add(path, line.number, f"{line.value:g} is not on the scale of the others")
    rows.refuse()
    return [line for line, fine in zip(lines, good, strict=True) if fine], values[good]


def _lines(path: Path, names: int, rows: BadRows) -> list[_Line]:
    found: dict[tuple[str, ...], _Line] = {}
    for line, text in read_lines(path):
        fields = text.replace(",", " ").split()
        try:
            value = number(fields[-1], name="the last value")
        except ValueError as error:
            if line > 1 or not _HEADER.search(text):
                rows.add(path, line, str(error))
            continue
        entry = tuple(fields[-names - 1 : -1])
        problem = _problem(entry, names, found)
        if problem:
            rows.add(path, line, problem)
        else:
            found[entry] = _Line(line, entry, value)
    return list(found.values())


def _problem(entry: Sequence[str], names: int, known: dict[tuple[str, ...], _Line]) -> str:
    if len(entry) < names:
        return f"it has {len(entry) + 1} values instead of {names + 1} or more"
    if tuple(entry) in known:
        return f"{' '.join(entry)} is repeated"
    if names > 1 and not _WORKER.fullmatch(entry[0]):
        return f"a worker must be letters, digits, _ and -; received {entry[0]!r}"
    try:
        plain_id(entry[-1])
    except ValueError as error:
        return str(error)
    return ""


def _rescaled(path: Path, values: FloatArray, most_raters: int) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Convert values to the scale from 1 to 5; also returns which of them are valid.

    The mean of n integer ratings is a multiple of 1/n. Z-scores are recognised by this after conversion.
    """
    raw = (values >= 1) & (values <= 5)
    if most_raters == 1:
        raw &= values % 1 == 0
    unscaled = _MEAN + _SD * values
    parts = unscaled[:, None] * np.arange(1, most_raters + 1)
    z_scored = (abs(parts - parts.round()) < _TOLERANCE * parts.shape[1]).any(axis=1)
    z_scored &= (unscaled > 1 - _TOLERANCE) & (unscaled < 5 + _TOLERANCE)
    for scaled, good in ((unscaled, z_scored), (values, raw)):
        if good.mean() > 0.5:
            return scaled, good
    raise LabelError(
        f"FLICKR-AES ratings must be from 1 to 5, or the published z-scores. Received: {path}, with others;"
        " FLICKR-AES_image_score.txt has its own scale: use the ratings by worker instead."
    )
