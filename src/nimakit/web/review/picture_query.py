"""One page of a collection's pictures: filtered, sorted, and from where the last page ended."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Row, Select, SQLColumnExpression, Subquery, and_, case, func, literal, or_, select
from sqlalchemy.orm import Session

from nimakit.web.access import may_see_scores
from nimakit.web.db.queries import is_counted
from nimakit.web.db.tables import BROKEN, FIRST, MISSING, Collection, Event, Image, Rater, Rating
from nimakit.web.predictions.tastes import personal_positions

PAGE = 60
"""Pictures a page."""

SORTS = {
    "recent": "when I rated it",
    "mine": "my rating",
    "mean": "people's mean",
    "count": "number of ratings",
    "spread": "how far people disagree",
    "predicted": "predicted score",
    "gap": "people above the model",
    "name": "name",
}
SHOWN = {
    "all": "all pictures",
    "rated": "rated",
    "mine": "rated by me",
    "skipped": "skipped by me, or taken back",
    "unrated": "not rated yet",
    "problems": "missing or broken",
}
_OF_OTHERS = {"mean", "count", "spread", "gap"}
_NOT_BLIND = {"predicted", "gap", "name"}
_UP = {"name"}
"""What is sorted upwards unless asked otherwise; all else goes from much to little."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A picture of a page.

    Attributes:
        image: The picture.
        mine: The rater's own rating; None for none, or skipped.
        is_skipped: Whether the rater skipped it, or their rating was taken back.
        is_taken_back: Whether it was the latter.
        count: How many ratings people's figures are of.
        mean: People's mean rating, or in a preference the share of its comparisons it won; None for none.
        spread: Standard deviation of people's ratings.
        predicted: Predicted score.
        personal: The same for the rater alone; None while their taste is not known.
        key: What the page is sorted by.
    """

    image: Image
    mine: float | None
    is_skipped: bool
    is_taken_back: bool
    count: int
    mean: float | None
    spread: float | None
    predicted: float | None
    personal: float | None
    key: Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """What somebody wants to see.

    Attributes:
        sort: Of `sorts`.
        is_up: From little to much.
        show: Of `shown`.
        text: What a name holds.
        low: Lowest rating: the rater's own, or people's mean where others' are seen.
        high: Highest.
        last: Sort key and id the last page ended with.
        sorts: What this rater may sort by.
        shown: What this rater may choose from.
    """

    sort: str
    is_up: bool
    show: str
    text: str
    low: float | None
    high: float | None
    last: tuple[str, int] | None
    sorts: Mapping[str, str]
    shown: Mapping[str, str]

    @classmethod
    def parse(cls, given: Mapping[str, str], collection: Collection, rater: Rater) -> "Query":
        """A query out of an address; whatever makes no sense is left at its default.

        Args:
            given: The address's parameters.
            collection: What is looked at.
            rater: Who looks: raters see pictures they rated, and others' ratings where the study shows them.
        """
        sees_others = rater.is_admin or collection.show_others
        hidden: set[str] = set() if sees_others else set(_OF_OTHERS)
        if collection.blind and not rater.is_admin:
            hidden |= _NOT_BLIND
        if collection.experiment == "preference":
            hidden |= {"mine", "spread", "predicted", "gap", "recent"}
        sorts = {name: text for name, text in SORTS.items() if name not in hidden}
        shown = SHOWN if rater.is_admin else {name: SHOWN[name] for name in ("mine", "skipped")}
        sort = given.get("sort", "")
        sort = sort if sort in sorts else next(iter(sorts), "name")
        show = given.get("show", "")
        last = given.get("last", "").rpartition("~")
        return cls(
            sort=sort,
            is_up=given.get("up", "1" if sort in _UP else "") == "1",
            show=show if show in shown else next(iter(shown)),
            text=given.get("text", "").strip()[:100] if "name" in sorts or rater.is_admin else "",
            low=_number(given.get("low", "")),
            high=_number(given.get("high", "")),
            last=(last[0], int(last[2])) if last[2].isdecimal() and len(last[2]) < 10 else None,
            sorts=sorts,
            shown=shown,
        )

    def after(self, entry: Entry) -> "Query":
        """The query of the page after one that ends with this entry."""
        return replace(self, last=(str(entry.key), entry.image.id))

    @property
    def parameters(self) -> dict[str, str]:
        """For an address."""
        found = {"sort": self.sort, "up": "1" if self.is_up else "0", "show": self.show, "text": self.text}
        found |= {"low": "" if self.low is None else f"{self.low:g}"}
        found |= {"high": "" if self.high is None else f"{self.high:g}"}
        found |= {"last": f"{self.last[0]}~{self.last[1]}"} if self.last else {}
        return {name: value for name, value in found.items() if value}


def page_of(session: Session, collection: Collection, rater: Rater, query: Query) -> list[Entry]:
    """One page.

    Args:
        session: From `Database.read`.
        collection: Whose pictures.
        rater: Who looks; ``mine`` is theirs.
        query: What they want to see.

    Returns:
        Up to `PAGE` entries.
    """
    people = _people(collection, rater)
    key = _sort_key(collection, query, people)
    mine = and_(Rating.image_id == Image.id, Rating.rater_id == rater.id, Rating.round == FIRST)
    joined: Select[*tuple[Any, ...]] = (
        select(Image, Rating, people.count, people.mean, people.variance, key.label("key"))
        .outerjoin(Rating, mine)
        .outerjoin(people.left_out, people.left_out.c.image_id == Image.id)
    )
    wanted = _filtered(joined.where(Image.collection_id == collection.id), collection, rater, query, people)
    if query.last is not None:
        text, last_id = query.last
        value = text if query.sort == "name" else _number(text) or 0.0
        beyond = key > value if query.is_up else key < value
        wanted = wanted.where(or_(beyond, and_(key == value, Image.id > last_id)))
    order = key.asc() if query.is_up else key.desc()
    rows = session.execute(wanted.order_by(order, Image.id).limit(PAGE)).all()
    own: dict[int, float] = {}
    if may_see_scores(collection, rater):
        own = personal_positions(session, collection, rater, [row[0] for row in rows])
    taken_back = _taken_back(session, [row[1].event_id for row in rows if row[1] and row[1].value is None])
    return [_entry(collection, rater, row, own.get(row[0].id), taken_back) for row in rows]


@dataclass(frozen=True, kw_only=True, slots=True)
class _People:
    """What people say of a picture, as columns; null where there is nothing, or a rater may not know it yet.

    Attributes:
        left_out: What raters said who are left out, to be joined.
    """

    left_out: Subquery
    count: SQLColumnExpression[Any]
    mean: SQLColumnExpression[Any]
    variance: SQLColumnExpression[Any]


def _people(collection: Collection, rater: Rater) -> _People:
    """A picture's sums less what raters said who are left out, of whom there are few."""
    left_out = (
        select(
            Rating.image_id,
            func.count().label("count"),
            func.sum(Rating.value).label("total"),
            func.sum(Rating.value * Rating.value).label("squares"),
        )
        .where(
            Rating.collection_id == collection.id,
            Rating.round == FIRST,
            Rating.value.is_not(None),
            ~is_counted(collection, Rating),
        )
        .group_by(Rating.image_id)
        .subquery()
    )
    is_shown = or_(literal(rater.is_admin), Rating.value.is_not(None))
    count = case((is_shown, func.nullif(Image.count - func.coalesce(left_out.c.count, 0), 0)))
    mean = (Image.total - func.coalesce(left_out.c.total, 0.0)) / count
    squares = (Image.squares - func.coalesce(left_out.c.squares, 0.0)) / count
    return _People(left_out=left_out, count=count, mean=mean, variance=squares - mean * mean)


def _sort_key(collection: Collection, query: Query, people: _People) -> SQLColumnExpression[Any]:
    """What is sorted by, never null: pictures that have none of it come last."""
    scale = collection.scale
    predicted = Image.position * scale.width + scale.low
    keys: dict[str, SQLColumnExpression[Any]] = {
        "name": Image.path,
        "mine": Rating.value,
        "recent": Rating.event_id,
        "mean": people.mean,
        "count": people.count,
        "spread": people.variance,
        "predicted": predicted,
        "gap": people.mean - predicted,
    }
    if query.sort == "name":
        return keys["name"]
    return func.coalesce(keys[query.sort], literal(1e9 if query.is_up else -1e9))


def _filtered(
    wanted: Select[*tuple[Any, ...]], collection: Collection, rater: Rater, query: Query, people: _People
) -> Select[*tuple[Any, ...]]:
    match query.show:
        case "mine":
            wanted = wanted.where(Rating.value.is_not(None))
        case "skipped":
            wanted = wanted.where(Rating.event_id.is_not(None), Rating.value.is_(None))
        case "rated":
            wanted = wanted.where(Image.count > 0)
        case "unrated":
            wanted = wanted.where(Image.count == 0)
        case "problems":
            wanted = wanted.where(Image.state.in_([MISSING, BROKEN]))
    if query.text:
        wanted = wanted.where(Image.is_named(query.text))
    sees_others = rater.is_admin or collection.show_others
    bounded = people.mean if sees_others else Rating.value
    if query.low is not None:
        wanted = wanted.where(bounded >= query.low)
    if query.high is not None:
        wanted = wanted.where(bounded <= query.high)
    return wanted


def _taken_back(session: Session, events: Sequence[int]) -> Set[int]:
    """Those of some events that took a rating back."""
    wanted = select(Event).where(Event.id.in_(events))
    return {event.id for event in session.scalars(wanted) if event.is_taken_back}


def _entry(
    collection: Collection,
    rater: Rater,
    row: Row[*tuple[Any, ...]],
    own: float | None,
    taken_back: Set[int],
) -> Entry:
    image, rating, count, mean, variance, key = row
    sees_others = rater.is_admin or collection.show_others
    position = image.position if may_see_scores(collection, rater) else None
    return Entry(
        image=image,
        mine=None if rating is None else rating.value,
        is_skipped=rating is not None and rating.value is None,
        is_taken_back=rating is not None and rating.event_id in taken_back,
        count=count or 0,
        mean=mean if sees_others else None,
        spread=None if variance is None or not sees_others else max(variance, 0.0) ** 0.5,
        predicted=None if position is None else collection.scale.at(position),
        personal=None if own is None else collection.scale.at(own),
        key=key,
    )


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) < 1e12 else None
