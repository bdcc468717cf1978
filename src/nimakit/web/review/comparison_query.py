"""Query the comparisons of a collection: a page of the list, those of a picture, or a single one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    SQLColumnExpression,
    cast,
    exists,
    func,
    literal,
    select,
    tuple_,
)
from sqlalchemy.orm import Session

from nimakit.web.db.tables import (
    BEST_WORST,
    CHOICE,
    FIRST,
    SKIP,
    TIE,
    Choice,
    Collection,
    Event,
    Image,
    Rater,
)
from nimakit.web.languages import lazy_gettext
from nimakit.web.review.query import Query

PAGE = 30
"""Comparisons per page."""

SORTS = {"recent": lazy_gettext("time"), "looked": lazy_gettext("time taken"), "rater": lazy_gettext("rater")}
SHOWN = {
    "all": lazy_gettext("all comparisons"),
    "choice": lazy_gettext("one was chosen"),
    "tie": lazy_gettext("alike"),
    "skip": lazy_gettext("skipped or taken back"),
    "again": lazy_gettext("shown again"),
}
_MAX_LOOKED_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison of a page.

    Attributes:
        choice: Its current outcome.
        rater: Who compared.
        images: The pictures, in the order in which they were shown.
        is_taken_back: Whether it is undecided because its rater or the admin took the outcome back.
        key: The sort key.
    """

    choice: Choice
    rater: Rater
    images: Sequence[Image]
    is_taken_back: bool
    key: Any


def parse_query(given: Mapping[str, str], collection: Collection, rater: Rater) -> Query:
    """Parse an address of the list: raters see their own comparisons, the admin everyone's."""
    sorts = {name: text for name, text in SORTS.items() if rater.is_admin or name != "rater"}
    shown = SHOWN
    if collection.experiment == BEST_WORST:  # which has no ties
        shown = {name: text for name, text in SHOWN.items() if name != "tie"}
        shown["choice"] = lazy_gettext("decided")
    return Query.parse(given, rater, sorts, shown, sees_names=rater.is_admin or not collection.blind)


def page_of(session: Session, collection: Collection, rater: Rater, query: Query) -> list[Comparison]:
    """One page of comparisons.

    Args:
        session: From `Database.read`.
        collection: The collection.
        rater: The visitor.
        query: From `parse_query`.

    Returns:
        Up to `PAGE` comparisons.
    """
    key = _sort_key(query)
    wanted = _filtered(_select_ids(collection, rater, key), session, collection, query)
    if query.sort == "looked":
        wanted = wanted.join(Event, Event.id == Choice.event_id)
    if query.whose or query.sort == "rater":
        wanted = wanted.join(Rater, Rater.id == Choice.rater_id)
    parsers: dict[str, Callable[[str], Any]] = {"recent": _parse_time, "looked": _parse_milliseconds}
    parse_key = parsers.get(query.sort, str)
    page = query.page(wanted, key, Choice.event_id, PAGE, parse_key=parse_key, newest_first=True)
    return _read(session, page)


def comparisons_with(
    session: Session, collection: Collection, rater: Rater, image: int, count: int
) -> list[Comparison]:
    """The latest comparisons of a picture that the visitor may see.

    Args:
        session: From `Database.read`.
        collection: The picture's collection.
        rater: The visitor: raters see their own comparisons, the admin everyone's.
        image: The picture's id.
        count: Maximum number of comparisons.
    """
    key = Choice.occurred_at
    wanted = _select_ids(collection, rater, key).where(shows(session, Choice.shown, [image]))
    return _read(session, wanted.order_by(key.desc(), Choice.event_id.desc()).limit(count))


def find_comparison(
    session: Session, collection: Collection, rater: Rater, rater_id: int, trial: str
) -> Comparison | None:
    """A comparison by its key; None where there is none that the visitor may see."""
    wanted = _select_ids(collection, rater, Choice.occurred_at)
    found = _read(session, wanted.where(Choice.rater_id == rater_id, Choice.trial == trial))
    return found[0] if found else None


def shows(
    session: Session, shown: SQLColumnExpression[Any], images: Sequence[int] | Select[int]
) -> ColumnElement[bool]:
    """Condition: a comparison showed at least one of these pictures."""
    is_postgresql = session.get_bind().dialect.name == "postgresql"
    each = func.json_array_elements_text if is_postgresql else func.json_each
    members = each(shown).table_valued("value")
    return exists(select(literal(1)).select_from(members).where(cast(members.c.value, Integer).in_(images)))


def _select_ids(
    collection: Collection, rater: Rater, key: SQLColumnExpression[Any]
) -> Select[*tuple[Any, ...]]:
    """Primary and sort keys of the comparisons that the visitor may see."""
    # Rows are read after sorting: there may be hundreds of thousands to sort.
    wanted: Select[*tuple[Any, ...]] = select(Choice.rater_id, Choice.trial, key.label("key"))
    wanted = wanted.select_from(Choice).where(Choice.collection_id == collection.id)
    return wanted if rater.is_admin else wanted.where(Choice.rater_id == rater.id)


def _sort_key(query: Query) -> SQLColumnExpression[Any]:
    """The sort key, never null: comparisons without one come last."""
    keys: dict[str, SQLColumnExpression[Any]] = {
        "recent": Choice.occurred_at,
        "looked": func.coalesce(Event.elapsed_ms, literal(_MAX_LOOKED_MS + 1 if query.is_up else -1)),
        "rater": Rater.code,
    }
    return keys[query.sort]


def _parse_time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _parse_milliseconds(text: str) -> int:
    return int(text[:12])


def _filtered(
    wanted: Select[*tuple[Any, ...]], session: Session, collection: Collection, query: Query
) -> Select[*tuple[Any, ...]]:
    match query.show:
        case "choice" | "tie" | "skip":
            wanted = wanted.where(Choice.kind == {"choice": CHOICE, "tie": TIE, "skip": SKIP}[query.show])
        case "again":
            wanted = wanted.where(Choice.round != FIRST)
    if query.whose:
        wanted = wanted.where(Rater.code == query.whose)
    if query.text:
        named = select(Image.id).where(Image.collection_id == collection.id, Image.is_named(query.text))
        wanted = wanted.where(shows(session, Choice.shown, named))
    return wanted


def _read(session: Session, ids: Select[*tuple[Any, ...]]) -> list[Comparison]:
    """The comparisons of `_select_ids`, with their pictures, in the same order."""
    rows = session.execute(ids).all()
    wanted = (
        select(Choice, Rater, Event)
        .join(Rater, Rater.id == Choice.rater_id)
        .join(Event, Event.id == Choice.event_id)
    )
    named = tuple_(Choice.rater_id, Choice.trial).in_([(rater, trial) for rater, trial, _ in rows])
    found = {
        (choice.rater_id, choice.trial): (choice, rater, event)
        for choice, rater, event in session.execute(wanted.where(named))
    }
    shown = {image for choice, _, _ in found.values() for image in choice.shown}
    images = {image.id: image for image in session.scalars(select(Image).where(Image.id.in_(shown)))}
    return [
        Comparison(choice, rater, [images[image] for image in choice.shown], event.is_taken_back, key)
        for (choice, rater, event), key in ((found[row[0], row[1]], row[2]) for row in rows)
    ]
