"""Backbones by name: every image classifier in keras.applications, plus ResNet18 and EfficientNet-Lite."""

import difflib
import inspect
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import keras
import numpy as np

from nimakit.config import TrainConfig
from nimakit.errors import DownloadError, ModelError, NimakitError, first_line
from nimakit.images.photo import Preprocessing
from nimakit.models import pretrained
from nimakit.models.efficientnet_lite import VARIANTS
from nimakit.models.pretrained import Notify
from nimakit.nn.networks import efficientnet_lite, resnet
from nimakit.nn.networks.weights import load_state_dict

INPUT_SIZE = 224
"""Default height and width in pixels: those of the published NIMA."""

Weights = Literal["imagenet"] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Backbone:
    """An image classifier that can carry a rating head.

    Attributes:
        name: Its name in keras.applications ("MobileNet"); or ResNet18, EfficientNetLite0 to 2.
        constructor: Takes input_shape (H, W, 3) and weights (None or "imagenet"); returns a flat model.
        preprocess: Maps a (N, H, W, 3) tensor, RGB 0-255, to the backbone's expected input.
        state_dict: Fetches ImageNet weights as a PyTorch file, if the constructor cannot load any.
        input_size: Default (height, width) in pixels.
    """

    name: str
    constructor: Callable[..., keras.Model]
    preprocess: Callable[[Any], Any]
    state_dict: Callable[[Notify | None], Path] | None = None
    input_size: tuple[int, int] = (INPUT_SIZE, INPUT_SIZE)

    def preprocessing(self, config: TrainConfig) -> Preprocessing:
        """The preprocessing of a model with this backbone and this config."""
        return config.preprocessing(self.input_size)

    def build(
        self,
        weights: Weights = None,
        *,
        input_size: tuple[int, int] | None = None,
        notify: Notify | None = None,
    ) -> keras.Model:
        """The backbone without its classifier: (N, H, W, 3) preprocessed to (N, D) float32 features.

        Args:
            weights: None for random weights, "imagenet" for published ones, which may be downloaded.
            input_size: (height, width) in pixels; None for the default.
            notify: Called with a message before a download.

        Returns:
            A functional model with a flat list of layers, which does not depend on the weights.

        Raises:
            ModelError: The backbone cannot be built at this size.
            DownloadError: Its ImageNet weights are neither cached nor reachable.
        """
        shape = (*(input_size or self.input_size), 3)
        if weights is None:
            return self._construct(shape, None)
        try:
            if self.state_dict:
                file = self.state_dict(notify)  # before seconds are spent on building a network
                model = self._construct(shape, None)
                load_state_dict(model, file)
                return model
            return _without_rescaling(self._construct(shape, weights), partial(self._construct, shape, None))
        except NimakitError:
            raise
        except Exception as error:
            raise DownloadError(
                f"The ImageNet weights of {self.name} must be cached or reachable. Received:"
                f" {first_line(error)}; connect once, or set existing_weights to weights you have."
            ) from error

    def _construct(self, shape: tuple[int, int, int], weights: Weights) -> keras.Model:
        try:
            with warnings.catch_warnings():
                # MobileNets warn that their weights were trained at 224x224.
                warnings.simplefilter("ignore", UserWarning)
                # Constructors of our own load no weights.
                options = {} if self.state_dict else {"weights": weights}
                return self.constructor(input_shape=shape, **options)
        except ValueError as error:
            raise ModelError(
                f"{self.name} cannot be built at every input size. Received: {shape[0]}x{shape[1]}"
                f" ({first_line(error)}); choose another input_size."
            ) from error


def names() -> list[str]:
    """Names of all backbones, sorted."""
    return sorted([*_keras_constructors(), *_ADDITIONAL])


def get(name: str) -> Backbone:
    """The backbone with this name.

    Raises:
        ModelError: No backbone has the name; the error lists the nearest names.
    """
    if name in _ADDITIONAL:
        return _ADDITIONAL[name]
    found = _keras_constructors()
    if name not in found:
        known = names()
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
        hint = f"nearest: {', '.join(near)}" if near else f"known: {', '.join(known)}"
        raise ModelError(
            f"A base model is an image classifier of keras.applications, {', '.join(_ADDITIONAL)}."
            f" Received: {name} ({hint})"
        )
    constructor, module = found[name]
    return Backbone(
        name=name,
        constructor=partial(constructor, include_top=False, pooling="avg"),
        preprocess=module.preprocess_input,
    )


def _keras_constructors() -> dict[str, tuple[Callable[..., keras.Model], ModuleType]]:
    """Name -> constructor, and the module with its preprocess_input."""
    found: dict[str, tuple[Callable[..., keras.Model], ModuleType]] = {}
    for name, member in inspect.getmembers(keras.applications, inspect.isfunction):
        module = inspect.getmodule(member)
        if module is not None and hasattr(module, "preprocess_input"):
            found[name] = (member, module)
    return found


def _without_rescaling(model: keras.Model, build_plain: Callable[[], keras.Model]) -> keras.Model:
    """Fold the layer that Keras adds to EfficientNet only with ImageNet weights into its neighbour.

    A model rebuilt to load trained weights lacks the layer, and would give other scores.
    """
    scalings = [layer for layer in model.layers if isinstance(layer, keras.layers.Rescaling)]
    normalised = [layer for layer in model.layers if isinstance(layer, keras.layers.Normalization)]
    if len(scalings) < 2 or not normalised:
        return model
    plain = build_plain()
    plain.set_weights(model.get_weights())
    [target] = [layer for layer in plain.layers if isinstance(layer, keras.layers.Normalization)]
    mean, variance, *rest = normalised[0].get_weights()
    target.set_weights([mean, variance / np.square(scalings[1].scale), *rest])
    target.finalize_state()
    return plain


def _torchvision_weights(_notify: Notify | None) -> Path:
    name, url, sha256 = Path(resnet.WEIGHTS_URL).name, resnet.WEIGHTS_URL, resnet.WEIGHTS_SHA256
    return Path(keras.utils.get_file(name, url, cache_subdir="models", file_hash=sha256))


_ADDITIONAL = {
    "ResNet18": Backbone(
        name="ResNet18",
        constructor=resnet.resnet18,
        preprocess=resnet.preprocess,
        state_dict=_torchvision_weights,
    ),
    **{
        name: Backbone(
            name=name,
            constructor=partial(efficientnet_lite.build, variant=variant),
            preprocess=efficientnet_lite.preprocess,
            state_dict=partial(
                pretrained.fetch_weights, name.replace("EfficientNetLite", "efficientnet-lite")
            ),
            input_size=(variant.input_size, variant.input_size),
        )
        for name, variant in VARIANTS.items()
    },
}
