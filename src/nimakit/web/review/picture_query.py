"""Query the pictures of a collection with their ratings: one page of the list."""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, SQLColumnExpression, Subquery, and_, case, func, literal, or_, select
from sqlalchemy.orm import Session

from nimakit.web.access import may_see_scores
from nimakit.web.db.queries import is_counted
from nimakit.web.db.tables import BROKEN, FIRST, MISSING, Collection, Event, Image, Rater, Rating
from nimakit.web.languages import lazy_gettext
from nimakit.web.predictions.tastes import personal_positions
from nimakit.web.review.query import Query, parse_number

PAGE = 60
"""Pictures per page."""

SORTS = {
    "recent": lazy_gettext("time of my rating"),
    "mine": lazy_gettext("my rating"),
    "mean": lazy_gettext("mean rating"),
    "count": lazy_gettext("number of ratings"),
    "spread": lazy_gettext("disagreement"),
    "predicted": lazy_gettext("predicted score"),
    "gap": lazy_gettext("mean rating above predicted score"),
    "name": lazy_gettext("name"),
}
SHOWN = {
    "all": lazy_gettext("all pictures"),
    "rated": lazy_gettext("rated"),
    "mine": lazy_gettext("rated by me"),
    "skipped": lazy_gettext("skipped by me or taken back"),
    "unrated": lazy_gettext("not rated yet"),
    "problems": lazy_gettext("missing or broken"),
}
_OF_OTHERS = {"mean", "count", "spread", "gap"}
_NOT_BLIND = {"predicted", "gap", "name"}
_NOT_COMPARED = {"mine", "spread", "predicted", "gap", "recent"}


@dataclass(frozen=True, slots=True)
class Entry:
    """A picture of a page.

    Attributes:
        image: The picture.
        mine: The visitor's own rating; None where there is none, or it was skipped.
        is_skipped: Whether the visitor skipped it, or their rating was taken back.
        is_taken_back: Whether it was the latter.
        count: Number of ratings in `mean` and `spread`.
        mean: Mean rating, or in a preference the share of its comparisons it won; None for no ratings.
        spread: Standard deviation of the ratings.
        predicted: Predicted score.
        personal: Score predicted for the visitor; None while their taste is not known.
        rated_at: When the visitor rated it; None where they did not.
        key: The sort key.
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
    rated_at: datetime | None
    key: Any

    @property
    def gap(self) -> float | None:
        """Mean rating above the predicted score."""
        return None if self.mean is None or self.predicted is None else self.mean - self.predicted


def parse_query(given: Mapping[str, str], collection: Collection, rater: Rater) -> Query:
    """Parse an address of the list.

    Raters see pictures they rated, and others' ratings where the collection shows them; the admin sees all.
    """
    hidden: set[str] = set() if rater.is_admin or collection.show_others else set(_OF_OTHERS)
    if collection.blind and not rater.is_admin:
        hidden |= _NOT_BLIND
    if collection.compares:
        hidden |= _NOT_COMPARED
    sorts = {name: text for name, text in SORTS.items() if name not in hidden}
    shown = SHOWN if rater.is_admin else {name: SHOWN[name] for name in ("mine", "skipped")}
    return Query.parse(given, rater, sorts, shown, sees_names="name" in sorts or rater.is_admin)


def page_of(session: Session, collection: Collection, rater: Rater, query: Query) -> list[Entry]:
    """One page of pictures.

    Args:
        session: From `Database.read`.
        collection: The collection.
        rater: The visitor.
        query: From `parse_query`.

    Returns:
        Up to `PAGE` entries.
    """
    others = _statistics(collection, rater)
    key = _sort_key(collection, query, others)
    columns: tuple[Any, ...] = (Image, Rating, others.count, others.mean, others.variance, key.label("key"))
    wanted = _filtered(_joined(columns, collection, rater, others), collection, rater, query, others)
    rows = session.execute(query.page(wanted, key, Image.id, PAGE, parse_key=_parse_key(query))).all()
    own: dict[int, float] = {}
    if may_see_scores(collection, rater):
        own = personal_positions(session, collection, rater, [row[0] for row in rows])
    taken_back = _taken_back(session, [row[1].event_id for row in rows if row[1] and row[1].value is None])
    return [_entry(collection, rater, row, own.get(row[0].id), taken_back) for row in rows]


def neighbours(
    session: Session, collection: Collection, rater: Rater, query: Query, image_id: int
) -> tuple[int | None, int | None]:
    """Ids of the pictures before and after one in a list; None at its ends.

    Args:
        session: From `Database.read`.
        collection: The collection.
        rater: The visitor.
        query: From `parse_query`.
        image_id: The picture, which need not be in the list: its neighbours are those of its sort key.
    """
    others = _statistics(collection, rater)
    key = _sort_key(collection, query, others)
    rows = _joined((Image.id, key.label("key")), collection, rater, others)
    own = session.execute(rows.where(Image.id == image_id)).one_or_none()
    if own is None:
        return None, None
    wanted, here = _filtered(rows, collection, rater, query, others), query.after(own.key, image_id)
    parse_key = _parse_key(query)
    before = here.before().page(wanted, key, Image.id, 1, parse_key=parse_key, newest_first=True)
    after = here.page(wanted, key, Image.id, 1, parse_key=parse_key)
    return session.scalar(before), session.scalar(after)


def _joined(
    columns: Sequence[Any], collection: Collection, rater: Rater, others: "_Statistics"
) -> Select[*tuple[Any, ...]]:
    """Columns of the pictures of a collection, with the visitor's own ratings."""
    mine = and_(Rating.image_id == Image.id, Rating.rater_id == rater.id, Rating.round == FIRST)
    return (
        select(*columns)
        .select_from(Image)
        .outerjoin(Rating, mine)
        .outerjoin(others.excluded, others.excluded.c.image_id == Image.id)
        .where(Image.collection_id == collection.id)
    )


def _parse_key(query: Query) -> Callable[[str], Any]:
    return str if query.sort == "name" else parse_number


@dataclass(frozen=True, kw_only=True, slots=True)
class _Statistics:
    """Columns with statistics of a picture's ratings; null where there are none that the visitor may see.

    Attributes:
        excluded: Sums of the ratings by excluded raters, by picture; to be joined.
    """

    excluded: Subquery
    count: SQLColumnExpression[Any]
    mean: SQLColumnExpression[Any]
    variance: SQLColumnExpression[Any]


def _statistics(collection: Collection, rater: Rater) -> _Statistics:
    # A picture's own sums contain all raters; those of the excluded ones, who are few, are subtracted.
    excluded = (
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
    count = case((is_shown, func.nullif(Image.count - func.coalesce(excluded.c.count, 0), 0)))
    mean = (Image.total - func.coalesce(excluded.c.total, 0.0)) / count
    squares = (Image.squares - func.coalesce(excluded.c.squares, 0.0)) / count
    return _Statistics(excluded=excluded, count=count, mean=mean, variance=squares - mean * mean)


def _sort_key(collection: Collection, query: Query, others: _Statistics) -> SQLColumnExpression[Any]:
    """The sort key, never null: pictures without one come last."""
    scale = collection.scale
    predicted = Image.position * scale.width + scale.low
    keys: dict[str, SQLColumnExpression[Any]] = {
        "name": Image.path,
        "mine": Rating.value,
        "recent": Rating.event_id,
        "mean": others.mean,
        "count": others.count,
        "spread": others.variance,
        "predicted": predicted,
        "gap": others.mean - predicted,
    }
    if query.sort == "name":
        return keys["name"]
    return func.coalesce(keys[query.sort], literal(1e9 if query.is_up else -1e9))


def _filtered(
    wanted: Select[*tuple[Any, ...]], collection: Collection, rater: Rater, query: Query, others: _Statistics
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
    bounded = others.mean if sees_others else Rating.value
    if query.low is not None:
        wanted = wanted.where(bounded >= query.low)
    if query.high is not None:
        wanted = wanted.where(bounded <= query.high)
    return wanted


def _taken_back(session: Session, events: Sequence[int]) -> Set[int]:
    """The events among these that took a rating back."""
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
        rated_at=None if rating is None else rating.occurred_at,
        key=key,
    )
