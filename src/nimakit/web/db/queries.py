"""Conditions and locks that several parts of the app share."""

from collections.abc import Iterable

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from nimakit.errors import UsageError
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


def find_collection(session: Session, slug: str | None) -> Collection:
    """A collection by its name in addresses; None finds the only one.

    Raises:
        UsageError: There is no such collection, or there are several and none was named.
    """
    found = {
        collection.slug: collection
        for collection in session.scalars(select(Collection).order_by(Collection.id))
    }
    if slug is None and len(found) == 1:
        [slug] = found
    if slug not in found:
        names = ", ".join(found) or "none yet"
        raise UsageError(f"--collection names one of the collections: {names}. Received: {slug or 'none'}")
    return found[slug]
