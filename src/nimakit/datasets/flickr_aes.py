"""FLICKR-AES: 40,000 photographs of Flickr, each rated from 1 to 5 by about five of 210 workers.

Ren, Shen, Lin, Mech, Foran, "Personalized Image Aesthetics", ICCV 2017. Its files come separated by commas or
by spaces, with a header and row names or without, and hold ratings as given or as z-scores over all of them.
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
"""How many ratings each of the test workers gave, at least and at most."""

NO_RATINGS = Ratings((), (), np.empty(0, np.intp), np.empty(0, np.intp), np.empty(0), np.empty(0))

_MEAN, _SD = 3.0183403576492833, 1.1001719588397239
"""Of all ratings: what the published z-scores are made with."""
_TOLERANCE = 1e-6
_MOST_RATERS = 20
_HEADER = re.compile("worker|image|score|rating", re.IGNORECASE)
_WORKER = re.compile(r"[\w-]+")


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of a file: its number, the names at its end, and the number they are followed by."""

    number: int
    names: tuple[str, ...]
    value: float


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """The data set, divided by workers. No test image is in anything for training.

    Attributes:
        train_ids: Images that no test worker rated.
        train_labels: (train images, 5) float64, counts of their ratings; shares where only a mean is known.
        test_ids: Images that a test worker rated.
        test_labels: (test images, 5) float64, counts of all their ratings.
        train_ratings: All ratings of train images; may be none.
        test_ratings: What the test workers said; may be none.
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
        path: Each line ends in worker, image and rating.
        rows: Takes note of bad lines; `BadRows.refuse` is called here.

    Returns:
        The good ones, at least one, from 1 to 5.

    Raises:
        LabelError: No such file; numbers that are neither ratings nor the published z-scores; a bad line and
            `rows` does not skip them; or no good one.
    """
    lines, values = _read(path, 2, rows, most_raters=1)
    images: dict[str, int] = {}
    users: dict[str, int] = {}
    image = [images.setdefault(plain_id(line.names[1]), len(images)) for line in lines]
    user = [users.setdefault(line.names[0], len(users)) for line in lines]
    return Ratings(
        image_ids=tuple(images),
        user_ids=tuple(users),
        image=np.array(image, np.intp),
        user=np.array(user, np.intp),
        rating=values.round(),
        time=np.full(len(lines), np.nan),
    )


def read_means(path: Path, rows: BadRows) -> dict[str, float]:
    """Read the mean rating of each image.

    Args:
        path: Each line ends in image and mean.
        rows: Takes note of bad lines; `BadRows.refuse` is called here.

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
    """Ratings from 1 to 5 as the published z-scores: less the mean of all, over their standard deviation."""
    return np.asarray((ratings - _MEAN) / _SD)


def standard_test_workers(ratings: Ratings) -> list[str]:
    """The test workers of the standard split, told by how much they rated.

    Args:
        ratings: Of the whole data set.

    Raises:
        LabelError: There are not 37 of them, so that this is not the whole data set.
    """
    given = np.bincount(ratings.user, minlength=len(ratings.user_ids))
    low, high = TEST_RATINGS
    found = [name for name, count in zip(ratings.user_ids, given, strict=True) if low <= count <= high]
    if len(found) != TEST_WORKERS:
        raise LabelError(
            f"In the whole data set {TEST_WORKERS} workers gave {low} to {high} ratings: the test workers."
            f" Received: {len(found)} such workers. Name them with --test-workers."
        )
    return found


def split(ratings: Ratings, means: Mapping[str, float], workers: Sequence[str]) -> Split:
    """Divide the data set by workers.

    Args:
        ratings: From `read_worker_ratings`; `NO_RATINGS` where there are means alone.
        means: From `read_means`; used for images that have no ratings.
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
    """The good lines of a file and their values on the scale from 1 to 5."""
    lines = _lines(path, names, rows)
    if not lines:
        rows.refuse()
        raise LabelError(f"A file of ratings has at least one good line. Received: {path}, with none")
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
        return f"{' '.join(entry)} is there twice"
    if names > 1 and not _WORKER.fullmatch(entry[0]):
        return f"a worker is letters, digits, _ and -; received {entry[0]!r}"
    try:
        plain_id(entry[-1])
    except ValueError as error:
        return str(error)
    return ""


def _rescaled(path: Path, values: FloatArray, most_raters: int) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Values on the scale from 1 to 5, whatever scale the file is on; and which of them can be.

    A mean of whole ratings is a whole number of n-ths; for a z-score that is so by no accident.
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
        f"FLICKR-AES ratings are from 1 to 5, or the published z-scores. Received: {path}, with others;"
        " FLICKR-AES_image_score.txt has a scale of its own: take the ratings by worker instead."
    )
