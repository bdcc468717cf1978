"""Export Keras weights to a model file (ONNX); `python -m` runs it in a process of its own."""

import json
import math
import os
import secrets
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import tensorflow as tf

from nimakit.config import TrainConfig, parse_train_config
from nimakit.errors import ModelError, NimakitError, first_line
from nimakit.models.metadata import METADATA_KEY, Metadata
from nimakit.models.network import Network
from nimakit.nn.networks import keras_model
from nimakit.nn.networks.backbones import Backbone

_OPSET = 18
_TOLERANCE = 1e-4


def export_weights(
    weights_file: Path,
    base_model_name: str,
    output: Path,
    metadata: dict[str, Any] | None = None,
    *,
    config: TrainConfig | None = None,
) -> Metadata:
    """Export a Keras weight file as a model file.

    Args:
        weights_file: A file for `nimakit.nn.networks.weights.load`.
        base_model_name: Backbone the weights were trained with.
        output: The .onnx file, written atomically.
        metadata: `Metadata` fields that differ from the defaults.
        config: Head and preprocessing they were trained with. If None, a softmax over as many bins as the
            file has, and a squash to the backbone's input size by nearest neighbour: the default of Keras's
            image loading, with which most published NIMA weights were trained.

    Returns:
        The metadata of the file.

    Raises:
        ModelError: No such backbone.
        WeightsError: Weights that cannot be read or do not fit the backbone.
    """
    changes = metadata or {}
    config = config or TrainConfig(base_model_name=base_model_name)
    if size := changes.get("input_size"):
        config = replace(config, input_size=tuple(size))
    model = keras_model.load_weights(weights_file, config)
    complete = model.metadata.changed(changes)
    export_model(model.network, model.backbone, complete, output)
    return complete


def export_model(model: keras.Model, backbone: Backbone, metadata: Metadata, output: Path) -> None:
    """Export a Keras model as a model file: pixels 0-255 in, histogram (or score) and features out.

    Args:
        model: From `nimakit.nn.networks.heads`: preprocessed input to (N, bins), or to (N, 1) scores.
        backbone: Its backbone, whose preprocessing becomes part of the graph.
        metadata: Metadata of the file.
        output: The .onnx file, written atomically.

    Raises:
        ModelError: The exported graph does not load, or its outputs differ from those of Keras.
    """
    size = metadata.preprocessing
    image = keras.Input((size.height, size.width, 3), name="image", dtype="float32")
    model = _with_onnx_operations(model)
    # The head is dropout and a dense layer: its input, before the dropout, is the features.
    trunk = keras.Model(model.input, [model.layers[-2].input, model.output])
    features, values = trunk(backbone.preprocess(image))
    if values.shape[-1] == 1:
        head = keras.layers.Reshape((), name="score")
    else:
        head = keras.layers.Identity(name="histogram")
    named_features = keras.layers.Identity(name="features")(features)
    whole = keras.Model(image, {head.name: head(values), "features": named_features})
    whole(np.zeros((1, size.height, size.width, 3), np.float32))  # Keras exports only models that were called
    partial = output.with_name(f".{output.stem}.{secrets.token_hex(4)}.onnx")
    try:
        whole.export(partial, format="onnx", verbose=False, opset_version=_OPSET)
        graph = onnx.load(partial)
        _bake_constants(graph, whole)
        _name_batch_axis(graph)
        onnx.helper.set_model_props(graph, {METADATA_KEY: metadata.to_json()})
        onnx.save(graph, partial)
        _check(partial, whole)
        partial.replace(output)
    finally:
        partial.unlink(missing_ok=True)


def _with_onnx_operations(model: keras.Model) -> keras.Model:
    """Replace the two operations of ConvNeXt that the exporter does not support.

    A convolution with one group per channel becomes a depthwise convolution, and GELU is written out:
    ``x / 2 * (1 + erf(x / sqrt(2)))`` (Hendrycks and Gimpel, "Gaussian Error Linear Units", 2016).
    """

    def is_depthwise(layer: keras.Layer) -> bool:
        return type(layer) is keras.layers.Conv2D and layer.groups == layer.filters > 1

    def is_gelu(layer: keras.Layer) -> bool:
        return isinstance(layer, keras.layers.Activation) and layer.activation is keras.activations.gelu

    def replace(layer: keras.Layer) -> keras.Layer:
        if is_depthwise(layer):
            return keras.layers.DepthwiseConv2D(
                layer.kernel_size, layer.strides, layer.padding, use_bias=layer.use_bias, name=layer.name
            )
        if is_gelu(layer):
            return keras.layers.Lambda(
                lambda x: x / 2 * (1 + keras.ops.erf(x / math.sqrt(2))), name=layer.name
            )
        return layer.__class__.from_config(layer.get_config())

    if not any(is_depthwise(layer) or is_gelu(layer) for layer in model.layers):
        return model
    twin = keras.models.clone_model(model, clone_function=replace)
    for old, new in zip(model.layers, twin.layers, strict=True):
        values = old.get_weights()
        if is_depthwise(old):
            values[0] = values[0].transpose(0, 1, 3, 2)
        new.set_weights(values)
    return twin


def _check(exported: Path, model: keras.Model) -> None:
    """Check an exported file against the contract, and against Keras on random pixels."""
    network = Network(exported)
    shape = (2, *model.input.shape[1:])
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.float32)
    expected = {name: np.asarray(value) for name, value in model(pixels).items()}
    outputs = network.run(pixels)
    values = outputs.values[:, 0] if network.is_regression else outputs.values
    head = "score" if network.is_regression else "histogram"
    for name, received in ((head, values), ("features", outputs.features)):
        worst = float(np.abs(expected[name] - received).max())
        if not worst <= _TOLERANCE * max(1.0, float(np.abs(expected[name]).max())):
            raise ModelError(
                f"The exported model must give what Keras gives. Received: a {name} that is off by {worst:g};"
                " another input_size may help."
            )


def _bake_constants(graph: onnx.ModelProto, model: keras.Model) -> None:
    """Turn the preprocessing constants, which tf2onnx makes further inputs, into initialisers, in order."""
    image, *extra = graph.graph.input
    if not extra:  # tracing a large network takes seconds
        return
    function = tf.function(model).get_concrete_function(tf.TensorSpec(model.input.shape, tf.float32))
    values = [value.numpy() for value, _ in function.graph.captures if value.dtype != tf.resource]
    for constant, value in zip(extra, values, strict=True):
        graph.graph.initializer.append(onnx.numpy_helper.from_array(value, constant.name))
    del graph.graph.input[:]
    graph.graph.input.append(image)


def _name_batch_axis(graph: onnx.ModelProto) -> None:
    for value in [*graph.graph.input, *graph.graph.output]:
        value.type.tensor_type.shape.dim[0].dim_param = "batch"


def _main() -> int:
    """Answer one request, JSON on stdin, by JSON on stdout: {} or {"error": message}."""
    request = json.load(sys.stdin)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print goes to stderr
    try:
        config = parse_train_config(request["config"], "The config of the weights")
        export_weights(
            Path(request["weights_file"]),
            config.base_model_name,
            Path(request["output"]),
            request["metadata"],
            config=config,
        )
    except NimakitError as error:
        json.dump({"error": str(error)}, answers)
        return 1
    except Exception as error:  # noqa: BLE001 - of any library; JSON is the only way to report it
        name = type(error).__name__
        message = f"{request['weights_file']} could not be converted: {name}: {first_line(error)}"
        json.dump({"error": message}, answers)
        return 1
    json.dump({}, answers)
    return 0


if __name__ == "__main__":
    sys.exit(_main())
