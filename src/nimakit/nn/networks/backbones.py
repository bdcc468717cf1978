"""Backbones by name: every image classifier of keras.applications, ResNet18 and EfficientNet-Lite."""

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
from nimakit.models.pretrained import Notify
from nimakit.nn.networks import efficientnet_lite, resnet, torch_weights

INPUT_SIZE = 224
"""Height and width in pixels where nothing else is asked for: as NIMA was published."""

Weights = Literal["imagenet"] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Backbone:
    """An image classifier that can carry a rating head.

    Attributes:
        name: As keras.applications names it ("MobileNet"); or ResNet18, EfficientNetLite0, EfficientNetLite2.
        constructor: Builds it: input_shape (H, W, 3) and weights (None or "imagenet") to a flat model.
        preprocess: (N, H, W, 3) RGB 0-255, a tensor, to what the backbone was trained on.
        state_dict: Where the constructor knows no ImageNet weights: obtains them as a PyTorch file.
        input_size: (height, width) in pixels where nothing else is asked for.
    """

    name: str
    constructor: Callable[..., keras.Model]
    preprocess: Callable[[Any], Any]
    state_dict: Callable[[Notify | None], Path] | None = None
    input_size: tuple[int, int] = (INPUT_SIZE, INPUT_SIZE)

    def preprocessing(self, config: TrainConfig) -> Preprocessing:
        """What a model of this backbone and this config wants its input to be like."""
        height, width = config.input_size or self.input_size
        return Preprocessing(height=height, width=width, resize_filter=config.resize_filter, fit=config.fit)

    def build(
        self,
        weights: Weights = None,
        *,
        input_size: tuple[int, int] | None = None,
        notify: Notify | None = None,
    ) -> keras.Model:
        """The backbone without its classifier: (N, H, W, 3) preprocessed to (N, D) float32 features.

        Args:
            weights: None for random ones, "imagenet" for published ones, which may be downloaded now.
            input_size: (height, width) in pixels; the attribute where None.
            notify: Told in a sentence when a download is about to start.

        Returns:
            A functional model, its layers in one flat list; the same list whatever the weights.

        Raises:
            ModelError: It cannot be built at this size.
            DownloadError: Its ImageNet weights are neither cached nor reachable.
        """
        shape = (*(input_size or self.input_size), 3)
        if weights is None:
            return self._construct(shape, None)
        try:
            if self.state_dict:
                model = self._construct(shape, None)
                torch_weights.load(model, self.state_dict(notify))
                return model
            return _folded(self._construct(shape, weights), partial(self._construct, shape, None))
        except NimakitError:
            raise
        except Exception as error:
            raise DownloadError(
                f"The ImageNet weights of {self.name} must be cached or reachable. Received:"
                f" {first_line(error)}; connect once, or name weights you have in the training config:"
                " existing_weights."
            ) from error

    def _construct(self, shape: tuple[int, int, int], weights: Weights) -> keras.Model:
        try:
            with warnings.catch_warnings():
                # MobileNets say that their weights were trained at 224x224.
                warnings.simplefilter("ignore", UserWarning)
                return self.constructor(input_shape=shape, weights=weights)
        except ValueError as error:
            raise ModelError(
                f"{self.name} must be given an input size it can be built at. Received: {shape[0]}x{shape[1]}"
                f" ({first_line(error)}); give another input_size."
            ) from error


def names() -> list[str]:
    """Names of all backbones, sorted."""
    return sorted([*_keras_constructors(), *_OWN])


def get(name: str) -> Backbone:
    """The backbone of that name.

    Raises:
        ModelError: No backbone has the name; the nearest ones are given.
    """
    if name in _OWN:
        return _OWN[name]
    found = _keras_constructors()
    if name not in found:
        known = names()
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
        hint = f"nearest: {', '.join(near)}" if near else f"known: {', '.join(known)}"
        raise ModelError(
            f"A base model is an image classifier of keras.applications, {', '.join(_OWN)}."
            f" Received: {name} ({hint})"
        )
    constructor, module = found[name]
    return Backbone(
        name=name,
        constructor=partial(constructor, include_top=False, pooling="avg"),
        preprocess=module.preprocess_input,
    )


def _keras_constructors() -> dict[str, tuple[Callable[..., keras.Model], ModuleType]]:
    """Name -> constructor, and the module that holds the preprocessing it was trained with."""
    found: dict[str, tuple[Callable[..., keras.Model], ModuleType]] = {}
    for name, member in inspect.getmembers(keras.applications, inspect.isfunction):
        module = inspect.getmodule(member)
        if module is not None and hasattr(module, "preprocess_input"):
            found[name] = (member, module)
    return found


def _folded(model: keras.Model, build_plain: Callable[[], keras.Model]) -> keras.Model:
    """EfficientNet without the layer Keras adds for ImageNet weights alone, folded into its neighbour.

    Otherwise a model rebuilt to load what was trained would lack the layer, and give other scores.
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


def _own(build: Callable[[tuple[int, int, int]], keras.Model]) -> Callable[..., keras.Model]:
    """A constructor of ours as keras.applications has them; its weights are loaded from a state dict."""

    def construct(*, input_shape: tuple[int, int, int], weights: None) -> keras.Model:
        del weights
        return build(input_shape)

    return construct


def _torchvision_weights(_notify: Notify | None) -> Path:
    file_name = resnet.WEIGHTS_URL.rpartition("/")[2]
    return Path(
        keras.utils.get_file(
            file_name, resnet.WEIGHTS_URL, cache_subdir="models", file_hash=resnet.WEIGHTS_SHA256
        )
    )


_OWN = {
    "ResNet18": Backbone(
        name="ResNet18",
        constructor=_own(resnet.resnet18),
        preprocess=resnet.preprocess,
        state_dict=_torchvision_weights,
    ),
    "EfficientNetLite0": Backbone(
        name="EfficientNetLite0",
        constructor=_own(efficientnet_lite.lite0),
        preprocess=efficientnet_lite.preprocess,
        state_dict=partial(pretrained.fetch_weights, "efficientnet-lite0"),
    ),
    "EfficientNetLite2": Backbone(
        name="EfficientNetLite2",
        constructor=_own(efficientnet_lite.lite2),
        preprocess=efficientnet_lite.preprocess,
        state_dict=partial(pretrained.fetch_weights, "efficientnet-lite2"),
        input_size=(260, 260),
    ),
}
