"""nimakit.models.loading: models by name."""

import json
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from nimakit.config import PublicModel, TrainConfig
from nimakit.errors import ConfigError, ModelError, UsageError, WeightsError
from nimakit.models import loading
from nimakit.models.engine import Model
from nimakit.models.pretrained import public_models
from samples import metadata, random_pixels, write_model

ROOT = Path(__file__).parents[2]
AVA = ROOT.parent / "shared" / "data" / "ava" / "images"
PHOTO = random_pixels(8, 8)


def _mean(model: Model) -> float:
    return float(model.predict(PHOTO, augmented=True)[0]["mean_score_prediction"])


@pytest.fixture
def models(tmp_path: Path) -> dict[str, float]:
    """a.onnx and b.onnx in a folder, and the mean each gives on its own."""
    (tmp_path / "models").mkdir()
    for name, gain in (("a", 2.0), ("b", -1.0)):
        write_model(tmp_path / "models" / f"{name}.onnx", metadata(name=name), gain=gain)
    return {name: _mean(loading.load_model(tmp_path / "models" / f"{name}.onnx")) for name in "ab"}


def _ensemble(folder: Path, *members: dict[str, Any], **more: Any) -> Path:
    path = folder / "both.json"
    path.write_text(json.dumps({"members": members, **more}), encoding="utf-8")
    return path


def test_loads_a_file(tiny_file: Path) -> None:
    """An .onnx file is a model, as text or as a path, in any case of its suffix."""
    assert loading.load_model(tiny_file).name == loading.load_model(str(tiny_file)).name == "tiny"


def test_loads_the_model_of_a_job_folder(tmp_path: Path) -> None:
    """A job folder stands for its model.onnx."""
    file = write_model(tmp_path / "model.onnx", metadata(name="job"))
    assert loading.load_model(tmp_path).name == "job"
    assert loading.model_files(str(tmp_path), "aesthetic", file) == [file, file]


def test_an_ensemble_may_name_job_folders(tmp_path: Path) -> None:
    """A member may be the folder of a job, next to the ensemble file."""
    (tmp_path / "job").mkdir()
    file = write_model(tmp_path / "job" / "model.onnx", metadata(name="job"))
    path = _ensemble(tmp_path, {"model": "job"}, {"model": "aesthetic"})
    assert loading.model_files(path) == [path, file]
    assert loading.load_model(_ensemble(tmp_path, {"model": "job"})).members[0].network.metadata.name == "job"


def test_loads_an_ensemble_next_to_its_members(tmp_path: Path, models: dict[str, float]) -> None:
    """Relative paths start at the folder of the ensemble file, and weights count."""
    path = _ensemble(tmp_path / "models", {"model": "a.onnx"}, {"model": "b.onnx", "weight": 3})
    model = loading.load_model(path)
    assert model.name == "both"
    assert _mean(model) == pytest.approx((models["a"] + 3 * models["b"]) / 4, abs=1e-5)


def test_loads_members_by_absolute_path(tmp_path: Path, models: dict[str, float]) -> None:
    """An ensemble file may be in any folder."""
    path = _ensemble(tmp_path, {"model": str(tmp_path / "models" / "a.onnx")}, name="one")
    model = loading.load_model(path)
    assert model.name == "one"
    assert _mean(model) == pytest.approx(models["a"], abs=1e-6)


def test_rejects_an_ensemble_of_ensembles(tmp_path: Path) -> None:
    """A member must not be an ensemble."""
    with pytest.raises(ConfigError, match=r"one model. Received: other\.json"):
        loading.load_model(_ensemble(tmp_path, {"model": "other.json"}))


def test_rejects_an_ensemble_with_a_missing_member(tmp_path: Path) -> None:
    """A missing member is named in the error."""
    with pytest.raises(ModelError, match=r"must exist. Received: .*none\.onnx"):
        loading.load_model(_ensemble(tmp_path, {"model": "none.onnx"}))


def test_averages_several_models_in_equal_shares(tmp_path: Path, models: dict[str, float]) -> None:
    """An ensemble among them counts as one model, whatever its number of members."""
    folder = tmp_path / "models"
    both = _ensemble(folder, {"model": "a.onnx", "weight": 5}, {"model": "b.onnx", "weight": 5})
    model = loading.load_models([str(folder / "a.onnx"), str(both)])
    assert model.name == "a + both"
    expected = models["a"] / 2 + (models["a"] + models["b"]) / 4
    assert _mean(model) == pytest.approx(expected, abs=1e-5)


def test_one_model_of_several_is_that_model(tiny_file: Path) -> None:
    """A list of one model gives that model."""
    assert loading.load_models([str(tiny_file)]).name == "tiny"


@pytest.mark.parametrize("name", ["w.hdf5", "W.H5", "w.weights.h5", "w.keras"])
def test_asks_for_the_base_model_of_keras_weights(name: str) -> None:
    """For Keras weights passed as a model, the error names the right options."""
    with pytest.raises(UsageError, match=r"--weights-file .* --base-model-name NAME"):
        loading.load_model(name)


def test_a_config_stands_for_its_weights(tiny_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """existing_weights and base_model_name of the config are what is loaded."""
    asked: list[tuple[str, str]] = []

    def load_weights(path: str, base: str, **_: Any) -> Model:
        asked.append((path, base))
        return loading.load_model(tiny_file)

    monkeypatch.setattr(loading, "load_weights", load_weights)
    loading.load_config(TrainConfig(base_model_name="VGG16", existing_weights="w.h5"))
    assert asked == [("w.h5", "VGG16")]


@pytest.mark.parametrize("named", [{"existing_weights": "aesthetic"}, {"public_model": "aesthetic"}])
def test_a_config_may_name_a_public_model(public_model: Path, named: dict[str, Any]) -> None:
    """A config without a weights file scores with the public model that it names, in either key."""
    config = TrainConfig(base_model_name="MobileNet", **named)
    assert loading.load_config(config).name == "aesthetic"


def test_the_file_name_of_a_config_may_name_the_public_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Configs of other NIMA toolkits are told apart only by their names."""
    asked: list[str] = []
    monkeypatch.setattr(loading, "load_model", lambda name, **_: asked.append(name))
    config = TrainConfig(base_model_name="MobileNet")
    for name in ("config_aesthetic_gpu.json", "Technical.json"):
        loading.load_config(config, name)
    assert asked == ["aesthetic", "technical"]
    for name in ("config.json", "aesthetic_and_technical.json", "technically.json"):
        with pytest.raises(ConfigError, match="set public_model"):
            loading.load_config(config, name)


def test_every_public_model_may_be_named_in_a_config() -> None:
    """The values of the key are the names of the public models."""
    assert get_args(PublicModel) == tuple(public_models())


@pytest.mark.parametrize(
    ("base_model", "weights", "public"),
    [
        ("MobileNet", None, None),  # two public models
        ("MobileNet", "aesthetic", "technical"),
        ("VGG16", None, None),
        ("VGG16", "aesthetic", None),
        ("VGG16", None, "technical"),
        ("EfficientNetLite2", "efficientnet-lite2", None),
    ],
)
def test_rejects_a_config_that_names_no_one_model(
    base_model: str, weights: str | None, public: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No name, two names, a public model of another backbone, or a backbone: nothing is loaded."""
    monkeypatch.setattr(loading, "load_model", lambda *_, **__: pytest.fail("loaded"))
    received = (
        f"Received: {base_model}, existing_weights {weights or 'null'}, public_model {public or 'null'}"
    )
    with pytest.raises(ConfigError, match=rf"{received}; set public_model"):
        loading.load_config(
            TrainConfig(base_model_name=base_model, existing_weights=weights, public_model=public)
        )


def test_rejects_weights_that_are_missing(tmp_path: Path) -> None:
    """A missing weights file is named in the error."""
    with pytest.raises(WeightsError, match="must exist"):
        loading.load_weights(tmp_path / "none.h5", "MobileNet")


@pytest.mark.slow
@pytest.mark.skipif(not AVA.is_dir(), reason="../shared/data/ava/images is not here")
def test_weights_of_the_users_own_give_the_reference_scores(public_weights: Path, empty_cache: Path) -> None:
    """The published weights, converted without TensorFlow, give the published scores."""
    model = loading.load_weights(public_weights, "MobileNet")
    assert len(list(empty_cache.iterdir())) == 1
    records = model.predict([AVA / "42039.jpg", AVA / "42041.jpg"], augmented=True)
    figures = [(r["mean_score_prediction"], r["sd_score_prediction"]) for r in records]
    np.testing.assert_allclose(figures, [(5.15448, 1.40392), (5.45040, 1.43002)], atol=1e-3)
    loading.load_weights(public_weights, "MobileNet")
    assert len(list(empty_cache.iterdir())) == 1


@pytest.mark.slow
def test_rejects_the_weights_of_another_backbone(
    public_weights: Path, empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights of another backbone are refused, and a json.py in the working directory is not run."""
    (tmp_path / "json.py").write_text("raise SystemExit('run')", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError, match=r"must be of the base model.*base model they were trained"):
        loading.load_weights(public_weights, "MobileNetV2")
    assert list(empty_cache.iterdir()) == []
