"""One page of a collection's comparisons: filtered, sorted, and from where the last page ended."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
    or_,
    select,
    tuple_,
)
from sqlalchemy.orm import Session

from nimakit.web.db.tables import CHOICE, FIRST, SKIP, TIE, Choice, Collection, Event, Image, Rater

PAGE = 30
"""Comparisons a page."""

SORTS = {"recent": "when it was said", "looked": "how long one looked", "rater": "rater"}
SHOWN = {
    "all": "all comparisons",
    "choice": "one was chosen",
    "tie": "alike",
    "skip": "skipped or taken back",
    "again": "shown again",
}
_UP = {"rater"}
"""What is sorted upwards unless asked otherwise; all else goes from much to little."""
_MOST_LOOKED = 3_600_000


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison of a page.

    Attributes:
        choice: What holds now.
        rater: Who said it.
        images: The pictures, as they stood.
        is_taken_back: Whether it is undecided because what was said was taken back.
        key: What the page is sorted by.
    """

    choice: Choice
    rater: Rater
    images: Sequence[Image]
    is_taken_back: bool
    key: Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """What somebody wants to see.

    Attributes:
        sort: Of `sorts`.
        is_up: From little to much.
        show: Of `SHOWN`.
        whose: The pseudonym of a rater; empty for everybody one may see.
        text: What the name of a picture holds.
        last: Sort key and event the last page ended with.
        sorts: What this rater may sort by.
        sees_names: Whether this rater may see, and look for, names of pictures.
    """

    sort: str
    is_up: bool
    show: str
    whose: str
    text: str
    last: tuple[str, int] | None
    sorts: Mapping[str, str]
    sees_names: bool

    @classmethod
    def parse(cls, given: Mapping[str, str], collection: Collection, rater: Rater) -> "Query":
        """A query out of an address; whatever makes no sense is left at its default.

        Args:
            given: The address's parameters.
            collection: What is looked at.
            rater: Who looks: raters see their own comparisons, the admin everybody's.
        """
        sorts = {name: text for name, text in SORTS.items() if rater.is_admin or name != "rater"}
        sees_names = rater.is_admin or not collection.blind
        sort, show = given.get("sort", ""), given.get("show", "")
        sort = sort if sort in sorts else next(iter(sorts))
        last = given.get("last", "").rpartition("~")
        return cls(
            sort=sort,
            is_up=given.get("up", "1" if sort in _UP else "") == "1",
            show=show if show in SHOWN else "all",
            whose=given.get("whose", "")[:64] if rater.is_admin else rater.code,
            text=given.get("text", "").strip()[:100] if sees_names else "",
            last=(last[0], int(last[2])) if last[2].isdecimal() and len(last[2]) < 19 else None,
            sorts=sorts,
            sees_names=sees_names,
        )

    def after(self, comparison: Comparison) -> "Query":
        """The query of the page after one that ends with this comparison."""
        key = comparison.key
        text = key.isoformat() if isinstance(key, datetime) else str(key)
        return replace(self, last=(text, comparison.choice.event_id))

    @property
    def parameters(self) -> dict[str, str]:
        """For an address."""
        found = {"sort": self.sort, "up": "1" if self.is_up else "0", "show": self.show, "text": self.text}
        found |= {"whose": self.whose} if "rater" in self.sorts else {}
        found |= {"last": f"{self.last[0]}~{self.last[1]}"} if self.last else {}
        return {name: value for name, value in found.items() if value}


def page_of(session: Session, collection: Collection, query: Query) -> list[Comparison]:
    """One page.

    Args:
        session: From `Database.read`.
        collection: Whose comparisons.
        query: What somebody wants to see.

    Returns:
        Up to `PAGE` comparisons.
    """
    key = _sort_key(query)
    wanted = _filtered(_places(collection, key), session, collection, query)
    if query.sort == "looked":
        wanted = wanted.join(Event, Event.id == Choice.event_id)
    if query.whose or query.sort == "rater":
        wanted = wanted.join(Rater, Rater.id == Choice.rater_id)
    last = _last(query)
    if last is not None:
        value, event = last
        beyond = key > value if query.is_up else key < value
        wanted = wanted.where(or_(beyond, (key == value) & (Choice.event_id < event)))
    order = key.asc() if query.is_up else key.desc()
    return _read(session, wanted.order_by(order, Choice.event_id.desc()).limit(PAGE))


def comparisons_with(
    session: Session, collection: Collection, rater: Rater, image: int, most: int
) -> list[Comparison]:
    """The last comparisons a picture was in: a rater's own, or everybody's for the admin.

    Args:
        session: From `Database.read`.
        collection: Where it is.
        rater: Who looks.
        image: The picture's id.
        most: How many of them at the most.
    """
    key = Choice.occurred_at
    wanted = _places(collection, key).where(shows(session, Choice.shown, [image]))
    if not rater.is_admin:
        wanted = wanted.where(Choice.rater_id == rater.id)
    return _read(session, wanted.order_by(key.desc(), Choice.event_id.desc()).limit(most))


def one_of(session: Session, collection: Collection, rater_id: int, trial: str) -> Comparison | None:
    """One comparison of a rater; None where the collection has no such one."""
    wanted = _places(collection, Choice.occurred_at)
    found = _read(session, wanted.where(Choice.rater_id == rater_id, Choice.trial == trial))
    return found[0] if found else None


def shows(
    session: Session, shown: SQLColumnExpression[Any], images: Sequence[int] | Select[int]
) -> ColumnElement[bool]:
    """That a comparison's pictures have one of these among them."""
    is_postgresql = session.get_bind().dialect.name == "postgresql"
    each = func.json_array_elements_text if is_postgresql else func.json_each
    members = each(shown).table_valued("value")
    return exists(select(literal(1)).select_from(members).where(cast(members.c.value, Integer).in_(images)))


def _places(collection: Collection, key: SQLColumnExpression[Any]) -> Select[*tuple[Any, ...]]:
    """What names a comparison, and what is sorted by, alone: there may be hundreds of thousands to sort."""
    wanted: Select[*tuple[Any, ...]] = select(Choice.rater_id, Choice.trial, key.label("key"))
    return wanted.select_from(Choice).where(Choice.collection_id == collection.id)


def _sort_key(query: Query) -> SQLColumnExpression[Any]:
    """What is sorted by, never null: comparisons that have none of it come last."""
    keys: dict[str, SQLColumnExpression[Any]] = {
        "recent": Choice.occurred_at,
        "looked": func.coalesce(Event.elapsed_ms, literal(_MOST_LOOKED + 1 if query.is_up else -1)),
        "rater": Rater.code,
    }
    return keys[query.sort]


def _last(query: Query) -> tuple[Any, int] | None:
    """Where the last page ended, as the database has it; None where that makes no sense."""
    if query.last is None:
        return None
    text, event = query.last
    try:
        match query.sort:
            case "recent":
                value: Any = datetime.fromisoformat(text).astimezone(UTC)
            case "looked":
                value = int(text[:12])
            case _:
                value = text
    except (ValueError, OverflowError):  # the latter: before the year 1, or after 9999
        return None
    return value, event


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


def _read(session: Session, places: Select[*tuple[Any, ...]]) -> list[Comparison]:
    """Comparisons with their pictures, in the order of their places."""
    rows = session.execute(places).all()
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
    ids = {image for choice, _, _ in found.values() for image in choice.shown}
    images = {image.id: image for image in session.scalars(select(Image).where(Image.id.in_(ids)))}
    return [
        Comparison(choice, rater, [images[image] for image in choice.shown], event.is_taken_back, key)
        for (choice, rater, event), key in ((found[row[0], row[1]], row[2]) for row in rows)
    ]
