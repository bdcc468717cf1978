"""The model is learned in the background, again as people rate."""

from pathlib import Path

import pytest
from PIL import Image
from sqlalchemy import select, update

from nimakit.errors import DownloadError
from nimakit.images.photo import DECODED_BYTES, MAX_PIXELS
from nimakit.models.loading import load_model
from nimakit.serving.admission import Admission
from nimakit.web.db.tables import Learned, LearningPoint, Membership, Rating, now
from nimakit.web.model import training_data
from nimakit.web.model.learner import Learner
from nimakit.web.settings import Settings
from small_encoders import write_encoder
from web.conftest import MakeStudy
from web.model.rated import rate
from web.study import Study, on_both


def points(study: Study) -> list[int]:
    """Numbers of ratings of the points of the curve."""
    with study.database.read() as session:
        return list(session.scalars(select(LearningPoint.ratings).order_by(LearningPoint.id)))


def learner(study: Study, pause: float) -> Learner:
    """A new learner, as in a new process."""
    decoding = Admission(DECODED_BYTES * MAX_PIXELS)
    return Learner(study.database, study.services.settings.models_dir, decoding, MAX_PIXELS, pause=pause)


def row(study: Study) -> Learned:
    """What is known of the first collection's model."""
    with study.database.read() as session:
        return session.get_one(Learned, study.collection.id)


@on_both
def test_the_curve_grows_as_people_rate(study: Study) -> None:
    """Not before 30 ratings; then when there are a tenth more. After a restart it is known."""
    work = study.services.background
    rate(study, range(1))
    work.once()
    assert points(study) == []
    rate(study, range(1, 2))
    work.once()
    rate(study, range(2, 3))
    work.once()
    assert points(study) == [40, 60]
    assert row(study).figures["srcc"] > 0.5
    assert not work.once()
    assert points(study) == [40, 60]
    assert not learner(study, pause=0).advance(study.collection)


def test_a_few_ratings_more_are_learned_from_in_a_pause(learned: Study) -> None:
    """Not while people rate."""
    rate(learned, range(2, 3), slice(2))
    learned.services.background.once()
    assert points(learned) == [40]
    assert learner(learned, pause=0).advance(learned.collection)
    assert points(learned) == [40, 42]


def test_an_excluded_rater_is_not_learned_from(learned: Study) -> None:
    """Whatever was learned from them is learned again without."""
    rate(learned, range(2, 3))

    def exclude(session: object) -> None:
        [first, *_] = session.scalars(select(Membership))  # type: ignore[attr-defined]
        first.excluded = True

    learned.change(exclude)
    learner(learned, pause=0).advance(learned.collection)
    figures = row(learned).figures
    assert (figures["ratings"], figures["raters"]) == (40, 2)


def test_one_copy_of_the_app_learns(study: Study) -> None:
    """While one has begun, the others leave it alone."""
    rate(study, range(2))
    collection = study.collection
    study.change(
        lambda session: session.add(
            Learned(collection_id=collection.id, basis={}, state="", figures={}, problem="", claimed_at=now())
        )
    )
    study.services.background.once()
    assert points(study) == []


def test_a_file_that_is_gone_is_written_again(learned: Study) -> None:
    """As in a data folder of another copy of the app; the curve has no second point."""
    [file] = learned.services.settings.models_dir.rglob("model.onnx")
    content = file.read_bytes()
    file.unlink()
    learned.services.background.once()
    assert file.read_bytes() == content
    assert points(learned) == [40]


def test_the_file_predicts_what_people_said(learned: Study, tmp_path: Path) -> None:
    """Red pictures higher, on the scale of the collection; with its data and licence in the metadata."""
    [file] = learned.services.settings.models_dir.rglob("model.onnx")
    model = load_model(str(file))
    reddest, least = tmp_path / "red.png", tmp_path / "blue.png"
    Image.new("RGB", (12, 9), (250, 120, 120)).save(reddest)
    Image.new("RGB", (12, 9), (10, 120, 120)).save(least)
    high, low = (
        record["mean_score_prediction"] for record in model.predict([reddest, least], augmented=True)
    )
    assert high > low + 2
    [member] = model.members
    assert member.network.metadata.trained_on == "40 ratings of 20 photographs, from 1 to 10"
    assert member.network.metadata.reference_quantiles


def test_an_encoder_is_learned_from_without_a_model(
    make_study: MakeStudy, settings: Settings, tmp_path: Path
) -> None:
    """Its features are computed for rated pictures; another encoder begins another curve."""
    study = make_study(settings, encoder=str(write_encoder(tmp_path / "first.onnx")))
    rate(study, range(2), slice(18))
    while study.services.background.once():
        pass
    assert points(study) == [36]
    study.set(encoder=str(write_encoder(tmp_path / "second.onnx", seed=1)))
    while study.services.background.once():
        pass
    assert points(study) == [36]
    assert row(study).figures["encoder"] == "tiny encoder@16x16"


def test_a_problem_is_shown_and_not_tried_without_end(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    """An encoder that cannot be loaded; ratings go on."""

    def fail(*_arguments: object, **_options: object) -> None:
        raise DownloadError("no network")

    monkeypatch.setattr(training_data, "load_encoder", fail)
    study.set(encoder="efficientnet-lite2")
    rate(study, range(2))
    assert not study.services.background.once()
    visitor = study.visitor()
    assert "no network" in visitor.get(visitor.address("model")).text


def test_equal_ratings_teach_nothing(study: Study) -> None:
    """The page says what is needed."""
    visitor = study.visitor()
    rate(study, range(2))
    study.change(lambda session: session.execute(update(Rating).values(value=5)))
    study.services.background.once()
    assert "different ratings" in visitor.get(visitor.address("model")).text
