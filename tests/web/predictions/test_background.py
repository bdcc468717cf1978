"""The work beside the raters goes on, whatever comes in between."""

import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from nimakit.features import KeptScorer
from nimakit.web.db.features import forget_scores
from nimakit.web.db.tables import MISSING, OK, Collection, Image
from nimakit.web.predictions import background
from nimakit.web.predictions.background import Background
from nimakit.web.predictions.scores import Predictor
from samples import write_photo
from web.conftest import MakeStudy
from web.study import Study


@pytest.fixture
def study(make_study: MakeStudy, tiny_file: Path) -> Study:
    """Predictions of a small model, none of them made yet."""
    study = make_study(model=str(tiny_file))
    study.change(lambda session: forget_scores(session, session.get_one(Collection, study.collection.id)))
    return study


def _second(study: Study) -> None:
    """A second collection of the same folder."""
    first = study.collection
    study.change(
        lambda session: session.add(
            Collection(slug="second", name="second", folder=first.folder, model=first.model)
        )
    )


def test_a_round_ends_when_it_is_time_to_look_again(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much is left to score; what was not done is said, so that the next round begins at once."""
    with monkeypatch.context() as patch:
        patch.setattr(background, "_SCAN_INTERVAL", 0.0)
        assert study.services.background.once() is True
    assert None in {image.position for image in study.images}
    assert study.services.background.once() is False
    assert None not in {image.position for image in study.images}


def test_what_is_asked_for_is_done_while_scores_are_predicted(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new picture is found by the next look, and not when everything is scored."""
    work, score = study.services.background, KeptScorer.score
    monkeypatch.setattr("nimakit.web.predictions.scores._BATCH", 1)

    def interrupted(scorer: KeptScorer[Any], images: Iterable[Any]) -> Iterator[Any]:
        if not (study.folder / "new.jpg").exists():
            write_photo(study.folder / "new.jpg")
            work.wake(study.collection.id)
        return score(scorer, images)

    monkeypatch.setattr(KeptScorer, "score", interrupted)
    assert work.once() is True
    assert sum(image.position is None for image in study.images) == 5
    assert work.once() is False
    assert [image.position is None for image in study.images] == [False] * 7


def test_the_first_look_says_what_is_left_out(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    """On stderr once, when the app starts, and in the collection's note."""
    (study.folder / "a.mov").write_bytes(b"x")
    work = Background(
        study.database,
        study.services.candidates.invalidate,
        study.services.settings.users_dir,
        study.predictor(),
    )
    work.once()
    assert study.collection.note == "Not shown: 1 .mov"
    (study.folder / "b.mov").write_bytes(b"x")
    work.once()
    assert capsys.readouterr().err.count("left out of") == 1


def test_the_note_says_what_is_not_read(study: Study) -> None:
    """The first file and why, and how many more; then what is not shown."""
    (study.folder / "a.mov").write_bytes(b"x")
    outside = study.folder.parent / "outside.jpg"
    outside.write_bytes(b"x")
    for name in ("0.jpg", "1.jpg"):
        (study.folder / name).symlink_to(outside)
    Background(
        study.database,
        study.services.candidates.invalidate,
        study.services.settings.users_dir,
        study.predictor(),
    ).once()
    note = "Not read: 0.jpg: the link leads out of the folder and 1 more. Not shown: 1 .mov"
    assert study.collection.note == note


def test_a_mistake_in_one_collection_holds_up_no_other(
    study: Study, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """It is told with its place in the code, and the thread lives on."""
    _second(study)
    advance = Predictor.advance

    def fails(predictor: Predictor, collection: Collection) -> bool:
        if collection.id == study.collection.id:
            raise ZeroDivisionError("a mistake")
        return advance(predictor, collection)

    monkeypatch.setattr(Predictor, "advance", fails)
    study.services.background.once()
    assert sum(image.position is not None for image in study.images) == 6
    told = capfd.readouterr().err
    assert "Traceback" in told
    assert "ZeroDivisionError: a mistake" in told


def test_the_thread_outlives_a_round_that_fails(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one may go well."""
    again = threading.Event()
    rounds = iter([ZeroDivisionError("a mistake")])

    def once(_: Background) -> bool:
        for error in rounds:
            raise error
        again.set()
        return False

    monkeypatch.setattr(background, "_SCAN_INTERVAL", 0.01)
    monkeypatch.setattr(background, "_lower_priority", lambda: None)
    monkeypatch.setattr(Background, "once", once)
    thread = Background(
        study.database,
        study.services.candidates.invalidate,
        study.services.settings.users_dir,
        study.predictor(),
    )
    thread.start()
    assert again.wait(10)
    thread.stop()
    thread.join(10)
    assert not thread.is_alive()


def test_a_folder_that_is_away_breaks_no_picture(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether that is seen before the scores are predicted or only then; back again, all are scored."""
    work, elsewhere, score = study.services.background, study.folder.with_name("moved"), KeptScorer.score
    study.folder.rename(elsewhere)
    work.once()
    assert "cannot be read" in study.collection.note
    assert {image.state for image in study.images} == {OK}
    elsewhere.rename(study.folder)

    def unplugged(scorer: KeptScorer[Any], images: Iterable[Any]) -> Iterator[Any]:
        study.folder.rename(elsewhere)
        return score(scorer, images)

    with monkeypatch.context() as patch:
        patch.setattr(KeptScorer, "score", unplugged)
        assert work.once() is False
    assert {image.state for image in study.images} == {OK}
    elsewhere.rename(study.folder)
    work.once()
    assert [(image.state, image.position is None) for image in study.images] == [(OK, False)] * 6


def test_a_file_that_goes_before_it_is_scored_is_missing(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not broken: it is as before once it is back."""
    work, score = study.services.background, KeptScorer.score
    file = study.folder / "photo 1.jpg"
    content = file.read_bytes()

    def gone(scorer: KeptScorer[Any], images: Iterable[Any]) -> Iterator[Any]:
        file.unlink(missing_ok=True)
        return score(scorer, images)

    with monkeypatch.context() as patch:
        patch.setattr(KeptScorer, "score", gone)
        work.once()
    assert {image.path: image.state for image in study.images}["photo 1.jpg"] == MISSING
    file.write_bytes(content)
    work.once()
    assert {image.state for image in study.images} == {OK}


def test_broken_pictures_are_tried_again_where_somebody_asks(study: Study) -> None:
    """They may have been read at a bad moment; not at every look, as most are really broken."""
    work = study.services.background
    work.once()

    def mark(session: Session) -> None:
        image = session.get_one(Image, study.images[0].id)
        image.state, image.position = "broken", None

    study.change(mark)
    write_photo(study.folder / "new.jpg")  # so that there is a look
    work.once()
    assert [image.state for image in study.images].count("broken") == 1
    work.wake(study.collection.id)
    work.once()
    assert [image.position is None for image in study.images] == [False] * 7
