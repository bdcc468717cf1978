"""nimakit.nn.personal.tangent_learner: a network that learns one person's taste in one step."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nimakit.images.photo import Photo, open_photo
from nimakit.nn.networks import keras_model
from nimakit.nn.networks.keras_model import KerasModel
from nimakit.nn.personal import tangent_learner
from nimakit.nn.personal.tangent_learner import Linearisation, TangentLearner
from nimakit.stats.histogram import FloatArray
from nn.conftest import SmallJob
from samples import random_pixels
from small_models import SIDE

COUNT = 20
KINDS: list[dict[str, Any]] = [
    {"method": "adapters"},
    {"method": "full"},
    {"method": "adapters", "placement": "series", "batch_norm": True},
]

pytestmark = [
    pytest.mark.usefixtures("small_adapters"),
    # Keras and TensorFlow are behind NumPy 2 in two places.
    pytest.mark.filterwarnings("ignore:In the future `np.object`:FutureWarning"),
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def model(small_adapters: None, small_job: SmallJob) -> KerasModel:
    """A small base model, which no learner changes."""
    return keras_model.load(small_job(head="histogram"))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Photographs from dark to bright."""
    folder = tmp_path_factory.mktemp("photos")
    paths = [folder / f"{index}.png" for index in range(COUNT)]
    for index, path in enumerate(paths):
        Image.fromarray(random_pixels(SIDE, SIDE, index) // 3 + 8 * index).save(path)
    return paths


Prepared = tuple[TangentLearner, Linearisation, FloatArray]


@pytest.fixture(scope="module")
def full(model: KerasModel, photos: list[Path]) -> Prepared:
    """A learner of every layer, its linearisation of the photographs, and their generic means."""
    return _prepare(model, photos, method="full")


@pytest.fixture(scope="module", params=[*KINDS[:2], pytest.param(KINDS[2], marks=pytest.mark.slow)], ids=str)
def prepared(
    request: pytest.FixtureRequest, model: KerasModel, photos: list[Path], full: Prepared
) -> Prepared:
    """The same for a learner of each kind."""
    return full if request.param["method"] == "full" else _prepare(model, photos, **request.param)


def _prepare(model: KerasModel, photos: list[Path], **kind: Any) -> Prepared:
    learner = TangentLearner(model, **kind)
    linearised = learner.linearise(photos)
    return learner, linearised, learner.means(linearised.pixels)


def test_learns_what_others_do_not_like(prepared: Prepared) -> None:
    """It learns from half of the photographs, and then ranks the other half more like the person."""
    learner, linearised, means = prepared
    liked = (
        np.linspace(4.5, 1.5, COUNT)
        if np.polyfit(range(COUNT), means, 1)[0] > 0
        else np.linspace(2, 4, COUNT)
    )
    seen = np.arange(0, COUNT, 2)
    level = learner.learn(linearised.subset(seen), liked[seen], means[seen])
    found = learner.means(linearised.pixels) + level
    unseen = np.arange(1, COUNT, 2)
    assert (
        np.corrcoef(found[unseen], liked[unseen])[0, 1]
        > np.corrcoef(means[unseen], liked[unseen])[0, 1] + 0.2
    )
    assert np.abs(found - liked)[unseen].mean() < np.abs(means - liked)[unseen].mean()


def test_generic_ratings_change_nothing(prepared: Prepared) -> None:
    """Ratings equal to the generic scores leave them; a kinder person's move all scores alike."""
    learner, linearised, means = prepared
    assert learner.learn(linearised, means, means) == pytest.approx(0, abs=1e-5)
    assert learner.means(linearised.pixels) == pytest.approx(means, abs=1e-5)
    assert learner.learn(linearised, means + 0.5, means) == pytest.approx(0.5 * COUNT / (COUNT + 2), abs=1e-5)
    assert learner.means(linearised.pixels) == pytest.approx(means, abs=1e-5)


def test_one_rating_moves_the_level_only(full: Prepared) -> None:
    """By a third of the difference; the order stays."""
    learner, linearised, means = full
    one = linearised.subset(np.arange(1))
    assert learner.learn(one, means[:1] + 1.5, means[:1]) == pytest.approx(0.5, abs=1e-5)
    assert learner.means(linearised.pixels) == pytest.approx(means, abs=1e-6)


def test_forgets_the_previous_person(prepared: Prepared) -> None:
    """It learns only the latest person's taste."""
    learner, linearised, means = prepared
    ratings = np.random.default_rng(0).uniform(1, 5, (2, COUNT))
    learner.learn(linearised, ratings[1], means)
    first = learner.learn(linearised, ratings[0], means), learner.means(linearised.pixels)
    learner.learn(linearised, ratings[1], means)
    second = learner.learn(linearised, ratings[0], means), learner.means(linearised.pixels)
    assert second[0] == pytest.approx(first[0], abs=1e-6)
    assert second[1] == pytest.approx(first[1], abs=1e-6)


def test_linearises_the_base_model(full: Prepared, photos: list[Path]) -> None:
    """Also after it learned a person's taste."""
    learner, linearised, means = full
    learner.learn(linearised, np.linspace(1, 5, COUNT), means)
    again = learner.linearise(photos[:2])
    for one, other in zip(linearised.subset(np.arange(2)).gradients, again.gradients, strict=True):
        assert one == pytest.approx(other, rel=1e-4, abs=1e-6)


def test_sees_pictures_as_the_model_does(
    full: Prepared, model: KerasModel, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are decoded for it."""
    asked: list[Any] = []

    def watched(path: Path, **options: Any) -> Photo:
        asked.append(options["preprocessing"])
        return open_photo(path, **options)

    monkeypatch.setattr(tangent_learner, "open_photo", watched)
    full[0].linearise(photos[:1])
    assert asked == [model.metadata.preprocessing]


def test_projected_gradients_keep_their_products(
    full: Prepared, model: KerasModel, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Except for a little noise."""
    exact, _ = full[0]._gram(full[1])
    monkeypatch.setattr("nimakit.nn.personal.tangent_learner._WIDTH", 512)
    projected = TangentLearner(model, method="full")
    linearised = projected.linearise(photos)
    rough, _ = projected._gram(linearised)
    assert {part.shape[1] for part in linearised.gradients} & {512}
    assert np.linalg.norm(rough - exact) < 0.15 * np.linalg.norm(exact)


def test_the_base_model_stays_unchanged(full: Prepared, model: KerasModel) -> None:
    """Only the copy learns."""
    before = [weight.copy() for weight in model.network.get_weights()]
    learner, linearised, means = full
    learner.learn(linearised, np.linspace(1, 5, COUNT), means)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.network.get_weights(), strict=True))
