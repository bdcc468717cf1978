"""Fixtures: a collection that is rated as a study."""

import re
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from nimakit.web.db.tables import Invitation, Participation, PlatformId
from nimakit.web.db.tables import Study as StudyTable
from web.study import Study, Visitor

PROLIFIC = "?PROLIFIC_PID=5f0a{0}&STUDY_ID=61b2&SESSION_ID=77c{0}"
TEXTS = {
    "consent": "# Who we are\n\nYou may **stop** at any time. <script>alert(1)</script>",
    "instructions": "Rate how good each photograph *looks*.",
    "examples": "photo 0 | dark: about 2",
    "practice": "photo 1.jpg | 1-3 | It is dark.\nmore/photo 5.png | 8 |",
    "practice_needed": "1",
}


class Way:
    """A study, and what its raters do."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.admin = study.visitor()
        self.problems: list[str] = []

    def save(self, **values: Any) -> TestResponse:
        """Save the Study page; fields that are not given are blank."""
        blank = dict.fromkeys(("quota", "places", "minutes", "practice_needed"), "")
        answer = self.admin.post(self.admin.address("study/settings"), {"is_on": "y", **blank, **values})
        self.problems = re.findall(r'role="alert">([^<]+)', answer.text)
        return answer

    @property
    def link(self) -> str:
        """The path of the study's link."""
        with self.study.database.read() as session:
            study = session.scalars(select(StudyTable)).one()
            invitation = session.get_one(Invitation, study.invitation_id)
        return "/study/" + self.study.services.links.invitation(invitation)

    def join(self, query: str = "", visitor: Visitor | None = None) -> tuple[Visitor, TestResponse]:
        """Open the link and agree to the latest version."""
        visitor = visitor or self.study.visitor()
        return visitor, visitor.post(self.link + query, {"version": str(self.version)})

    @property
    def version(self) -> int:
        """Number of the latest version."""
        from nimakit.web.study.participation import latest_version

        with self.study.database.read() as session:
            version = latest_version(session, self.study.collection.id)
        assert version is not None
        return version.number

    def rated(self, visitor: Visitor) -> list[int]:
        """Rate what the deck gives, to its end; the ids of the pictures."""
        images = []
        while items := visitor.deck(amount=1)["items"]:
            images.append(items[0]["id"])
            visitor.rate(images[-1], 7)
        return images

    def participations(self) -> list[Participation]:
        """All, in the order of the raters."""
        with self.study.database.read() as session:
            return list(session.scalars(select(Participation).order_by(Participation.rater_id)))

    def platform_ids(self) -> list[PlatformId]:
        """All, in the order of the raters."""
        with self.study.database.read() as session:
            return list(session.scalars(select(PlatformId).order_by(PlatformId.rater_id)))

    def change(self, **values: Any) -> None:
        """Change all participations."""

        def act(session: Session) -> None:
            for one in session.scalars(select(Participation)):
                for key, value in values.items():
                    setattr(one, key, value)

        self.study.change(act)


@pytest.fixture
def way(study: Study) -> Way:
    """A collection of six photographs without a study yet."""
    return Way(study)
