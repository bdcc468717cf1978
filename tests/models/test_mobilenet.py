"""nimakit.models.mobilenet: NIMA on MobileNet converted without Keras."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from mobilenet_weights import write_weights
from nimakit.config import TrainConfig
from nimakit.errors import WeightsError
from nimakit.models import mobilenet
from nimakit.models.conversion import convert
from nimakit.models.network import Network
from nimakit.stats.histogram import default_bins

CONFIG = TrainConfig(base_model_name="MobileNet")


@pytest.fixture(scope="module")
def ten_bins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights with a head of ten bins; not to be changed."""
    return write_weights(tmp_path_factory.mktemp("weights") / "w.hdf5", 10)


@pytest.mark.slow
def test_gives_the_scores_of_keras(tmp_path: Path) -> None:
    """Histograms of noise are those of the Keras model with the same weights."""
    from nimakit.nn.networks import backbones, heads, weights

    bins, size = 7, (64, 96)
    path = write_weights(tmp_path / "w.hdf5", bins)
    model = heads.add_head(backbones.get("MobileNet").build(input_size=size), default_bins(bins), CONFIG)
    weights.load(model, path)
    config = TrainConfig(base_model_name="MobileNet", input_size=size, fit="crop")
    assert mobilenet.export_weights(path, tmp_path / "m.onnx", {"licence": "MIT"}, config)
    network = Network(tmp_path / "m.onnx")
    pixels = np.random.default_rng(0).integers(0, 256, (2, *size, 3)).astype(np.float32)
    expected = np.asarray(model(backbones.get("MobileNet").preprocess(pixels)))
    assert np.abs(network.run(pixels).values - expected).max() < 1e-5
    assert network.metadata.licence == "MIT"
    assert network.metadata.bins == tuple(range(1, bins + 1))
    assert network.metadata.preprocessing.fit == "crop"


def test_needs_no_tensorflow(ten_bins: Path, tmp_path: Path) -> None:
    """Neither TensorFlow nor Keras is imported."""
    path = ten_bins
    code = (
        "import sys; sys.modules.update(tensorflow=None, keras=None, tf2onnx=None);"
        "from pathlib import Path; from nimakit.models.conversion import convert;"
        f"print(convert(Path({str(path)!r}), 'MobileNet'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "NIMAKIT_CACHE": str(tmp_path)},
    )
    assert Network(done.stdout.strip()).metadata.name == "w.hdf5"


def test_leaves_other_heads_to_keras(tmp_path: Path) -> None:
    """A head of one output, or none at all, is not this network."""
    assert not mobilenet.export_weights(
        write_weights(tmp_path / "w.hdf5", 1), tmp_path / "m.onnx", {}, CONFIG
    )
    assert not (tmp_path / "m.onnx").exists()


def test_refuses_weights_of_another_network(ten_bins: Path, tmp_path: Path) -> None:
    """The error names what is missing."""
    path = Path(shutil.copy(ten_bins, tmp_path))
    with h5py.File(path, "r+") as file:
        del file["conv_pw_3"]["conv_pw_3/0:0"]
        file["conv_pw_3"]["conv_pw_3/0:0"] = np.zeros((1, 1, 128, 64), "f4")
    with pytest.raises(WeightsError, match=r"must be of the base model.*lacks 1 of its 54 .* conv_pw_3"):
        mobilenet.export_weights(path, tmp_path / "m.onnx", {}, CONFIG)


def test_refuses_weights_that_are_not_numbers(ten_bins: Path, tmp_path: Path) -> None:
    """An infinite weight anywhere shows that the training failed."""
    path = Path(shutil.copy(ten_bins, tmp_path))
    with h5py.File(path, "r+") as file:
        file["conv_pw_3"]["conv_pw_3/0:0"][0] = np.inf
    with pytest.raises(WeightsError, match=r"must be numbers.*conv_pw_3"):
        mobilenet.export_weights(path, tmp_path / "m.onnx", {}, CONFIG)
    assert not (tmp_path / "m.onnx").exists()


def test_a_config_may_choose_the_input(ten_bins: Path, empty_cache: Path) -> None:
    """The conversion gives the model file the config's size, fit and decoding."""
    config = TrainConfig(
        base_model_name="MobileNet", input_size=(32, 64), resize_filter="box", fit="pad", decode="scaled"
    )
    path = convert(ten_bins, "MobileNet", config=config)
    found = Network(path).metadata.preprocessing
    assert (found.height, found.width, found.fit, found.decode) == (32, 64, "pad", "scaled")
