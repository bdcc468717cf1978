"""The platforms that raters are recruited on, and who a rater is there."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from nimakit.errors import UsageError
from nimakit.web.db.tables import PlatformId
from nimakit.web.languages import gettext

_ID = re.compile(r"[A-Za-z0-9_.:@-]{1,100}")
_PREVIEW = "ASSIGNMENT_ID_NOT_AVAILABLE"
"""The assignmentId that Mechanical Turk sends before a worker accepts a task."""


@dataclass(frozen=True, slots=True)
class Platform:
    """A platform, and the parameters that it adds to a study's link.

    Attributes:
        name: Its name.
        participant: Parameter with the rater's id.
        study: Parameter with the study's id.
        session: Parameter with the id of this rater's participation.
        query: What to append to the link where it is entered on the platform.
    """

    name: str
    participant: str
    study: str
    session: str
    query: str

    def trial(self, name: str) -> str:
        """What to append to the link to try a study, with the same made-up id for everything."""
        return "&".join(f"{key}={name}" for key in (self.participant, self.study, self.session))


PLATFORMS = {
    "prolific": Platform(
        "Prolific",
        "PROLIFIC_PID",
        "STUDY_ID",
        "SESSION_ID",
        "PROLIFIC_PID={{%PROLIFIC_PID%}}&STUDY_ID={{%STUDY_ID%}}&SESSION_ID={{%SESSION_ID%}}",
    ),
    "mturk": Platform(
        "Mechanical Turk",
        "workerId",
        "hitId",
        "assignmentId",
        "workerId=WORKER_ID&assignmentId=ASSIGNMENT_ID&hitId=HIT_ID",
    ),
}


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a rater is on a platform, with the attributes of `PlatformId`."""

    platform: str
    participant: str
    study: str = ""
    session: str = ""


def read_identity(query: Mapping[str, str], required: str = "") -> Identity | None:
    """Who a rater is, from the parameters of a link; None if it has none.

    Args:
        query: The parameters.
        required: Key of the platform that raters must come from; empty for any link.

    Raises:
        UsageError: A parameter is missing or invalid; the message is for the rater.
    """
    for key, platform in PLATFORMS.items():
        if platform.participant not in query or required not in ("", key):
            continue
        values = [query.get(name, "") for name in (platform.participant, platform.study, platform.session)]
        if _PREVIEW in values:
            raise UsageError(gettext("This is a preview. Accept the task first, then open its link."))
        if not all(_ID.fullmatch(value) for value in values if value) or not values[0]:
            raise UsageError(_incomplete(platform))
        return Identity(key, *values)
    refuse_unidentified(required)
    return None


def refuse_unidentified(required: str) -> None:
    """Refuse raters without an id on a platform.

    Args:
        required: Key of the platform that raters must come from; empty for none.

    Raises:
        UsageError: A platform is required; the message is for the rater.
    """
    if required:
        raise UsageError(_incomplete(PLATFORMS[required]))


def _incomplete(platform: Platform) -> str:
    text = "This link is incomplete. Open the study from %(platform)s, where the link contains your id."
    return gettext(text, platform=platform.name)


def find_identity(session: Session, collection_id: int, identity: Identity) -> PlatformId | None:
    """The rater of a collection with this id on its platform, in whichever session there."""
    return session.scalars(
        select(PlatformId).where(
            PlatformId.collection_id == collection_id,
            PlatformId.platform == identity.platform,
            PlatformId.participant == identity.participant,
        )
    ).one_or_none()
