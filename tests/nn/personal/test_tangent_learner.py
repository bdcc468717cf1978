"""nimakit.nn.personal.tangent_learner: a network that learns one person's taste in one step."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nimakit.nn.networks import keras_model
from nimakit.nn.networks.keras_model import KerasModel
from nimakit.nn.personal.tangent_learner import Pupil
from samples import random_pixels
from small_models import SIDE, write_job

COUNT = 20
KINDS: list[dict[str, Any]] = [
    {"method": "adapters"},
    {"method": "adapters", "placement": "series", "batch_norm": True},
    {"method": "full"},
]

pytestmark = [
    pytest.mark.usefixtures("small_adapters"),
    # Keras and TensorFlow are behind NumPy 2 in two places.
    pytest.mark.filterwarnings("ignore:In the future `np.object`:FutureWarning"),
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
]


@pytest.fixture
def model(tmp_path: Path) -> KerasModel:
    """A small one."""
    return keras_model.load(write_job(tmp_path / "job"))


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """Photographs from dark to bright."""
    paths = [tmp_path / f"{index}.png" for index in range(COUNT)]
    for index, path in enumerate(paths):
        Image.fromarray(random_pixels(SIDE, SIDE, index) // 3 + 8 * index).save(path)
    return paths


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_learns_what_others_do_not_like(model: KerasModel, photos: list[Path], kind: dict[str, Any]) -> None:
    """Half of the pictures teach it, and the other half come in the person's order."""
    pupil = Pupil(model, **kind)
    looked = pupil.look(photos)
    means = pupil.means(looked.pixels)
    liked = (
        np.linspace(4.5, 1.5, COUNT)
        if np.polyfit(range(COUNT), means, 1)[0] > 0
        else np.linspace(2, 4, COUNT)
    )
    seen = np.arange(0, COUNT, 2)
    level = pupil.learn(looked.only(seen), liked[seen], means[seen])
    found = pupil.means(looked.pixels) + level
    unseen = np.arange(1, COUNT, 2)
    assert (
        np.corrcoef(found[unseen], liked[unseen])[0, 1]
        > np.corrcoef(means[unseen], liked[unseen])[0, 1] + 0.2
    )
    assert np.abs(found - liked)[unseen].mean() < np.abs(means - liked)[unseen].mean()


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_somebody_who_agrees_changes_nothing(
    model: KerasModel, photos: list[Path], kind: dict[str, Any]
) -> None:
    """Ratings that are the generic scores leave them; those of a kinder person move all alike."""
    pupil = Pupil(model, **kind)
    looked = pupil.look(photos)
    means = pupil.means(looked.pixels)
    assert pupil.learn(looked, means, means) == pytest.approx(0, abs=1e-5)
    assert pupil.means(looked.pixels) == pytest.approx(means, abs=1e-5)
    assert pupil.learn(looked, means + 0.5, means) == pytest.approx(0.5 * COUNT / (COUNT + 2), abs=1e-5)
    assert pupil.means(looked.pixels) == pytest.approx(means, abs=1e-5)


def test_one_rating_tells_how_kind_somebody_is(model: KerasModel, photos: list[Path]) -> None:
    """And no more: a third of it, and no other order."""
    pupil = Pupil(model, method="adapters")
    looked = pupil.look(photos[:1])
    means = pupil.means(looked.pixels)
    assert pupil.learn(looked, means + 1.5, means) == pytest.approx(0.5, abs=1e-5)
    assert pupil.means(looked.pixels) == pytest.approx(means, abs=1e-6)


def test_forgets_the_one_before(model: KerasModel, photos: list[Path]) -> None:
    """What it learns is one person's, whoever came first."""
    random = np.random.default_rng(0)
    pupil = Pupil(model, method="adapters")
    looked = pupil.look(photos)
    means = pupil.means(looked.pixels)
    ratings = random.uniform(1, 5, (2, COUNT))
    pupil.learn(looked, ratings[0], means)
    after = pupil.learn(looked, ratings[1], means), pupil.means(looked.pixels)
    alone = Pupil(model, method="adapters")
    assert after[0] == pytest.approx(alone.learn(alone.look(photos), ratings[1], means), abs=1e-6)
    assert after[1] == pytest.approx(alone.means(looked.pixels), abs=1e-6)


def test_looks_before_it_learns(model: KerasModel, photos: list[Path]) -> None:
    """What it sees in a picture is what the base does, also after somebody taught it."""
    pupil = Pupil(model, method="full")
    looked = pupil.look(photos)
    pupil.learn(looked, np.linspace(1, 5, COUNT), pupil.means(looked.pixels))
    again = pupil.look(photos[:2])
    for one, other in zip(looked.only(np.arange(2)).gradients, again.gradients, strict=True):
        assert one == pytest.approx(other, rel=1e-4, abs=1e-6)


def test_projected_gradients_keep_their_products(
    model: KerasModel, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for a little noise: of which pictures are alike, nothing is lost."""
    exact, _ = Pupil(model, method="full")._gram(Pupil(model, method="full").look(photos))
    monkeypatch.setattr("nimakit.nn.personal.tangent_learner._WIDTH", 512)
    projected = Pupil(model, method="full")
    rough, _ = projected._gram(projected.look(photos))
    assert {part.shape[1] for part in projected.look(photos[:1]).gradients} & {512}
    assert np.linalg.norm(rough - exact) < 0.15 * np.linalg.norm(exact)


def test_the_base_stays_as_it_is(model: KerasModel, photos: list[Path]) -> None:
    """Whatever was taught to its copy."""
    before = [weight.copy() for weight in model.network.get_weights()]
    pupil = Pupil(model, method="full")
    looked = pupil.look(photos)
    pupil.learn(looked, np.linspace(1, 5, COUNT), pupil.means(looked.pixels))
    assert all(np.array_equal(a, b) for a, b in zip(before, model.network.get_weights(), strict=True))
