"""One person's taste in the layers of a network: residual adapters, or all of it."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import keras
import numpy as np
import onnx
from numpy.typing import NDArray

from nimakit.archive import Arrays
from nimakit.errors import ModelError
from nimakit.histogram import FloatArray
from nimakit.images import MAX_PIXELS, open_photo, prepare
from nimakit.nn import adapters, export
from nimakit.nn.adapters import Placement
from nimakit.nn.loading import KerasModel
from nimakit.output import atomic_bytes
from nimakit.progress import track

Indices = NDArray[np.intp]

ADAPTABLE = "adaptable.onnx"
"""The model file that takes adapters, beside the model.onnx it is made of."""

_SMALL = 0.1
_EPOCHS = 6
_BATCH = 10
_RATE_ADAPTERS = 1e-3
_RATE_FULL = 1e-5
_LEVEL_RATINGS = 2.0
"""What is known of how kind people are, before somebody rates, weighs as that many ratings."""


def teach(
    model: KerasModel,
    paths: Sequence[Path],
    ratings: FloatArray,
    means: FloatArray,
    *,
    method: Literal["adapters", "full"],
    placement: Placement = "parallel",
    epochs: int = _EPOCHS,
    learning_rate: float | None = None,
    seed: int = 0,
    max_pixels: int = MAX_PIXELS,
) -> Arrays:
    """Teach a network what one person likes.

    It learns by the squared error of the mean score. How much kinder or harsher the person is than others is
    taken off first, and kept as a constant. Normalisation keeps its statistics. Few small steps from the
    generic network are what keeps it near it.

    Args:
        model: The base model; it stays as it is.
        paths: K images.
        ratings: (K,), what the person said of each, on the scale of the bins.
        means: (K,), its generic mean scores.
        method: "adapters", or "full" for every layer.
        placement: Where adapters are put.
        epochs: How often each rating is seen.
        learning_rate: Of Adam; one that suits the method where None.
        seed: Of the adapters' start and of the order.
        max_pixels: Largest width times height of an image.

    Returns:
        The arrays of a `nimakit.taste.Taste` of this method.

    Raises:
        ModelError: The network is too small for adapters.
        ImageError: An image cannot be read.
    """
    keras.utils.set_random_seed(seed)
    if method == "adapters":
        network = adapters.adapt(model.network, placement=placement)
    else:
        network = _unfrozen(model.network)
    level = float((ratings - means).sum() / (len(ratings) + _LEVEL_RATINGS))
    values = network.output
    if not model.is_regression:
        values = keras.ops.sum(values * model.bins.astype(np.float32), axis=1, keepdims=True)
    learner = keras.Model(network.input, values)
    rate = learning_rate or (_RATE_ADAPTERS if method == "adapters" else _RATE_FULL)
    learner.compile(keras.optimizers.Adam(rate), "mse", jit_compile=False)
    pixels = np.stack(
        [prepare(open_photo(path, max_pixels=max_pixels), model.metadata.preprocessing) for path in paths]
    )
    inputs = np.asarray(model.backbone.preprocess(keras.ops.convert_to_tensor(pixels.astype(np.float32))))
    targets = (ratings - level).astype(np.float32)[:, None]
    order = np.random.default_rng(seed)
    steps = [part for _ in range(epochs) for part in _batches(order.permutation(len(paths)))]
    for part in track(steps, len(steps), "learning one person's taste"):
        learner.train_on_batch(inputs[part], targets[part])
    learned = _adapter_arrays(network) if method == "adapters" else {"model": _exported(model, network)}
    return {**learned, "level": np.array([0.0, level], np.float32)}


def write_adaptable(model: KerasModel, output: Path, *, placement: Placement = "parallel") -> None:
    """Write the model file that takes a person's adapters as further inputs; without them it gives the same.

    Args:
        model: The base model.
        output: The .onnx file; appears whole or not at all.
        placement: Where adapters are put.

    Raises:
        OutputError: It could not be written.
        ModelError: The network is too small for adapters, or the exported graph does not give what Keras
            gives.
    """
    network = adapters.adapt(model.network, placement=placement)
    random = np.random.default_rng(0)
    for layer in adapters.adapter_layers(network):  # equal values could not be told apart in the graph
        layer.set_weights([random.normal(0, _SMALL, layer.kernel.shape)])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / output.name
        export.export_model(network, model.backbone, model.metadata, path)
        graph = onnx.load(path)
    _open(graph, _adapter_arrays(network))
    atomic_bytes(graph.SerializeToString(), output)


def _open(graph: onnx.ModelProto, arrays: Arrays) -> None:
    """Make inputs with default values of a graph's adapters, which are found by their values."""
    stored = {value.name: value for value in graph.graph.initializer}
    contents = {name: onnx.numpy_helper.to_array(value) for name, value in stored.items()}
    for wanted, array in arrays.items():
        found = [n for n, a in contents.items() if a.shape == array.shape and np.allclose(a, array)]
        if len(found) != 1:
            raise ModelError(f"The exporter keeps each adapter as it is. Received: {len(found)} of {wanted}")
        default = np.zeros_like(array) if wanted.endswith("_up") else array
        stored[found[0]].CopyFrom(onnx.numpy_helper.from_array(default, wanted))
        for node in graph.graph.node:
            node.input[:] = [wanted if name == found[0] else name for name in node.input]
        value = onnx.helper.make_tensor_value_info(wanted, onnx.TensorProto.FLOAT, array.shape)
        graph.graph.input.append(value)


def _adapter_arrays(network: keras.Model) -> Arrays:
    """The kernels of a network's adapters as a graph has them: (out, in, 1, 1) float32, by layer."""
    return {
        layer.name: np.ascontiguousarray(np.asarray(layer.kernel).transpose(3, 2, 0, 1))
        for layer in adapters.adapter_layers(network)
    }


def _exported(model: KerasModel, network: keras.Model) -> NDArray[np.uint8]:
    """(bytes,) of the model file of a network."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "own.onnx"
        export.export_model(network, model.backbone, model.metadata, path)
        return np.frombuffer(path.read_bytes(), np.uint8)


def _unfrozen(network: keras.Model) -> keras.Model:
    """A network of its own with the same weights, all of which learn but for normalisation."""
    twin = keras.models.clone_model(network)
    twin.set_weights(network.get_weights())
    for layer in twin.layers:
        layer.trainable = not isinstance(layer, keras.layers.BatchNormalization)
    return twin


def _batches(order: Indices) -> list[Indices]:
    return np.array_split(order, -(-len(order) // _BATCH))
