"""How the raters of a collection differ."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Picture
from sqlalchemy import update
from sqlalchemy.orm import Session

from nimakit.models.loading import load_model
from nimakit.web.accounts import raters
from nimakit.web.db.tables import RATING, Collection, Image, Membership, Taste, now
from nimakit.web.predictions import population
from nimakit.web.predictions.population import Populations
from nimakit.web.rating.store import NewEvent, store_events
from nimakit.web.settings import Settings
from web.colours import random_colours
from web.conftest import MakeStudy
from web.study import Study

COUNT = 24
RATERS = 24
RATED = 12


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """An app over pictures of random colours."""
    return random_colours(tmp_path, COUNT)


@pytest.fixture
def study(
    make_study: MakeStudy, settings: Settings, tiny_file: Path, monkeypatch: pytest.MonkeyPatch
) -> Study:
    """A study with enough raters for a population; half of them like red, the others blue."""
    monkeypatch.setattr(population, "MIN_RATERS", RATERS)
    monkeypatch.setattr(population, "MIN_RATINGS", RATED)
    study = make_study(settings, model=str(tiny_file), personal=True)
    random = np.random.default_rng(0)
    pixels = [Picture.open(study.folder / image.path).getpixel((0, 0)) for image in study.images]

    def rate(session: Any) -> None:
        ids = raters.raters_with_codes(
            session, [f"u{number}" for number in range(RATERS)], study.collection.id
        )
        acts = []
        for number, rater in enumerate(ids.values()):
            for place in random.permutation(COUNT)[:RATED]:
                liked = pixels[place][0 if number % 2 else 2]
                acts.append(
                    NewEvent(
                        client_id=f"{number}-{place}",
                        collection_id=study.collection.id,
                        rater_id=rater,
                        kind=RATING,
                        image_id=study.images[place].id,
                        value=round(1 + 9 * liked / 255),
                        occurred_at=now(),
                        received_at=now(),
                        source="import",
                    )
                )
        store_events(session, acts)

    study.change(rate)
    return study


def _population(study: Study, populations: Populations, collection: Collection | None = None) -> Any:
    collection = collection or study.collection
    return populations.population(collection, load_model(str(collection.model)))


def test_a_new_rater_is_placed_among_many(study: Study) -> None:
    """All tastes of such a collection are learned by factors; in rounds, as there are many."""
    study.services.background.once()
    with study.database.read() as session:
        assert [one.method for one in session.query(Taste)] == ["factors"] * RATERS


def test_too_few_raters_are_no_population(study: Study) -> None:
    """One who is left out of exports and figures does not count."""
    populations = Populations(study.database)
    assert _population(study, populations).raters == RATERS
    one = update(Membership).where(Membership.rater_id == 3)
    study.change(lambda session: session.execute(one.values(excluded=True)))
    assert _population(study, populations) is None


def test_it_is_learned_anew_once_more_pictures_were_looked_at(study: Study) -> None:
    """The model may have scored few pictures so far; with too few there is no population yet."""
    populations = Populations(study.database)
    study.change(lambda session: session.execute(update(Image).values(position=None)))
    images = study.images
    assert _population(study, populations) is None
    for count in (12, COUNT):
        chosen = [image.id for image in images[:count]]
        looked = update(Image).where(Image.id.in_(chosen)).values(position=0.5)
        study.change(partial(Session.execute, statement=looked))
        assert len(_population(study, populations).expected) == count


def test_it_is_learned_once_until_it_has_grown(study: Study, score_file: Path) -> None:
    """Or another model is used."""
    populations = Populations(study.database)
    first = _population(study, populations)
    assert _population(study, populations) is first
    study.set(model=str(score_file))
    assert _population(study, populations) is not first
