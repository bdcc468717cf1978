"""nimakit.commands.export: `nimakit export`."""

import json
from pathlib import Path
from typing import Any

import pytest

from nimakit.config import parse_train_config
from nimakit.models.network import Network
from terminal import Command

# Keras is behind NumPy 2 in one place.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
)

CONFIG: dict[str, Any] = {
    "base_model_name": "MobileNet",
    "head": "regression",
    "score_activation": "sigmoid",
    "n_classes": 5,
    "pooled_levels": 2,
    "input_size": [32, 64],
    "fit": "pad",
}


@pytest.fixture
def weights_file(tmp_path: Path) -> Path:
    """Random weights of the network that CONFIG stands for."""
    from nimakit.nn.networks import backbones, heads
    from nimakit.stats.histogram import default_bins

    config = parse_train_config(CONFIG, "the config")
    base = backbones.get("MobileNet").build(input_size=config.input_size)
    path = tmp_path / "w.weights.h5"
    heads.add_head(base, default_bins(5), config).save_weights(path)
    return path


@pytest.mark.slow
def test_honours_head_and_preprocessing_of_a_config(
    nimakit: Command, weights_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights with a training config are exported with its head and preprocessing."""
    monkeypatch.setenv("NIMAKIT_CACHE", str(tmp_path / "cache"))
    config_file = tmp_path / "config.json"
    config_file.write_text(json.dumps(CONFIG), encoding="utf-8")
    output = tmp_path / "m.onnx"

    given = ("--weights-file", weights_file, "--config-file", config_file, "--output", output)
    result = nimakit("export", *given)

    assert result.code == 0
    network = Network(output)
    assert network.is_regression
    assert network.metadata.bins == (1, 2, 3, 4, 5)
    prepared = network.metadata.preprocessing
    assert (prepared.height, prepared.width, prepared.fit) == (32, 64, "pad")


@pytest.mark.parametrize("given", [(), ("--base-model-name", "MobileNet", "--config-file", "c.json")])
def test_rejects_weights_without_one_backbone(nimakit: Command, tmp_path: Path, given: tuple[str]) -> None:
    """The backbone is given by name or by config, not both."""
    result = nimakit("export", "--weights-file", "w.h5", "--output", tmp_path / "m.onnx", *given)
    assert result.code == 1
    assert "either --base-model-name or --config-file" in result.err


def test_rejects_another_suffix(nimakit: Command, tmp_path: Path) -> None:
    """The output must end in .onnx."""
    given = ("--weights-file", "w.h5", "--base-model-name", "MobileNet", "--output", tmp_path / "m.pb")
    result = nimakit("export", *given)
    assert result.code == 1
    assert ".onnx" in result.err
