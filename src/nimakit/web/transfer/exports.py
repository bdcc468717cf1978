"""What comes out: label files, ratings one by one, comparisons; people by their pseudonyms alone."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import combinations
from pathlib import Path
from typing import IO, Any

import numpy as np
from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from nimakit.errors import LabelError
from nimakit.io.atomic import atomic_writer
from nimakit.io.delimited import TableWriter
from nimakit.labels.label_file import write_labels
from nimakit.labels.ratings import Ratings, to_counts
from nimakit.stats.histogram import FloatArray
from nimakit.web.db.queries import is_counted
from nimakit.web.db.tables import (
    FIRST,
    SKIP,
    TIE,
    Choice,
    Collection,
    Event,
    Image,
    Rater,
    Rating,
)

RATING_COLUMNS = ("image_id", "user_id", "rating", "time", "repeat", "predicted", "elapsed_ms", "image")
PAIR_COLUMNS = ("left", "right", "chosen", "user_id", "time", "repeat", "comparison")

Row = dict[str, Any]

_NOTHING = "Ratings of one picture at least are needed. Received: no ratings yet"
_LISTED = 3
_AT_ONCE = 5000


def rating_rows(session: Session, collection: Collection) -> Iterator[Row]:
    """Each rating that holds, in the order of time, with its rater's pseudonym and the file it is of.

    Args:
        session: From `Database.read`; to be open until the last row.
        collection: Whose.

    Yields:
        Rows of `RATING_COLUMNS`; those of raters who are excluded are left out.
    """
    wanted = (
        select(Rating, Image.image_id, Image.path, Rater.code, Event.elapsed_ms)
        .join(Image, Image.id == Rating.image_id)
        .join(Rater, Rater.id == Rating.rater_id)
        .join(Event, Event.id == Rating.event_id)
        .where(
            Rating.collection_id == collection.id, Rating.value.is_not(None), is_counted(collection, Rating)
        )
        .order_by(Rating.occurred_at, Rating.event_id)
    )
    for rating, image_id, path, code, elapsed_ms in _stream(session, wanted):
        yield {
            "image_id": image_id,
            "user_id": code,
            "rating": _plain(rating.value),
            "time": rating.occurred_at.isoformat(),
            "repeat": rating.round,
            "predicted": rating.predicted,
            "elapsed_ms": elapsed_ms,
            "image": path,
        }


def ratings_of(session: Session, collection: Collection) -> Ratings:
    """Each rating that holds, without repeats; people by their pseudonyms.

    Args:
        session: From `Database.read`.
        collection: Whose.

    Raises:
        LabelError: Nothing was rated, pictures were compared and not rated, or two share an image_id.
    """
    _refuse_comparisons(collection)
    image_ids(session, collection)
    rows = [row for row in rating_rows(session, collection) if row["repeat"] == FIRST]
    if not rows:
        raise LabelError(_NOTHING)
    times = [datetime.fromisoformat(row["time"]).timestamp() for row in rows]
    return Ratings.of(
        (row["image_id"], row["user_id"], row["rating"], time) for row, time in zip(rows, times, strict=True)
    )


def pair_rows(session: Session, collection: Collection) -> Iterator[Row]:
    """Each comparison that holds as pairs: of four pictures, the one chosen beats each of the others.

    Args:
        session: From `Database.read`; to be open until the last row.
        collection: Whose.

    Yields:
        Rows of `PAIR_COLUMNS`; ``chosen`` is left, right, or -1 for a tie. What was skipped, and what
        raters said who are excluded, is left out.

    Raises:
        LabelError: Two pictures share an image_id.
    """
    names = image_ids(session, collection)
    wanted = (
        select(Choice, Rater.code)
        .join(Rater, Rater.id == Choice.rater_id)
        .where(Choice.collection_id == collection.id, Choice.kind != SKIP, is_counted(collection, Choice))
        .order_by(Choice.occurred_at, Choice.event_id)
    )
    for choice, code in _stream(session, wanted):
        for left, right in decided(choice.kind, choice.shown, choice.chosen):
            yield {
                "left": names[left],
                "right": names[right],
                "chosen": -1 if choice.chosen is None else names[choice.chosen],
                "user_id": code,
                "time": choice.occurred_at.isoformat(),
                "repeat": choice.round,
                "comparison": choice.trial,
            }


def decided(kind: str, shown: Sequence[int], chosen: int | None) -> Iterator[tuple[int, int]]:
    """The pairs of a comparison of which it says something: of four pictures, those with the one chosen.

    Args:
        kind: `CHOICE` or `TIE`, which says something of each pair.
        shown: Its pictures.
        chosen: One of them, or None.
    """
    for left, right in combinations(shown, 2):
        if kind == TIE or chosen in (left, right):
            yield left, right


def label_counts(session: Session, collection: Collection) -> tuple[list[str], FloatArray]:
    """How many people chose each rating, for each picture somebody rated; repeats do not count.

    Returns:
        N image_ids, and (N, bins) float64, rows sum to the number of ratings.

    Raises:
        LabelError: Nothing was rated, pictures were compared and not rated, or two share an image_id.
    """
    _refuse_comparisons(collection)
    names = image_ids(session, collection)
    wanted = (
        select(Rating.image_id, Rating.value)
        .where(
            Rating.collection_id == collection.id,
            Rating.round == FIRST,
            Rating.value.is_not(None),
            is_counted(collection, Rating),
        )
        .order_by(Rating.image_id)
    )
    rows = session.execute(wanted).all()
    if not rows:
        raise LabelError(_NOTHING)
    images, values = np.array(rows, np.float64).T
    different, place = np.unique(images.astype(np.int64), return_inverse=True)
    ids = tuple(names[image] for image in different.tolist())
    ratings = Ratings(
        image_ids=ids,
        user_ids=(),
        image=place,
        user=np.zeros_like(place),
        rating=values,
        time=np.full(len(values), np.nan),
    )
    return list(ids), to_counts(ratings, collection.scale.bins)


def image_ids(session: Session, collection: Collection) -> dict[int, str]:
    """The image_id of each picture.

    Raises:
        LabelError: Two pictures that were rated share one, and nobody could tell their labels apart.
    """
    rows = session.execute(
        select(Image.id, Image.image_id, Image.path, Image.count).where(Image.collection_id == collection.id)
    ).all()
    rated = Counter(name for _, name, _, count in rows if count)
    shared = [path for _, name, path, count in rows if count and rated[name] > 1]
    if shared:
        raise LabelError(
            "An image_id, the file name without its suffix, stands for one picture. Received: "
            + ", ".join(sorted(shared)[:_LISTED])
            + f" and others, {len(shared)} in all. The ratings one by one name each file."
        )
    return {key: name for key, name, _, _ in rows}


def write_rows(stream: IO[str], suffix: str, columns: Sequence[str], rows: Iterable[Row]) -> int:
    """Write a table.

    Args:
        stream: Text.
        suffix: ``.csv``, or ``.jsonl`` for an object a line.
        columns: Of the .csv, in order.
        rows: What to write.

    Returns:
        How many rows there were.
    """
    count = 0
    if suffix == ".csv":
        table = TableWriter(stream)
        table.row(columns)
    for count, row in enumerate(rows, start=1):  # noqa: B007 - the last is the number of rows
        if suffix == ".csv":
            table.row(row[column] for column in columns)
        else:
            stream.write(json.dumps(row) + "\n")
    return count


def export(session: Session, collection: Collection, what: str, path: Path) -> int:
    """Write a file, which appears whole or not at all.

    Args:
        session: From `Database.read`.
        collection: Whose.
        what: ``labels``, ``ratings`` or ``pairs``.
        path: Where to: .json for labels, else .csv or .jsonl.

    Returns:
        How many images, ratings or pairs it has.

    Raises:
        LabelError: There are no labels to be made.
        OutputError: It could not be written.
    """
    if what == "labels":
        names, counts = label_counts(session, collection)
        write_labels(path, names, counts)
        return len(names)
    rows, columns = (
        (pair_rows(session, collection), PAIR_COLUMNS)
        if what == "pairs"
        else (rating_rows(session, collection), RATING_COLUMNS)
    )
    with atomic_writer(path) as stream:
        return write_rows(stream, path.suffix.lower(), columns, rows)


def _refuse_comparisons(collection: Collection) -> None:
    if collection.experiment == "preference":
        raise LabelError(
            "Comparisons have no ratings to count. Export the pairs: nimakit data pairs makes labels of them."
        )


def _stream(session: Session, wanted: Select[*tuple[Any, ...]]) -> Iterator[Any]:
    return iter(session.execute(wanted, execution_options={"yield_per": _AT_ONCE}))


def _plain(value: float) -> float:
    """A whole number without its decimal point."""
    return int(value) if value == int(value) else value
