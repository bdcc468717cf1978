"""Backbones by name: every image classifier of keras.applications, with its own preprocessing."""

import difflib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import keras

from nimakit.errors import ModelError

INPUT_SIZE = 224
"""Height and width in pixels of what every backbone gets, whatever its own default: as NIMA was published."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Backbone:
    """An image classifier that can carry a rating head.

    Attributes:
        name: As keras.applications names it: "MobileNet".
        constructor: Builds it.
        preprocess: (N, H, W, 3) RGB 0-255, a tensor, to what the backbone was trained on.
    """

    name: str
    constructor: Callable[..., keras.Model]
    preprocess: Callable[[Any], Any]

    def build(self, weights: str | None = None) -> keras.Model:
        """The backbone without its classifier: (N, H, W, 3) preprocessed to (N, D) float32 features.

        Args:
            weights: None for random ones, "imagenet" for those Keras downloads.
        """
        shape = (INPUT_SIZE, INPUT_SIZE, 3)
        return self.constructor(input_shape=shape, weights=weights, include_top=False, pooling="avg")


def names() -> list[str]:
    """Names of all backbones, sorted."""
    return sorted(_constructors())


def get(name: str) -> Backbone:
    """The backbone of that name.

    Raises:
        ModelError: No backbone has the name; the nearest ones are given.
    """
    known = _constructors()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
        hint = f"nearest: {', '.join(near)}" if near else f"known: {', '.join(sorted(known))}"
        raise ModelError(
            f"A base model is an image classifier of keras.applications. Received: {name} ({hint})"
        )
    constructor, module = known[name]
    return Backbone(
        name=name,
        constructor=constructor,
        preprocess=module.preprocess_input,
    )


def _constructors() -> dict[str, tuple[Callable[..., keras.Model], ModuleType]]:
    """Name -> constructor, and the module that holds the preprocessing it was trained with."""
    found: dict[str, tuple[Callable[..., keras.Model], ModuleType]] = {}
    for name, member in inspect.getmembers(keras.applications, inspect.isfunction):
        module = inspect.getmodule(member)
        if module is not None and hasattr(module, "preprocess_input"):
            found[name] = (member, module)
    return found
