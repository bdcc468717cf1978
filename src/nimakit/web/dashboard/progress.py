"""How far a collection is: ratings its pictures have, what is left, and how long that takes."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from nimakit.web.db.tables import CHOICE, FIRST, OK, RATING, TIE, Collection, Event, Image

_WINDOWS = (timedelta(days=1), timedelta(days=7))
"""What counts as now: the last day, or the last week where nobody rated that day."""
_SHORTEST = timedelta(hours=1)
"""A pace is measured over an hour at least: the first minute says little."""

_SIZES = (("week", 168, 24 * 21), ("day", 24, 48), ("hour", 1, 1))
"""Hours, and from how many hours on a length of time is told in these."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast people rate.

    Attributes:
        per_hour: Ratings, or comparisons, an hour, nights and breaks included.
        days: Over the last so many days.
    """

    per_hour: float
    days: int


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a collection is.

    Attributes:
        pictures: How many can be shown.
        by_count: Ratings (comparisons) of a picture -> how many pictures have so many, ascending.
        wanted: Ratings each is to have: the collection's, or 1 where everybody may rate everything.
        share: How much of what is wanted is done, 0 to 1.
        left: Ratings (comparisons) that are still wanted.
        pace: None where nobody rated lately.
    """

    pictures: int
    by_count: dict[int, int]
    wanted: int
    share: float
    left: int
    pace: Pace | None

    @property
    def hours_left(self) -> float | None:
        """How long what is left takes at this pace; None where that cannot be told."""
        return self.left / self.pace.per_hour if self.pace and self.left else None


def progress_of(session: Session, collection: Collection, at: datetime) -> Progress:
    """How far a collection is, as the order of its pictures counts: with raters who are left out of figures.

    Args:
        session: From `Database.read`.
        collection: Whose pictures.
        at: The time now.
    """
    rows = session.execute(
        select(Image.count, func.count())
        .where(Image.collection_id == collection.id, Image.state == OK)
        .group_by(Image.count)
        .order_by(Image.count)
    )
    by_count = {count: pictures for count, pictures in rows}  # noqa: C416 - rows are no plain tuples
    pictures, wanted = sum(by_count.values()), collection.wanted or 1
    missing = sum(max(wanted - count, 0) * number for count, number in by_count.items())
    at_once = collection.choices if collection.experiment == "preference" else 1
    return Progress(
        pictures=pictures,
        by_count=by_count,
        wanted=wanted,
        share=1 - missing / (wanted * pictures) if pictures else 0.0,
        left=-(-missing // at_once),
        pace=_pace(session, collection, at),
    )


def _pace(session: Session, collection: Collection, at: datetime) -> Pace | None:
    for window in _WINDOWS:
        number, first = session.execute(
            select(func.count(), func.min(Event.received_at)).where(
                Event.collection_id == collection.id,
                Event.received_at > at - window,
                Event.source == "app",
                Event.round == FIRST,
                Event.kind.in_([RATING, CHOICE, TIE]),
            )
        ).one()
        if number:
            hours = max(at - first, _SHORTEST) / timedelta(hours=1)
            return Pace(number / hours, window.days)
    return None


def describe_duration(hours: float) -> str:
    """A length of time, as roughly as one knows it.

    >>> describe_duration(0.3), describe_duration(7.6), describe_duration(80), describe_duration(2000)
    ('less than an hour', 'about 8 hours', 'about 3 days', 'about 12 weeks')
    """
    if hours < 1:
        return "less than an hour"
    name, size = next((name, size) for name, size, least in _SIZES if hours >= least)
    number = round(hours / size)
    return f"about {number} {name}{'' if number == 1 else 's'}"
