"""nimakit.models.encoders.importing: exported networks as encoders."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from nimakit.errors import ModelError
from nimakit.models.encoders import load_encoder
from nimakit.models.encoders.importing import Imported, import_encoder
from nimakit.models.encoders.wrapping import Exported
from samples import random_pixels
from small_encoders import PATCH, SIDE, WIDTH, encoder_metadata, write_exported

TORCH = Path(__file__).parents[2] / "data" / "encoders" / "torch_vit.onnx"
KERAS = TORCH.with_name("keras_cnn.onnx")
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
PIXELS = np.stack([random_pixels(SIDE, SIDE, seed) for seed in range(2)])


def _import(source: Path, folder: Path, *, side: int = SIDE, **settings: Any) -> Imported:
    exported = Exported(**{"mean": MEAN, "std": STD, "output": "embedding", **settings})
    return import_encoder(source, folder / "encoder.onnx", exported, encoder_metadata(side=side))


def _own(source: Path, name: str, pixels: np.ndarray[Any, Any], **settings: Any) -> np.ndarray[Any, Any]:
    """What the exported network itself gives for prepared pixels."""
    model = onnx.load(source)
    if name not in {value.name for value in model.graph.output}:
        model.graph.output.append(onnx.ValueInfoProto(name=name))
    session = onnxruntime.InferenceSession(model.SerializeToString())
    dtype = settings.get("dtype", np.float32)
    scaled = (pixels / settings.get("scale", 255.0) - MEAN) / STD
    if settings.get("layout", "nchw") == "nchw":
        scaled = scaled.transpose(0, 3, 1, 2)
    [values] = session.run([name], {session.get_inputs()[0].name: scaled.astype(dtype)})
    return np.asarray(values)


def test_imports_what_pytorch_exports(tmp_path: Path) -> None:
    """A vision transformer gives its pooled output, and the tokens of its patches without the class token."""
    pixels = np.stack([random_pixels(32, 32, seed) for seed in range(2)])
    settings = {"output": "pooler_output", "tokens": "last_hidden_state", "patch": 8}
    imported = _import(TORCH, tmp_path, side=32, **settings)
    encoder = imported.encoder
    assert (encoder.dimension, encoder.grid, encoder.is_patch_mean) == (32, (4, 4), False)
    assert not imported.takes_any_size
    assert imported.seconds_per_image > 0
    assert encoder.metadata == encoder_metadata(side=32)
    np.testing.assert_allclose(encoder.encode(pixels), _own(TORCH, "pooler_output", pixels), atol=1e-5)
    tokens = _own(TORCH, "last_hidden_state", pixels)[:, 1:].reshape(2, 4, 4, 32)
    np.testing.assert_allclose(encoder.patches(pixels), tokens, atol=1e-4)
    assert encoder.at(source_size=(48, 64)).dimension == 32


def test_imports_what_keras_exports(tmp_path: Path) -> None:
    """A network that takes channels last; operators of an old opset are converted, so that it can resize."""
    pixels = np.stack([random_pixels(32, 32, seed) for seed in range(2)])
    settings: dict[str, Any] = {"output": None, "mean": (0.5,) * 3, "std": (0.5,) * 3}
    encoder = _import(KERAS, tmp_path, side=32, **settings).encoder
    session = onnxruntime.InferenceSession(KERAS)
    [expected] = session.run(None, {"image": pixels.astype(np.float32) / 127.5 - 1})
    np.testing.assert_allclose(encoder.encode(pixels), expected, atol=1e-5)
    assert (encoder.dimension, encoder.grid) == (24, None)
    assert encoder.at(source_size=(48, 64)).dimension == 24


def test_refuses_a_broken_export_of_keras(tmp_path: Path) -> None:
    """Half of a file, and a size that it does not take: nothing is written."""
    half = tmp_path / "half.onnx"
    half.write_bytes(KERAS.read_bytes()[: KERAS.stat().st_size // 2])
    with pytest.raises(ModelError, match="valid ONNX model"):
        _import(half, tmp_path, side=32, output=None)
    with pytest.raises(ModelError, match=r"Received: image \(any, 32, 32, 3\); give its --size"):
        _import(KERAS, tmp_path, side=24, output=None)
    assert not (tmp_path / "encoder.onnx").exists()


def test_takes_the_class_token_of_tokens(tmp_path: Path) -> None:
    """Where there are more tokens than patches, the first is the vector."""
    pixels = random_pixels(32, 32)[None]
    encoder = _import(TORCH, tmp_path, side=32, output="last_hidden_state", patch=8).encoder
    expected = _own(TORCH, "last_hidden_state", pixels)[:, 0]
    np.testing.assert_allclose(encoder.encode(pixels), expected, atol=1e-4)
    assert encoder.grid == (4, 4)


def test_averages_tokens_that_are_all_of_patches(tmp_path: Path) -> None:
    """Without a class token the mean of the patches is the vector."""
    shape = np.array([0, WIDTH, 16])
    nodes = [
        helper.make_node("Reshape", ["maps", "grid"], ["flat"]),
        helper.make_node("Transpose", ["flat"], ["tokens"], perm=[0, 2, 1]),
    ]
    source = write_exported(tmp_path / "m.onnx", after=nodes, outputs=["tokens"], constants={"grid": shape})
    encoder = _import(source, tmp_path, output=None, patch=PATCH).encoder
    assert (encoder.dimension, encoder.grid, encoder.is_patch_mean) == (WIDTH, (4, 4), True)
    np.testing.assert_allclose(encoder.encode(PIXELS), _own(source, "embedding", PIXELS), atol=1e-4)


@pytest.mark.parametrize(
    ("options", "settings", "own"),
    [
        ({}, {}, {}),
        ({"element": TensorProto.FLOAT16}, {}, {"dtype": np.float16}),
        ({"opset": 11}, {}, {}),
        ({"shape": (1, 3, SIDE, SIDE)}, {}, {}),
        ({"shape": ("n", "c", "h", "w")}, {}, {}),
        ({"inputs": ("features",)}, {}, {}),
        ({}, {"largest": 255}, {"scale": 1.0}),
        (
            {
                "shape": ("n", SIDE, SIDE, 3),
                "before": [helper.make_node("Transpose", ["pixel_values"], ["x"], perm=[0, 3, 1, 2])],
            },
            {},
            {"layout": "nhwc"},
        ),
    ],
)
def test_puts_normalisation_and_layout_into_the_file(
    tmp_path: Path, options: dict[str, Any], settings: dict[str, Any], own: dict[str, Any]
) -> None:
    """Whatever layout, type and range the network takes, the encoder takes RGB pixels 0-255."""
    source = write_exported(tmp_path / "m.onnx", **options)
    encoder = _import(source, tmp_path, **settings).encoder
    pixels = PIXELS[:1] if options.get("shape", "n")[0] == 1 else PIXELS
    expected = _own(source, "embedding", pixels, **own)
    atol = (0.01 if own.get("dtype") is np.float16 else 1e-5) * np.abs(expected).max()
    np.testing.assert_allclose(encoder.encode(pixels), expected, atol=atol)
    assert encoder.at(source_size=(24, 24)).dimension == WIDTH


def test_takes_networks_that_want_blue_first(tmp_path: Path) -> None:
    """The order of the channels is in the file, too; mean and std are in the network's order."""
    source = write_exported(tmp_path / "m.onnx")
    encoder = _import(source, tmp_path, channels="bgr").encoder
    expected = _own(source, "embedding", PIXELS[..., ::-1])
    np.testing.assert_allclose(encoder.encode(PIXELS), expected, atol=1e-4)


def test_averages_maps_and_drops_the_classifier(tmp_path: Path) -> None:
    """A tensor inside the graph can be the output; what comes after it is not in the file."""
    source = write_exported(tmp_path / "m.onnx", shape=("n", 3, "h", "w"))
    imported = _import(source, tmp_path, output="maps")
    encoder = imported.encoder
    assert imported.takes_any_size
    assert (encoder.grid, encoder.is_patch_mean, encoder.at((24, 32)).grid) == ((4, 4), True, (6, 8))
    np.testing.assert_allclose(encoder.encode(PIXELS), _own(source, "embedding", PIXELS), atol=1e-4)
    assert "classifier" not in {tensor.name for tensor in onnx.load(encoder.path).graph.initializer}


def test_a_network_that_only_claims_to_take_any_size_gets_one(tmp_path: Path) -> None:
    """The size is tried out; a Reshape to the size it was exported with fails."""
    reshape = helper.make_node("Reshape", ["maps", "flat"], ["vector"])
    source = write_exported(
        tmp_path / "m.onnx",
        shape=("n", 3, "h", "w"),
        after=[reshape, helper.make_node("MatMul", ["vector", "dense"], ["out"])],
        constants={"flat": np.array([0, -1]), "dense": np.ones((16 * WIDTH, 2), np.float32)},
    )
    imported = _import(source, tmp_path, output="out")
    assert not imported.takes_any_size
    with pytest.raises(ModelError, match="16x16 pixels only"):
        imported.encoder.at((24, 24))


def test_takes_weights_in_files_of_its_folder(tmp_path: Path) -> None:
    """The encoder is one file, with them in it."""
    source = write_exported(tmp_path / "m.onnx")
    expected = _own(source, "embedding", PIXELS)
    model = onnx.load(source)
    onnx.save(model, source, save_as_external_data=True, location="w.bin", size_threshold=0)
    encoder = _import(source, tmp_path).encoder
    (tmp_path / "w.bin").unlink()
    np.testing.assert_allclose(load_encoder(encoder.path).encode(PIXELS), expected, atol=1e-4)


def _node(operation: str, *inputs: str, output: str = "out", **options: Any) -> onnx.NodeProto:
    return helper.make_node(operation, inputs, [output], **options)


_OUT = {"output": "out"}
_ONE_IMAGE = {"after": [_node("Reshape", "maps", "one")], "constants": {"one": np.array([1, WIDTH * 16])}}
_CONSTANT = {"after": [_node("Mul", "embedding", "zero")], "constants": {"zero": np.float32(0)}}
_RANDOM = {
    "after": [_node("Dropout", "embedding", "half", "yes")],
    "constants": {"half": np.float32(0.5), "yes": np.bool_(1)},
}


@pytest.mark.parametrize(
    ("options", "settings", "message"),
    [
        ({"after": [_node("Special", "maps", domain="com.example")]}, {}, "custom ones: com.example:Special"),
        ({"inputs": ("input_ids", "pixel_values")}, {}, r"one input.*input_ids .*, pixel_values"),
        ({"shape": ("n", 3, SIDE)}, {}, r"of 4 dimensions. Received: pixel_values \(n, 3, 16\)"),
        ({"shape": ("n", 3, 8, 8)}, {}, r"16x16 pixels.* pixel_values \(any, 3, 8, 8\); give its --size"),
        ({"shape": ("n", 4, SIDE, SIDE)}, {}, "3 channels, NCHW"),
        ({}, {"layout": "nhwc"}, "3 channels, NHWC"),
        ({}, {"output": "pooler"}, r"Received: pooler; the outputs are logits: name one"),
        ({"outputs": ("logits", "maps")}, {"output": None}, "Received: none; the outputs are logits, maps"),
        ({}, {"tokens": "logits"}, r"tokens or maps. Received: logits \(2, 2\)"),
        ({"opset": 10}, {}, "opset 11 or later. Received: 10"),
        (_ONE_IMAGE, _OUT, "dynamic first dimension"),
        ({"after": [_node("Log", "logits")]}, _OUT, "finite numbers"),
        (_CONSTANT, _OUT, "the same for a photograph and its negative"),
        (_RANDOM, _OUT, r"model\.eval"),
    ],
)
def test_refuses_what_cannot_be_an_encoder(
    tmp_path: Path, options: dict[str, Any], settings: dict[str, Any], message: str
) -> None:
    """The message says what is wrong, and nothing is written."""
    source = write_exported(tmp_path / "m.onnx", **options)
    with pytest.raises(ModelError, match=message):
        _import(source, tmp_path, **settings)
    assert not (tmp_path / "encoder.onnx").exists()


@pytest.mark.parametrize(
    ("settings", "message"), [({}, "give --patch"), ({"patch": 4}, "8x8 tokens and at most 16")]
)
def test_refuses_tokens_that_fit_no_patches(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    """Without the right side of a patch, nobody knows which tokens are patches."""
    with pytest.raises(ModelError, match=message):
        _import(TORCH, tmp_path, side=32, output="last_hidden_state", **settings)


def test_refuses_weights_in_files_of_other_folders(tmp_path: Path) -> None:
    """A file that came from a stranger cannot read files of this machine."""
    source = write_exported(tmp_path / "m.onnx")
    model = onnx.load(source)
    onnx.save(model, source, save_as_external_data=True, location="w.bin", size_threshold=0)
    source.write_bytes(source.read_bytes().replace(b"w.bin", b"../w1"))
    with pytest.raises(ModelError, match=r"regular files in its folder"):
        _import(source, tmp_path)


@pytest.mark.parametrize("content", [None, b"no model"])
def test_refuses_a_file_that_is_no_model(tmp_path: Path, content: bytes | None) -> None:
    """The file is named."""
    source = tmp_path / "m.onnx"
    if content:
        source.write_bytes(content)
    with pytest.raises(ModelError, match=r"Received: .*m\.onnx"):
        _import(source, tmp_path)
