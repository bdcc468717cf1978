"""nimakit.nn.networks.export: Keras weights to a model file that gives the same numbers."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import pytest

import small_backbone
from nimakit.config import TrainConfig
from nimakit.errors import ModelError, WeightsError
from nimakit.models.metadata import Metadata
from nimakit.models.network import Network
from nimakit.nn.networks import backbones, export, heads
from nimakit.nn.networks.keras_model import KerasModel
from nimakit.stats.histogram import default_bins
from samples import metadata, random_pixels

pytestmark = [
    # Keras and TensorFlow are behind NumPy 2 in two places.
    pytest.mark.filterwarnings("ignore:In the future `np.object`:FutureWarning"),
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
]

SIDE = backbones.INPUT_SIZE
TOLERANCE = 1e-4
CONFIG = TrainConfig(base_model_name="any")


def _pictures(height: int, width: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """(3, height, width, 3) noise, each picture darker than the one before."""
    return np.stack([random_pixels(height, width, seed) // (1 + seed) for seed in range(3)])


PIXELS = _pictures(SIDE, SIDE)


def _keras_answers(
    model: keras.Model, backbone: backbones.Backbone, pixels: np.ndarray[Any, np.dtype[np.uint8]] = PIXELS
) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.float32]], ...]:
    trunk = keras.Model(model.input, [model.layers[-2].input, model.output])
    features, histogram = trunk(backbone.preprocess(keras.ops.convert_to_tensor(pixels.astype(np.float32))))
    return np.asarray(histogram), np.asarray(features)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", backbones.names())
def test_every_backbone_keeps_the_contract(tmp_path: Path, name: str) -> None:
    """Exported with random weights, each loads, takes any batch, and gives the outputs of Keras."""
    keras.utils.set_random_seed(0)
    backbone = backbones.get(name)
    model = heads.add_head(backbone.build(), default_bins(6), CONFIG)
    model.save_weights(tmp_path / "w.weights.h5")
    export.export_weights(tmp_path / "w.weights.h5", name, tmp_path / "m.onnx")
    network = Network(tmp_path / "m.onnx")
    pixels = _pictures(*backbone.input_size)
    outputs = network.run(pixels)
    histogram, features = _keras_answers(model, backbone, pixels)
    np.testing.assert_allclose(outputs.values, histogram, atol=TOLERANCE)
    np.testing.assert_allclose(outputs.features, features, atol=TOLERANCE * max(1.0, np.abs(features).max()))
    assert (network.metadata.base_model, len(network.metadata.bins)) == (name, 6)
    keras.backend.clear_session()


@pytest.mark.parametrize(
    ("name", "size"),
    [
        (small_backbone.NAME, (150, 101)),
        pytest.param("MobileNet", (150, 101), marks=pytest.mark.slow),
        pytest.param("ResNet18", (150, 101), marks=pytest.mark.exhaustive),
        pytest.param("EfficientNetLite2", (400, 500), marks=pytest.mark.exhaustive),
        pytest.param("MobileNetV3Small", (400, 500), marks=pytest.mark.exhaustive),
    ],
)
def test_exports_at_other_sizes(tmp_path: Path, name: str, size: tuple[int, int]) -> None:
    """The size in the metadata is that of the model, which need be neither square nor even."""
    keras.utils.set_random_seed(0)
    with small_backbone.registered():
        backbone = backbones.get(name)
        model = heads.add_head(backbone.build(input_size=size), default_bins(6), CONFIG)
        model.save_weights(tmp_path / "w.weights.h5")
        wanted = {"input_size": list(size), "fit": "pad"}
        written = export.export_weights(tmp_path / "w.weights.h5", name, tmp_path / "m.onnx", wanted)
    assert (written.preprocessing.height, written.preprocessing.width) == size
    pixels = _pictures(*size)
    outputs = Network(tmp_path / "m.onnx").run(pixels)
    histogram, features = _keras_answers(model, backbone, pixels)
    np.testing.assert_allclose(outputs.values, histogram, atol=TOLERANCE)
    np.testing.assert_allclose(outputs.features, features, atol=TOLERANCE * np.abs(features).max())


@pytest.mark.parametrize(
    ("imagenet_weights", "size"),
    [
        pytest.param("efficientnet-lite0", (130, 170), marks=pytest.mark.slow),
        *(
            pytest.param(name, size, marks=pytest.mark.exhaustive)
            for name in ("efficientnet-lite0", "efficientnet-lite2")
            for size in ((260, 260), (400, 500))
        ),
    ],
    indirect=["imagenet_weights"],
)
def test_public_imagenet_weights_give_the_same_in_keras_and_onnx(
    imagenet_weights: Path, tmp_path: Path, size: tuple[int, int]
) -> None:
    """With real weights, features differ from picture to picture; they agree at any size."""
    name = "EfficientNetLite0" if "lite0" in imagenet_weights.name else "EfficientNetLite2"
    backbone = backbones.get(name)
    keras.utils.set_random_seed(0)
    model = heads.add_head(backbone.build("imagenet", input_size=size), default_bins(6), CONFIG)
    model.save_weights(tmp_path / "w.weights.h5")
    export.export_weights(tmp_path / "w.weights.h5", name, tmp_path / "m.onnx", {"input_size": list(size)})
    pixels = _pictures(*size)
    outputs = Network(tmp_path / "m.onnx").run(pixels)
    histogram, features = _keras_answers(model, backbone, pixels)
    assert np.ptp(features, axis=0).max() > 0.1
    np.testing.assert_allclose(outputs.values, histogram, atol=TOLERANCE)
    np.testing.assert_allclose(outputs.features, features, atol=TOLERANCE * np.abs(features).max())


def test_the_public_weights_give_the_same_in_keras_and_onnx(
    aesthetic: KerasModel, public_model: Path
) -> None:
    """The model file in use agrees with the Keras network it was made from."""
    histogram, features = _keras_answers(aesthetic.network, aesthetic.backbone)
    outputs = Network(public_model).run(PIXELS)
    assert np.ptp(histogram, axis=0).max() > 100 * TOLERANCE  # the pictures have different scores
    np.testing.assert_allclose(outputs.values, histogram, atol=TOLERANCE)
    np.testing.assert_allclose(outputs.features, features, atol=TOLERANCE)


def test_writes_the_metadata_it_is_given(tmp_path: Path) -> None:
    """Fields that are given replace the defaults, and the file contains what the function returns."""
    output = tmp_path / "m.onnx"
    given = {"name": "mine", "bins": list(range(10)), "fit": "pad", "licence": "MIT", "input_size": [64, 64]}
    with small_backbone.registered():
        backbone = backbones.get(small_backbone.NAME)
        model = heads.add_head(backbone.build(input_size=(64, 64)), default_bins(10), CONFIG)
        model.save_weights(tmp_path / "w.weights.h5")
        written = export.export_weights(tmp_path / "w.weights.h5", small_backbone.NAME, output, given)
    assert isinstance(written, Metadata)
    assert Network(output).metadata == written
    assert (written.name, written.bins[0], written.preprocessing.fit) == ("mine", 0, "pad")
    assert (written.licence, written.preprocessing.resize_filter) == ("MIT", "nearest")
    assert {path.name for path in tmp_path.iterdir()} == {"m.onnx", "w.weights.h5"}


def test_refuses_an_export_that_gives_something_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file is left of an export that differs from Keras, such as layer normalisation of one pixel."""
    keras.utils.set_random_seed(0)
    model = heads.add_head(small_backbone.construct(input_shape=(64, 64, 3)), default_bins(6), CONFIG)
    name_batch_axis = export._name_batch_axis

    def spoil(graph: onnx.ModelProto) -> None:
        name_batch_axis(graph)
        [kernel] = [values for values in graph.graph.initializer if list(values.dims) == [16, 6]]
        values = onnx.numpy_helper.to_array(kernel)
        kernel.CopyFrom(onnx.numpy_helper.from_array(values[:, ::-1].copy(), kernel.name))

    about = metadata(bins=range(1, 7), side=64)
    with small_backbone.registered():
        backbone = backbones.get(small_backbone.NAME)
        monkeypatch.setattr(export, "_name_batch_axis", spoil)
        with pytest.raises(ModelError, match=r"what Keras gives. Received: a histogram that is off by 0\."):
            export.export_model(model, backbone, about, tmp_path / "wrong.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def head_only(tmp_path: Path) -> Path:
    """A weights file with a head of three bins and no backbone."""
    inputs = keras.Input((4,))
    path = tmp_path / "head.weights.h5"
    keras.Model(inputs, keras.layers.Dense(3)(inputs)).save_weights(path)
    return path


def test_leaves_nothing_behind_when_it_fails(head_only: Path) -> None:
    """Weights that do not fit leave no file, whole or partial."""
    with small_backbone.registered(), pytest.raises(WeightsError, match="must be of the base model"):
        export.export_weights(head_only, small_backbone.NAME, head_only.parent / "m.onnx")
    assert list(head_only.parent.iterdir()) == [head_only]


def test_rejects_an_unknown_backbone_before_reading_weights(tmp_path: Path) -> None:
    """The name is checked first."""
    with pytest.raises(ModelError, match=r"nearest: .*MobileNet"):
        export.export_weights(tmp_path / "none.h5", "MobilNet", tmp_path / "m.onnx")
