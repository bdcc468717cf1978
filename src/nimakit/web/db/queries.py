"""Queries, conditions and locks that several parts of the app share."""

from collections.abc import Iterable
from itertools import chain
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.orm import Session

from nimakit.errors import UsageError
from nimakit.stats.histogram import FloatArray
from nimakit.web.db.tables import (
    OK,
    SKIP,
    Choice,
    Collection,
    Image,
    Membership,
    Participation,
    Rater,
    Rating,
    Study,
    StudyVersion,
)


def is_counted(collection: Collection, table: type[Rating | Choice]) -> ColumnElement[bool]:
    """The condition for a rating or choice to count in exports and figures: its rater is not excluded."""
    excluded = select(Membership.rater_id).where(
        Membership.collection_id == collection.id, Membership.excluded
    )
    return table.rater_id.not_in(excluded)


def is_given(table: type[Rating | Choice]) -> ColumnElement[bool]:
    """The condition for a rating or choice to be an answer: not a skip."""
    return Choice.kind != SKIP if table is Choice else Rating.value.is_not(None)


def is_shown(session: Session, collection: Collection) -> ColumnElement[bool]:
    """The condition for a picture to be one that raters of a collection are shown for their answers.

    Pictures that are missing, broken or not in the imported list are none, nor are those of a study's texts.
    """
    shown = (Image.collection_id == collection.id) & (Image.state == OK)
    explained = explained_pictures(session, collection)
    return shown & Image.path.not_in(explained) if explained else shown


def explained_pictures(session: Session, collection: Collection) -> set[str]:
    """Paths of the pictures in a study's texts, which say what to think of them: nobody rates them.

    They are those of the latest version of the texts if the study is on, and of all versions that raters
    agreed to.
    """
    latest = select(func.max(StudyVersion.number)).where(StudyVersion.collection_id == collection.id)
    agreed = select(Participation.version_id).where(Participation.collection_id == collection.id)
    versions = (
        select(StudyVersion.pictures)
        .join(Study, Study.collection_id == StudyVersion.collection_id)
        .where(
            Study.collection_id == collection.id,
            or_(
                Study.is_on & (StudyVersion.number == latest.scalar_subquery()),
                StudyVersion.id.in_(agreed),
            ),
        )
    )
    return set(chain.from_iterable(session.scalars(versions)))


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
