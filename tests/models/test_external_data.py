"""nimakit.models.external_data: an ONNX model's weights in other files."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import (
    AttributeProto,
    GraphProto,
    ModelProto,
    SparseTensorProto,
    StringStringEntryProto,
    TensorProto,
    helper,
    numpy_helper,
)
from onnxruntime import InferenceSession, SessionOptions

from nimakit.errors import ModelError
from nimakit.models import external_data
from nimakit.models.engine import Model
from nimakit.models.network import Network
from nimakit.models.taste import Taste
from samples import metadata, random_pixels, write_model

RAMP = "ramp"
"""The initializer of a small model that the tests move out of the file; its bytes are one file's content."""
PIXELS = random_pixels(8, 8)[None]


def _outside(location: str, tensor: TensorProto | None = None) -> TensorProto:
    """A tensor with external data."""
    moved = tensor or numpy_helper.from_array(np.zeros(4, np.float32), "moved")
    moved.ClearField("raw_data")
    moved.data_location = TensorProto.EXTERNAL
    moved.external_data.add(key="location", value=location)
    return moved


def _move(path: Path, location: str) -> bytes:
    """Move one initializer of a model into another file; its bytes."""
    model = onnx.load(path)
    [ramp] = [tensor for tensor in model.graph.initializer if tensor.name == RAMP]
    content = bytes(ramp.raw_data)
    _outside(location, ramp)
    onnx.save(model, path)
    return content


def _in_graph(change: Callable[[GraphProto], object]) -> Callable[[ModelProto], object]:
    return lambda model: change(model.graph)


def _in_attribute(change: Callable[[AttributeProto], object]) -> Callable[[ModelProto], object]:
    return lambda model: change(model.graph.node[0].attribute.add(name="a"))


def _sparse(tensor: TensorProto, *, values: bool) -> SparseTensorProto:
    return SparseTensorProto(values=tensor) if values else SparseTensorProto(indices=tensor)


def _deep(tensor: TensorProto) -> GraphProto:
    """Nested graphs, with the tensor in the innermost."""
    graph = GraphProto(initializer=[tensor])
    for _ in range(30):
        graph = helper.make_graph([helper.make_node("If", ["x"], ["y"], then_branch=graph)], "g", [], [])
    return graph


OTHER = "etc/passwd"
PLACES: dict[str, Callable[[ModelProto], object]] = {
    "initializer": _in_graph(lambda graph: graph.initializer.append(_outside(OTHER))),
    "sparse values": _in_graph(
        lambda graph: graph.sparse_initializer.append(_sparse(_outside(OTHER), values=True))
    ),
    "sparse indices": _in_graph(
        lambda graph: graph.sparse_initializer.append(_sparse(_outside(OTHER), values=False))
    ),
    "tensor of a node": _in_attribute(lambda attribute: attribute.t.CopyFrom(_outside(OTHER))),
    "tensors of a node": _in_attribute(lambda attribute: attribute.tensors.append(_outside(OTHER))),
    "sparse tensor of a node": _in_attribute(
        lambda attribute: attribute.sparse_tensor.CopyFrom(_sparse(_outside(OTHER), values=True))
    ),
    "sparse tensors of a node": _in_attribute(
        lambda attribute: attribute.sparse_tensors.append(_sparse(_outside(OTHER), values=True))
    ),
    "inner graph": _in_attribute(lambda attribute: attribute.g.CopyFrom(_deep(_outside(OTHER)))),
    "inner graphs": _in_attribute(lambda attribute: attribute.graphs.append(_deep(_outside(OTHER)))),
    "function": lambda model: model.functions.add(name="f").node.append(
        helper.make_node("Constant", [], ["c"], value=_outside(OTHER))
    ),
    "default of a function": lambda model: model.functions.add(name="f").attribute_proto.append(
        helper.make_attribute("a", _outside(OTHER))
    ),
    "training": lambda model: model.training_info.add().algorithm.initializer.append(_outside(OTHER)),
    "start of training": lambda model: model.training_info.add().initialization.CopyFrom(
        _deep(_outside(OTHER))
    ),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_model_inside_another_file_names_no_file(tiny_file: Path, place: str) -> None:
    """Wherever the tensor is, the other file is not opened, and the message names it."""
    model = onnx.load(tiny_file)
    PLACES[place](model)
    with pytest.raises(ModelError, match=r"must contain all of its weights.*the file 'etc/passwd'"):
        Network(model.SerializeToString())


def test_a_user_s_own_model_reads_no_file_of_the_working_directory(
    tmp_path: Path, tiny: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The runtime would read it, however the path is written."""
    monkeypatch.chdir(tmp_path)
    path = write_model(tmp_path / "own.onnx", metadata())
    (tmp_path / "secret").write_bytes(_move(path, "secret"))
    arrays: dict[str, Any] = {
        "model": np.frombuffer(path.read_bytes(), np.uint8),
        "level": np.zeros(2, np.float32),
    }
    taste = Taste(method="full", arrays=arrays, base=tiny.probe()[0], base_name="tiny", ratings=1)
    with pytest.raises(ModelError, match=r"must contain all of its weights.*'secret'"):
        tiny.for_user(taste)


def test_a_file_may_have_its_numbers_in_its_own_folder(tmp_path: Path) -> None:
    """Weights in the model's folder or a sub-folder, as in large models, give the same scores."""
    expected = Network(write_model(tmp_path / "whole.onnx")).run(PIXELS).values
    for location in ("model.onnx.data", "data/ramp.bin"):
        path = write_model(tmp_path / "model.onnx")
        target = tmp_path / location
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(_move(path, location))
        np.testing.assert_array_equal(Network(path).run(PIXELS).values, expected)


def test_links_to_a_model_and_to_its_numbers_are_followed_together(tmp_path: Path) -> None:
    """Caches of model hubs keep files in one folder and links to them in another."""
    for folder in ("kept", "shown"):
        (tmp_path / folder).mkdir()
    path = write_model(tmp_path / "kept" / "1f3a")
    (tmp_path / "kept" / "9c0d").write_bytes(_move(path, "model.onnx.data"))
    for link, target in (("model.onnx", "1f3a"), ("model.onnx.data", "9c0d")):
        (tmp_path / "shown" / link).symlink_to(Path("..", "kept", target))
    external_data.check(tmp_path / "shown" / "model.onnx", "model.onnx")


@pytest.mark.parametrize(
    "location",
    [
        "{folder}/secret",
        "../secret",
        "sub/../../secret",
        "link",
        "around",
        "linked/secret",
        "missing",
        "sub",
        "",
        ".",
        "pipe",
        "a\0b",
        "*/_ORT_MEM_ADDR_/*",
    ],
)
def test_a_file_names_no_other_file(tmp_path: Path, location: str) -> None:
    """Absolute paths, '..', links to elsewhere, other than regular files, and addresses are refused."""
    folder = tmp_path / "model"
    (folder / "*" / "_ORT_MEM_ADDR_").mkdir(parents=True)
    (folder / "*" / "_ORT_MEM_ADDR_" / "*").touch()
    (folder / "sub").mkdir()
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "around").symlink_to("around")
    (folder / "linked").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe")
    path = write_model(folder / "model.onnx")
    (tmp_path / "secret").write_bytes(_move(path, location.format(folder=tmp_path)))
    with pytest.raises(ModelError, match=r"in regular files in its folder.*which names "):
        Network(path)


def test_the_last_of_two_values_counts() -> None:
    """Protobuf allows a field to occur twice; the last one counts, as in the runtime."""
    entry = b"\x0a\x06offset\x12\x0210\x0a\x08location\x12\x06secret"
    content = entry
    for tag in (b"\x6a", b"\x2a", b"\x3a"):  # in a tensor, in a graph, in a model
        content = tag + bytes([len(content)]) + content
    assert [*ModelProto.FromString(content).graph.initializer[0].external_data] == [
        StringStringEntryProto(key="location", value="secret")
    ]
    with pytest.raises(ModelError, match="names the file 'secret'"):
        external_data.check(content, "twice")


def test_only_the_format_that_was_checked_is_loaded(tmp_path: Path, tiny_file: Path) -> None:
    """The runtime recognises another format by its first bytes."""
    options = SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "tiny.ort")
    options.add_session_config_entry("session.save_model_format", "ORT")
    InferenceSession(tiny_file, options, providers=["CPUExecutionProvider"])
    with pytest.raises(ModelError, match="must be a valid ONNX model"):
        Network((tmp_path / "tiny.ort").read_bytes())


def test_damaged_bytes_are_refused_and_nothing_else(tiny_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any bytes are handled within a bounded number of steps."""
    content = np.frombuffer(tiny_file.read_bytes(), np.uint8)
    chance = np.random.default_rng(0)
    refused = 0
    for _ in range(2000):
        damaged = content.copy()
        damaged[chance.integers(0, len(content), 5)] = chance.integers(0, 256, 5)
        try:
            external_data.check(damaged.tobytes(), "damaged")
        except ModelError:
            refused += 1
    assert 0 < refused < 2000
    monkeypatch.setattr(external_data, "_MAX_FIELDS", 20)
    with pytest.raises(ModelError, match="more than 20 fields"):
        external_data.check(content.tobytes(), "long")
