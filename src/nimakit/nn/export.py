"""Keras weights to a model file. `python -m nimakit.nn.export` does it in a process of its own."""

import json
import os
import secrets
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx

from nimakit.errors import NimakitError
from nimakit.histogram import default_bins
from nimakit.images import Preprocessing
from nimakit.metadata import METADATA_KEY, Metadata
from nimakit.nn import backbones, heads, weights

_OPSET = 18


def export_weights(
    weights_file: Path, base_model_name: str, output: Path, metadata: dict[str, Any] | None = None
) -> Metadata:
    """Write the model file of a Keras weight file.

    Args:
        weights_file: As `nimakit.nn.weights.load` takes it.
        base_model_name: Backbone the weights were trained with.
        output: The .onnx file; appears whole or not at all.
        metadata: `Metadata` fields that differ from the defaults: bins 1, 2, ... for as many as the head
            has; a squash to 224x224 by nearest neighbour, as Keras's own image loading
            does by default and so most published NIMA weights were trained.

    Returns:
        The metadata written.

    Raises:
        ModelError: No such backbone.
        WeightsError: Weights that cannot be read or do not fit it.
    """
    backbone = backbones.get(base_model_name)
    bins = default_bins(weights.count_bins(weights_file))
    model = heads.histogram_model(backbone, len(bins))
    weights.load(model, weights_file)
    prepared = Preprocessing(
        height=backbones.INPUT_SIZE, width=backbones.INPUT_SIZE, resize_filter="nearest", fit="squash"
    )
    defaults = Metadata(
        name=weights_file.name, base_model=base_model_name, bins=tuple(bins), preprocessing=prepared
    )
    complete = Metadata.from_dict({**defaults.to_dict(), **(metadata or {})})
    export_model(model, backbone, complete, output)
    return complete


def export_model(model: keras.Model, backbone: backbones.Backbone, metadata: Metadata, output: Path) -> None:
    """Write a Keras model as a model file: pixels 0-255 in, histogram and features out.

    Args:
        model: From `nimakit.nn.heads`: preprocessed input to (N, bins).
        backbone: Its backbone; the preprocessing becomes part of the graph.
        metadata: Goes into the file.
        output: The .onnx file; appears whole or not at all.
    """
    size = metadata.preprocessing
    image = keras.Input((size.height, size.width, 3), name="image", dtype="float32")
    # The head is dropout and a dense layer: its input, before the dropout, is the features.
    trunk = keras.Model(model.input, [model.layers[-2].input, model.output])
    features, histogram = trunk(backbone.preprocess(image))
    whole = keras.Model(
        image,
        {
            "histogram": keras.layers.Identity(name="histogram")(histogram),
            "features": keras.layers.Identity(name="features")(features),
        },
    )
    whole(np.zeros((1, size.height, size.width, 3), np.float32))  # Keras exports no model that never ran
    partial = output.with_name(f".{output.stem}.{secrets.token_hex(4)}.onnx")
    try:
        whole.export(partial, format="onnx", verbose=False, opset_version=_OPSET)
        graph = onnx.load(partial)
        _name_batch_axis(graph)
        onnx.helper.set_model_props(graph, {METADATA_KEY: metadata.to_json()})
        onnx.save(graph, partial)
        partial.replace(output)
    finally:
        partial.unlink(missing_ok=True)


def _name_batch_axis(graph: onnx.ModelProto) -> None:
    for value in [*graph.graph.input, *graph.graph.output]:
        value.type.tensor_type.shape.dim[0].dim_param = "batch"


def _main() -> int:
    """Serve one request, JSON on stdin; the answer, JSON on stdout, is {} or {"error": message}."""
    request = json.load(sys.stdin)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever the libraries print goes to stderr
    try:
        export_weights(
            Path(request["weights_file"]),
            request["base_model_name"],
            Path(request["output"]),
            request["metadata"],
        )
    except NimakitError as error:
        json.dump({"error": str(error)}, answers)
        return 1
    json.dump({}, answers)
    return 0


if __name__ == "__main__":
    sys.exit(_main())
