"""Duplicate, archive and delete collections, and bring them back."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, insert, literal, select
from sqlalchemy.orm import Session, aliased

from nimakit.errors import UsageError
from nimakit.web.collections.setup import free_slug
from nimakit.web.db.tables import COPIED, LEFT_OUT, Base, Collection, Event, Gold, Image, now

UNDONE_WITHIN = timedelta(days=7)
"""A deleted collection can be brought back within this time."""

_OWN = frozenset({"id", "slug", "name", "sign_up", "created_at", "scanned_at", "note", "model_note"})
"""Columns of a collection that a duplicate does not get from the original."""
_NOT_COPIED = _OWN | {"model_probe", "archived_at", "deleted_at", "removed_at"}
_OF_FILES = ("path", "image_id", "state", "problem", "size", "mtime_ns")


@dataclass(frozen=True, slots=True)
class Contents:
    """What a collection contains, for a question before it is deleted.

    Attributes:
        pictures: Number of pictures.
        raters: Number of people who rated.
        answers: Number of their ratings, choices and so on, changed ones included.
    """

    pictures: int
    raters: int
    answers: int


def contents_of(session: Session, collection: Collection) -> Contents:
    """Count what a collection contains."""
    pictures = select(func.count()).select_from(Image).where(Image.collection_id == collection.id)
    events = select(func.count(Event.rater_id.distinct()), func.count())
    raters, answers = session.execute(events.where(Event.collection_id == collection.id)).one()
    return Contents(session.scalar(pictures) or 0, raters, answers)


def duplicate(session: Session, collection: Collection) -> Collection:
    """Create a collection of the same folder with the same settings, without ratings, raters and invitations.

    Nobody may join it without an invitation until that is set, so that it can be changed first. If a list of
    the pictures to rate was imported, it holds for the duplicate too, and so do gold pictures.

    Args:
        session: From `Database.write`.
        collection: The original.
    """
    name = f"{collection.name[:190]} (copy)"
    values = {
        column.key: getattr(collection, column.key)
        for column in Collection.__table__.columns
        if column.key not in _NOT_COPIED
    }
    copy = Collection(**values, slug=free_slug(session, name), name=name)
    session.add(copy)
    session.flush()
    for table in Base.metadata.sorted_tables:
        if table.info.get(COPIED):
            _copy_rows(session, table, collection.id, copy.id)
    gold = session.scalar(select(Gold.image_id).where(Gold.collection_id == collection.id).limit(1))
    if gold or session.scalar(_images(collection).where(Image.state == LEFT_OUT).limit(1)):
        _copy_images(session, collection, copy)
        _copy_gold(session, collection, copy)
    return copy


def archive(collection: Collection) -> None:
    """Hide a collection from its raters and from the list; nothing is lost."""
    collection.archived_at = collection.archived_at or now()


def use_again(collection: Collection) -> None:
    """Show an archived collection again."""
    collection.archived_at = None


def delete(collection: Collection) -> None:
    """Delete a collection; `bring_back` can undo this for some days, after which its contents are removed."""
    collection.deleted_at = collection.deleted_at or now()


def archived(session: Session) -> list[Collection]:
    """The archived collections, by name."""
    wanted = select(Collection).where(Collection.archived_at.is_not(None), Collection.deleted_at.is_(None))
    return list(session.scalars(wanted.order_by(Collection.name, Collection.id)))


def deleted(session: Session) -> list[Collection]:
    """The deleted collections that can still be brought back, the latest first."""
    wanted = select(Collection).where(Collection.deleted_at.is_not(None), Collection.removed_at.is_(None))
    return list(session.scalars(wanted.order_by(Collection.deleted_at.desc(), Collection.id)))


def last_day(collection: Collection) -> datetime | None:
    """Until when a deleted collection can be brought back; None if it is not deleted."""
    return collection.deleted_at and collection.deleted_at + UNDONE_WITHIN


def bring_back(session: Session, key: int) -> Collection:
    """Undo the deletion of a collection.

    Args:
        session: From `Database.write`.
        key: Its id.

    Raises:
        UsageError: It is removed already, or there is none.
    """
    collection = session.get(Collection, key, with_for_update=True, populate_existing=True)
    if collection is None or collection.removed_at is not None:
        raise UsageError(
            f"A deleted collection can be brought back within {UNDONE_WITHIN.days} days. This one is gone."
        )
    collection.deleted_at = None
    return collection


def _images(collection: Collection) -> Any:
    return select(Image.id).where(Image.collection_id == collection.id)


def _copy_images(session: Session, collection: Collection, copy: Collection) -> None:
    """List the pictures of a collection in its duplicate, without ratings."""
    columns = [getattr(Image, name) for name in _OF_FILES]
    listed = select(literal(copy.id), *columns, literal(0), literal(0.0), literal(0.0)).where(
        Image.collection_id == collection.id
    )
    names = ["collection_id", *_OF_FILES, "count", "total", "squares"]
    session.execute(insert(Image).from_select(names, listed, include_defaults=False))


def _copy_gold(session: Session, collection: Collection, copy: Collection) -> None:
    """Make the pictures of the same paths gold pictures of the duplicate."""
    same, worse, same_worse = aliased(Image), aliased(Image), aliased(Image)
    rows = (
        select(same.id, literal(copy.id), Gold.low, Gold.high, same_worse.id, Gold.source)
        .join(Image, Image.id == Gold.image_id)
        .join(same, (same.collection_id == copy.id) & (same.path == Image.path))
        .outerjoin(worse, worse.id == Gold.worse_id)
        .outerjoin(same_worse, (same_worse.collection_id == copy.id) & (same_worse.path == worse.path))
        .where(Gold.collection_id == collection.id)
    )
    names = ["image_id", "collection_id", "low", "high", "worse_id", "source"]
    session.execute(insert(Gold).from_select(names, rows, include_defaults=False))


def _copy_rows(session: Session, table: Any, source: int, target: int) -> None:
    """Copy a table's rows about a collection to another one, without their numbers and what they refer to."""
    kept = [column for column in table.columns if column.name != "id" and not column.foreign_keys]
    rows = select(literal(target), *kept).where(table.c.collection_id == source)
    names = ["collection_id", *(column.name for column in kept)]
    session.execute(insert(table).from_select(names, rows, include_defaults=False))
