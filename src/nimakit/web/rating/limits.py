"""The limits of a study for events that are stored: browsers keep what they were sent, or send anything."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Select, bindparam, case, func, or_, select, tuple_
from sqlalchemy.orm import Session

from nimakit.web.db.queries import is_given
from nimakit.web.db.tables import (
    CHECK,
    FIRST,
    REPEAT,
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
Asked = Name | frozenset[int]
"""Id of a picture, or ids of the pictures that are compared: a repeated comparison has an id of its own."""

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
        done: Number of first answers, those of this transaction included; at least that before `is_read`.
        answered: Picture or comparison, and round -> whether an answer to it counts: those admitted in this
            transaction, and once `is_read` all.
        asked: What they were asked for the answers in `answered`, and the round.
        is_read: Whether `answered` has the answers from before this transaction; few events need them.
    """

    session: Session
    key: Key
    table: type[Rating | Choice]
    finished_at: datetime | None
    explained: frozenset[str]
    quota: int | None
    may_skip: bool
    done: int
    answered: dict[tuple[Name, int], bool] = field(default_factory=dict)
    asked: set[tuple[Asked, int]] = field(default_factory=set)
    is_read: bool = False

    def admit(self, event: NewEvent) -> None:
        """Check an event that was not stored before.

        Answers can be changed, even after the end: a rater may notice a slip in the last one.

        Raises:
            ValueError: It is a new answer after the end, a first answer beyond the quota, or an answer to a
                repeat of something that was not asked before.
        """
        if event.kind == CHECK:
            return
        name = (event.image_id if event.trial is None else event.trial, event.round)
        is_late = self.finished_at is not None and event.occurred_at > self.finished_at
        if is_late and name not in self._read():
            raise ValueError(_ENDED)
        counts = event.round == FIRST and (self.may_skip or event.kind != SKIP)
        if counts and self._is_full() and not self._read().get(name):
            raise ValueError(_ENOUGH)
        asked = event.image_id if event.trial is None else frozenset(event.shown or ())
        if event.round == REPEAT and not self._may_repeat(name, asked):
            raise ValueError(_ENOUGH)
        # A skip frees no place in this transaction: one older than the answer changes nothing.
        before = self.answered.get(name, False)
        self.answered[name] = before or counts
        self.done += self.answered[name] - before
        self.asked.add((asked, event.round))

    def _may_repeat(self, name: tuple[Name, int], asked: Asked) -> bool:
        """Whether an answer to a repeat follows a first answer, and is the only one or changes another."""
        return name in self._read() or ((asked, FIRST) in self.asked and (asked, REPEAT) not in self.asked)

    def _is_full(self) -> bool:
        """Whether there are as many first answers as the quota."""
        if self.quota is None or self.done < self.quota:
            return False
        self._read()  # some of those in this transaction may change earlier ones
        return self.done >= self.quota

    def _read(self) -> dict[tuple[Name, int], bool]:
        """All of `answered`."""
        if not self.is_read:
            answers = table_of(self.table).c
            if self.table is Rating:
                columns = (answers.image_id, answers.image_id)
            else:
                columns = (answers.trial, answers.shown)
            mine = (answers.rater_id == self.key[0], answers.collection_id == self.key[1])
            rows = self.session.execute(select(*columns, answers.round, is_given(self.table)).where(*mine))
            for named, asked, turn, is_decided in rows:
                counts = turn == FIRST and (self.may_skip or bool(is_decided))
                self.answered[named, turn] = counts or self.answered.get((named, turn), False)
                self.asked.add((frozenset(asked) if isinstance(asked, list) else asked, turn))
            self.done, self.is_read = sum(self.answered.values()), True
        return self.answered


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
            or_(study.may_skip, is_given(table)),
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


_LIMITS = {table: _reading(table) for table in (Rating, Choice)}
"""Built once, because every rating of a study comes here."""
