"""Feature vectors of pictures, stored with the scores."""

from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import delete, select

from nimakit.models.engine import Scorer
from nimakit.models.loading import load_model
from nimakit.models.score import Score
from nimakit.web.db.features import all_features, features_of
from nimakit.web.db.tables import Features, Image
from samples import write_photo
from web.conftest import MakeStudy
from web.study import Study, on_both


@pytest.fixture
def study(make_study: MakeStudy, tiny_file: Path) -> Study:
    """A study with a small model whose features depend on brightness."""
    return make_study(model=str(tiny_file))


def _kept(study: Study) -> dict[int, np.ndarray]:
    with study.database.read() as session:
        keys, vectors = all_features(session, study.collection)
    return dict(zip(keys.tolist(), vectors, strict=True))


def test_features_come_with_the_scores(study: Study, tiny_file: Path) -> None:
    """They match the engine's to half precision, for all pictures and for some of them."""
    paths = {image.id: study.folder / image.path for image in study.images}
    scores = Scorer(load_model(str(tiny_file))).score(paths.values())
    expected = {
        key: score.features for key, score in zip(paths, scores, strict=True) if isinstance(score, Score)
    }
    kept = _kept(study)
    assert kept.keys() == expected.keys()
    for key, vector in kept.items():
        assert vector == pytest.approx(expected[key], rel=1e-3)
    with study.database.read() as session:
        some = features_of(session, [*paths][:2])
    assert {key: vector.tolist() for key, vector in some.items()} == {
        key: kept[key].tolist() for key in [*paths][:2]
    }


def test_a_changed_picture_gets_new_features(study: Study) -> None:
    """Until it is scored again, it has no features."""
    changed = study.images[1]
    before = _kept(study)[changed.id]
    write_photo(study.folder / changed.path, 250, (80, 80))
    background = study.services.background
    background.wake(study.collection.id)
    background.once()
    assert (_kept(study)[changed.id] > before).all()


@on_both
def test_another_model_replaces_the_features(study: Study, score_file: Path) -> None:
    """The old model's features are deleted; without a model there are none."""
    visitor = study.visitor()
    page = {"name": "x", "experiment": "score", "scale": "1-10", "choices": "2", "ordering": "random"}
    visitor.post(visitor.address("settings"), {**page, "model": "", "is_open": "y"})
    assert _kept(study) == {}
    with study.database.read() as session:
        assert features_of(session, [image.id for image in study.images]) == {}
    study.services.background.once()
    with study.database.read() as session:
        assert session.scalars(select(Features)).all() == []
    visitor.post(visitor.address("settings"), {**page, "model": str(score_file), "is_open": "y"})
    study.services.background.once()
    assert len(_kept(study)) == len(study.images)


def test_pictures_scored_before_features_were_kept_get_them(study: Study) -> None:
    """Their scores stay the same."""
    before = {image.id: image.position for image in study.images}
    study.change(lambda session: session.execute(delete(Features)))
    study.services.background.wake(study.collection.id)
    study.services.background.once()
    assert len(_kept(study)) == len(study.images)
    assert {image.id: image.position for image in study.images} == before


def test_missing_pictures_are_left_out(study: Study) -> None:
    """Pictures that cannot be shown are not returned."""
    gone = study.images[0]
    study.change(lambda session: setattr(session.get_one(Image, gone.id), "state", "missing"))
    assert gone.id not in _kept(study)
