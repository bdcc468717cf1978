"""How far a rater is in a study: places, consent, instructions, practice, and the end."""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Literal

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from nimakit.errors import UsageError
from nimakit.web.db.tables import Membership, Participation, Rater, Study, StudyVersion, now
from nimakit.web.languages import gettext

Step = Literal["consent", "instructions", "practice", "rate", "done"]

_CODE_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_CODE_LENGTH = 8
_EPOCH = datetime.fromtimestamp(0, UTC)


def step_of(participation: Participation | None) -> Step:
    """The next step of a rater in a study."""
    if participation is None:
        return "consent"
    if participation.finished_at is not None:
        return "done"
    if participation.read_at is None:
        return "instructions"
    return "practice" if participation.ready_at is None else "rate"


def latest_version(session: Session, collection_id: int) -> StudyVersion | None:
    """The version of a study's texts that new raters see."""
    versions = select(StudyVersion).where(StudyVersion.collection_id == collection_id)
    return session.scalars(versions.order_by(StudyVersion.number.desc()).limit(1)).first()


def has_lost_place(study: Study, participation: Participation) -> bool:
    """Whether a rater took longer than the study allows, so that their place may be given to another."""
    return participation.finished_at is None and participation.started_at < _oldest(study)


def places_taken(session: Session, study: Study) -> int:
    """Number of places that are taken: by raters who finished or have time left, and are not excluded."""
    taken = or_(Participation.finished_at.is_not(None), Participation.started_at >= _oldest(study))
    wanted = (
        select(func.count())
        .select_from(Participation)
        .join(Rater, Rater.id == Participation.rater_id)
        .join(
            Membership,
            (Membership.rater_id == Participation.rater_id)
            & (Membership.collection_id == Participation.collection_id),
        )
        .where(Participation.collection_id == study.collection_id, taken, ~Membership.excluded)
    )
    return session.scalar(wanted) or 0


def agree(session: Session, study: Study, rater: Rater, version: StudyVersion) -> None:
    """Give a rater a place in a study, after they agreed to a version of its texts.

    Args:
        session: From `Database.write`.
        study: The study, locked by `lock_study`.
        rater: A member of the collection; for those who have agreed before, nothing changes.
        version: The version.

    Raises:
        UsageError: All places are taken.
    """
    if session.get(Participation, (rater.id, study.collection_id)) is not None:
        return
    if not rater.is_admin:
        refuse_full(session, study)
    at = now()
    read_at = None if version.instructions or version.examples else at
    session.add(
        Participation(
            rater_id=rater.id,
            collection_id=study.collection_id,
            version_id=version.id,
            agreed_at=at,
            started_at=at,
            read_at=read_at,
            ready_at=None if version.practice else read_at,
        )
    )
    session.flush()


def refuse_full(session: Session, study: Study) -> None:
    """Refuse new raters if all places of a study are taken.

    Raises:
        UsageError: They are.
    """
    if is_full(session, study):
        raise UsageError(gettext("All places of this study are taken. Thank you for your interest."))


def is_full(session: Session, study: Study) -> bool:
    """Whether all places of a study are taken."""
    return study.places is not None and places_taken(session, study) >= study.places


def keep_place(session: Session, study: Study, participation: Participation) -> bool:
    """Give a rater who took too long their place back if there is one left; whether there was.

    Args:
        session: From `Database.write`.
        study: The study, locked by `lock_study`.
        participation: The rater's, attached to the session.
    """
    if not has_lost_place(study, participation):
        return True
    if is_full(session, study):
        return False
    participation.started_at = now()
    return True


def lock_study(session: Session, collection_id: int) -> Study:
    """The study of a collection, locked so that its last place is given only once."""
    return session.get_one(Study, collection_id, with_for_update=True, populate_existing=True)


def finish_reading(session: Session, participation: Participation) -> None:
    """Store that a rater has read the instructions; without practice they can begin to rate."""
    participation.read_at = participation.read_at or now()
    if not session.get_one(StudyVersion, participation.version_id).practice:
        participation.ready_at = participation.ready_at or now()


def finish(study: Study, participation: Participation) -> None:
    """Store that a rater has finished, and give them their completion code."""
    participation.finished_at = now()
    own = "".join(secrets.choice(_CODE_LETTERS) for _ in range(_CODE_LENGTH))
    participation.code = study.code or own


def _oldest(study: Study) -> datetime:
    """Raters who began before this have lost their places."""
    return _EPOCH if study.minutes is None else now() - timedelta(minutes=study.minutes)
