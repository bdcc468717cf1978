"""The app of a test, and visitors of it without a browser."""

import csv
import io
import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from nimakit.images.photo import DECODED_BYTES, MAX_PIXELS
from nimakit.serving.admission import Admission
from nimakit.web.accounts import raters
from nimakit.web.app import services_of
from nimakit.web.db.database import Database
from nimakit.web.db.tables import Collection, Event, Image, Invitation, Rater, Rating
from nimakit.web.predictions.scores import Predictor

JSON = {"Accept": "application/json"}

SQLITE, POSTGRESQL = "sqlite", "postgresql"

on_both = pytest.mark.parametrize(
    "engine", [SQLITE, pytest.param(POSTGRESQL, marks=pytest.mark.slow)], indirect=True
)
"""Marks tests that run on either database: on PostgreSQL among the slow tests."""


class Study:
    """The app of a test."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.services = services_of(app)

    @property
    def database(self) -> Database:
        """Its database."""
        return self.services.database

    def predictor(self) -> Predictor:
        """A new predictor, as in a new process."""
        return Predictor(self.database, Admission(DECODED_BYTES * MAX_PIXELS), MAX_PIXELS)

    @property
    def collection(self) -> Collection:
        """Its first collection."""
        with self.database.read() as session:
            return session.scalars(select(Collection).order_by(Collection.id)).all()[0]

    @property
    def folder(self) -> Path:
        """The folder of its first collection."""
        return Path(self.collection.folder)

    @property
    def images(self) -> list[Image]:
        """The pictures of all collections, sorted by path."""
        with self.database.read() as session:
            return list(session.scalars(select(Image).order_by(Image.path)))

    @property
    def ratings(self) -> list[Rating]:
        """The current ratings, in order of time."""
        with self.database.read() as session:
            return list(session.scalars(select(Rating).order_by(Rating.occurred_at, Rating.event_id)))

    @property
    def events(self) -> list[Event]:
        """All events, in order of arrival."""
        with self.database.read() as session:
            return list(session.scalars(select(Event).order_by(Event.id)))

    def change(self, action: Callable[[Session], Any]) -> Any:
        """Change the database."""
        with self.database.write() as session:
            return action(session)

    def set(self, **values: Any) -> None:
        """Change the first collection without checking rules."""

        def act(session: Session) -> None:
            collection = session.get_one(Collection, self.collection.id)
            for key, value in values.items():
                setattr(collection, key, value)

        self.change(act)
        self.services.candidates.invalidate(self.collection.id)

    def visitor(self) -> "Visitor":
        """A visitor without a session; for a local app, the local rater."""
        return Visitor(self)

    def rater(self, name: str = "Ann") -> "Visitor":
        """A visitor who joined by an invitation."""

        def invite(session: Session) -> Invitation:
            invitation = Invitation(collection_id=self.collection.id)
            session.add(invitation)
            session.flush()
            return invitation

        token = self.services.links.invitation(self.change(invite))
        visitor = self.visitor()
        visitor.post(f"/join/{token}", {"name": name})
        return visitor

    def admin(self) -> "Visitor":
        """A visitor who signed in as admin."""
        password = secrets.token_hex(8)
        self.change(lambda session: raters.set_password(session, password))
        visitor = self.visitor()
        answer = visitor.post("/login", {"password": password})
        assert answer.status_code == 302, answer.text
        return visitor


class Visitor:
    """A browser without JavaScript: cookies, CSRF tokens, and answers."""

    def __init__(self, study: Study) -> None:
        self.client = study.app.test_client()
        self.study = study

    def get(self, address: str, **options: Any) -> TestResponse:
        """A page."""
        return self.client.get(address, buffered=True, **options)

    def post(self, address: str, form: dict[str, Any], **options: Any) -> TestResponse:
        """Post a form with the CSRF token."""
        return self.client.post(address, data={"csrf_token": self.token(), **form}, **options)

    def get_json(self, address: str) -> Any:
        """Get JSON, as scripts do."""
        answer = self.client.get(address, headers=JSON)
        assert answer.status_code == 200, answer.text
        return answer.json

    def post_json(self, address: str, body: Any, token: str | None = None) -> TestResponse:
        """Post JSON, as scripts do."""
        return self.client.post(address, json=body, headers={**JSON, "X-CSRFToken": token or self.token()})

    def table(self, name: str) -> list[dict[str, str]]:
        """A CSV file of the page Export and import."""
        answer = self.get(self.address(f"transfer/{name}"))
        assert answer.status_code == 200, answer.text
        return list(csv.DictReader(io.StringIO(answer.text)))

    def token(self) -> str:
        """The CSRF token of a page."""
        page = self.client.get("/welcome").text
        found = re.search(r'name="csrf-token" content="([^"]+)"', page)
        assert found
        return found[1]

    @property
    def code(self) -> str:
        """The visitor's pseudonym."""
        code: str = self.get_json("/session")["rater"]
        return code

    def deck(self, **query: Any) -> Any:
        """The deck."""
        return self.get_json(self.address("deck", **query))

    def send(self, *events: dict[str, Any], rater: str | None = None) -> TestResponse:
        """Send events; missing ids are generated."""
        named = [{"id": secrets.token_hex(8), **event} for event in events]
        own = self.get_json("/session") if rater is None else {"rater": rater, "csrf": None}
        return self.post_json(self.address("events"), {"rater": own["rater"], "events": named}, own["csrf"])

    def rate(self, image: int, value: float, **rest: Any) -> Any:
        """Rate a picture and return the answer."""
        answer = self.send({"kind": "rating", "image": image, "value": value, **rest})
        assert answer.status_code == 200, answer.text
        return answer.json

    def address(self, page: str, **query: Any) -> str:
        """The address of a page of the first collection."""
        asked = "&".join(f"{key}={value}" for key, value in query.items())
        return f"/c/{self.study.collection.slug}/{page}" + (f"?{asked}" if asked else "")

    @property
    def rater(self) -> Rater:
        """The visitor's rater."""
        with self.study.database.read() as session:
            return session.scalars(select(Rater).where(Rater.code == self.code)).one()
