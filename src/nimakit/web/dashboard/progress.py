"""Progress of a collection: ratings done and left, and the time left."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from nimakit.web.db.queries import is_shown
from nimakit.web.db.tables import CHOICE, FIRST, RATING, TIE, Collection, Event, Image

_WINDOWS = (timedelta(days=1), timedelta(days=7))
"""The pace is that of the last day, or of the last week if nobody rated on the last day."""
_MIN_DURATION = timedelta(hours=1)
"""The pace is measured over at least an hour, because the first minutes are not representative."""

_UNITS = (("week", 168, 24 * 21), ("day", 24, 48), ("hour", 1, 1))
"""Unit, its hours, and the number of hours from which it is used."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Current rating speed.

    Attributes:
        per_hour: Ratings, or comparisons, per hour, including nights and breaks.
        days: Length of the period it was measured over.
    """

    per_hour: float
    days: int


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of a collection.

    Attributes:
        pictures: Number of pictures that raters are shown.
        by_count: Number of ratings (comparisons) -> number of pictures with as many, ascending.
        wanted: Ratings wanted per picture; 1 where the collection sets no number.
        share: Share of the wanted ratings that is done, 0 to 1.
        left: Ratings (comparisons) left.
        pace: None where nobody rated recently.
    """

    pictures: int
    by_count: dict[int, int]
    wanted: int
    share: float
    left: int
    pace: Pace | None

    @property
    def hours_left(self) -> float | None:
        """Hours left at this pace; None where unknown."""
        return self.hours_for(self.left)

    def hours_for(self, left: int) -> float | None:
        """Hours that so many ratings (comparisons) take at this pace; None where unknown."""
        return left / self.pace.per_hour if self.pace and left else None


def progress_of(session: Session, collection: Collection, at: datetime) -> Progress:
    """Measure the progress of a collection; excluded raters count, as they do for the order of pictures.

    Args:
        session: From `Database.read`.
        collection: The collection.
        at: The current time.
    """
    rows = session.execute(
        select(Image.count, func.count())
        .where(is_shown(session, collection))
        .group_by(Image.count)
        .order_by(Image.count)
    )
    by_count = {count: pictures for count, pictures in rows}  # noqa: C416 - rows are no plain tuples
    pictures, wanted = sum(by_count.values()), collection.wanted or 1
    missing = sum(max(wanted - count, 0) * number for count, number in by_count.items())
    at_once = collection.choices if collection.compares else 1
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
            hours = max(at - first, _MIN_DURATION) / timedelta(hours=1)
            return Pace(number / hours, window.days)
    return None


def describe_duration(hours: float) -> str:
    """Describe a roughly known duration.

    >>> describe_duration(0.3), describe_duration(7.6), describe_duration(80), describe_duration(2000)
    ('under an hour', 'about 8 hours', 'about 3 days', 'about 12 weeks')
    """
    if hours < 1:
        return "under an hour"
    name, size = next((name, size) for name, size, least in _UNITS if hours >= least)
    number = round(hours / size)
    return f"about {number} {name}{'' if number == 1 else 's'}"
