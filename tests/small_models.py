"""Keras models made on the spot, in the folder of a job that never ran."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np

import small_backbone
from nimakit.config import TrainConfig, parse_train_config
from nimakit.images.photo import Fit, Preprocessing
from nimakit.models.metadata import Metadata
from nimakit.nn.networks import backbones, export, heads, weights
from nimakit.nn.networks.keras_model import KerasModel
from nimakit.stats.histogram import default_bins

BINS = 5
SIDE = 64
CORNER_SIDE = 32
"""Height and width, in pixels, of the input of `corner_model`."""


def write_job(folder: Path, *, pretrained: Path | None = None, **changes: Any) -> Path:
    """Write config.json, weights and model.onnx of a network with a random head.

    Args:
        folder: Created within `small_backbone.registered`.
        pretrained: Weights of the backbone; random ones if None.
        changes: Keys of the config.

    Returns:
        The folder.
    """
    values = {
        "base_model_name": small_backbone.NAME,
        "n_classes": BINS,
        "input_size": [SIDE, SIDE],
        **changes,
    }
    config = parse_train_config(values, "a small config")
    backbone = backbones.get(config.base_model_name)
    keras.utils.set_random_seed(0)
    model = heads.add_head(backbone.build(input_size=config.input_size), default_bins(BINS), config)
    if pretrained:
        weights.load_pretrained(model, pretrained)
    else:  # whose features are small
        kernel, bias = model.layers[-1].get_weights()
        model.layers[-1].set_weights([10 * kernel, bias])
    (folder / "weights").mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(values), encoding="utf-8")
    model.save_weights(folder / "weights" / "weights_Small_01_0.100.weights.h5")
    metadata = Metadata(
        name=folder.name,
        base_model=config.base_model_name,
        bins=tuple(default_bins(BINS).tolist()),
        preprocessing=backbone.preprocessing(config),
    )
    export.export_model(model, backbone, metadata, folder / "model.onnx")
    return folder


def corner_model(
    *, fit: Fit = "squash", head: Any = "histogram", pooled: bool = True, corner: int = 8
) -> KerasModel:
    """A model that sees only the top left corner: the brighter, the better.

    Args:
        fit: How it sees a picture.
        head: As in a config.
        pooled: Whether its features are averages of maps.
        corner: Pixels the corner has each way, of `CORNER_SIDE`.
    """
    image = keras.Input((CORNER_SIDE, CORNER_SIDE, 3))
    rest = CORNER_SIDE - corner
    seen = keras.layers.Cropping2D(((0, rest), (0, rest)))(image)
    maps = keras.layers.ZeroPadding2D(((0, rest), (0, rest)))(seen)
    features = keras.layers.GlobalAveragePooling2D()(maps)
    if not pooled:
        features = keras.layers.Dense(3, use_bias=False)(keras.layers.Flatten()(seen))
    config = TrainConfig(base_model_name="Corner", head=head)
    backbone = backbones.Backbone(
        name="Corner", constructor=lambda **_: None, preprocess=lambda pixels: pixels / 255
    )
    network = heads.add_head(keras.Model(image, features), default_bins(5), config)
    kernel, bias = network.layers[-1].get_weights()
    if pooled:
        network.layers[-1].set_weights([np.tile(np.linspace(-1, 1, kernel.shape[1]), (3, 1)) + 0.5, bias])
    metadata = Metadata(
        name="corner",
        base_model="Corner",
        bins=(1.0, 2.0, 3.0, 4.0, 5.0),
        preprocessing=Preprocessing(height=CORNER_SIDE, width=CORNER_SIDE, resize_filter="bilinear", fit=fit),
    )
    return KerasModel(network=network, backbone=backbone, config=config, metadata=metadata)


@contextmanager
def indifferent(model: KerasModel) -> Iterator[None]:
    """The model gives every picture the same score; afterwards it scores as before."""
    head = model.network.layers[-1]
    kept = head.get_weights()
    head.set_weights([0 * value for value in kept])
    try:
        yield
    finally:
        head.set_weights(kept)
