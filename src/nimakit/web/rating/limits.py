"""The limits of a study for events that are stored: browsers keep what they were sent, or send anything."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Select, bindparam, case, func, or_, select, tuple_
from sqlalchemy.orm import Session

from nimakit.web.db.tables import (
    CHECK,
    FIRST,
    SKIP,
    Choice,
    Participation,
    Rating,
    Study,
    StudyVersion,
    table_of,
)
from nimakit.web.languages import lazy_gettext
from nimakit.web.rating.store import NewEvent

Key = tuple[int, int]
"""Id of a rater, and of a collection."""
Name = int | str | None
"""Id of a picture, or of a comparison."""

_ENDED = lazy_gettext("You have finished this study.")
_ENOUGH = lazy_gettext("You have given all the answers that this study asks of you.")


@dataclass(slots=True)
class Limits:
    """What a rater of a study may still answer.

    Attributes:
        session: From `Database.write`, after `lock_raters`.
        key: The rater and the collection.
        table: `Rating` or `Choice`, with their answers.
        finished_at: When they finished; None before.
        explained: Paths of the pictures in the texts they agreed to, which they do not rate.
        quota: Most first answers; None for no limit.
        may_skip: Whether a skip counts as an answer.
        done: Number of first answers before this transaction.
        new: Pictures or comparisons answered in this transaction.
    """

    session: Session
    key: Key
    table: type[Rating | Choice]
    finished_at: datetime | None
    explained: frozenset[str]
    quota: int | None
    may_skip: bool
    done: int
    new: set[Name] = field(default_factory=set)

    def admit(self, event: NewEvent) -> None:
        """Check an event that was not stored before.

        Answers can be changed, even after the end: a rater may notice a slip in the last one.

        Raises:
            ValueError: It is a new answer after the end, or a first answer beyond the quota.
        """
        if event.kind == CHECK:
            return
        named = event.image_id if event.trial is None else event.trial
        is_late = self.finished_at is not None and event.occurred_at > self.finished_at
        if is_late and (named, event.round) not in self._answered():
            raise ValueError(_ENDED)
        if self.quota is None or event.round != FIRST or (event.kind == SKIP and not self.may_skip):
            return
        if self.done + len(self.new) >= self.quota:  # unless some of these change earlier answers
            done = {name for (name, turn), counts in self._answered().items() if turn == FIRST and counts}
            if named not in done and len(done | self.new) >= self.quota:
                raise ValueError(_ENOUGH)
        self.new.add(named)

    def _answered(self) -> dict[tuple[Name, int], bool]:
        """Picture or comparison, and round -> whether the answer to it counts. Few events need to know."""
        answers = table_of(self.table).c
        name = answers.image_id if self.table is Rating else answers.trial
        mine = (answers.rater_id == self.key[0], answers.collection_id == self.key[1])
        rows = self.session.execute(select(name, answers.round, _is_decided(self.table)).where(*mine))
        return {(named, turn): self.may_skip or bool(is_decided) for named, turn, is_decided in rows}


def limits_of(session: Session, table: type[Rating | Choice], named: Iterable[Key]) -> dict[Key, Limits]:
    """The limits of raters who take part in studies.

    Args:
        session: From `Database.write`, after `lock_raters`.
        table: `Rating` or `Choice`, in which the collections' answers are.
        named: The raters and collections.
    """
    rows = session.connection().execute(_LIMITS[table], {"named": list(named)})
    return {
        (rater, collection): Limits(
            session, (rater, collection), table, finished_at, frozenset(explained), *rest
        )
        for rater, collection, finished_at, explained, *rest in rows
    }


def _reading(table: type[Rating | Choice]) -> Select[*tuple[Any, ...]]:
    """Reads the limits of raters, with the number of their answers where there is a quota."""
    one, study, version = (table_of(mapped).c for mapped in (Participation, Study, StudyVersion))
    answers = table_of(table).c
    counted = (
        select(func.count())
        .where(
            answers.collection_id == one.collection_id,
            answers.rater_id == one.rater_id,
            answers.round == FIRST,
            or_(study.may_skip, _is_decided(table)),
        )
        .correlate(table_of(Participation), table_of(Study))
        .scalar_subquery()
    )
    keys = (one.rater_id, one.collection_id)
    done = case((study.quota.is_not(None), counted), else_=0)
    return (
        select(*keys, one.finished_at, version.pictures, study.quota, study.may_skip, done)
        .join_from(table_of(Participation), table_of(Study), study.collection_id == one.collection_id)
        .join(table_of(StudyVersion), version.id == one.version_id)
        .where(tuple_(*keys).in_(bindparam("named", expanding=True)))
    )


def _is_decided(table: type[Rating | Choice]) -> Any:
    columns = table_of(table).c
    return columns.value.is_not(None) if table is Rating else columns.kind != SKIP


_LIMITS = {table: _reading(table) for table in (Rating, Choice)}
"""Built once, because every rating of a study comes here."""
