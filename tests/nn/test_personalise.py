"""nimakit.nn.personalise: one person's taste in the layers of a network."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import small_backbone
from nimakit.engine import Member, Model, Scorer
from nimakit.network import Network
from nimakit.nn import adapters, loading, personalise
from nimakit.score import Score
from nimakit.taste import Taste, read_taste, write_taste
from small_models import SIDE, write_job

pytestmark = [
    # Keras and TensorFlow are behind NumPy 2 in two places.
    pytest.mark.filterwarnings("ignore:In the future `np.object`:FutureWarning"),
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
]


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(adapters, "SHARE", 1.0)  # of a backbone this small
    with small_backbone.registered():
        yield


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """A dozen photographs, from red to blue."""
    paths = []
    random = np.random.default_rng(0)
    for index, share in enumerate(np.linspace(0, 1, 12)):
        pixels = random.integers(0, 60, (SIDE, SIDE, 3)) + np.array([180 * (1 - share), 60, 180 * share])
        paths.append(tmp_path / f"{index}.png")
        Image.fromarray(pixels.astype(np.uint8)).save(paths[-1])
    return paths


def _means(model: Model, photos: list[Path]) -> np.ndarray:
    scores = list(Scorer(model).score(photos))
    assert all(isinstance(score, Score) for score in scores)
    return np.array([score.mean for score in scores if isinstance(score, Score)])


@pytest.mark.parametrize("changes", [{}, {"head": "regression"}], ids=str)
def test_adapters_are_taken_by_one_session_for_all_users(
    tmp_path: Path, photos: list[Path], changes: dict[str, Any]
) -> None:
    """The adaptable file scores as the base does; with a user's file as Keras does, nearer the ratings."""
    job = write_job(tmp_path / "job", **changes)
    keras_model = loading.load(job)
    base = Model([Member(Network(job / "model.onnx"))])
    personalise.write_adaptable(keras_model, job / personalise.ADAPTABLE)
    adaptable = Model([Member(Network(job / personalise.ADAPTABLE))])
    generic = _means(base, photos)
    assert _means(adaptable, photos) == pytest.approx(generic, abs=1e-4)
    ratings = np.linspace(1, 5, 12)
    arrays = personalise.teach(
        keras_model, photos, ratings, generic, method="adapters", epochs=40, learning_rate=0.01
    )
    write_taste(
        tmp_path / "ann.taste",
        Taste(
            method="adapters", base=base.probe()[0], base_name=base.name, ratings=len(photos), arrays=arrays
        ),
    )
    personal = adaptable.for_user(read_taste(tmp_path / "ann.taste"))
    found = _means(personal, photos)
    assert np.square(found - ratings).mean() < 0.9 * np.square(generic - ratings).mean()
    assert _means(adaptable, photos) == pytest.approx(generic, abs=1e-4)
    network = adapters.adapt(keras_model.network)
    for layer in adapters.adapter_layers(network):
        layer.set_weights([arrays[layer.name].transpose(2, 3, 1, 0)])
    pixels = np.stack([np.asarray(Image.open(path), np.float32) for path in photos])
    values = np.asarray(network(keras_model.backbone.preprocess(pixels)))
    outputs = personal.members[0].network.run(pixels).values
    assert np.abs(values - outputs).max() < 1e-4 * max(1.0, float(np.abs(values).max()))


def test_full_gives_a_network_of_its_own(tmp_path: Path, photos: list[Path]) -> None:
    """The user's file holds it whole, and the base stays as it is."""
    job = write_job(tmp_path / "job")
    keras_model = loading.load(job)
    base = Model([Member(Network(job / "model.onnx"))])
    generic = _means(base, photos)
    ratings = np.linspace(1, 5, 12)
    arrays = personalise.teach(
        keras_model, photos, ratings, generic, method="full", epochs=30, learning_rate=1e-3
    )
    taste = Taste(method="full", base=base.probe()[0], base_name=base.name, ratings=12, arrays=arrays)
    found = _means(base.for_user(taste), photos)
    assert np.square(found - ratings).mean() < 0.9 * np.square(generic - ratings).mean()
    assert _means(base, photos) == pytest.approx(generic, abs=1e-6)
