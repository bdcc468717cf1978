"""nimakit.commands.features and .encoder: `nimakit features` and `nimakit encoder import`."""

import json
from pathlib import Path

import numpy as np
import pytest

from nimakit.models.encoders import load_encoder
from samples import write_photo
from small_encoders import SIDE, WIDTH, write_encoder, write_exported
from terminal import Command

pytestmark = pytest.mark.usefixtures("empty_cache")

TORCH = Path(__file__).parents[1] / "data" / "encoders" / "torch_vit.onnx"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of three photographs."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for level in (1, 2, 3):
        write_photo(folder / f"{level}.png", level)
    return folder


def test_writes_the_features_of_several_encoders(nimakit: Command, photos: Path, tmp_path: Path) -> None:
    """An array for each encoder, size and view; the second run computes nothing."""
    encoder, output = write_encoder(tmp_path / "e.onnx"), tmp_path / "f.npz"
    arguments = ["--encoder", encoder, "--encoder", f"{encoder}@24x32", "--mirrored", "--output", output]
    done = nimakit("features", "--image-source", photos, *arguments)
    summary = json.loads(done.out)
    assert (done.code, summary["images"], summary["computed"], summary["failed"]) == (0, 3, 3, 0)
    assert summary["encoders"][1] == {"name": "tiny encoder", "input_size": [24, 32], "dimension": WIDTH}
    with np.load(output) as arrays:
        names = ["tiny encoder@16x16", "tiny encoder@24x32"]
        assert set(arrays) == {"image_id", *names, *(f"{name} mirrored" for name in names)}
        assert arrays["image_id"].tolist() == ["1", "2", "3"]
        grey = np.full((1, 24, 32, 3), 2, np.uint8)
        expected = load_encoder(encoder).at((24, 32)).encode(grey)
        np.testing.assert_allclose(arrays["tiny encoder@24x32"][1:2], expected, atol=1e-5)
    again = nimakit("features", "--image-source", photos, *arguments)
    assert json.loads(again.out)["computed"] == 0


def test_reports_what_is_left_out(nimakit: Command, photos: Path, tmp_path: Path) -> None:
    """Bad images, and those of a label file that are missing, are counted and named; the exit code is 2."""
    (photos / "2.png").write_bytes(b"no picture")
    labels = tmp_path / "labels.json"
    labels.write_text(
        json.dumps([{"image_id": name, "label": [1, 2]} for name in ("1", "2", "gone")]), "utf-8"
    )
    encoder = write_encoder(tmp_path / "e.onnx")
    done = nimakit("features", "--image-source", photos, "--samples-file", labels, "--encoder", encoder)
    summary = json.loads(done.out)
    assert (done.code, summary["images"], summary["failed"]) == (2, 1, 2)
    assert "2.png: The file must be an image" in done.err
    assert "gone: The image source has no image with this image_id." in done.err


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        ("clip", "An encoder must be a public one"),
        ("aesthetic.onnx@10", "must exist. Received: aesthetic.onnx"),
    ],
)
def test_refuses_an_encoder_there_is_not(nimakit: Command, photos: Path, encoder: str, message: str) -> None:
    """The message gives the name without the size."""
    done = nimakit("features", "--image-source", photos, "--encoder", encoder)
    assert done.code == 1
    assert message in done.err


def test_imports_an_exported_network(nimakit: Command, photos: Path, tmp_path: Path) -> None:
    """The file appears next to the exported one by default, says what it costs, and gives features."""
    source = tmp_path / "vit.onnx"
    source.write_bytes(TORCH.read_bytes())
    arguments = ["--size", 32, "--mean", "0.5", "--std", "0.5,0.5,0.5", "--licence", "MIT", "--patch", 8]
    done = nimakit("encoder", "import", source, *arguments, "--output", "last_hidden_state")
    encoder = tmp_path / "vit.encoder.onnx"
    assert done.code == 0
    assert f"wrote {encoder}: 32 features, 4x4 patches, input 32x32 only" in done.err
    assert "ms per photo on " in done.err
    assert load_encoder(encoder).metadata.licence == "MIT"
    assert nimakit("features", "--image-source", photos, "--encoder", encoder).code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--size", "0"], "an input size must be 224 or 320x400"),
        (["--mean", "1,2"], "one number, or three"),
        (["--decode", "scaled", "--resize-filter", "nearest"], "choose another filter"),
        (["--std", "0"], "--std must be positive"),
        (["--encoder-file", "m.onnx"], "a file of its own"),
        (["--encoder-file", "m.bin"], "must end in .onnx"),
        (["--output", "nothing"], "the outputs are logits"),
    ],
)
def test_refuses_bad_options_of_an_import(
    nimakit: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    """Nothing is written, and the exported file stays."""
    monkeypatch.chdir(tmp_path)
    source = write_exported(Path("m.onnx"))
    content = source.read_bytes()
    done = nimakit("encoder", "import", source, "--size", SIDE, "--mean", 0, "--std", 1, *arguments)
    assert done.code == 1
    assert message in done.err
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["m.onnx"]
    assert source.read_bytes() == content
