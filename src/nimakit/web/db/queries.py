"""Conditions and locks that several parts of the app share."""

from collections.abc import Iterable

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from nimakit.web.db.tables import (
    Choice,
    Collection,
    Membership,
    Rater,
    Rating,
)


def is_counted(collection: Collection, table: type[Rating | Choice]) -> ColumnElement[bool]:
    """That exports and figures have what a rater said: the rater is not excluded."""
    excluded = select(Membership.rater_id).where(
        Membership.collection_id == collection.id, Membership.excluded
    )
    return table.rater_id.not_in(excluded)


def lock_raters(session: Session, raters: Iterable[int]) -> None:
    """Have one rater's acts taken in one after the other, from however many devices and pages they come.

    Args:
        session: From `Database.write`; the lock holds until it ends.
        raters: Their ids.
    """
    wanted = select(Rater.id).where(Rater.id.in_(sorted(raters))).order_by(Rater.id)
    session.execute(wanted.with_for_update()).all()
