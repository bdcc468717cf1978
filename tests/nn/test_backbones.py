"""nimakit.nn.backbones: every image classifier of keras.applications, by name."""

import keras
import numpy as np
import pytest

from nimakit.errors import ModelError
from nimakit.nn import backbones


def test_knows_the_classifiers_of_keras() -> None:
    """Every family of keras.applications is there, sorted, and nothing that is no classifier."""
    names = backbones.names()
    assert names == sorted(names)
    assert {"MobileNet", "VGG16", "ResNet50V2", "NASNetLarge", "ConvNeXtTiny"} <= set(names)
    assert all(getattr(keras.applications, name) for name in names)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("mobilenet", "nearest: MobileNet"),
        ("VGG", "VGG16"),
        ("ResNet-50", "ResNet50"),
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
        ("VGG16", [0 - 103.939, 127.5 - 116.779, 255 - 123.68]),
        ("EfficientNetB0", [255.0, 127.5, 0.0]),
    ],
)
def test_has_the_preprocessing_each_was_trained_with(name: str, expected: list[float]) -> None:
    """MobileNet scales to -1..1, VGG16 centres BGR, EfficientNet takes pixels as they are."""
    pixel = np.array([[[[0.0, 127.5, 255.0]]]], np.float32)
    if name != "MobileNet":
        pixel = pixel[..., ::-1]
    prepared = np.asarray(backbones.get(name).preprocess(keras.ops.convert_to_tensor(pixel)))
    np.testing.assert_allclose(prepared.ravel(), expected, atol=1e-4)


def test_builds_features_without_a_classifier() -> None:
    """A backbone ends in pooled features of its input size."""
    model = backbones.get("MobileNet").build()
    assert model.input_shape == (None, backbones.INPUT_SIZE, backbones.INPUT_SIZE, 3)
    assert model.output_shape == (None, 1024)
