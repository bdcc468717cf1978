"""nimakit.models.encoders.public: public encoders, converted without TensorFlow."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nimakit.errors import WeightsError
from nimakit.images.photo import open_photo, prepare
from nimakit.models import efficientnet_lite, pretrained
from nimakit.models.encoders import PUBLIC_ENCODERS, load_encoder
from nimakit.models.network import Network
from state_dicts import ARRAYS, pretend_torch, write_archive

PHOTOS = ("portrait.jpg", "landscape.jpg", "coffee.jpg")
SAMPLES = Path(__file__).parents[3] / "data" / "samples"


def test_aesthetic_gives_the_features_of_the_public_model(public_model: Path) -> None:
    """The encoder is the model without its head, for any size; converted once, without Keras."""
    encoder, network = load_encoder("aesthetic"), Network(public_model)
    assert encoder.preprocessing == network.metadata.preprocessing
    photos = [open_photo(SAMPLES / name) for name in PHOTOS]
    pixels = np.stack([prepare(photo, encoder.preprocessing) for photo in photos])
    np.testing.assert_allclose(encoder.encode(pixels), network.run(pixels).features, atol=1e-4)
    assert (encoder.dimension, encoder.grid, encoder.is_patch_mean) == (1024, (7, 7), True)
    assert encoder.at((96, 160)).grid == (3, 5)
    assert load_encoder("aesthetic").path == encoder.path
    assert encoder.metadata.licence == "Apache-2.0"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("imagenet_weights", "sizes"),
    [
        ("efficientnet-lite0", [(224, 224), (150, 101)]),
        ("efficientnet-lite1", [(150, 101)]),
        ("efficientnet-lite2", [(150, 202)]),
    ],
    indirect=["imagenet_weights"],
)
def test_efficientnet_lite_gives_what_keras_gives(
    imagenet_weights: Path, sizes: list[tuple[int, int]]
) -> None:
    """At any size, also an odd one, features agree within 1e-4."""
    from nimakit.nn.networks import backbones

    name = imagenet_weights.name.rpartition("-")[0]  # of a cached file: name and hash
    encoder = load_encoder(name)
    backbone = backbones.get(pretrained.PUBLIC[name].base_model)
    assert encoder.input_size == backbone.input_size
    for size in sizes:
        sized = encoder.at(size)
        pixels = np.stack([prepare(open_photo(SAMPLES / name), sized.preprocessing) for name in PHOTOS[:2]])
        network = backbone.build("imagenet", input_size=size)
        expected = np.asarray(network(backbone.preprocess(pixels.astype(np.float32))))
        np.testing.assert_allclose(sized.encode(pixels), expected, atol=1e-4)
        assert sized.is_patch_mean


def test_refuses_weights_of_another_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the base model and the file."""
    pretend_torch(monkeypatch)
    path = write_archive(tmp_path / "w.pth", ARRAYS)
    with pytest.raises(WeightsError, match=r"of the base model EfficientNetLite0. Received: .*w\.pth"):
        efficientnet_lite.build_encoder("EfficientNetLite0", path)


def test_needs_no_tensorflow(public_model: Path) -> None:
    """An encoder is loaded and run without TensorFlow, Keras and, once converted, onnx."""
    load_encoder("aesthetic")
    code = (
        "import sys; sys.modules.update(tensorflow=None, keras=None, tf2onnx=None, torch=None, onnx=None);"
        " from nimakit.models.encoders import load_encoder; print(load_encoder('aesthetic').dimension)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "1024\n"


def test_all_public_encoders_have_weights() -> None:
    """Each name has a package, a hash and a licence."""
    assert set(PUBLIC_ENCODERS) <= set(pretrained.PUBLIC)
