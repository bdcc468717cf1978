"""One person's taste in the layers of a network: residual adapters, or all of it."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import keras
import numpy as np
import onnx
from numpy.typing import NDArray

from nimakit.errors import ModelError
from nimakit.images.photo import MAX_PIXELS
from nimakit.io.arrays import Arrays
from nimakit.io.atomic import atomic_bytes
from nimakit.nn.networks import adapters, export
from nimakit.nn.networks.adapters import Placement
from nimakit.nn.networks.keras_model import KerasModel
from nimakit.nn.personal.tangent_learner import Pupil
from nimakit.stats.histogram import FloatArray

_SMALL = 0.1


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
    """Teach a network what one person likes.

    How much kinder or harsher the person is than others is kept as a constant, and the rest learned by one
    step of `nimakit.nn.personal.tangent_learner`. Normalisation keeps its statistics.

    Args:
        model: The base model; it stays as it is.
        paths: K images, at least one.
        ratings: (K,), what the person said of each, on the scale of the bins.
        means: (K,), its generic mean scores.
        method: "adapters", or "full" for every layer.
        placement: Where adapters are put.
        batch_norm: Whether, with adapters, normalisation has a scale and a shift of its own too.
        seed: Of the adapters' start.
        max_pixels: Largest width times height of an image.

    Returns:
        The arrays of a `nimakit.models.taste.Taste` of this method.

    Raises:
        ModelError: The network is too small for adapters.
        ImageError: An image cannot be read.
    """
    pupil = Pupil(model, method=method, placement=placement, batch_norm=batch_norm, seed=seed)
    level = pupil.learn(pupil.look(paths, max_pixels=max_pixels), ratings, means)
    if method == "adapters":
        learned = adapters.get_arrays(pupil.network)
    else:
        learned = {"model": _exported(model, pupil.network)}
    return {**learned, "level": np.array([0.0, level], np.float32)}


def adaptable_name(placement: Placement = "parallel", *, batch_norm: bool = False) -> str:
    """What the model file is called that takes such adapters, beside the model.onnx it is made of."""
    options = [placement] * (placement != "parallel") + ["batch_norm"] * batch_norm
    return "_".join(["adaptable", *options]) + ".onnx"


def write_adaptable(
    model: KerasModel, output: Path, *, placement: Placement = "parallel", batch_norm: bool = False
) -> None:
    """Write the model file that takes a person's adapters as further inputs; without them it gives the same.

    Args:
        model: The base model.
        output: The .onnx file; appears whole or not at all.
        placement: Where adapters are put.
        batch_norm: Whether normalisation can have a scale and a shift of its own too.

    Raises:
        OutputError: It could not be written.
        ModelError: The network is too small for adapters, or the exported graph does not give what Keras
            gives.
    """
    network = adapters.adapt(model.network, placement=placement, batch_norm=batch_norm)
    random = np.random.default_rng(0)
    start = adapters.get_arrays(network)
    # Equal values could not be told apart in the graph.
    drawn = {
        name: np.asarray(random.normal(0, _SMALL, array.shape), np.float32) for name, array in start.items()
    }
    adapters.set_arrays(network, drawn)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / output.name
        export.export_model(network, model.backbone, model.metadata, path)
        graph = onnx.load(path)
    _open(graph, drawn, start)
    atomic_bytes(graph.SerializeToString(), output)


def _open(graph: onnx.ModelProto, drawn: Arrays, start: Arrays) -> None:
    """Make inputs of a graph's adapters, which are found by their values; by default they start anew."""
    stored = {value.name: value for value in graph.graph.initializer}
    contents = {name: onnx.numpy_helper.to_array(value) for name, value in stored.items()}
    for wanted, array in drawn.items():
        found = [n for n, a in contents.items() if a.shape == array.shape and np.allclose(a, array)]
        if len(found) != 1:
            raise ModelError(f"The exporter keeps each adapter as it is. Received: {len(found)} of {wanted}")
        stored[found[0]].CopyFrom(onnx.numpy_helper.from_array(start[wanted], wanted))
        for node in graph.graph.node:
            node.input[:] = [wanted if name == found[0] else name for name in node.input]
        value = onnx.helper.make_tensor_value_info(wanted, onnx.TensorProto.FLOAT, array.shape)
        graph.graph.input.append(value)


def _exported(model: KerasModel, network: keras.Model) -> NDArray[np.uint8]:
    """(bytes,) of the model file of a network."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "own.onnx"
        export.export_model(network, model.backbone, model.metadata, path)
        return np.frombuffer(path.read_bytes(), np.uint8)
