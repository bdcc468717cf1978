"""The page of the model, and what its buttons do."""

from pathlib import Path

import numpy as np
import pytest
from sqlalchemy.orm import Session

from nimakit.models.loading import load_model
from nimakit.web.db.tables import Collection, Image
from nimakit.web.settings import Settings
from web.conftest import MakeStudy
from web.model.rated import rate
from web.study import Study, on_both

PLACES = ("model", "model/model.onnx", "model/report.html")
ACTIONS = ("use", "former", "order")


def test_shows_the_interval_and_no_advice_from_few_ratings(learned: Study) -> None:
    """With the curve, and the command that serves the file."""
    visitor = learned.visitor()
    page = visitor.get(visitor.address("model")).text
    assert "95 % interval" in page
    assert "too early to tell" in page
    assert 'class="curve-dot"' in page
    [file] = learned.services.settings.models_dir.rglob("model.onnx")
    assert f"./serve --model {file}" in page


def test_says_how_many_ratings_are_missing(study: Study) -> None:
    """And asks for features where there are none."""
    visitor = study.visitor()
    rate(study, range(1))
    assert "After 30 ratings" in visitor.get(visitor.address("model")).text
    study.set(model=None)
    assert "Choose a model or an encoder" in visitor.get(visitor.address("model")).text
    study.set(experiment="preference")
    assert "nimakit data pairs" in visitor.get(visitor.address("model")).text


@on_both
def test_use_replaces_the_scores_at_once_and_former_brings_the_old_ones_back(learned: Study) -> None:
    """They are those of the file, although no picture is read; a later model is used in the same way."""
    visitor = learned.visitor()
    before = {image.path: image.position for image in learned.images}
    former = learned.collection.model
    assert visitor.post(visitor.address("model/use"), {}).status_code == 302
    paths = [learned.folder / image.path for image in learned.images]
    model = load_model(learned.collection.model or "")
    records = model.predict(paths, augmented=True)
    found = [1 + 9 * (image.position or 0) for image in learned.images]
    np.testing.assert_allclose(found, [r["mean_score_prediction"] for r in records], atol=0.02)
    spreads = [9 * (image.spread or 0) for image in learned.images]
    np.testing.assert_allclose(spreads, [r["sd_score_prediction"] for r in records], atol=0.02)
    assert learned.services.background.once() is False
    rate(learned, range(2, 4))
    learned.services.background.once()
    assert "An earlier version of this model" in visitor.get(visitor.address("model")).text
    assert "features of tiny@8x8" in visitor.get(visitor.address("model")).text
    visitor.post(visitor.address("model/use"), {})
    assert f"Back to {former}" in visitor.get(visitor.address("model")).text
    visitor.post(visitor.address("model/former"), {})
    learned.services.background.once()
    assert learned.collection.model == former
    assert {image.path: image.position for image in learned.images} == pytest.approx(before)


def test_a_picture_that_changed_meanwhile_is_scored_anew(learned: Study) -> None:
    """Its stored features are of another picture."""
    changed = learned.images[0]

    def clear(session: Session) -> None:
        session.get_one(Image, changed.id).position = None

    learned.change(clear)
    visitor = learned.visitor()
    visitor.post(visitor.address("model/use"), {})
    missing = [image.id for image in learned.images if image.position is None]
    assert missing == [changed.id]
    learned.services.background.once()
    assert None not in {image.position for image in learned.images}


def test_a_model_on_other_features_scores_all_pictures(learned: Study, score_file: Path) -> None:
    """In the background, as any other model that is chosen."""
    visitor = learned.visitor()
    learned.set(model_probe=[5.0] * 17)
    visitor.post(visitor.address("model/use"), {})
    assert {image.position for image in learned.images} == {None}
    learned.services.background.once()
    assert None not in {image.position for image in learned.images}


def test_most_uncertain_first_sets_the_order(learned: Study) -> None:
    """The next pictures of raters follow it."""
    visitor = learned.visitor()
    visitor.post(visitor.address("model/order"), {})
    assert learned.collection.ordering == "active"
    assert "Show most uncertain first" not in visitor.get(visitor.address("model")).text


def test_downloads_are_the_file_and_a_page_of_its_own(learned: Study) -> None:
    """The report needs no other file."""
    visitor = learned.visitor()
    [file] = learned.services.settings.models_dir.rglob("model.onnx")
    answer = visitor.get(visitor.address("model/model.onnx"))
    assert answer.data == file.read_bytes()
    assert answer.headers["Content-Disposition"] == "attachment; filename=colours.onnx"
    report = visitor.get(visitor.address("model/report.html"))
    assert "--accent:" in report.text
    assert "href=" not in report.text
    assert "How well it predicts" in report.text


def test_without_a_model_there_is_nothing_to_use(study: Study) -> None:
    """Nor to download."""
    visitor = study.visitor()
    for place in PLACES[1:]:
        assert visitor.get(visitor.address(place)).status_code == 404
    assert visitor.post(visitor.address("model/use"), {}).status_code == 404
    visitor.post(visitor.address("model/former"), {})
    assert study.collection.model is not None


def test_only_the_admin_sees_and_uses_it(make_study: MakeStudy, settings: Settings, tiny_file: Path) -> None:
    """Raters are refused, as on the dashboard; strangers have to sign in."""
    study = make_study(settings, model=str(tiny_file))
    rater = study.rater()
    for place in PLACES:
        assert rater.get(rater.address(place)).status_code == 403
    for action in ACTIONS:
        assert rater.post(rater.address(f"model/{action}"), {}).status_code == 403
    assert "Model</a>" not in rater.get(rater.address("ratings")).text


def test_settings_take_an_encoder(study: Study, tiny_file: Path) -> None:
    """A file that is none is refused, with the reason."""
    visitor = study.visitor()
    form = {"name": "x", "experiment": "score", "scale": "1-10", "choices": "2", "ordering": "random"}
    refused = visitor.post(visitor.address("settings"), {**form, "encoder": "nothing.onnx"})
    assert refused.status_code == 400
    assert "nothing.onnx" in refused.text
    assert visitor.post(visitor.address("settings"), {**form, "encoder": "clip"}).status_code == 400
    assert visitor.post(visitor.address("settings"), {**form, "encoder": str(tiny_file)}).status_code == 302
    with study.database.read() as session:
        assert session.get_one(Collection, study.collection.id).encoder == str(tiny_file)
