"""Learn one person's taste in the layers of a network: by residual adapters, or by all layers."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import keras
import numpy as np
import onnx

from nimakit.errors import ModelError
from nimakit.images.photo import MAX_PIXELS
from nimakit.io.arrays import Arrays
from nimakit.io.atomic import atomic_bytes
from nimakit.nn.networks import adapters, export
from nimakit.nn.networks.adapters import Placement
from nimakit.nn.networks.keras_model import KerasModel
from nimakit.nn.personal.tangent_learner import TangentLearner
from nimakit.stats.histogram import FloatArray

_SPREAD = 0.1


def teach(
    model: KerasModel,
    paths: Sequence[Path],
    ratings: FloatArray,
    means: FloatArray,
    *,
    method: Literal["adapters", "full"],
    placement: Placement = "parallel",
    batch_norm: bool = False,
    seed: int = 0,
    max_pixels: int = MAX_PIXELS,
) -> Arrays:
    """Fine-tune a network to one person's taste.

    The person's level, how much kinder or harsher than others they rate, is kept as a constant; the rest is
    learned by one step of `nimakit.nn.personal.tangent_learner`. Normalisation keeps its statistics.

    Args:
        model: The base model, which stays unchanged.
        paths: K images, at least one.
        ratings: (K,), the person's ratings on the scale of the bins.
        means: (K,), the generic mean scores.
        method: "adapters", or "full" for every layer.
        placement: Placement of adapters.
        batch_norm: Whether, with adapters, batch normalisation gets a trainable scale and shift too.
        seed: Seed of the adapters' random matrices.
        max_pixels: Largest width times height of an image.

    Returns:
        The arrays of a `nimakit.models.taste.Taste` of this method.

    Raises:
        ModelError: The network is too small for adapters.
        ImageError: An image cannot be read.
    """
    learner = TangentLearner(model, method=method, placement=placement, batch_norm=batch_norm, seed=seed)
    level = learner.learn(learner.linearise(paths, max_pixels=max_pixels), ratings, means)
    if method == "adapters":
        learned = adapters.get_arrays(learner.network)
    else:
        graph = _exported(model, learner.network).SerializeToString()
        learned = {"model": np.frombuffer(graph, np.uint8)}
    return {**learned, "level": np.array([0.0, level], np.float32)}


def adaptable_name(placement: Placement = "parallel", *, batch_norm: bool = False) -> str:
    """The name of the model file with inputs for these adapters, next to the model.onnx it is made from."""
    options = [placement] * (placement != "parallel") + ["batch_norm"] * batch_norm
    return "_".join(["adaptable", *options]) + ".onnx"


def write_adaptable(
    model: KerasModel, output: Path, *, placement: Placement = "parallel", batch_norm: bool = False
) -> None:
    """Write a model file that takes a person's adapters as further inputs, by default without effect.

    Args:
        model: The base model.
        output: The .onnx file, written atomically.
        placement: Placement of adapters.
        batch_norm: Whether batch normalisation gets a scale and shift too.

    Raises:
        OutputError: The file could not be written.
        ModelError: The network is too small for adapters, or the exported graph differs from Keras.
    """
    network = adapters.adapt(model.network, placement=placement, batch_norm=batch_norm)
    random = np.random.default_rng(0)
    start = adapters.get_arrays(network)
    # Random values, because equal ones could not be told apart in the graph.
    drawn = {
        name: np.asarray(random.normal(0, _SPREAD, array.shape), np.float32) for name, array in start.items()
    }
    adapters.set_arrays(network, drawn)
    graph = _exported(model, network)
    _make_inputs(graph, drawn, start)
    atomic_bytes(graph.SerializeToString(), output)


def _make_inputs(graph: onnx.ModelProto, drawn: Arrays, start: Arrays) -> None:
    """Turn a graph's adapters, found by their drawn values, into inputs with `start` as defaults."""
    stored = {value.name: value for value in graph.graph.initializer}
    contents = {name: onnx.numpy_helper.to_array(value) for name, value in stored.items()}
    for adapter, array in drawn.items():
        found = [n for n, a in contents.items() if a.shape == array.shape and np.allclose(a, array)]
        if len(found) != 1:
            raise ModelError(f"The exporter must keep each adapter. Received: {len(found)} of {adapter}")
        stored[found[0]].CopyFrom(onnx.numpy_helper.from_array(start[adapter], adapter))
        for node in graph.graph.node:
            node.input[:] = [adapter if name == found[0] else name for name in node.input]
        value = onnx.helper.make_tensor_value_info(adapter, onnx.TensorProto.FLOAT, array.shape)
        graph.graph.input.append(value)


def _exported(model: KerasModel, network: keras.Model) -> onnx.ModelProto:
    """The graph of a network."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        export.export_model(network, model.backbone, model.metadata, path)
        return onnx.load(path)
