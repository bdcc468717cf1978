"""What picks in a cull teach: comparisons, and a taste."""

from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from nimakit.web.db.features import write_features
from nimakit.web.db.tables import GroupedImage, Taste
from nimakit.web.predictions import tastes
from nimakit.web.predictions.picks import compared
from nimakit.web.predictions.tastes import TasteLearner, personal_positions
from web.conftest import MakeStudy
from web.study import Study, Visitor


def _flag(visitor: Visitor, kind: str, images: list[int]) -> None:
    visitor.send(*({"kind": kind, "image": image} for image in images))


def _group(study: Study, kind: str) -> None:
    """Put all pictures into one group."""

    def store(session: Session) -> None:
        for place, image in enumerate(study.images):
            session.merge(
                GroupedImage(
                    image_id=image.id, collection_id=image.collection_id, number=0, place=place, kind=kind,
                    scene=0, measures={},
                )
            )  # fmt: skip

    study.change(store)


def test_a_pick_beats_the_rejects_of_its_group_unless_it_is_kept_whole(make_study: MakeStudy) -> None:
    """Undecided pictures and unflagged ones are in no comparison; a bracket has none."""
    study = make_study()
    study.set(experiment="cull")
    _group(study, "burst")
    visitor, keys = study.visitor(), [image.id for image in study.images]
    _flag(visitor, "pick", keys[:1])
    _flag(visitor, "reject", keys[1:4])
    _flag(visitor, "unflag", keys[3:4])
    for kind, expected in (
        ("burst", {(keys[0], keys[1], 1.0), (keys[0], keys[2], 1.0)}),
        ("bracket", set[object]()),
    ):
        _group(study, kind)
        with study.database.read() as session:
            assert set(compared(session, study.collection, visitor.rater.id)) == expected


def test_picks_train_the_taste_without_a_single_rating(
    make_study: MakeStudy, tiny_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once there are enough comparisons there is a taste, and it raises the picks more than their rejects."""
    monkeypatch.setattr(tastes, "FEWEST", 5)  # p picks and r rejects count p + r - 1
    study = make_study(model=str(tiny_file), personal=True)
    model = study.services.background.model(study.collection)
    assert model is not None
    learner = TasteLearner(study.database, tmp_path)
    study.set(experiment="cull", low=1, high=5)
    _group(study, "burst")
    visitor, keys = study.visitor(), [image.id for image in study.images]
    vectors = {key: np.array([place < 3, 0.5, 0.1 * place], np.float32) for place, key in enumerate(keys)}
    study.change(lambda session: write_features(session, vectors))
    _flag(visitor, "pick", keys[:3])
    _flag(visitor, "reject", keys[3:5])
    assert not learner.advance(study.collection, model)
    _flag(visitor, "reject", keys[5:])
    assert learner.advance(study.collection, model)
    assert not learner.advance(study.collection, model)
    with study.database.read() as session:
        assert session.scalars(select(Taste.ratings)).all() == [0]
        taste = personal_positions(session, study.collection, visitor.rater, study.images)
    generic = {image.id: image.position or 0 for image in study.images}
    shifts = [taste[key] - generic[key] for key in keys]
    assert min(shifts[:3]) > max(shifts[3:])
