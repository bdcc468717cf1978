"""nimakit.models.encoders.encoder: files that give feature vectors."""

import pickle
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from nimakit.errors import ModelError
from nimakit.images.photo import open_photo, prepare
from nimakit.models.encoders import Encoder, load_encoder
from nimakit.models.network import Network
from samples import SIDE as MODEL_SIDE
from samples import random_pixels, write_model
from small_encoders import PATCH, SIDE, WIDTH, write_encoder


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    """A small encoder."""
    return load_encoder(write_encoder(tmp_path_factory.mktemp("encoders") / "tiny.onnx"))


def test_gives_vectors_and_those_of_the_patches(encoder: Encoder) -> None:
    """A vector is the mean of its patches, whatever the batch."""
    batch = np.stack([random_pixels(SIDE, SIDE, seed) for seed in range(3)])
    vectors, patches = encoder.encode(batch), encoder.patches(batch)
    assert vectors.shape == (3, WIDTH)
    assert vectors.dtype == np.float32
    assert patches.shape == (3, SIDE // PATCH, SIDE // PATCH, WIDTH)
    np.testing.assert_allclose(vectors, patches.mean(axis=(1, 2)), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(encoder.encode(batch[1:2]), vectors[1:2], rtol=1e-5, atol=1e-6)
    assert (encoder.dimension, encoder.grid, encoder.is_patch_mean) == (WIDTH, (4, 4), True)


def test_takes_another_size_if_its_graph_does(encoder: Encoder) -> None:
    """Input size, filter and fit can be others; each is another block of features."""
    larger = encoder.at((24, 32), fit="crop")
    assert (larger.grid, larger.label) == ((6, 8), "tiny encoder@24x32")
    assert larger.preprocessing.fit == "crop"
    identities = {
        e.identity for e in (encoder, larger, encoder.at((24, 32)), encoder.at(source_size=(32, 32)))
    }
    assert len(identities) == 4
    assert encoder.at().identity == encoder.identity
    assert encoder.at(decode="scaled").identity != encoder.identity
    with pytest.raises(ModelError, match="resize_filter' nearest"):
        encoder.at(resize_filter="nearest", decode="scaled")


def test_refuses_a_size_that_its_graph_does_not_take(tiny_file: Path) -> None:
    """The message gives the size it takes."""
    with pytest.raises(ModelError, match=r"tiny takes images of 8x8 pixels only. Received: 24x32"):
        load_encoder(tiny_file).at((24, 32))


@pytest.mark.parametrize("resize_filter", ["bilinear", "bicubic"])
def test_a_graph_resizes_images_as_pillow_does(encoder: Encoder, resize_filter: str, tmp_path: Path) -> None:
    """From a larger image the graph makes the smaller one itself, up to the rounding of pixels."""
    noise = np.kron(random_pixels(9, 13), np.ones((5, 5, 1), np.uint8))
    photo = open_photo(noise)
    source = encoder.at(source_size=(40, 48), resize_filter=resize_filter)  # type: ignore[arg-type]
    large = prepare(photo, source.preprocessing)[None]
    assert large.shape == (1, 40, 48, 3)
    small = Image.fromarray(large[0]).resize((SIDE, SIDE), Image.Resampling[resize_filter.upper()])
    expected = encoder.encode(np.asarray(small)[None])
    np.testing.assert_allclose(source.encode(large), expected, atol=0.02 * np.abs(expected).max())
    path = tmp_path / "joined.onnx"
    path.write_bytes(source.graph().SerializeToString())
    [vectors] = onnxruntime.InferenceSession(path).run(["features"], {"image": large.astype(np.float32)})
    np.testing.assert_array_equal(vectors, source.encode(large))
    assert Encoder(path).preprocessing == source.preprocessing


def test_a_model_is_an_encoder_too(tiny_file: Path) -> None:
    """Its features are those it scores by; it has no patches."""
    encoder, pixels = load_encoder(tiny_file), random_pixels(MODEL_SIDE, MODEL_SIDE)[None]
    np.testing.assert_array_equal(encoder.encode(pixels), Network(tiny_file).run(pixels).features)
    assert (encoder.grid, encoder.is_patch_mean, encoder.metadata.bins[0]) == (None, False, 1)
    with pytest.raises(ModelError, match="which has none"):
        encoder.patches(pixels)


def test_an_encoder_is_no_model(encoder: Encoder) -> None:
    """Scoring with one is refused, and the message says what to do."""
    with pytest.raises(ModelError, match=r"which is an encoder.*nimakit train"):
        Network(encoder.path)


def test_refuses_a_file_without_vectors(tmp_path: Path) -> None:
    """The message names the outputs there are, and the import."""
    path = write_model(tmp_path / "m.onnx", features="embedding")
    with pytest.raises(ModelError, match=r"'features'. Received: .*embedding; import it"):
        load_encoder(path)


def test_refuses_an_unknown_name() -> None:
    """The message lists the public encoders."""
    with pytest.raises(ModelError, match=r"efficientnet-lite0, .*aesthetic.* Received: clip"):
        load_encoder("clip")


def test_refuses_vectors_that_are_no_numbers(encoder: Encoder) -> None:
    """NaN is the fault of the encoder, not of the photograph."""
    with pytest.raises(ModelError, match=r"finite numbers. Received from tiny encoder: \(1, 5\)"):
        encoder.encode(np.full((1, SIDE, SIDE, 3), np.nan, np.float32))


def test_encodes_where_its_file_is_not(tmp_path: Path) -> None:
    """A pickle has the content of the file, and how images become smaller in the graph."""
    path = write_encoder(tmp_path / "e.onnx")
    encoders = [Encoder(path), Encoder(path).at((16, 16), source_size=(32, 48))]
    content = pickle.dumps(encoders)
    path.unlink()
    for encoder, again in zip(encoders, pickle.loads(content), strict=True):  # noqa: S301
        height, width = encoder.preprocessing.height, encoder.preprocessing.width
        pixels = random_pixels(height, width, 1)[None]
        np.testing.assert_array_equal(again.encode(pixels), encoder.encode(pixels))
        assert (again.label, again.preprocessing) == (encoder.label, encoder.preprocessing)


def test_another_preparation_loads_no_file_again(encoder: Encoder) -> None:
    """Both share one session and its memory."""
    assert encoder.at(fit="crop")._session is encoder._session
