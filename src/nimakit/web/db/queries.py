"""Queries, conditions and locks that several parts of the app share."""

from collections.abc import Iterable
from itertools import chain
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.orm import Session

from nimakit.errors import UsageError
from nimakit.stats.histogram import FloatArray
from nimakit.web.db.tables import SKIP, Choice, Collection, Membership, Rater, Rating


def is_counted(collection: Collection, table: type[Rating | Choice]) -> ColumnElement[bool]:
    """The condition for a rating or choice to count in exports and figures: its rater is not excluded."""
    excluded = select(Membership.rater_id).where(
        Membership.collection_id == collection.id, Membership.excluded
    )
    return table.rater_id.not_in(excluded)


def is_given(table: type[Rating | Choice]) -> ColumnElement[bool]:
    """The condition for a rating or choice to be an answer: not a skip."""
    return Choice.kind != SKIP if table is Choice else Rating.value.is_not(None)


def is_listed() -> ColumnElement[bool]:
    """The condition for a collection to be in use: neither archived nor deleted."""
    return Collection.archived_at.is_(None) & Collection.deleted_at.is_(None)


def read_numbers(session: Session, wanted: Select[*tuple[Any, ...]]) -> FloatArray:
    """Read columns of numbers, none of them null.

    SQLAlchemy's rows are left out: to create 100,000 of them takes longer than everything else.

    Args:
        session: From `Database.read`.
        wanted: The columns.

    Returns:
        (rows, columns) float64.
    """
    cursor = session.connection().execute(wanted).cursor
    rows = [] if cursor is None else cursor.fetchall()
    shape = len(rows), len(wanted.selected_columns)
    return np.fromiter(chain.from_iterable(rows), np.float64, shape[0] * shape[1]).reshape(shape)


def lock_raters(session: Session, raters: Iterable[int]) -> None:
    """Lock raters, so that the events of a rater's devices and pages are stored one after another.

    Args:
        session: From `Database.write`; the lock lasts until it ends.
        raters: Ids of the raters.
    """
    if session.connection().dialect.name == "sqlite":
        return  # its one writer has locked everything
    wanted = select(Rater.id).where(Rater.id.in_(sorted(raters))).order_by(Rater.id)
    session.execute(wanted.with_for_update()).all()


def find_collection(session: Session, slug: str | None) -> Collection:
    """Find a collection by its slug, or the only collection if the slug is None; deleted ones are not found.

    Raises:
        UsageError: There is no such collection, or there are several and `slug` is None.
    """
    wanted = select(Collection).where(Collection.deleted_at.is_(None))
    collections = session.scalars(wanted.order_by(Collection.id)).all()
    found = [one for one in collections if slug in (None, one.slug)]
    if len(found) != 1:
        names = ", ".join(one.slug for one in collections) or "none yet"
        raise UsageError(
            f"--collection must name one of the collections: {names}. Received: {slug or 'none'}"
        )
    return found[0]
