"""Each rater's own predictions, learned from what they rated."""

from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Picture
from sqlalchemy import update
from sqlalchemy.orm import Session

from clients import client, service
from nimakit.models.taste import read_taste
from nimakit.web.collections.setup import change_collection
from nimakit.web.db.tables import Image, Rating, Taste
from nimakit.web.predictions.background import Background
from nimakit.web.predictions.tastes import AGAIN, FEWEST, learned_of, personal_positions
from nimakit.web.settings import Settings
from samples import metadata, write_model
from web.colours import random_colours
from web.conftest import MakeStudy
from web.study import Study, Visitor

COUNT = 60
RATED = 30


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """An app over pictures of random colours."""
    return random_colours(tmp_path, COUNT)


@pytest.fixture
def study(make_study: MakeStudy, settings: Settings, tiny_file: Path) -> Study:
    """Predictions to be corrected, each rater's own."""
    return make_study(settings, experiment="rate", model=str(tiny_file), personal=True)


def _redness(study: Study, image: Image) -> float:
    """From 1 to 10, what somebody says who likes red alone."""
    red = Picture.open(study.folder / image.path).getpixel((0, 0))[0]  # type: ignore[index]
    return round(1 + 9 * red / 255, 1)


def _rate(visitor: Visitor, count: int, first: int = 0) -> None:
    """Rate some pictures by their redness, in one go."""
    study = visitor.study
    chosen = study.images[first : first + count]
    events = [{"kind": "rating", "image": one.id, "value": _redness(study, one)} for one in chosen]
    assert len(visitor.send(*events).json["accepted"]) == count  # type: ignore[index]


def _learned(study: Study, visitor: Visitor) -> Taste | None:
    with study.database.read() as session:
        return learned_of(session, study.collection, visitor.rater)


def _file(study: Study, visitor: Visitor) -> Path:
    return study.services.settings.users_dir / study.collection.slug / f"{visitor.code}.taste"


def _deck(visitor: Visitor) -> dict[int, float]:
    return {item["id"]: item["predicted"] for item in visitor.deck(amount=30)["items"]}


def test_predictions_bend_to_a_taste_and_the_file_scores_over_http(study: Study, tiny_file: Path) -> None:
    """Pictures to come are predicted as they will be rated, and a server says the same of them."""
    visitor, images = study.visitor(), {image.id: image for image in study.images}
    for _ in range(RATED):
        [item] = visitor.deck(amount=1)["items"]
        visitor.rate(item["id"], _redness(study, images[item["id"]]), predicted=item["predicted"])
        study.services.background.once()
    generic, own = _deck(study.rater("Bea")), _deck(visitor)
    assert len(own) == COUNT - RATED
    liked = [_redness(study, images[key]) for key in own]
    before = float(np.corrcoef([generic.get(key, 5) for key in own], liked)[0, 1])
    assert np.corrcoef([*own.values()], liked)[0, 1] > max(0.9, before + 0.1)
    assert np.abs(np.array([*own.values()]) - liked).mean() < 0.6
    web = client(tiny_file, users_dir=str(_file(study, visitor).parent))
    for key, predicted in own.items():
        content = (study.folder / images[key].path).read_bytes()
        form = {"image": (BytesIO(content), "a.png")}
        answer = web.post(f"/predict?user={visitor.code}", data=form, content_type="multipart/form-data")
        assert answer.status_code == 200, answer.text
        assert answer.json[0]["mean_score_prediction"] == pytest.approx(predicted, abs=0.06)
    service(web).close()


def test_nothing_is_learned_before_there_is_enough(study: Study) -> None:
    """Nine ratings are too few; with the tenth there is a taste."""
    visitor = study.visitor()
    _rate(visitor, FEWEST - 1)
    study.services.background.once()
    assert _learned(study, visitor) is None
    assert not _file(study, visitor).exists()
    _rate(visitor, 1, FEWEST - 1)
    study.services.background.once()
    learned = _learned(study, visitor)
    assert learned is not None
    assert (learned.method, learned.ratings) == ("head", FEWEST)
    assert read_taste(_file(study, visitor)).ratings == FEWEST


def test_it_is_learned_anew_after_some_more(study: Study) -> None:
    """Not after each: and a rating that is corrected is as good as a new one."""
    visitor = study.visitor()
    _rate(visitor, FEWEST)
    study.services.background.once()
    _rate(visitor, AGAIN - 1, FEWEST)
    study.services.background.once()
    learned = _learned(study, visitor)
    assert learned is not None
    assert learned.ratings == FEWEST
    visitor.post(visitor.address(f"ratings/{study.images[0].id}"), {"value": "9"})
    study.services.background.once()
    learned = _learned(study, visitor)
    assert learned is not None
    assert learned.ratings == FEWEST + AGAIN - 1


def test_blind_raters_see_the_prediction_they_correct_alone(study: Study) -> None:
    """Their pages hide what a model says, for them too; the admin's do not."""
    ann, local = study.rater(), study.visitor()
    for visitor in (ann, local):
        _rate(visitor, FEWEST)
    study.services.background.once()
    picture = f"ratings/{study.images[0].id}"
    for page in ("ratings", picture):
        assert "or you" not in ann.get(ann.address(page)).text
        assert "or you" in local.get(local.address(page)).text
    assert "based on 10 of your ratings" in local.get(local.address("ratings")).text
    study.set(blind=False)
    for page in ("ratings", picture):
        assert "or you" in ann.get(ann.address(page)).text


def test_a_collection_without_it_learns_nothing(study: Study) -> None:
    """And shows nothing of what was learned before."""
    visitor = study.visitor()
    _rate(visitor, FEWEST)
    study.services.background.once()
    own = _deck(visitor)
    study.set(personal=False)
    generic = _deck(visitor)
    assert own != generic
    _rate(visitor, AGAIN, FEWEST)
    study.services.background.once()
    study.set(personal=True)
    learned = _learned(study, visitor)
    assert learned is not None
    assert learned.ratings == FEWEST


def test_another_model_begins_anew(study: Study, score_file: Path) -> None:
    """What was learned with the old one is forgotten, and learned with the new one."""
    visitor = study.visitor()
    _rate(visitor, FEWEST)
    study.services.background.once()
    before = read_taste(_file(study, visitor)).base

    def change(session: Any) -> None:
        change_collection(session, session.merge(study.collection), model=str(score_file))

    study.change(change)
    assert _learned(study, visitor) is None
    study.services.background.once()
    assert _learned(study, visitor) is not None
    assert not np.allclose(read_taste(_file(study, visitor)).base, before)


def test_personal_predictions_need_a_model(make_study: MakeStudy, settings: Settings) -> None:
    """The public one, where none is named."""
    study = make_study(settings, experiment="preference", personal=True, model="aesthetic")
    study.change(
        lambda session: change_collection(session, session.merge(study.collection), model=None, personal=True)
    )
    assert study.collection.model == "aesthetic"


def test_a_rater_whose_name_is_no_file_name_has_no_file(study: Study) -> None:
    """Imported raters are called whatever they are; what is predicted for them is their own all the same."""
    visitor = study.rater()
    rater = visitor.rater
    study.change(lambda session: setattr(session.merge(rater), "code", "../ann smith"))
    _rate(visitor, FEWEST)
    study.services.background.once()
    with study.database.read() as session:
        own = personal_positions(session, study.collection, rater, study.images)
    assert len(own) == COUNT
    assert not list(study.services.settings.users_dir.rglob("*.taste"))


def test_a_picture_without_features_has_no_personal_prediction(study: Study) -> None:
    """Until it is scored again it has the score for anybody, or none."""
    visitor = study.visitor()
    _rate(visitor, FEWEST)
    study.services.background.once()
    image = study.images[-1]
    study.change(lambda session: setattr(session.get_one(Image, image.id), "position", None))
    with study.database.read() as session:
        own = personal_positions(session, study.collection, visitor.rater, study.images)
    assert image.id not in own
    assert len(own) == COUNT - 1


def test_ratings_of_pictures_that_are_gone_are_not_learned_from(study: Study) -> None:
    """Nine that are left are too few."""
    visitor = study.visitor()
    _rate(visitor, FEWEST)
    study.change(lambda session: setattr(session.get_one(Image, study.images[0].id), "state", "missing"))
    study.services.background.once()
    assert _learned(study, visitor) is None
    with study.database.read() as session:
        assert session.query(Rating).count() == FEWEST


def test_a_model_trained_anew_begins_anew(make_study: MakeStudy, settings: Settings, tmp_path: Path) -> None:
    """Under its old name: what was learned with the old one is of no use with it."""
    model = write_model(tmp_path / "own.onnx", metadata())
    study = make_study(settings, experiment="rate", model=str(model), personal=True)
    visitor = study.visitor()
    _rate(visitor, FEWEST)
    study.services.background.once()
    before = read_taste(_file(study, visitor)).base
    write_model(model, metadata(), gain=-3.0)
    Background(
        study.database,
        study.services.candidates.invalidate,
        study.services.settings.users_dir,
        study.predictor(),
    ).once()
    assert _learned(study, visitor) is not None
    assert not np.allclose(read_taste(_file(study, visitor)).base, before)


def test_a_copy_with_the_old_model_leaves_everything_alone(
    make_study: MakeStudy, settings: Settings, tmp_path: Path
) -> None:
    """One that was started before the file changed: neither scores nor tastes of the old model come back."""
    model = write_model(tmp_path / "own.onnx", metadata())
    study = make_study(settings, experiment="rate", model=str(model), personal=True)
    visitor = study.visitor()
    _rate(visitor, FEWEST)
    write_model(model, metadata(), gain=-3.0)
    newer = Background(
        study.database,
        study.services.candidates.invalidate,
        study.services.settings.users_dir,
        study.predictor(),
    )
    newer.once()
    [scores, kept] = [image.position for image in study.images], read_taste(_file(study, visitor)).base
    _rate(visitor, AGAIN, FEWEST)
    study.change(lambda session: setattr(session.get_one(Image, study.images[-1].id), "position", None))
    assert study.services.background.once() is False
    assert [image.position for image in study.images] == [*scores[:-1], None]
    learned = _learned(study, visitor)
    assert learned is not None
    assert learned.ratings == FEWEST
    newer.once()
    assert [image.position for image in study.images] == pytest.approx(scores)
    learned = _learned(study, visitor)
    assert learned is not None
    assert learned.ratings == FEWEST + AGAIN
    assert np.allclose(read_taste(_file(study, visitor)).base, kept)


def test_raters_of_pictures_that_were_not_seen_yet_keep_nobody_waiting(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has ten ratings, but not of pictures with features, is not due: others have their turn."""
    monkeypatch.setattr("nimakit.web.predictions.tastes._RATERS_AT_ONCE", 1)
    ann, ben = study.rater("Ann"), study.rater("Ben")
    _rate(ben, FEWEST)
    _rate(ann, FEWEST, FEWEST)

    def forget(session: Any) -> None:
        for image in study.images[FEWEST : 2 * FEWEST]:
            session.get_one(Image, image.id).state = "missing"

    study.change(forget)
    study.services.background.once()
    assert _learned(study, ann) is None
    assert _learned(study, ben) is not None


def test_what_the_model_looks_at_later_counts_later(study: Study) -> None:
    """Of a rater who had rated it before their taste was learned, too."""
    visitor = study.visitor()
    _rate(visitor, RATED)

    late = update(Image).where(Image.id.in_([image.id for image in study.images[: RATED - FEWEST]]))
    for state, expected in (("missing", FEWEST), ("ok", RATED)):
        study.change(partial(Session.execute, statement=late.values(state=state)))
        study.services.background.once()
        learned = _learned(study, visitor)
        assert learned is not None
        assert learned.ratings == expected
