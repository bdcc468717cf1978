"""Export label files, single ratings and comparisons; raters appear by pseudonym only."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Any

import numpy as np
from sqlalchemy import Select, SQLColumnExpression, select
from sqlalchemy.orm import Session

from nimakit.errors import LabelError
from nimakit.io.delimited import TableWriter
from nimakit.labels.ratings import Ratings, to_counts
from nimakit.stats.bradley_terry import Comparisons
from nimakit.stats.histogram import FloatArray
from nimakit.web.db.outcomes import decided
from nimakit.web.db.queries import is_counted
from nimakit.web.db.tables import FIRST, SKIP, Choice, Collection, Event, Image, Rater, Rating
from nimakit.web.study.evidence import evidence_of
from nimakit.web.study.exclusion import reasons_of

RATING_COLUMNS = ("image_id", "user_id", "rating", "time", "repeat", "predicted", "elapsed_ms", "image")
PAIR_COLUMNS = ("left", "right", "chosen", "user_id", "time", "repeat", "comparison")

Row = dict[str, Any]

RATER_COLUMNS = (
    "user_id",
    "excluded",
    "reason",
    "answers",
    "gold_right",
    "gold_missed",
    "attention_passed",
    "attention_missed",
    "same_answer",
    "median_seconds",
    "repeat_difference",
    "evidence",
)

_SIDES = ("left", "right")
_MAX_LISTED = 3
_CHUNK = 5000


def rating_rows(session: Session, collection: Collection, *, everyone: bool = False) -> Iterator[Row]:
    """The current ratings, in order of time.

    Args:
        session: From `Database.read`; must stay open until the last row.
        collection: The collection.
        everyone: Whether to include excluded raters; rows then say who is excluded and why.

    Yields:
        Rows of `RATING_COLUMNS`, without those of excluded raters; or with them, and with ``excluded``, the
        reason, which is empty for raters who count.
    """
    excluded = reasons_of(session, collection) if everyone else {}
    wanted = (
        select(Rating, Image.image_id, Image.path, Rater.code, Event.elapsed_ms)
        .join(Image, Image.id == Rating.image_id)
        .join(Rater, Rater.id == Rating.rater_id)
        .join(Event, Event.id == Rating.event_id)
        .where(Rating.collection_id == collection.id, Rating.value.is_not(None))
        .order_by(Rating.occurred_at, Rating.event_id)
    )
    if not everyone:
        wanted = wanted.where(is_counted(collection, Rating))
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
            **({"excluded": excluded.get(rating.rater_id, "")} if everyone else {}),
        }


def rater_rows(session: Session, collection: Collection) -> Iterator[Row]:
    """What is known of each rater who answered anything, and who is excluded and why.

    Args:
        session: From `Database.read`.
        collection: The collection.

    Yields:
        Rows of `RATER_COLUMNS`, in the order in which the raters were added.
    """
    found, excluded = evidence_of(session, collection).raters, reasons_of(session, collection)
    codes = session.execute(select(Rater.id, Rater.code).where(Rater.id.in_(found)).order_by(Rater.id))
    for key, code in codes:
        one = found[key]
        yield {
            "user_id": code,
            "excluded": int(key in excluded),
            "reason": excluded.get(key, ""),
            "answers": len(one.answers),
            "gold_right": len(one.gold) - one.gold_missed,
            "gold_missed": one.gold_missed,
            "attention_passed": len(one.attention) - one.attention_missed,
            "attention_missed": one.attention_missed,
            "same_answer": round(one.same, 4),
            "median_seconds": one.median_seconds,
            "repeat_difference": one.difference,
            "evidence": round(one.agreement, 3),
        }


def ratings_of(session: Session, collection: Collection) -> Ratings:
    """The current ratings, without repeats, in order of time; raters are named by their pseudonyms.

    Args:
        session: From `Database.read`.
        collection: The collection.

    Raises:
        LabelError: There are no ratings, pictures are compared instead, or two share an image_id.
    """
    return _first_ratings(session, collection, Rating.occurred_at, Rating.event_id)


def pair_rows(session: Session, collection: Collection, *, everyone: bool = False) -> Iterator[Row]:
    """The current comparisons as the pairs that they decide (`nimakit.web.db.outcomes.decided`).

    Args:
        session: From `Database.read`; must stay open until the last row.
        collection: The collection.
        everyone: Whether to include excluded raters, as in `rating_rows`.

    Yields:
        Rows of `pair_columns`, without skipped comparisons and those of excluded raters; or with the latter,
        and with ``excluded``. ``chosen`` is the value of left or right, or -1 for a tie; ``weight`` is how
        much the pair counts.

    Raises:
        LabelError: Two pictures share an image_id.
    """
    names, excluded = image_ids(session, collection), reasons_of(session, collection) if everyone else {}
    wanted = (
        select(Choice, Rater.code)
        .join(Rater, Rater.id == Choice.rater_id)
        .where(Choice.collection_id == collection.id, Choice.kind != SKIP)
        .order_by(Choice.occurred_at, Choice.event_id)
    )
    if not everyone:
        wanted = wanted.where(is_counted(collection, Choice))
    for choice, code in _stream(session, wanted):
        for left, right, share, weight in decided(choice.kind, choice.shown, choice.chosen, choice.worst):
            yield {
                "left": names[left],
                "right": names[right],
                "chosen": {1.0: names[left], 0.0: names[right]}.get(share, -1),
                "user_id": code,
                "time": choice.occurred_at.isoformat(),
                "repeat": choice.round,
                "comparison": choice.trial,
                **({"weight": weight} if collection.choices > 2 else {}),
                **({"excluded": excluded.get(choice.rater_id, "")} if everyone else {}),
            }


def pair_columns(collection: Collection) -> tuple[str, ...]:
    """The columns of a collection's pairs; they have weights if more than two pictures are compared."""
    return (*PAIR_COLUMNS, "weight") if collection.choices > 2 else PAIR_COLUMNS


def comparisons_of(session: Session, collection: Collection) -> Comparisons:
    """The current comparisons, without repeats, in order of time; raters are named by their pseudonyms.

    Args:
        session: From `Database.read`.
        collection: The collection.

    Raises:
        LabelError: There are no comparisons, or two pictures share an image_id.
    """
    rows = [row for row in pair_rows(session, collection) if row["repeat"] == FIRST]
    if not rows:
        raise LabelError("At least one pair of pictures must be compared. Received: no comparisons yet")
    names = {name: place for place, name in enumerate(dict.fromkeys(row[s] for s in _SIDES for row in rows))}
    people = {code: place for place, code in enumerate(dict.fromkeys(row["user_id"] for row in rows))}
    return Comparisons(
        image_ids=tuple(names),
        left=np.array([names[row["left"]] for row in rows]),
        right=np.array([names[row["right"]] for row in rows]),
        share=np.array([0.5 if row["chosen"] == -1 else row["chosen"] == row["left"] for row in rows]),
        weight=np.array([row.get("weight", 1.0) for row in rows], np.float64),
        user_ids=tuple(people),
        user=np.array([people[row["user_id"]] for row in rows]),
    )


def label_counts(session: Session, collection: Collection) -> tuple[list[str], FloatArray]:
    """How many people gave each rating, for each rated picture; repeats do not count.

    Returns:
        N image_ids, and (N, bins) float64, rows sum to the number of ratings.

    Raises:
        LabelError: As `ratings_of`.
    """
    ratings = _first_ratings(session, collection, Rating.image_id)
    return list(ratings.image_ids), to_counts(ratings, collection.scale.bins)


def _first_ratings(session: Session, collection: Collection, *order: SQLColumnExpression[Any]) -> Ratings:
    if collection.compares:
        raise LabelError(
            "Comparisons have no ratings to count. Export the pairs, and turn them into labels with nimakit"
            " data pairs."
        )
    names = image_ids(session, collection)
    wanted = (
        select(Rating.image_id, Rater.code, Rating.value, Rating.occurred_at)
        .join(Rater, Rater.id == Rating.rater_id)
        .where(
            Rating.collection_id == collection.id,
            Rating.round == FIRST,
            Rating.value.is_not(None),
            is_counted(collection, Rating),
        )
        .order_by(*order)
    )
    rows = session.execute(wanted).all()
    if not rows:
        raise LabelError("At least one picture needs a rating. Received: no ratings yet")
    return Ratings.of((names[row.image_id], row.code, row.value, row.occurred_at.timestamp()) for row in rows)


def image_ids(session: Session, collection: Collection) -> dict[int, str]:
    """The image_id of each picture, by key.

    Raises:
        LabelError: Two rated pictures share an image_id, so that their labels would be mixed up.
    """
    rows = session.execute(
        select(Image.id, Image.image_id, Image.path, Image.count).where(Image.collection_id == collection.id)
    ).all()
    rated = Counter(name for _, name, _, count in rows if count)
    shared = [path for _, name, path, count in rows if count and rated[name] > 1]
    if shared:
        raise LabelError(
            "An image_id, the file name without its suffix, must stand for one picture. Received: "
            + ", ".join(sorted(shared)[:_MAX_LISTED])
            + f" and others, {len(shared)} in all. Export the single ratings, which name each file."
        )
    return {key: name for key, name, _, _ in rows}


def write_rows(stream: IO[str], suffix: str, columns: Sequence[str], rows: Iterable[Row]) -> int:
    """Write a table.

    Args:
        stream: A text stream.
        suffix: ``.csv``, or ``.jsonl`` for an object per line.
        columns: Columns of the .csv, in order.
        rows: The rows.

    Returns:
        Number of rows.
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


def _stream(session: Session, wanted: Select[*tuple[Any, ...]]) -> Iterator[Any]:
    return iter(session.execute(wanted, execution_options={"yield_per": _CHUNK}))


def _plain(value: float) -> float:
    """A whole number without its decimal point."""
    return int(value) if value == int(value) else value
