"""The raters of a collection, a page at a time."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, exists, false, func, or_, select, true
from sqlalchemy.orm import Session

from nimakit.web.db.tables import FIRST, LARGEST_KEY, Collection, Membership, PlatformId, Rater

PER_PAGE = 50
LAST_PAGE = LARGEST_KEY // PER_PAGE


@dataclass(frozen=True, slots=True)
class Member:
    """A rater of a collection.

    Attributes:
        rater: The rater.
        done: Number of pictures or comparisons they have rated or skipped.
        last: When they last did; None if never.
        excluded: Whether they are left out of exports and figures.
    """

    rater: Rater
    done: int
    last: datetime | None
    excluded: bool


def find_members(session: Session, collection: Collection, asked: str, page: int) -> tuple[list[Member], int]:
    """A page of a collection's raters with their progress, those with most ratings first.

    Args:
        session: From `Database.read`.
        collection: The collection.
        asked: Part of a name or pseudonym, or the whole id of a rater on their platform; empty for all.
        page: Number of the page, from 1.

    Returns:
        The raters of the page, and the number of all raters found.
    """
    table, is_named = collection.response_table, _is_named(collection, asked)
    first = (table.collection_id == collection.id, table.round == FIRST)
    counted = select(table.rater_id, func.count().label("done")).where(*first)
    progress = counted.group_by(table.rater_id).subquery()
    done = func.coalesce(progress.c.done, 0).label("done")
    is_member = (Membership.rater_id == Rater.id) & (Membership.collection_id == collection.id)
    wanted = (
        select(Rater, done, func.coalesce(Membership.excluded, false()).label("excluded"))
        .outerjoin(Membership, is_member)
        .outerjoin(progress, progress.c.rater_id == Rater.id)
        .where(or_(Membership.rater_id.is_not(None), progress.c.done.is_not(None)), is_named)
        .order_by(done.desc(), Rater.id)
    )
    rows = session.execute(wanted.limit(PER_PAGE).offset((page - 1) * PER_PAGE)).all()
    last = dict(
        session.execute(
            select(table.rater_id, func.max(table.occurred_at))
            .where(table.collection_id == collection.id, table.rater_id.in_([row.Rater.id for row in rows]))
            .group_by(table.rater_id)
        ).all()
    )
    has_rated = exists().where(table.rater_id == Rater.id, *first)
    found = select(func.count()).select_from(Rater)
    found = found.where(is_named, or_(exists().where(is_member), has_rated))
    members = [Member(row.Rater, row.done, last.get(row.Rater.id), row.excluded) for row in rows]
    return members, session.scalar(found) or 0


def _is_named(collection: Collection, asked: str) -> ColumnElement[bool]:
    """Whether the name or the pseudonym of a rater contains a text, or it is their id on their platform."""
    if not asked:
        return true()
    named = (column.icontains(asked, autoescape=True) for column in (Rater.name, Rater.code))
    identity = (PlatformId.rater_id == Rater.id) & (PlatformId.collection_id == collection.id)
    return or_(*named, exists().where(identity, PlatformId.participant == asked))
