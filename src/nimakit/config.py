"""Configuration files, parsed once at the edge into frozen dataclasses."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from nimakit.errors import ConfigError
from nimakit.images.photo import FITS, RESIZE_FILTERS, Fit, ResizeFilter
from nimakit.io.rules import (
    Rule,
    broken_rules,
    is_integer,
    is_number,
    is_one_of,
    is_text,
    is_true_or_false,
    read_json,
)

RANDOM_WEIGHTS = "random"
"""As existing_weights: none at all."""

Head = Literal["histogram", "regression", "classification"]
HEADS: tuple[str, ...] = get_args(Head)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """A training config. Scoring reads which model it stands for; training reads the rest.

    Attributes:
        base_model_name: Backbone, as keras.applications names it.
        train_env: Where training runs; a note for people.
        docker_image: Image the launchers run; a name with "gpu" in it gets the GPUs.
        existing_weights: What to start from: Keras weights (a file, relative to the working directory),
            public weights by name, `RANDOM_WEIGHTS`, or None for ImageNet weights.
        n_classes: Number of bins, at least 2.
        batch_size: Images a training step, at least 1.
        epochs_train_dense: Epochs that train the head alone.
        learning_rate_dense: Learning rate of those, above 0.
        decay_dense: Learning-rate decay of those, at least 0.
        epochs_train_all: Epochs that train the whole network.
        learning_rate_all: Learning rate of those, above 0.
        decay_all: Learning-rate decay of those, at least 0.
        l2_reg: L2 penalty on the head's kernel, at least 0.
        dropout_rate: Dropout before the head, 0 to below 1.
        multiprocessing_data_load: Not needed: images are decoded once, on all cores.
        num_workers_data_load: Likewise.
        s3_bucket: Bucket the finished job is copied to; None for none.
        img_format: Not needed: images of any supported suffix are found.
        head: "histogram" (softmax, EMD), "regression" (one score, mean squared error) or "classification"
            (softmax, cross-entropy).
        score_activation: Of a regression head: "linear", or "sigmoid" stretched over the rating scale.
        input_size: (height, width) in pixels; None for the backbone's own.
        resize_filter: One of `nimakit.images.photo.RESIZE_FILTERS`. Nearest is what published NIMA weights
            expect.
        fit: One of `nimakit.images.photo.FITS`.
        random_crop: Share of each side a training step sees, 0.25 to 1: 0.875 is 224 of 256 pixels.
        random_flip: Whether half of the pictures are mirrored in a training step.
        validation_split: Share of the labelled images kept back to choose the best epoch, 0 to below 1.
        seed: Of the split, the order, crops, flips, dropout and new weights.
        balance_ratings: Whether images of rare mean ratings are drawn as often as those of common ones.
        early_stopping_patience: Epochs without a better validation loss that end a phase; None to never.
        exported_epoch: "best" by validation loss, or "last", where too few images are kept back to tell.
        freeze_batch_norm: Whether batch normalisation keeps its statistics and scale while fine-tuning; None
            for yes, unless the weights are random.
        learning_rate_schedule: "inverse_time" (what the decay keys mean) or "cosine", of the second phase.
        layer_decay: Factor, above 0 to 1, by which the learning rate falls from the head to the first layer.
        pooled_levels: How many of the backbone's resolutions the features are pooled from, coarsest first.
        ridge_start: Whether the head starts from a ridge regression on the frozen features.
        weight_averaging: Momentum of an exponential moving average of the weights; 0 for none.
        mixed_precision: Whether to compute in 16 bits; None for wherever the GPU has fast 16-bit units.
        cache_memory_mb: Decoded training images kept in memory, in megabytes.
        cache_disk_mb: Decoded training images kept on disk past that, in megabytes.
    """

    base_model_name: str
    train_env: str = "local"
    docker_image: str = "nima-cpu"
    existing_weights: str | None = None
    n_classes: int = 10
    batch_size: int = 96
    epochs_train_dense: int = 5
    learning_rate_dense: float = 1e-3
    decay_dense: float = 0.0
    epochs_train_all: int = 9
    learning_rate_all: float = 3e-5
    decay_all: float = 0.0
    l2_reg: float = 0.0
    dropout_rate: float = 0.75
    multiprocessing_data_load: bool = False
    num_workers_data_load: int = 1
    s3_bucket: str | None = None
    img_format: str = "jpg"
    head: Head = "histogram"
    score_activation: Literal["linear", "sigmoid"] = "linear"
    input_size: tuple[int, int] | None = None
    resize_filter: ResizeFilter = "nearest"
    fit: Fit = "squash"
    random_crop: float = 0.875
    random_flip: bool = True
    validation_split: float = 0.05
    seed: int = 0
    balance_ratings: bool = False
    early_stopping_patience: int | None = None
    exported_epoch: Literal["best", "last"] = "best"
    freeze_batch_norm: bool | None = None
    learning_rate_schedule: Literal["inverse_time", "cosine"] = "inverse_time"
    layer_decay: float = 1.0
    pooled_levels: int = 1
    ridge_start: bool = False
    weight_averaging: float = 0.0
    mixed_precision: bool | None = None
    cache_memory_mb: int = 2048
    cache_disk_mb: int = 20480


_POSITIVE = Rule(is_number(0, above=True), "a number above 0")
_NOT_NEGATIVE = Rule(is_number(0), "a number, 0 or more")
_COUNT = Rule(is_integer(0), "an integer, 0 or more")
_TEXT = Rule(is_text, "text")
_SWITCH = Rule(is_true_or_false, "true or false")
_SHARE_BELOW_1 = Rule(lambda value: is_number(0)(value) and value < 1, "a number from 0 to below 1")
_SHARE_ABOVE_0 = Rule(is_number(0, 1, above=True), "a number above 0, to 1")


def _one_of(*allowed: str) -> Rule:
    return Rule(is_one_of(*allowed), "one of " + ", ".join(allowed))


def _is_size(value: Any) -> bool:
    side = is_integer(32, 4096)
    return isinstance(value, list) and len(value) == 2 and all(map(side, value))


TRAIN_RULES: dict[str, Rule] = {
    "base_model_name": Rule(is_text, "the name of a backbone", required=True),
    "train_env": _TEXT,
    "docker_image": _TEXT,
    "existing_weights": _TEXT,
    "n_classes": Rule(is_integer(2), "an integer, 2 or more"),
    "batch_size": Rule(is_integer(1), "an integer, 1 or more"),
    "epochs_train_dense": _COUNT,
    "learning_rate_dense": _POSITIVE,
    "decay_dense": _NOT_NEGATIVE,
    "epochs_train_all": _COUNT,
    "learning_rate_all": _POSITIVE,
    "decay_all": _NOT_NEGATIVE,
    "l2_reg": _NOT_NEGATIVE,
    "dropout_rate": _SHARE_BELOW_1,
    "multiprocessing_data_load": _SWITCH,
    "num_workers_data_load": _COUNT,
    "s3_bucket": _TEXT,
    "img_format": _TEXT,
    "head": _one_of(*HEADS),
    "score_activation": _one_of("linear", "sigmoid"),
    "input_size": Rule(_is_size, "[height, width], 32 to 4096 pixels each"),
    "resize_filter": _one_of(*RESIZE_FILTERS),
    "fit": _one_of(*FITS),
    "random_crop": Rule(is_number(0.25, 1), "a number from 0.25 to 1"),
    "random_flip": _SWITCH,
    "validation_split": _SHARE_BELOW_1,
    "seed": Rule(is_integer(0, 2**32 - 1), "an integer from 0 to 4294967295"),
    "balance_ratings": _SWITCH,
    "early_stopping_patience": Rule(is_integer(1), "an integer, 1 or more"),
    "exported_epoch": _one_of("best", "last"),
    "freeze_batch_norm": _SWITCH,
    "learning_rate_schedule": _one_of("inverse_time", "cosine"),
    "layer_decay": _SHARE_ABOVE_0,
    "pooled_levels": Rule(is_integer(1, 8), "an integer from 1 to 8"),
    "ridge_start": _SWITCH,
    "weight_averaging": _SHARE_BELOW_1,
    "mixed_precision": _SWITCH,
    "cache_memory_mb": _COUNT,
    "cache_disk_mb": _COUNT,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class MemberConfig:
    """One model of an ensemble.

    Attributes:
        model: A model name or an .onnx file; a relative path starts at the folder of the ensemble file.
        weight: Its share, above 0; shares need not sum to 1.
    """

    model: str
    weight: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class EnsembleConfig:
    """Several models scored as one.

    Attributes:
        name: What people call the ensemble.
        members: At least one.
    """

    name: str
    members: tuple[MemberConfig, ...]


_MEMBER_RULES = {
    "model": Rule(is_text, "a model name or an .onnx file", required=True),
    "weight": _POSITIVE,
}
_ENSEMBLE_RULES = {
    "name": _TEXT,
    "members": Rule(
        lambda value: isinstance(value, list) and len(value) >= 1,
        "a list of one or more members",
        required=True,
    ),
}


LAYOUT_KEYS = (
    "n_classes",
    "head",
    "score_activation",
    "pooled_levels",
    "input_size",
    "resize_filter",
    "fit",
)
"""What, besides base model and weights, a trained network is made of."""


def read_train_config(path: str | os.PathLike[str]) -> TrainConfig:
    """Read and check a training config.

    Args:
        path: JSON file.

    Returns:
        The config; keys that are left out, or null, have the defaults of `TrainConfig`.

    Raises:
        ConfigError: Not a JSON object, or broken rules, all of them listed.
    """
    path = Path(path)
    return parse_train_config(read_object(path, "A training config"), f"Training config {path}")


def sound_values(path: Path) -> dict[str, Any]:
    """The values of a training config that keep their rules, whatever the others do: none of no config.

    Held against labels and images, they bring to light at once all that is wrong.
    """
    try:
        values = read_object(path, "A training config")
    except ConfigError:
        return {}
    return {
        key: value for key, value in values.items() if key in TRAIN_RULES and TRAIN_RULES[key].holds(value)
    }


def parse_train_config(values: Mapping[str, Any], shown: str) -> TrainConfig:
    """Check the values of a training config.

    Args:
        values: As in its JSON file; null is as good as left out.
        shown: What they are called in an error.

    Raises:
        ConfigError: Broken rules, all of them listed.
    """
    values = _given(values, TRAIN_RULES)
    broken = broken_rules(values, TRAIN_RULES)
    refuse(shown, broken or _contradictions(values))
    size = values.get("input_size")
    return TrainConfig(**{**values, "input_size": tuple(size) if size else None})


def _given(values: Mapping[str, Any], rules: Mapping[str, Rule]) -> dict[str, Any]:
    """An object without the keys that are null, which stands for a key left out; unknown keys stay."""
    return {key: value for key, value in values.items() if value is not None or key not in rules}


def _contradictions(values: Mapping[str, Any]) -> list[str]:
    """Keys that keep their own rules and make no sense together."""
    broken = []
    ridge = values.get("ridge_start", False)
    if not ridge and values.get("epochs_train_dense") == 0 and values.get("epochs_train_all") == 0:
        broken.append("'epochs_train_dense' and 'epochs_train_all' must not both be 0 without 'ridge_start'")
    if values.get("score_activation") == "sigmoid":
        if values.get("head") != "regression":
            broken.append("'score_activation' must be left out unless 'head' is \"regression\"")
        if ridge:
            broken.append("'ridge_start' fits linear scores: 'score_activation' must be \"linear\"")
    if values.get("learning_rate_schedule") == "cosine" and values.get("decay_all"):
        broken.append("'decay_all' must be left out, or 0, with a 'learning_rate_schedule' of \"cosine\"")
    return broken


def read_ensemble_config(path: str | os.PathLike[str]) -> EnsembleConfig:
    """Read and check an ensemble file.

    Args:
        path: JSON file: ``{"name": ..., "members": [{"model": ..., "weight": ...}, ...]}``.

    Returns:
        The ensemble; the name is the file's where none is given.

    Raises:
        ConfigError: Not a JSON object, or broken rules, all of them listed.
    """
    path = Path(path)
    values = _given(read_object(path, "An ensemble file"), _ENSEMBLE_RULES)
    broken = broken_rules(values, _ENSEMBLE_RULES)
    members = []
    listed = values["members"] if isinstance(values.get("members"), list) else []
    for number, member in enumerate(listed, start=1):
        if not isinstance(member, dict):
            broken.append(f"member {number} must be an object")
        else:
            members.append(_given(member, _MEMBER_RULES))
            broken += [f"member {number}: {text}" for text in broken_rules(members[-1], _MEMBER_RULES)]
    refuse(f"Ensemble {path}", broken)
    return EnsembleConfig(
        name=values.get("name", path.stem),
        members=tuple(MemberConfig(**member) for member in members),
    )


def read_object(path: Path, what: str) -> Mapping[str, Any]:
    """The JSON object of a file.

    Raises:
        ConfigError: It is missing, unreadable, or no JSON object.
    """
    values = read_json(path, ConfigError, what)
    if not isinstance(values, dict):
        raise ConfigError(f"{what} must be a JSON object. Received: {path}, a {type(values).__name__}")
    return values


def refuse(shown: str, broken: list[str]) -> None:
    """Refuse values that break rules.

    Raises:
        ConfigError: There are broken rules; all of them are listed.
    """
    if broken:
        raise ConfigError(f"{shown} breaks {len(broken)} rule(s): " + "; ".join(broken))
