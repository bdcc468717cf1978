"""The table of participants: the raters who agreed to take part in a study, and how far they came."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from nimakit.web.db.tables import Collection, Membership, Participation, PlatformId, Rater, StudyVersion

COLUMNS = (
    "user_id",
    "version",
    "agreed",
    "practice_rounds",
    "ready",
    "finished",
    "excluded",
)
ID_COLUMNS = ("platform", "participant", "study", "session", "code")
"""Columns that name raters on their platform, only in the table that asks for them."""
_UNKNOWN = dict.fromkeys(ID_COLUMNS)


def participant_rows(
    session: Session, collection: Collection, *, with_ids: bool = False
) -> Iterator[dict[str, Any]]:
    """A row for each participant, in the order in which they agreed.

    Args:
        session: From `Database.read`.
        collection: The collection.
        with_ids: Whether to name raters on their platform as well.

    Yields:
        Rows of `COLUMNS`, and with ids of `ID_COLUMNS`; what is unknown is None.
    """
    rows = session.execute(
        select(Participation, Rater.code, StudyVersion, Membership.excluded)
        .join(Rater, Rater.id == Participation.rater_id)
        .join(StudyVersion, StudyVersion.id == Participation.version_id)
        .outerjoin(
            Membership,
            (Membership.rater_id == Participation.rater_id)
            & (Membership.collection_id == Participation.collection_id),
        )
        .where(Participation.collection_id == collection.id)
        .order_by(Participation.agreed_at, Participation.rater_id)
    )
    identities = _identities(session, collection) if with_ids else {}
    for one, code, version, excluded in rows:
        times = {"agreed": one.agreed_at, "ready": one.ready_at, "finished": one.finished_at}
        yield {
            "user_id": code,
            "version": version.number,
            **{key: at and at.isoformat() for key, at in times.items()},
            "practice_rounds": one.practice_rounds if version.practice and one.read_at else 0,
            "excluded": int(bool(excluded)),
            **({**identities.get(one.rater_id, _UNKNOWN), "code": one.code} if with_ids else {}),
        }


def _identities(session: Session, collection: Collection) -> dict[int, dict[str, Any]]:
    """Rater id -> who they are on their platform."""
    wanted = select(PlatformId).where(PlatformId.collection_id == collection.id)
    return {
        one.rater_id: {key: getattr(one, key) for key in ID_COLUMNS if key != "code"}
        for one in session.scalars(wanted)
    }
