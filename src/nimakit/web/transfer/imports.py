"""Import single ratings and comparisons from tables."""

import hashlib
import math
import unicodedata
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from nimakit.errors import LabelError
from nimakit.images.files import canonical, path_parts, plain_id
from nimakit.images.names import whole_numbers
from nimakit.io.tables import BadRows, Row, number, read_column_names, read_rows
from nimakit.labels.ratings import is_repeat, to_seconds
from nimakit.web.accounts import raters as rater_accounts
from nimakit.web.db.database import Database
from nimakit.web.db.queries import lock_raters
from nimakit.web.db.tables import (
    BEST_WORST,
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
from nimakit.web.transfer.sets import join_pairs

_BATCH = 2000
_NAMESPACE = uuid.UUID("6f1d3c1e-5c2f-4c39-9d1b-2b0f4a3f9c11")
"""Imported events are named by their content and collection, so that a file imported twice counts once."""

_USER_COLUMNS = ("user_id", "user", "rater")
_MAX_USER = 64
_NOT_IN_NAMES = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode categories of control characters, surrogates and line ends. Spaces of any kind are allowed."""

_NOT_IN_FOLDER = "An import names this picture, but it is not in the folder."


@dataclass(slots=True)
class Imported:
    """Result of an import.

    Attributes:
        taken: Number of imported ratings, comparisons or pictures.
        known: Number of those that had been imported before.
        new_images: Number of pictures that the file names and the folder does not contain.
        problems: Rows that were skipped.
    """

    taken: int = 0
    known: int = 0
    new_images: int = 0
    problems: list[str] = field(default_factory=list)


def import_ratings(database: Database, collection: Collection, path: Path, rows: BadRows) -> Imported:
    """Import single ratings; those imported before are not added again.

    Args:
        database: The database.
        collection: The collection; ratings must be on its scale.
        path: .csv, .tsv or .jsonl with columns of images (image_id, image or path) and ratings (rating, score
            or value), and, if known, of raters (user_id, user or rater), times (time), repeats (repeat)
            and predicted scores (predicted), as in an export.
        rows: Collects bad rows.

    Raises:
        LabelError: No such table, bad rows that `rows` does not skip, or no good row.
    """
    if collection.compares:
        raise LabelError(
            "Pictures of this collection are compared, not rated: import pairs, or make another collection."
        )
    of_image, of_rating, of_user = _columns(
        path, [("image_id", "image", "path"), ("rating", "score", "value")], _USER_COLUMNS
    )
    low, high, digest = collection.scale.low, collection.scale.high, _digest(path)

    def parse(row: Row) -> _Row:
        user, time, repeat, predicted = row.others
        return _Row(
            images=row.values[:1],
            user=_user(digest, row.line, of_user, user),
            time=to_seconds("time", time),
            value=number(row.values[1], low, high, name=of_rating),
            repeat=is_repeat(repeat),
            predicted=number(predicted, low, high, name="predicted") if predicted else None,
        )

    optional = (of_user, "time", "repeat", "predicted")
    table = read_rows(path, (of_image, of_rating), rows, optional=optional, numbers=(of_rating, "predicted"))
    return _add_events(database, collection, _parse(table, parse, path, rows), rows)


def import_pairs(database: Database, collection: Collection, path: Path, rows: BadRows) -> Imported:
    """Import comparisons; those imported before are not added again.

    Args:
        database: The database.
        collection: A collection whose pictures are compared. If it shows more than two at a time, the rows of
            each comparison, by the name in the column comparison, must be the pairs it decides, as in an
            export.
        path: .csv, .tsv or .jsonl with the columns left, right and chosen (one of these two, "left",
            "right", "tie" or -1), and, if known, of raters (user_id, user, rater or session), times (time),
            repeats (repeat) and names of comparisons (comparison), as in an export.
        rows: Collects bad rows.

    Raises:
        LabelError: As `import_ratings`.
    """
    if not collection.compares:
        raise LabelError("Pairs can only be imported where pictures are compared.")
    *required, of_user = _columns(path, [("left",), ("right",), ("chosen",)], (*_USER_COLUMNS, "session"))
    digest = _digest(path)

    def parse(row: Row) -> _Row:
        left, right, chosen = row.values
        user, time, repeat, comparison = row.others
        picks = {"left": left, "right": right, left: left, right: right, "tie": None, "-1": None}
        if left == right:
            raise ValueError(f"it compares {left!r} with itself")
        if chosen not in picks:
            raise ValueError(f"chosen must be {left!r}, {right!r} or a tie; received {chosen!r}")
        return _Row(
            images=(left, right),
            user=_user(digest, row.line, of_user, user),
            time=to_seconds("time", time),
            chosen=picks[chosen],
            repeat=is_repeat(repeat),
            comparison=comparison or f"line {row.line}",
        )

    table = read_rows(path, required, rows, optional=(of_user, "time", "repeat", "comparison"))
    return _add_events(database, collection, _parse(table, parse, path, rows, collection), rows)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Row:
    """A row of a table; images and users by name."""

    # The event's name is a hash of repr(): renaming this class or a field would import known files again.

    images: tuple[str, ...]
    user: str
    time: float
    value: float | None = None
    predicted: float | None = None
    chosen: str | None = None
    repeat: bool = False
    comparison: str = ""
    worst: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for image in self.images:
            plain_id(image)  # raises ValueError for an impossible file name

    def name(self, collection: Collection) -> str:
        """The event's name: the same whenever the same row is imported into the collection."""
        return uuid.uuid5(_NAMESPACE, f"{collection.id} {self!r}").hex


def _parse(
    table: Iterable[Row],
    parse: Callable[[Row], _Row],
    path: Path,
    rows: BadRows,
    compares: Collection | None = None,
) -> list[_Row]:
    """The rows of a table; where more than two pictures are compared, one for each comparison."""
    lines: list[tuple[int, _Row]] = []
    for row in table:
        try:
            lines.append((row.line, parse(row)))
        except ValueError as error:
            rows.add(path, row.line, str(error))
    if compares and compares.choices > 2:
        found = _joined(lines, compares, path, rows)
    else:
        found = [row for _, row in lines]
    rows.refuse()
    if not found:
        raise LabelError("A table must have at least one good row. Received: none")
    return found


def _joined(
    lines: Iterable[tuple[int, _Row]], collection: Collection, path: Path, rows: BadRows
) -> list[_Row]:
    """The comparisons that rows with the same rater and name of a comparison are from."""
    sets = defaultdict[tuple[Any, ...], list[tuple[int, _Row]]](list)
    for line, row in lines:
        sets[row.user, row.comparison, row.repeat].append((line, row))
    found = []
    for members in sets.values():
        line, first = members[0]
        try:
            shown, best, worst = join_pairs(
                [(row.images, row.chosen) for _, row in members],
                collection.choices,
                has_worst=collection.experiment == BEST_WORST,
            )
            found.append(replace(first, images=shown, chosen=best, worst=worst))
        except ValueError as error:
            rows.add(path, line, str(error))
    return found


def _add_events(database: Database, collection: Collection, found: Sequence[_Row], rows: BadRows) -> Imported:
    """Add an event for each row, in several transactions, so that raters can write in between."""
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
                    **_details(row, name, images),
                )
                for name, row in batch.items()
                if name not in known
            ]
            lock_raters(session, {act.rater_id for act in acts})
            store_events(session, acts)
        result.taken += len(batch)
        result.known += len(known)
    return result


def _details(row: _Row, name: str, images: Mapping[str, int]) -> dict[str, Any]:
    """The fields of an event that depend on its kind."""
    keys = [images[image] for image in row.images]
    if row.value is not None:
        return {"kind": RATING, "image_id": keys[0], "value": row.value, "predicted": row.predicted}
    chosen = None if row.chosen is None else images[row.chosen]
    worst = None if row.worst is None else images[row.worst]
    kind = TIE if chosen is None else CHOICE
    return {"kind": kind, "image_id": chosen, "worst_id": worst, "shown": keys, "trial": name}


def _when(seconds: float, received: datetime) -> datetime:
    """Time of a row; at most now, else later events could not replace it."""
    if math.isnan(seconds):
        return received
    return min(received, datetime.fromtimestamp(seconds, UTC))


def _columns(path: Path, required: Sequence[tuple[str, ...]], optional: tuple[str, ...]) -> tuple[str, ...]:
    """For each column, the first of its names that the table has, or else the first name.

    Raises:
        LabelError: The table has a header, and in it no required column, or one twice.
    """
    choices = (*required, optional)
    there = read_column_names(path, [name for names in choices for name in names])
    found = tuple(next((name for name in names if name in there), names[0]) for names in choices)
    for names, name in zip(required, found, strict=False):
        # In JSON lines, other rows may have other keys than the first.
        if there and there.count(name) != 1 and path.suffix.lower() != ".jsonl":
            raise LabelError(
                f"The table needs one column {' or '.join(map(repr, names))}. Received: {path}, with"
                f" {', '.join(map(repr, there))}. Rename one."
            )
    return found


def _digest(path: Path) -> str:
    """Hash of a file's content, which identifies it; uploaded files all have the same name."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()[:16]
    except OSError:
        return ""  # reading the table reports the error


def _user(digest: str, line: int, column: str, user: str | None) -> str:
    """The pseudonym of a row's rater; without one, each row of each file is a rater of its own."""
    if user is None:
        return f"file {digest} line {line}"
    if not user:
        raise ValueError(f"{column} must not be empty")
    if len(user) > _MAX_USER:
        raise ValueError(
            f"{column} must have at most {_MAX_USER} characters; received {len(user)}: {user[:80]!r}"
        )
    odd = next((letter for letter in user if unicodedata.category(letter) in _NOT_IN_NAMES), None)
    if odd is not None:
        name = unicodedata.name(odd, "a control character")
        raise ValueError(f"{column} must not contain U+{ord(odd):04X} ({name}); received {user!r}")
    return user


def _images(session: Session, collection: Collection, names: set[str], result: Imported) -> dict[str, int]:
    """Find the picture of each name, a path or an image_id; a name without a file is added as missing."""
    by_path, by_id = defaultdict[str, list[int]](list), defaultdict[str, list[int]](list)
    for key, path, image_id in session.execute(
        select(Image.id, Image.path, Image.image_id).where(Image.collection_id == collection.id)
    ):
        by_path[canonical(path)].append(key)
        by_id[image_id].append(key)
    numbers = whole_numbers(path_parts(name)[-1] for name in names)
    found: dict[str, int] = {}
    missing = defaultdict[str, list[str]](list)
    for name in names:
        spelling, plain = canonical(name), numbers.get(path_parts(name)[-1]) or plain_id(name)
        keys = by_path.get(spelling) or by_id.get(spelling) or by_id.get(plain)
        if keys is None:
            missing[plain].append(name)
        elif len(keys) > 1:
            raise LabelError(
                f"A name must stand for one picture. Received: {name!r}, which several files have"
            )
        else:
            found[name] = keys[0]
    added = [
        Image(
            collection_id=collection.id,
            path=plain,
            image_id=plain,
            state=MISSING,
            problem=_NOT_IN_FOLDER,
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
