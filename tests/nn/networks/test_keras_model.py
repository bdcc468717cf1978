"""nimakit.nn.networks.keras_model: the Keras side of what people call a model."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import small_backbone
from nimakit.errors import ConfigError, ModelError, WeightsError
from nimakit.images.photo import open_photo, prepare
from nimakit.models.engine import Member, Model
from nimakit.models.network import Network
from nimakit.nn.networks import keras_model
from nimakit.stats import histogram
from nn.conftest import SmallJob
from samples import random_pixels

TOLERANCE = 1e-4

pytestmark = [
    # Keras and TensorFlow are behind NumPy 2 in two places.
    pytest.mark.filterwarnings("ignore:In the future `np.object`:FutureWarning"),
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
]


@pytest.fixture(scope="module", autouse=True)
def _small_backbone() -> Iterator[None]:
    with small_backbone.registered():
        yield


@pytest.fixture
def job(small_job: SmallJob) -> Path:
    """A job folder with a histogram head."""
    return small_job(head="histogram")


def _mean(model: keras_model.KerasModel, picture: Any) -> float:
    pixels = prepare(open_photo(picture), model.metadata.preprocessing).astype(np.float32)
    return float(model.means(model.values(keras.ops.convert_to_tensor(pixels[None])))[0])


@pytest.mark.parametrize(
    "changes",
    [
        {"head": "histogram"},
        {"head": "regression"},
        pytest.param({"head": "regression", "score_activation": "sigmoid"}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_a_job_gives_the_scores_of_its_model_file(small_job: SmallJob, changes: dict[str, Any]) -> None:
    """Loaded by its folder or by its model file, with every head, it has the engine's mean score."""
    folder = small_job(**changes)
    picture = random_pixels(50, 90)
    [expected] = Model([Member(Network(folder / "model.onnx"))]).predict(picture, augmented=True)
    for name in (folder, str(folder / "model.onnx")):
        model = keras_model.load(name)
        assert _mean(model, picture) == pytest.approx(expected["mean_score_prediction"], abs=TOLERANCE)
        assert model.is_regression == (changes["head"] == "regression")
    assert model.bins.tolist() == [1, 2, 3, 4, 5]
    assert model.metadata == Network(folder / "model.onnx").metadata


def test_the_public_model_gives_the_scores_of_the_engine(
    aesthetic: keras_model.KerasModel, public_model: Path
) -> None:
    """It is loaded by its name."""
    picture = random_pixels(240, 300)
    [expected] = Model([Member(Network(public_model))]).predict(picture)
    mean = histogram.mean(expected, histogram.default_bins(10))
    assert _mean(aesthetic, picture) == pytest.approx(float(mean), abs=TOLERANCE)


def test_refuses_a_model_file_without_its_weights(job: Path, tmp_path: Path) -> None:
    """A model file without weights has no gradients; the message names what is missing."""
    shutil.copy(job / "model.onnx", tmp_path)
    with pytest.raises(ModelError, match=r"Keras weights a model file was made.*Received: .*model\.onnx"):
        keras_model.load(tmp_path / "model.onnx")


@pytest.mark.parametrize("name", ["beauty", "none.onnx", "folder"])
def test_refuses_what_is_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """An unknown name, a missing file and a folder that is no job."""
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    with pytest.raises(ModelError, match=f"Received: .*{name}"):
        keras_model.load(name)


def test_refuses_an_ensemble_by_naming_its_members(tmp_path: Path) -> None:
    """Gradients need a single network; the message lists the members."""
    path = tmp_path / "both.json"
    path.write_text(json.dumps({"members": [{"model": "aesthetic"}, {"model": "mine.onnx"}]}))
    with pytest.raises(ModelError, match=r"choose a member: aesthetic, mine\.onnx"):
        keras_model.load(path)


def test_refuses_weights_that_are_not_those_of_the_model_file(job: Path, tmp_path: Path) -> None:
    """Neither other weights, nor two files of which one must be wrong, nor damaged ones."""
    changed = tmp_path / "job"
    shutil.copytree(job, changed)
    [file] = changed.glob("weights/*")
    other = keras_model.load(job).network
    other.set_weights([value * 1.5 for value in other.get_weights()])
    other.save_weights(file)
    with pytest.raises(ModelError, match="gives other scores"):
        keras_model.load(changed)
    shutil.copy(file, file.with_name("b.weights.h5"))
    with pytest.raises(ModelError, match="with 2"):
        keras_model.load(changed)
    file.with_name("b.weights.h5").unlink()
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(WeightsError, match="damaged"):
        keras_model.load(changed)
    (changed / "config.json").write_text("{")
    with pytest.raises(ConfigError):
        keras_model.load(changed)


def test_says_how_to_install_what_is_missing() -> None:
    """Without TensorFlow, the install line instead of a traceback of imports."""
    code = (
        "import sys; sys.modules['tensorflow'] = None\n"
        "from nimakit.errors import MissingExtraError\n"
        "try:\n    import nimakit.nn.networks.keras_model\n"
        "except MissingExtraError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'nimakit[train]'" in done.stdout
