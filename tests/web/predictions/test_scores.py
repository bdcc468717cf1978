"""Predicted scores, computed beside the raters."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy.orm import Session

from faults import every_fault, failing
from nimakit.features import KeptScorer
from nimakit.models import preparation
from nimakit.web.db.features import all_features, forget_scores
from nimakit.web.db.tables import Collection, Image
from samples import metadata, write_model, write_photo
from web.conftest import MakeStudy, Serve
from web.study import Study, on_both


@pytest.fixture
def study(make_study: MakeStudy, tiny_file: Path) -> Study:
    """Predictions of a small model, which likes bright pictures, to be corrected."""
    return make_study(experiment="rate", model=str(tiny_file))


@on_both
def test_every_picture_gets_its_score(study: Study) -> None:
    """On the collection's own scale, brighter pictures higher."""
    items = study.visitor().deck()["items"]
    scores = {item["id"]: item["predicted"] for item in items}
    by_brightness = [scores[image.id] for image in [*study.images[1:], study.images[0]]]
    assert by_brightness == sorted(by_brightness)
    assert all(1 <= score <= 10 for score in by_brightness)
    assert all(image.spread for image in study.images)


def test_a_model_of_another_scale_is_stretched(make_study: MakeStudy, tmp_path: Path) -> None:
    """Ends to ends: a model that says 1 to 5 predicts for ratings from 1 to 10."""
    model = write_model(tmp_path / "five.onnx", metadata(bins=(1, 2, 3, 4, 5)), gain=200.0)
    study = make_study(experiment="rate", model=str(model))
    scores = [item["predicted"] for item in study.visitor().deck()["items"]]
    assert max(scores) > 5


def test_a_score_alone_has_no_spread(make_study: MakeStudy, score_file: Path) -> None:
    """A regression head predicts as well."""
    study = make_study(experiment="rate", model=str(score_file))
    assert all(image.position is not None for image in study.images)
    assert {image.spread for image in study.images} == {None}


def test_a_picture_that_cannot_be_decoded_is_broken(study: Study) -> None:
    """It is found out here already, before a rater meets it."""
    (study.folder / "bad.jpg").write_bytes(b"\xff\xd8\xff no picture")
    study.services.background.wake(study.collection.id)
    study.services.background.once()
    [bad] = [image for image in study.images if image.path == "bad.jpg"]
    assert bad.state == "broken"
    assert study.visitor().deck()["pending"] is False


def test_a_picture_that_changes_is_scored_anew(study: Study) -> None:
    """The score of the old one goes with it."""
    before = study.images[1].position
    write_photo(study.folder / study.images[1].path, 250, (80, 80))
    study.services.background.wake(study.collection.id)
    study.services.background.once()
    after = study.images[1].position
    assert before is not None
    assert after is not None
    assert after > before


def test_a_model_that_cannot_be_used_is_said(make_study: MakeStudy, tmp_path: Path) -> None:
    """To the admin with the reason, to raters without; nothing else stops."""
    study = make_study(experiment="rate", model=str(tmp_path / "nothing.onnx"))
    visitor = study.visitor()
    assert "nothing.onnx" in visitor.get(visitor.address("settings")).text
    deck = visitor.deck()
    assert (deck["items"], deck["note"]) == ([], "No scores can be predicted at the moment.")


def test_a_model_that_is_mended_is_noticed(make_study: MakeStudy, tmp_path: Path) -> None:
    """Each of its collections says what is wrong, and none does any more once somebody had it tried again."""
    model = tmp_path / "later.onnx"
    study = make_study(experiment="rate", model=str(model))
    first = study.collection
    other = Collection(slug="second", name="second", folder=first.folder, model=first.model)
    study.change(lambda session: session.add(other))

    def notes() -> list[bool]:
        with study.database.read() as session:
            return ["later.onnx" in found.model_note for found in session.query(Collection)]

    study.services.background.once()
    assert notes() == [True, True]
    write_model(model)
    study.services.background.once()
    assert notes() == [True, True]
    study.services.background.wake()
    study.services.background.once()
    assert notes() == [False, False]
    assert None not in {image.position for image in study.images}


def test_a_page_without_scores_goes_on_by_itself(
    page: Page, make_study: MakeStudy, serve: Serve, tmp_path: Path
) -> None:
    """Once the model is mended; nobody has to open it anew."""
    model = tmp_path / "later.onnx"
    study = make_study(experiment="rate", model=str(model))
    page.goto(serve(study))
    expect(page.locator("#message")).to_have_text("No scores can be predicted at the moment.")
    write_model(model)
    study.services.background.wake()
    study.services.background.once()
    expect(page.locator(".canvas img")).to_be_visible()


def test_another_model_predicts_anew(study: Study, score_file: Path) -> None:
    """No score of the old one stays."""
    visitor = study.visitor()
    page = {"name": "x", "experiment": "rate", "scale": "1-10", "choices": "2", "ordering": "random"}
    answer = visitor.post(visitor.address("settings"), {**page, "model": str(score_file), "is_open": "y"})
    assert answer.status_code == 302
    assert {image.position for image in study.images} == {None}
    study.services.background.once()
    assert None not in {image.position for image in study.images}


def test_without_a_model_nothing_is_predicted(make_study: MakeStudy) -> None:
    """No model is even loaded."""
    assert {image.position for image in make_study().images} == {None}


def test_the_prediction_somebody_saw_is_kept_with_their_rating(study: Study) -> None:
    """Whatever a later model says."""
    visitor = study.visitor()
    item = visitor.deck()["items"][0]
    visitor.rate(item["id"], 3, predicted=item["predicted"])

    def forget(session: object) -> None:
        session.get_one(Image, item["id"]).position = None  # type: ignore[attr-defined]

    study.change(forget)
    assert visitor.deck()["history"][0]["predicted"] == item["predicted"]


@on_both
def test_another_model_in_the_place_of_the_old_one_predicts_anew(
    make_study: MakeStudy, tmp_path: Path
) -> None:
    """A file that was trained anew under its old name, at the next start; the same one does not."""
    path = tmp_path / "model.onnx"
    write_model(path, gain=2.0)
    before = {image.id: image.position for image in make_study(model=str(path)).images}

    def move(session: Session) -> None:
        for image in session.query(Image):
            image.position = 0.25

    make_study().change(move)
    study = make_study()
    assert {image.position for image in study.images} == {0.25}
    write_model(path, gain=-2.0)
    after = {image.id: image.position for image in make_study().images}
    assert after == pytest.approx({key: 1 - (value or 0) for key, value in before.items()}, abs=0.01)


@pytest.mark.usefixtures("empty_cache")
def test_known_pictures_are_scored_from_the_store(
    make_study: MakeStudy, tiny_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the predictions were deleted, none is decoded; the database gets scores and features again."""
    study = make_study(model=str(tiny_file))
    before = [image.position for image in study.images]

    def forget(session: Session) -> None:
        forget_scores(session, session.get_one(Collection, study.collection.id))

    study.change(forget)
    monkeypatch.setattr(preparation, "open_photo", lambda *_, **__: pytest.fail("decoded again"))
    while study.predictor().advance(study.collection):
        pass
    assert [image.position for image in study.images] == before
    with study.database.read() as session:
        assert all_features(session, study.collection)[1].shape == (len(before), 3)


@on_both
def test_a_model_that_is_changed_meanwhile_takes_effect_at_once(
    study: Study, score_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the old one has made of a batch is dropped, and the round goes on with the new one."""
    collection = study.collection
    assert None not in {image.spread for image in study.images}

    def forget(session: Session) -> None:
        forget_scores(session, session.get_one(Collection, collection.id))

    study.change(forget)
    score = KeptScorer.score
    changes = iter([str(score_file)])

    def interrupted(scorer: KeptScorer[Any], images: Iterable[Any]) -> Iterator[Any]:
        for name in changes:
            study.set(model=name)
        return score(scorer, images)

    monkeypatch.setattr(KeptScorer, "score", interrupted)
    study.services.background.once()
    assert {image.spread for image in study.images} == {None}
    assert None not in {image.position for image in study.images}


@every_fault
def test_a_fault_of_the_machine_leaves_pictures_for_later(
    make_study: MakeStudy, tmp_path: Path, tiny_file: Path, fault: str
) -> None:
    """None is broken, nothing is tried again at once, and the next round scores them."""
    with failing(fault):
        study = make_study(experiment="rate", model=str(tiny_file))
        assert not study.services.background.once()
    assert {(image.state, image.position) for image in study.images} == {("ok", None)}
    study.services.background.once()
    assert None not in {image.position for image in study.images}
