"""What comes in from tables: ratings one by one, and comparisons."""

import hashlib
import math
import unicodedata
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from nimakit.errors import LabelError
from nimakit.images.files import canonical, plain_id
from nimakit.io.tables import BadRows, number, read_column_names, read_rows
from nimakit.labels.ratings import is_repeat, to_seconds
from nimakit.web.accounts import raters as rater_accounts
from nimakit.web.db.database import Database
from nimakit.web.db.queries import lock_raters
from nimakit.web.db.tables import (
    CHOICE,
    FIRST,
    MISSING,
    RATING,
    REPEAT,
    TIE,
    Choice,
    Collection,
    Event,
    Image,
    now,
)
from nimakit.web.rating.store import NewEvent, store_events

_BATCH = 2000
_NAMESPACE = uuid.UUID("6f1d3c1e-5c2f-4c39-9d1b-2b0f4a3f9c11")
"""Names imported events by what they say of which collection, so that a file imported twice counts once."""

_USER_COLUMNS = ("user_id", "user", "rater")
_LONGEST_USER = 64
_NOT_IN_NAMES = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Controls, halves of characters, and ends of lines, by Unicode's categories. Spaces of any kind are fine."""

NOT_HERE = "An import names it; it is not in the folder."


@dataclass(slots=True)
class Imported:
    """What an import did.

    Attributes:
        taken: Ratings, comparisons or pictures of the file that hold now.
        known: Those among them that were there already.
        new_images: Pictures the file names that the folder does not have.
        problems: Rows that were left out.
    """

    taken: int = 0
    known: int = 0
    new_images: int = 0
    problems: list[str] = field(default_factory=list)


def import_ratings(database: Database, collection: Collection, path: Path, rows: BadRows) -> Imported:
    """Take in single ratings.

    Args:
        database: Where to.
        collection: Whose pictures they are of; its scale is theirs.
        path: .csv, .tsv or .jsonl with columns of images (image_id, image or path) and ratings (rating, score
            or value), and, where known, of people (user_id, user or rater), times (time), repeats (repeat)
            and predicted scores (predicted), as an export has them.
        rows: Takes note of bad rows.

    Returns:
        What was taken in; what has been before is not taken twice.

    Raises:
        LabelError: No such table, bad rows that are not to be skipped, or none that is good.
    """
    if collection.experiment == "preference":
        raise LabelError(
            "In this collection pictures are compared: import pairs, or make another collection."
        )
    of_image, of_rating, of_user = _columns(
        path, [("image_id", "image", "path"), ("rating", "score", "value")], _USER_COLUMNS
    )
    low, high = collection.scale.low, collection.scale.high
    digest, found = _digest(path), list[_Row]()
    for line, (image, value), (user, time, repeat, predicted) in read_rows(
        path,
        (of_image, of_rating),
        rows,
        optional=(of_user, "time", "repeat", "predicted"),
        numbers=(of_rating, "predicted"),
    ):
        try:
            found.append(
                _Row(
                    images=(image,),
                    user=_user(digest, line, of_user, user),
                    time=to_seconds("time", time),
                    value=number(value, low, high, name=of_rating),
                    repeat=is_repeat(repeat),
                    predicted=number(predicted, low, high, name="predicted") if predicted else None,
                )
            )
        except ValueError as error:
            rows.add(path, line, str(error))
    rows.refuse()

    def detail(row: _Row, images: Mapping[str, int]) -> dict[str, Any]:
        return {
            "kind": RATING,
            "image_id": images[row.images[0]],
            "value": row.value,
            "predicted": row.predicted,
        }

    return _take(database, collection, found, detail, rows)


def import_pairs(database: Database, collection: Collection, path: Path, rows: BadRows) -> Imported:
    """Take in comparisons of two pictures.

    Args:
        database: Where to.
        collection: Whose pictures they are between; pictures are compared there two at a time.
        path: .csv, .tsv or .jsonl with the columns left, right and chosen (one of these two, "left",
            "right", "tie" or -1), and, where known, of people (user_id, user, rater or session), times (time)
            and names of comparisons (comparison): one that is in the collection is not taken again.
        rows: Takes note of bad rows.

    Returns:
        What was taken in; what has been before is not taken twice.

    Raises:
        LabelError: No such table, bad rows that are not to be skipped, or none that is good.
    """
    if collection.experiment != "preference" or collection.choices != 2:
        raise LabelError("Pairs are imported into a collection whose pictures are compared two at a time.")
    *required, of_user = _columns(path, [("left",), ("right",), ("chosen",)], (*_USER_COLUMNS, "session"))
    optional = (of_user, "time", "repeat", "comparison")
    digest, found = _digest(path), list[_Row]()
    for line, (left, right, chosen), (user, time, repeat, comparison) in read_rows(
        path, required, rows, optional=optional
    ):
        picks = {"left": left, "right": right, left: left, right: right, "tie": None, "-1": None}
        try:
            if left == right:
                raise ValueError(f"it compares {left!r} with itself")
            if chosen not in picks:
                raise ValueError(f"chosen must be {left!r}, {right!r} or a tie; received {chosen!r}")
            found.append(
                _Row(
                    images=(left, right),
                    user=_user(digest, line, of_user, user),
                    time=to_seconds("time", time),
                    chosen=picks[chosen],
                    repeat=is_repeat(repeat),
                    comparison=comparison or f"line {line}",
                )
            )
        except ValueError as error:
            rows.add(path, line, str(error))
    rows.refuse()

    def detail(row: _Row, images: Mapping[str, int]) -> dict[str, Any]:
        chosen = None if row.chosen is None else images[row.chosen]
        return {
            "kind": TIE if chosen is None else CHOICE,
            "image_id": chosen,
            "shown": [images[name] for name in row.images],
            "trial": row.name(collection),
        }

    return _take(database, collection, found, detail, rows)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Row:
    """A row of a table; images and users by name."""

    images: tuple[str, ...]
    user: str
    time: float
    value: float | None = None
    predicted: float | None = None
    chosen: str | None = None
    repeat: bool = False
    comparison: str = ""

    def __post_init__(self) -> None:
        for image in self.images:
            plain_id(image)  # refuses what can be no file

    def name(self, collection: Collection) -> str:
        """A name that the same row has whenever it is imported into a collection."""
        return uuid.uuid5(_NAMESPACE, f"{collection.id} {self!r}").hex


def _take(
    database: Database,
    collection: Collection,
    found: Sequence[_Row],
    detail: Callable[[_Row, Mapping[str, int]], dict[str, Any]],
    rows: BadRows,
) -> Imported:
    """Add an event for each row, some at a time: raters write between them."""
    if not found:
        raise LabelError("A table has at least one good row. Received: none")
    result, received = Imported(problems=rows.listed()), now()
    with database.write() as session:
        images = _images(session, collection, {name for row in found for name in row.images}, result)
        raters = rater_accounts.raters_with_codes(session, {row.user for row in found}, collection.id)
    for start in range(0, len(found), _BATCH):
        batch = {row.name(collection): row for row in found[start : start + _BATCH]}
        with database.write() as session:
            wanted = select(Event.client_id).where(
                Event.collection_id == collection.id, Event.client_id.in_(batch)
            )
            known = set(session.scalars(wanted))
            made = select(Choice.trial).where(
                Choice.collection_id == collection.id,
                Choice.trial.in_({row.comparison for row in batch.values()}),
            )
            comparisons = set(session.scalars(made))
            known |= {name for name, row in batch.items() if row.comparison in comparisons}
            acts = [
                NewEvent(
                    client_id=name,
                    collection_id=collection.id,
                    rater_id=raters[row.user],
                    round=REPEAT if row.repeat else FIRST,
                    occurred_at=_when(row.time, received),
                    received_at=received,
                    source="import",
                    **detail(row, images),
                )
                for name, row in batch.items()
                if name not in known
            ]
            lock_raters(session, {act.rater_id for act in acts})
            store_events(session, acts)
        result.taken += len(batch)
        result.known += len(known)
    return result


def _when(seconds: float, received: datetime) -> datetime:
    """When a row was said; not later than now, or nothing said from now on would ever take its place."""
    if math.isnan(seconds):
        return received
    return min(received, datetime.fromtimestamp(seconds, UTC))


def _columns(path: Path, required: Sequence[tuple[str, ...]], optional: tuple[str, ...]) -> tuple[str, ...]:
    """Of the names a column may have, the first that the table has; the first of all where it has none.

    Raises:
        LabelError: The table has a header, and in it no required column, or one twice.
    """
    choices = (*required, optional)
    there = read_column_names(path, [name for names in choices for name in names])
    found = tuple(next((name for name in names if name in there), names[0]) for names in choices)
    for names, name in zip(required, found, strict=False):
        # An object a line may have other keys than the first.
        if there and there.count(name) != 1 and path.suffix.lower() != ".jsonl":
            raise LabelError(
                f"The table needs one column {' or '.join(map(repr, names))}. Received: {path}, with"
                f" {', '.join(map(repr, there))}. Rename one."
            )
    return found


def _digest(path: Path) -> str:
    """What tells a file from others: its content, as every file that is sent has the same name here."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()[:16]
    except OSError:
        return ""  # whoever reads the table says so


def _user(digest: str, line: int, column: str, user: str | None) -> str:
    """The pseudonym of a row's rater; without one each row of each file is somebody of their own."""
    if user is None:
        return f"file {digest} line {line}"
    if not user:
        raise ValueError(f"{column} must not be empty")
    if len(user) > _LONGEST_USER:
        raise ValueError(
            f"{column} must have at most {_LONGEST_USER} characters; received {len(user)}: {user[:80]!r}"
        )
    odd = next((letter for letter in user if unicodedata.category(letter) in _NOT_IN_NAMES), None)
    if odd is not None:
        name = unicodedata.name(odd, "a control character")
        raise ValueError(f"{column} must not contain U+{ord(odd):04X} ({name}); received {user!r}")
    return user


def _images(session: Session, collection: Collection, names: set[str], result: Imported) -> dict[str, int]:
    """The picture of each name, a path or an image_id; one that is not in the folder is kept as missing."""
    known: dict[str, int] = {}
    paths: dict[str, int] = {}
    shared: set[str] = set()
    for key, path, image_id in session.execute(
        select(Image.id, Image.path, Image.image_id).where(Image.collection_id == collection.id)
    ):
        if known.setdefault(image_id, key) != key:
            shared.add(image_id)
        if paths.setdefault(canonical(path), key) != key:
            shared.add(canonical(path))
    known |= paths
    found: dict[str, int] = {}
    missing: dict[str, list[str]] = {}
    for name in names:
        plain, spelt = plain_id(name), canonical(name)
        if spelt in known and spelt not in shared:
            found[name] = known[spelt]
        elif plain in shared:
            raise LabelError(f"A name stands for one picture. Received: {name!r}, which several files have")
        elif plain in known:
            found[name] = known[plain]
        else:
            missing.setdefault(plain, []).append(name)
    added = [
        Image(
            collection_id=collection.id,
            path=plain,
            image_id=plain,
            state=MISSING,
            problem=NOT_HERE,
            size=0,
            mtime_ns=0,
        )
        for plain in missing
    ]
    session.add_all(added)
    session.flush()
    result.new_images = len(added)
    found.update({name: image.id for image in added for name in missing[image.image_id]})
    return found
