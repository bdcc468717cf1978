"""nimakit.heads.joining: encoders and a head in one file."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from nimakit.errors import ModelError
from nimakit.heads.joining import join
from nimakit.models.encoders import Encoder, load_encoder
from nimakit.models.metadata import Metadata
from nimakit.models.network import Network
from nimakit.stats.head import GaussianHead, LinearHead, fit_gaussian, fit_linear
from nimakit.stats.histogram import softmax
from small_encoders import WIDTH, encoder_metadata, write_encoder

_PIXELS = np.random.default_rng(0).integers(0, 256, (3, 32, 40, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> list[Encoder]:
    """One encoder at two sizes and another one, for images of 32x40 pixels."""
    folder = tmp_path_factory.mktemp("encoders")
    first, second = (load_encoder(write_encoder(folder / f"{seed}.onnx", seed=seed)) for seed in range(2))
    at: Any = {"source_size": (32, 40)}
    return [first.at((16, 16), **at), first.at((32, 40), **at), second.at((20, 20), **at)]


def _blocks(encoders: Sequence[Encoder]) -> list[NDArray[np.float32]]:
    return [encoder.encode(_PIXELS) for encoder in encoders]


def _metadata(bins: Sequence[float]) -> Metadata:
    about = encoder_metadata("joined")
    return replace(about, bins=tuple(bins), preprocessing=replace(about.preprocessing, height=32, width=40))


def _network(graph: onnx.ModelProto, folder: Path) -> Network:
    onnx.checker.check_model(graph)
    path = folder / "model.onnx"
    path.write_bytes(graph.SerializeToString())
    return Network(path)


def _head(fit: Any, encoders: Sequence[Encoder], outputs: int) -> LinearHead | GaussianHead:
    targets = np.random.default_rng(1).normal(size=(3, outputs))
    found: LinearHead | GaussianHead = fit([block[None] for block in _blocks(encoders)], targets).head
    return found


@pytest.mark.parametrize("fit", [fit_linear, fit_gaussian])
def test_gives_what_its_parts_give(fit: Any, encoders: list[Encoder], tmp_path: Path) -> None:
    """Features are those of each encoder one after another, the histogram is that of the head on them."""
    head = _head(fit, encoders, 4)
    network = _network(join([e.graph() for e in encoders], head, _metadata([1, 2, 3, 4])), tmp_path)
    outputs = network.run(_PIXELS)
    np.testing.assert_allclose(outputs.features, np.concatenate(_blocks(encoders), axis=1), atol=1e-5)
    np.testing.assert_allclose(outputs.values, softmax(head(_blocks(encoders))), atol=1e-5)
    assert not network.is_regression


def test_a_regression_head_gives_a_score(encoders: list[Encoder], tmp_path: Path) -> None:
    """One number for each image."""
    head = _head(fit_gaussian, encoders, 1)
    graph = join([e.graph() for e in encoders], head, _metadata([1, 5]), is_regression=True)
    network = _network(graph, tmp_path)
    assert network.is_regression
    np.testing.assert_allclose(network.run(_PIXELS).values, head(_blocks(encoders)), atol=1e-5)


def test_stores_the_weights_of_an_encoder_once(encoders: list[Encoder]) -> None:
    """Three encoders of which two are one have two convolution kernels; patch vectors are left out."""
    graph = join([e.graph() for e in encoders], _head(fit_linear, encoders, 4), _metadata([1, 2, 3, 4])).graph
    kernels = [tensor for tensor in graph.initializer if list(tensor.dims)[:2] == [WIDTH, 3]]
    assert len(kernels) == 2
    assert sum(node.op_type == "Conv" for node in graph.node) == 3
    assert not any("patches" in name for node in graph.node for name in node.output)


def test_knows_its_encoders_by_what_they_compute(encoders: list[Encoder], tmp_path: Path) -> None:
    """By operators and weights: a file that has other weights under the same names has other encoders."""
    about = replace(_metadata([1, 2, 3, 4]), preprocessing=encoders[0].preprocessing)
    graph = join([e.graph() for e in encoders], _head(fit_linear, encoders, 4), about)
    joined = _network(graph, tmp_path).joined
    assert joined is not None
    assert joined.identities == tuple(encoder.identity for encoder in encoders)
    kernel = next(tensor for tensor in graph.graph.initializer if list(tensor.dims)[:2] == [WIDTH, 3])
    kernel.raw_data = bytes(len(kernel.raw_data))
    forged = _network(graph, tmp_path).joined
    assert forged is not None
    assert [own == other for own, other in zip(forged.identities, joined.identities, strict=True)] == [
        False, False, True,
    ]  # fmt: skip


def test_a_head_that_sees_the_image_is_no_part(encoders: list[Encoder], tmp_path: Path) -> None:
    """Its scores are more than a function of the features, so the file is scored as a whole."""
    graph = join([e.graph() for e in encoders], _head(fit_linear, encoders, 4), _metadata([1, 2, 3, 4]))
    last = graph.graph.node[-1]
    graph.graph.node.insert(
        len(graph.graph.node) - 1,
        onnx.helper.make_node("ReduceMax", ["image"], ["brightest"], keepdims=0),
    )
    graph.graph.node.insert(
        len(graph.graph.node) - 1, onnx.helper.make_node("Add", [last.input[0], "brightest"], ["sum"])
    )
    last.input[0] = "sum"
    assert _network(graph, tmp_path).joined is None


def test_a_joined_model_is_an_encoder_too(encoders: list[Encoder], tmp_path: Path) -> None:
    """Its features can be learned from anew; its head is left out."""
    head = _head(fit_linear, encoders, 4)
    _network(join([e.graph() for e in encoders], head, _metadata([1, 2, 3, 4])), tmp_path)
    whole = [load_encoder(tmp_path / "model.onnx")]
    second = _head(fit_linear, whole, 2)
    again = _network(join([whole[0].graph()], second, _metadata([1, 2])), tmp_path)
    np.testing.assert_allclose(again.run(_PIXELS).values, softmax(second(_blocks(whole))), atol=1e-5)
    assert b"histogram" not in b"".join(
        n.encode()
        for node in onnx.load(tmp_path / "model.onnx").graph.node
        for n in node.output
        if n.startswith("encoder_0")
    )


def test_refuses_operators_that_are_not_standard(encoders: list[Encoder]) -> None:
    """They may mean something else in each file."""
    graph = encoders[0].graph()
    graph.opset_import.append(onnx.helper.make_opsetid("com.example", 1))
    join([graph], _head(fit_linear, encoders[:1], 2), _metadata([1, 2]))  # none is used
    graph.graph.node[0].domain = "com.example"
    with pytest.raises(ModelError, match=r"standard operators.*com\.example"):
        join([graph], _head(fit_linear, encoders[:1], 2), _metadata([1, 2]))
