"""A study of data/samples with made-up raters, the same at every run, for the screenshots in the docs."""

import shutil
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from flask import Flask
from PIL import Image as Picture
from sqlalchemy import select
from sqlalchemy.orm import Session

from nimakit.stats.best_worst import balanced_sets
from nimakit.web.accounts import raters as rater_accounts
from nimakit.web.app import create_app, services_of
from nimakit.web.collections.lifecycle import archive, delete
from nimakit.web.collections.setup import DEFAULT_MODEL, add_collection
from nimakit.web.db.queries import lock_raters
from nimakit.web.db.tables import (
    BEST_WORST,
    CHOICE,
    LOCAL,
    OK,
    RATING,
    REPEAT,
    TIE,
    Checks,
    Choice,
    Collection,
    Image,
    Invitation,
    Membership,
    Participation,
    Rater,
    Study,
    StudyVersion,
    now,
)
from nimakit.web.predictions.tastes import FEWEST
from nimakit.web.rating.checks import DEFAULTS
from nimakit.web.rating.store import NewEvent, store_events
from nimakit.web.settings import PASSWORD_VARIABLE, SECRET_VARIABLE, read_settings
from nimakit.web.study.exclusion import apply_rule
from nimakit.web.study.gold import set_gold
from nimakit.web.study.participation import agree, finish, finish_reading
from nimakit.web.study.setup import save_study

END = datetime(2026, 5, 4, 17, 30, tzinfo=UTC)
"""Time of the last rating."""

SAMPLES = Path(__file__).parents[1] / "data" / "samples"
_SECRET = 48 * "s"
_NAMES = ("Ada", "Ben", "Chiara", "Dmitri", "Emi", "Farid", "Greta", "Hana")
_LIKED = {"dandelions_12mp": 7.6, "landscape": 8.1, "courtyard": 5.8, "otter_blurred": 3.2, "room": 4.4}
"""Mean ratings of some pictures, from 1 to 10. The others get random means from 4 to 7."""
_GOLD = {"landscape": (6, 10), "otter_blurred": (1, 4)}
"""Right ratings of the gold pictures."""
_LEARNED_AFTER = 40
"""Ratings after which the model is learned again, so that its curve has several points."""
_GRID = (4, 3)
"""Columns and rows of the details that each photograph is cut into."""
_FINISHED = 6
"""Raters of the study with consent who have finished; the others are under way."""
QUOTA = 3
"""Pictures that each rater of the study with consent rates."""
_CONSENT = """## What this study is about

We want to learn **how good photographs look** to people. You will rate a few pictures; this takes about
five minutes.

- You can stop at any time by closing the page.
- We store your ratings and when you gave them, by a pseudonym.
- The ratings will be published. They do not name you.

Questions? Write to <study@example.org>.
"""
_INSTRUCTIONS = """Rate each photograph from 1 to 10. There is no wrong answer: your *first impression*
counts.

| rating | meaning |
|---|---|
| 1 | you would delete it |
| 5 | neither good nor bad |
| 10 | you would hang it on your wall |
"""
_SETS = 6
"""Sets of which each rater chooses the best and the worst."""
_HOURS = (2, 3, 4, 22, 23, 25, 26, 27, 46, 47, 49, 50, 51, 52)
"""Hours before `END` at which people rate."""


def make(data_dir: Path, photos: Path, *, model: str = DEFAULT_MODEL, seed: int = 7) -> Flask:
    """The app with the study, for this machine only, without background work.

    Args:
        data_dir: An empty folder for its database.
        photos: A new folder to copy the photographs to; pages show its path.
        model: The model that predicts scores.
        seed: Seed of the ratings.
    """
    _copy_samples(photos)
    settings = read_settings(folders=(photos,), data_dir=data_dir, environment={SECRET_VARIABLE: _SECRET})
    app = create_app(settings, background=False)
    services = services_of(app)
    with services.database.write() as session:
        rater_accounts.local_rater(session).code = "r0000000"  # orders depend on it
        one = add_collection(session, photos, name="Samples", model=model, wanted=10)
        one.repeats, one.blind, one.sign_up = 0.25, False, True
        two = add_collection(session, photos, name="Predictions", experiment="rate", model=model)
        two.personal = True
        add_collection(session, photos, name="Comparisons", experiment="preference")
        add_collection(session, photos, name="Best and worst", experiment=BEST_WORST, choices=5)
    services.background.once()
    with services.database.write() as session:
        collections = session.scalars(select(Collection).order_by(Collection.id)).all()
        scores, predictions, comparisons, sets = collections
        raters = _raters(session, collections)
        rng = np.random.default_rng(seed)
        events = _ratings(session, scores, raters, rng)
        events += _ratings(session, predictions, raters[:3], rng, own=FEWEST)
        events += _choices(session, comparisons, raters[:6], rng)
        events += _best_and_worst(session, sets, raters[:3], rng)
        lock_raters(session, {rater.id for rater in raters})
        store_events(session, events)
        _check(session, scores)
        archive(add_collection(session, photos, name="First try"))
        delete(add_collection(session, photos, name="Test"))
    apply_rule(services.database, services.evidence, scores)
    services.background.once()  # learns their tastes
    return app


def _copy_samples(photos: Path) -> None:
    """Copy the photographs, which have a README, to a new folder."""
    shutil.copytree(SAMPLES, photos, ignore=shutil.ignore_patterns("*.md"))


def _check(session: Session, collection: Collection) -> None:
    """Set gold pictures, and the rule that excludes raters who miss them."""
    values = DEFAULTS | {"excludes": True, "attention_every": 15}
    session.add(Checks(collection_id=collection.id, **values))
    for image in _images(session, collection):
        if image.image_id in _GOLD:
            low, high = _GOLD[image.image_id]
            set_gold(session, collection, image, low=low, high=high)


def make_asking(data_dir: Path, photos: Path) -> Flask:
    """An app whose collection is a study with consent, practice and a completion code.

    Args:
        data_dir: An empty folder for its database.
        photos: A new folder to copy the photographs to; pages do not show its path.
    """
    _copy_samples(photos)
    settings = read_settings(folders=(photos,), data_dir=data_dir, environment={SECRET_VARIABLE: _SECRET})
    app = create_app(settings, background=False)
    services = services_of(app)
    with services.database.write() as session:
        add_collection(session, photos, name="Samples")
    services.background.once()
    with services.database.write() as session:
        collection = session.scalars(select(Collection)).one()
        values = {
            "is_on": True,
            "platform": "",
            "may_skip": False,
            "redirects": False,
            "quota": QUOTA,
            "places": 40,
            "minutes": 45,
            "practice_needed": 0,
            "thanks": "Your ratings help us to learn what people like.",
            "code": "C1K4T7QZ",
            "link": "https://app.prolific.com/submissions/complete?cc={code}",
        }
        texts = {
            "consent": _CONSENT,
            "instructions": _INSTRUCTIONS,
            "examples": [
                {"picture": "landscape.jpg", "text": "Clear light, a calm composition: 8 or 9."},
                {"picture": "room.jpg", "text": "Nothing wrong, nothing special: about 5."},
            ],
            "practice": [
                {
                    "pictures": ["otter_blurred.jpg"],
                    "low": 1,
                    "high": 4,
                    "text": "The otter is blurred: a good moment does not make up for it.",
                }
            ],
        }
        save_study(session, collection, values, texts)
        _participate(session, collection)
    return app


def _participate(session: Session, collection: Collection) -> None:
    """Raters agree to take part; most of them have finished."""
    study = session.get_one(Study, collection.id)
    version = session.scalars(select(StudyVersion)).one()
    for number, rater in enumerate(_raters(session, [collection])[1:]):
        agree(session, study, rater, version)
        participation = session.get_one(Participation, (rater.id, collection.id))
        finish_reading(session, participation)
        participation.ready_at, participation.practice_rounds = now(), 1
        if number < _FINISHED:
            finish(study, participation)


def start(app: Flask) -> str:
    """The path of the link of a study made by `make_asking`."""
    services = services_of(app)
    with services.database.read() as session:
        invitation = session.get_one(Invitation, session.scalars(select(Study)).one().invitation_id)
        return "study/" + services.links.invitation(invitation)


def make_learning(data_dir: Path, photos: Path, *, model: str = DEFAULT_MODEL) -> Flask:
    """An app that has learned a model from ratings of many details of the photographs.

    Args:
        data_dir: An empty folder for its database.
        photos: A new folder for the details; pages do not show its path.
        model: The model that predicts scores.
    """
    photos.mkdir(parents=True)
    for path in sorted(SAMPLES.glob("*.jpg")):
        with Picture.open(path) as opened:
            _cut(opened.convert("RGB"), photos / path.stem)
    settings = read_settings(folders=(photos,), data_dir=data_dir, environment={SECRET_VARIABLE: _SECRET})
    app = create_app(settings, background=False)
    services = services_of(app)
    rng = np.random.default_rng(1)
    with services.database.write() as session:
        collection = add_collection(session, photos, name="Details", model=model)
    services.background.once()
    with services.database.write() as session:
        raters = _raters(session, [collection])[1:]
        events = [
            _event(
                collection,
                rater,
                rng,
                RATING,
                image.id,
                value=_colourfulness(photos / image.path, rng),
                round=0,
            )
            for image in _images(session, collection)
            for rater in rng.choice(np.array(raters, object), 3, replace=False)
        ]
        rng.shuffle(events)
    for part in range(0, len(events), _LEARNED_AFTER):
        with services.database.write() as session:
            store_events(session, events[part : part + _LEARNED_AFTER])
        services.background.once()
    return app


def _cut(photo: Picture.Image, name: Path) -> None:
    """Save the details of a photograph."""
    columns, rows = _GRID
    width, height = photo.width // columns, photo.height // rows
    for place in range(columns * rows):
        left, top = place % columns * width, place // columns * height
        detail = photo.crop((left, top, left + width, top + height))
        detail.thumbnail((240, 240))
        detail.save(f"{name} {place}.jpg")


def _colourfulness(path: Path, rng: np.random.Generator) -> int:
    """A rating from 1 to 10 by somebody who likes saturated and bright details."""
    with Picture.open(path) as opened:
        _, saturation, value = (
            band.mean() / 255 for band in np.moveaxis(np.asarray(opened.convert("HSV")), 2, 0)
        )
    return round(float(np.clip(2 + 5 * saturation + 4 * value + rng.normal(0, 1.2), 1, 10)))


def for_strangers(data_dir: Path, photos: Path) -> Flask:
    """The app with the same study, for visitors who have not signed in."""
    environment = {SECRET_VARIABLE: _SECRET, PASSWORD_VARIABLE: "of nobody at all"}
    settings = read_settings(
        folders=(photos,), data_dir=data_dir, url="http://127.0.0.1", environment=environment
    )
    return create_app(settings, background=False)


def places(app: Flask) -> dict[str, str]:
    """Parts of paths made with the study: ``invitation``, personal ``link``, ``comparison``, ``rater``."""
    services = services_of(app)
    with services.database.read() as session:
        invitation = session.scalars(select(Invitation)).one()
        first = select(Choice).join(Rater).where(Rater.role == LOCAL, Choice.kind == CHOICE)
        choice = session.scalars(first.order_by(Choice.trial).limit(1)).one()
        ada = session.scalars(select(Rater).where(Rater.name == _NAMES[0])).one()
        return {
            "invitation": services.links.invitation(invitation),
            "link": services.links.personal(ada),
            "comparison": f"{choice.rater_id}/{choice.trial}",
            "rater": str(ada.id),
        }


def _raters(session: Session, collections: Sequence[Collection]) -> list[Rater]:
    """The raters, members of all collections; the local rater is first."""
    named = [Rater(code=f"r{n:07x}", name=name) for n, name in enumerate(_NAMES, start=0xA11CE)]
    session.add_all(named)
    session.add(Invitation(collection_id=collections[0].id, label="Photo club", uses=len(named), max_uses=20))
    session.flush()
    for collection in collections:
        session.add_all(Membership(rater_id=rater.id, collection_id=collection.id) for rater in named)
    return [rater_accounts.local_rater(session), *named]


def _liking(images: Sequence[Image], rng: np.random.Generator) -> dict[int, float]:
    return {image.id: _LIKED.get(image.image_id, rng.uniform(4, 7)) for image in images}


def _ratings(
    session: Session,
    collection: Collection,
    raters: Sequence[Rater],
    rng: np.random.Generator,
    own: int = 5,
) -> list[NewEvent]:
    """Ratings of most pictures by each rater, a quarter of them repeated.

    The first rater rates ``own`` pictures; the last gives every picture the same rating.
    """
    images, events = _images(session, collection), []
    liking = _liking(images, rng)
    for person, rater in enumerate(raters):
        kindness, care = rng.normal(0, 0.6), rng.uniform(0.7, 1.3)
        share = 1.0 if person == 0 else rng.uniform(0.75, 1)
        for image in images[:own] if person == 0 else images:
            again = rng.random() < 0.25
            for turn in (0, REPEAT)[: 1 + again] if rng.random() < share else ():
                value = round(float(np.clip(rng.normal(liking[image.id] + kindness, care), 1, 10)))
                if person == len(_NAMES):
                    value = 5
                events.append(_event(collection, rater, rng, RATING, image.id, value=value, round=turn))
    return events


def _choices(
    session: Session, collection: Collection, raters: Sequence[Rater], rng: np.random.Generator
) -> list[NewEvent]:
    """Choices by each rater for a part of all pairs."""
    images, events = _images(session, collection), []
    liking = _liking(images, rng)
    for rater in raters:
        for left, right in combinations([image.id for image in images], 2):
            gap = liking[left] - liking[right] + rng.normal(0, 1.4)
            if rng.random() < 0.35:
                kind, chosen = (TIE, None) if abs(gap) < 0.3 else (CHOICE, left if gap > 0 else right)
                trial = rng.bytes(8).hex()
                events.append(
                    _event(collection, rater, rng, kind, chosen, trial=trial, shown=[left, right], round=0)
                )
    return events


def _best_and_worst(
    session: Session, collection: Collection, raters: Sequence[Rater], rng: np.random.Generator
) -> list[NewEvent]:
    """The best and the worst of balanced sets, a few for each rater."""
    images, events = _images(session, collection), []
    liking, keys = _liking(images, rng), np.array([image.id for image in images])
    for rater in raters:
        for row in balanced_sets(len(keys), size=collection.choices, sets=_SETS, generator=rng):
            shown = keys[row].tolist()
            seen = sorted(shown, key=lambda image: liking[image] + rng.normal(0, 1.4))
            events.append(
                _event(
                    collection,
                    rater,
                    rng,
                    CHOICE,
                    seen[-1],
                    worst_id=seen[0],
                    trial=rng.bytes(8).hex(),
                    shown=shown,
                    round=0,
                )
            )
    return events


def _event(
    collection: Collection, rater: Rater, rng: np.random.Generator, kind: str, image: int | None, **more: Any
) -> NewEvent:
    at = END - timedelta(hours=int(rng.choice(_HOURS)), seconds=int(rng.integers(3600)))
    return NewEvent(
        client_id=rng.bytes(8).hex(),
        collection_id=collection.id,
        rater_id=rater.id,
        kind=kind,
        image_id=image,
        occurred_at=at,
        received_at=at,
        elapsed_ms=int(rng.integers(1500, 9000)),
        source="app",
        **more,
    )


def _images(session: Session, collection: Collection) -> list[Image]:
    wanted = select(Image).where(Image.collection_id == collection.id, Image.state == OK)
    return list(session.scalars(wanted.order_by(Image.path)))
