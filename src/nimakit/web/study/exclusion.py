"""The rule that excludes raters by their checks and answers: it marks them, and deletes nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from nimakit.stats.careless import MIN_ANSWERS, is_careless
from nimakit.web.db.database import Database
from nimakit.web.db.tables import Checks, Collection, Exclusion, Membership, now
from nimakit.web.rating.checks import checks_of
from nimakit.web.study.evidence import EvidenceCache, state_of
from nimakit.web.study.judging import Evidence

MIN_REPEATS = 5
"""Pictures shown again from which the differences between their ratings count."""
_HALF = 0.5


@dataclass(frozen=True, slots=True)
class Applied:
    """How many raters the rule excluded anew, and how many it included again."""

    excluded: int
    included: int


def reasons(one: Evidence, checks: Checks) -> list[str]:
    """Which rules a rater breaks, as phrases; none if they break none.

    Args:
        one: What is known about the rater.
        checks: The rules.
    """
    found = []
    if _missed(one.gold, checks.gold_misses):
        found.append(f"missed {one.gold_missed} of {len(one.gold)} gold pictures")
    if _missed(one.attention, checks.attention_misses):
        found.append(f"missed {one.attention_missed} of {len(one.attention)} attention checks")
    is_same = checks.same_share is not None and one.same >= checks.same_share
    if is_same and len(one.answers) >= MIN_ANSWERS:
        found.append(f"gave the same answer in {100 * one.same:.0f} % of {len(one.answers)}")
    if checks.by_agreement and is_careless(one.agreement, one.judged):
        found.append("agrees with the others no better than chance")
    if checks.fast_ms is not None and len(one.times) >= MIN_ANSWERS:
        share = one.faster(checks.fast_ms)
        if share >= _HALF:
            found.append(f"took less than {checks.fast_ms} ms for {100 * share:.0f} % of the answers")
    if checks.repeat_points is not None and len(one.differences) >= MIN_REPEATS:
        difference = one.difference or 0.0
        if difference >= checks.repeat_points:
            found.append(f"rates pictures shown again {difference:.1f} points apart")
    return found


def _missed(passed: Sequence[bool], most: int | None) -> bool:
    """Whether so many checks were missed, and half of them: of many, careful raters miss some, too."""
    missed = passed.count(False)
    return most is not None and missed >= most and missed >= _HALF * len(passed)


def apply_rule(database: Database, known: EvidenceCache, collection: Collection) -> Applied:
    """Mark the raters who break a rule, and unmark those whom the rule marked and who break none any more.

    Raters about whom the admin decided keep what the admin decided. Judging takes long in a large collection
    and needs no lock, so that ratings can be stored meanwhile. The rule is read after it.

    Args:
        database: The database.
        known: What is known about raters.
        collection: The collection.

    Raises:
        StorageError: The database cannot be used.
    """
    with database.read() as session:
        raters = known.of(session, collection).raters
    with database.write() as session:
        lock_exclusions(session, collection)
        return _mark(session, collection, _broken(checks_of(session, collection), raters))


def lock_exclusions(session: Session, collection: Collection) -> None:
    """Wait for others who exclude or include raters, so that no mark is added twice; ratings go on."""
    session.execute(
        select(Collection.id).where(Collection.id == collection.id).with_for_update(key_share=True)
    )


def _broken(checks: Checks, raters: Mapping[int, Evidence]) -> dict[int, list[str]]:
    """Rater id -> which rules they break, of the raters who break any; none if the rule is off."""
    if not checks.excludes:
        return {}
    judged = {rater: reasons(one, checks) for rater, one in raters.items()}
    return {rater: why for rater, why in judged.items() if why}


def _mark(session: Session, collection: Collection, broken: Mapping[int, list[str]]) -> Applied:
    marks = select(Exclusion).where(Exclusion.collection_id == collection.id)
    marked = {mark.rater_id: mark for mark in session.scalars(marks)}
    excluded = included = 0
    for rater, mark in marked.items():
        if mark.overruled:
            continue
        if rater in broken:
            mark.reasons = broken[rater]
        else:
            _member(session, collection, rater).excluded = False
            session.delete(mark)
            included += 1
    for rater in broken.keys() - marked.keys():
        member = _member(session, collection, rater)
        if member.excluded:  # by the admin, in a version that did not note it
            continue
        member.excluded = True
        session.add(
            Exclusion(rater_id=rater, collection_id=collection.id, reasons=broken[rater], overruled=False)
        )
        excluded += 1
    return Applied(excluded, included)


def overrule(session: Session, rater_id: int, collection_id: int) -> None:
    """Note that the admin decided about a rater, so that the rule leaves them alone."""
    mark = session.get(Exclusion, (rater_id, collection_id))
    if mark is None:
        mark = Exclusion(rater_id=rater_id, collection_id=collection_id, reasons=[])
        session.add(mark)
    mark.overruled, mark.decided_at = True, now()


def reasons_of(session: Session, collection: Collection) -> dict[int, str]:
    """Rater id -> why they are excluded, of all excluded raters."""
    rows = session.execute(
        select(Membership.rater_id, Exclusion.reasons)
        .outerjoin(
            Exclusion,
            (Exclusion.rater_id == Membership.rater_id)
            & (Exclusion.collection_id == Membership.collection_id),
        )
        .where(Membership.collection_id == collection.id, Membership.excluded)
    )
    return {rater: "; ".join(why) if why else "excluded by the admin" for rater, why in rows}


class Excluder:
    """Applies the rule of each collection in the background, whenever there are new answers.

    Args:
        database: The database.
        known: What is known about raters.
    """

    def __init__(self, database: Database, known: EvidenceCache) -> None:
        self._database = database
        self._known = known
        self._judged: dict[int, Any] = {}

    def advance(self, collection: Collection) -> bool:
        """Apply a collection's rule if its answers have changed; there is never more to do.

        Raises:
            StorageError: The database cannot be used.
        """
        if not collection.may_have_checks:
            return False
        with self._database.read() as session:
            if not checks_of(session, collection).excludes:
                return False
            state = state_of(session, collection)
        if self._judged.get(collection.id) != state:
            apply_rule(self._database, self._known, collection)
            self._judged[collection.id] = state
        return False


def _member(session: Session, collection: Collection, rater: int) -> Membership:
    """The rater's membership, added if the admin rates without one."""
    member = session.get(Membership, (rater, collection.id))
    if member is None:
        member = Membership(rater_id=rater, collection_id=collection.id)
        session.add(member)
    return member
