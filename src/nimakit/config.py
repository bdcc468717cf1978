"""Configuration files of training jobs and ensembles, checked and read into frozen dataclasses."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, TypeAlias, get_args, get_origin, get_type_hints

from nimakit.errors import ConfigError
from nimakit.images.photo import SCALED_NEAREST, Decode, Fit, Preprocessing, ResizeFilter
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
"""Value of `existing_weights` for new, random weights."""

Head = Literal["histogram", "regression", "classification"]
PublicModel = Literal["aesthetic", "technical"]


def _is_size(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(is_integer(32, 4096), value))


_Positive: TypeAlias = Annotated[float, Rule(is_number(0, above=True), "a number above 0")]
_NotNegative: TypeAlias = Annotated[float, Rule(is_number(0), "a number, 0 or more")]
_ShareBelow1: TypeAlias = Annotated[
    float, Rule(lambda value: is_number(0)(value) and value < 1, "a number from 0 to below 1")
]
_ShareAbove0: TypeAlias = Annotated[float, Rule(is_number(0, 1, above=True), "a number above 0, to 1")]
_Count: TypeAlias = Annotated[int, Rule(is_integer(0), "an integer, 0 or more")]
_AtLeast1: TypeAlias = Annotated[int, Rule(is_integer(1), "an integer, 1 or more")]
_Bins: TypeAlias = Annotated[int, Rule(is_integer(2), "an integer, 2 or more")]
_Levels: TypeAlias = Annotated[int, Rule(is_integer(1, 8), "an integer from 1 to 8")]
_Seed: TypeAlias = Annotated[int, Rule(is_integer(0, 2**32 - 1), "an integer from 0 to 4294967295")]
_Crop: TypeAlias = Annotated[float, Rule(is_number(0.25, 1), "a number from 0.25 to 1")]
_Size: TypeAlias = Annotated[tuple[int, int], Rule(_is_size, "[height, width], 32 to 4096 pixels each")]
_Backbone: TypeAlias = Annotated[str, Rule(is_text, "the name of a backbone", required=True)]


def _rules(config: type) -> dict[str, Rule]:
    """Key -> rule for a dataclass, from the types of its fields."""
    return {key: _rule(hint) for key, hint in get_type_hints(config, include_extras=True).items()}


def _rule(hint: Any) -> Rule:
    """The rule for a type: the one it is annotated with, or that of its plain type."""
    if NoneType in get_args(hint):
        [hint] = (arg for arg in get_args(hint) if arg is not NoneType)
    if get_origin(hint) is Annotated:
        rule: Rule = get_args(hint)[1]
        return rule
    if get_origin(hint) is Literal:
        return Rule(is_one_of(*get_args(hint)), "one of " + ", ".join(get_args(hint)))
    return Rule(is_true_or_false, "true or false") if hint is bool else Rule(is_text, "text")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """A training config. Scoring only reads which model it describes; training reads the rest.

    Attributes:
        base_model_name: Backbone, as keras.applications names it.
        train_env: Where training runs; informational.
        docker_image: Container image the launchers run; one with "gpu" in its name gets the GPUs.
        existing_weights: Initial weights: a Keras file (relative to the working directory), the name of
            public weights, `RANDOM_WEIGHTS`, or None for ImageNet weights.
        public_model: The public model that scores with this config if `existing_weights` names no weights of
            its own; training ignores it.
        n_classes: Number of bins, at least 2.
        batch_size: Images per training step, at least 1.
        epochs_train_dense: Epochs that train only the head.
        learning_rate_dense: Learning rate of these epochs, above 0.
        decay_dense: Learning-rate decay of these epochs, at least 0.
        epochs_train_all: Epochs that train the whole network.
        learning_rate_all: Learning rate of these epochs, above 0.
        decay_all: Learning-rate decay of these epochs, at least 0.
        l2_reg: L2 penalty on the head's kernel, at least 0.
        dropout_rate: Dropout before the head, 0 to below 1.
        multiprocessing_data_load: Ignored: images are decoded once, on all cores.
        num_workers_data_load: Ignored.
        s3_bucket: Bucket to copy the finished job to; None for none.
        img_format: Ignored: images of any supported suffix are found.
        head: "histogram" (softmax, EMD), "regression" (one score, mean squared error) or "classification"
            (softmax, cross-entropy).
        score_activation: Activation of a regression head: "linear", or "sigmoid" stretched over the rating
            scale.
        input_size: (height, width) in pixels; None for the backbone's own.
        resize_filter: One of `nimakit.images.photo.RESIZE_FILTERS`; published NIMA weights expect
            nearest.
        fit: One of `nimakit.images.photo.FITS`.
        decode: One of `nimakit.images.photo.DECODES`; "scaled" not with the filter nearest.
        random_crop: Share of each side that a training step uses, 0.25 to 1: 0.875 is 224 of 256 pixels.
        random_flip: Whether to mirror half of the pictures in a training step.
        validation_split: Share of the labelled images set aside to choose the best epoch, 0 to below 1.
        seed: Seed of the split, the order, crops, flips, dropout and new weights.
        balance_ratings: Whether to draw images with rare mean ratings as often as those with common ones.
        early_stopping_patience: Epochs without a better validation loss that end a phase; None for never.
        exported_epoch: "best" by validation loss, or "last", if too few images are set aside to tell.
        freeze_batch_norm: Whether batch normalisation keeps its statistics and scale while fine-tuning; None
            for yes, unless the weights are random.
        learning_rate_schedule: Schedule of the second phase: "inverse_time" (by decay_all) or "cosine".
        layer_decay: Factor, above 0 to 1, by which the learning rate falls from the head to the first layer.
        pooled_levels: Number of the backbone's resolutions that features are pooled from, coarsest first.
        ridge_start: Whether the head starts from a ridge regression on the frozen features.
        weight_averaging: Momentum of an exponential moving average of the weights; 0 for none.
        mixed_precision: Whether to compute in 16 bits; None for yes if the GPU has fast 16-bit units.
        cache_memory_mb: Decoded training images kept in memory, in megabytes.
        cache_disk_mb: Further decoded training images kept on disk, in megabytes.
    """

    base_model_name: _Backbone
    train_env: str = "local"
    docker_image: str = "nima-cpu"
    existing_weights: str | None = None
    public_model: PublicModel | None = None
    n_classes: _Bins = 10
    batch_size: _AtLeast1 = 96
    epochs_train_dense: _Count = 5
    learning_rate_dense: _Positive = 1e-3
    decay_dense: _NotNegative = 0.0
    epochs_train_all: _Count = 9
    learning_rate_all: _Positive = 3e-5
    decay_all: _NotNegative = 0.0
    l2_reg: _NotNegative = 0.0
    dropout_rate: _ShareBelow1 = 0.75
    multiprocessing_data_load: bool = False
    num_workers_data_load: _Count = 1
    s3_bucket: str | None = None
    img_format: str = "jpg"
    head: Head = "histogram"
    score_activation: Literal["linear", "sigmoid"] = "linear"
    input_size: _Size | None = None
    resize_filter: ResizeFilter = "nearest"
    fit: Fit = "squash"
    decode: Decode = "full"
    random_crop: _Crop = 0.875
    random_flip: bool = True
    validation_split: _ShareBelow1 = 0.05
    seed: _Seed = 0
    balance_ratings: bool = False
    early_stopping_patience: _AtLeast1 | None = None
    exported_epoch: Literal["best", "last"] = "best"
    freeze_batch_norm: bool | None = None
    learning_rate_schedule: Literal["inverse_time", "cosine"] = "inverse_time"
    layer_decay: _ShareAbove0 = 1.0
    pooled_levels: _Levels = 1
    ridge_start: bool = False
    weight_averaging: _ShareBelow1 = 0.0
    mixed_precision: bool | None = None
    cache_memory_mb: _Count = 2048
    cache_disk_mb: _Count = 20480

    def preprocessing(self, default_size: tuple[int, int]) -> Preprocessing:
        """How an image becomes the model's input; the default (height, width) is that of the backbone."""
        height, width = self.input_size or default_size
        return Preprocessing(
            height=height,
            width=width,
            resize_filter=self.resize_filter,
            fit=self.fit,
            decode=self.decode,
        )


TRAIN_RULES = _rules(TrainConfig)


@dataclass(frozen=True, kw_only=True, slots=True)
class EncoderConfig:
    """An encoder of a head, at one input size.

    Attributes:
        name: A public encoder by name, or an encoder's .onnx file (relative to the working directory).
        input_size: (height, width) in pixels; None for the encoder's own.
    """

    name: Annotated[str, Rule(is_text, "the name of an encoder or an .onnx file", required=True)]
    input_size: _Size | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class HeadConfig:
    """The config of a job with ``"head_only": true``: a head fitted to the features of frozen encoders.

    Attributes:
        head_only: True.
        encoders: One or more; the same encoder may occur at several sizes.
        train_env: As in `TrainConfig`.
        docker_image: As in `TrainConfig`.
        n_classes: Number of bins, at least 2; None for that of the labels.
        ratings_file: Table of single ratings, .csv, .tsv or .jsonl, from which the labels are computed anew
            without the raters' biases; None to learn from the labels as they are.
        s3_bucket: As in `TrainConfig`.
        img_format: As in `TrainConfig`.
        head: "histogram" (softmax) or "regression" (one score).
        kernel: "gaussian" (similarity to the training images) or "linear" (a dense layer).
        resize_filter: As in `TrainConfig`; None for that of the encoders.
        fit: As in `TrainConfig`; None for that of the encoders.
        random_flip: Whether features are averaged over a picture and its mirror image.
        validation_split: Share of the labelled images set aside, 0 to below 1. None are needed: every image
            is also predicted by a fit to all others.
        seed: Seed of the split and of the choice of images that variances are estimated from.
        balance_ratings: Whether images with rare mean ratings weigh as much as those with common ones.
    """

    head_only: Annotated[bool, Rule(lambda value: value is True, "true", required=True)]
    encoders: Annotated[
        tuple[EncoderConfig, ...],
        Rule(
            lambda value: isinstance(value, list) and len(value) >= 1,
            "a list of one or more encoders",
            required=True,
        ),
    ]
    train_env: str = "local"
    docker_image: str = "nima-light"
    n_classes: _Bins | None = None
    ratings_file: str | None = None
    s3_bucket: str | None = None
    img_format: str = "jpg"
    head: Literal["histogram", "regression"] = "histogram"
    kernel: Literal["gaussian", "linear"] = "gaussian"
    resize_filter: ResizeFilter | None = None
    fit: Fit | None = None
    random_flip: bool = True
    validation_split: _ShareBelow1 = 0.0
    seed: _Seed = 0
    balance_ratings: bool = False


HEAD_RULES, _ENCODER_RULES = _rules(HeadConfig), _rules(EncoderConfig)


@dataclass(frozen=True, kw_only=True, slots=True)
class MemberConfig:
    """One model of an ensemble.

    Attributes:
        model: A public model, a job folder or an .onnx file; a relative path starts at the folder of the
            ensemble file.
        weight: Its weight in the average, above 0; weights need not sum to 1.
    """

    model: Annotated[str, Rule(is_text, "a public model, a job folder or an .onnx file", required=True)]
    weight: _Positive = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class EnsembleConfig:
    """Several models scored as one.

    Attributes:
        name: Name of the ensemble.
        members: At least one.
    """

    name: str
    members: Annotated[
        tuple[MemberConfig, ...],
        Rule(
            lambda value: isinstance(value, list) and len(value) >= 1,
            "a list of one or more members",
            required=True,
        ),
    ]


_MEMBER_RULES, _ENSEMBLE_RULES = _rules(MemberConfig), _rules(EnsembleConfig)

LAYOUT_KEYS = (
    "n_classes",
    "head",
    "score_activation",
    "pooled_levels",
    "input_size",
    "resize_filter",
    "fit",
    "decode",
)
"""Keys that, with base model and weights, determine the layers and input of a trained network."""


def read_config(path: str | os.PathLike[str]) -> TrainConfig | HeadConfig:
    """Read and check the config of a job: that of a head if ``head_only`` is true.

    Args:
        path: JSON file.

    Returns:
        The config; keys that are missing or null have the defaults of `TrainConfig` or `HeadConfig`.

    Raises:
        ConfigError: Not a JSON object, or broken rules, all of them listed.
    """
    path = Path(path)
    values, name = read_object(path, "A training config"), f"Training config {path}"
    return parse_head_config(values, name) if _is_head(values) else parse_train_config(values, name)


def read_train_config(path: str | os.PathLike[str]) -> TrainConfig:
    """Read and check the config of a whole network.

    Args:
        path: JSON file.

    Returns:
        The config; keys that are missing or null have the defaults of `TrainConfig`.

    Raises:
        ConfigError: Not a JSON object, a config with ``head_only``, or broken rules, all of them listed.
    """
    config = read_config(path)
    if isinstance(config, HeadConfig):
        raise ConfigError(
            f"This needs Keras weights, and a config with 'head_only' has none. Received: {path}; to score,"
            " use the model.onnx of its job."
        )
    return config


def valid_values(path: Path) -> dict[str, Any]:
    """The valid values of a training config that may have invalid ones; empty if the file is not a config.

    They allow checking labels and images too, so that all problems are reported at once.
    """
    try:
        values = read_object(path, "A training config")
    except ConfigError:
        return {}
    rules = HEAD_RULES if _is_head(values) else TRAIN_RULES
    return {key: value for key, value in values.items() if key in rules and rules[key].holds(value)}


def _is_head(values: Mapping[str, Any]) -> bool:
    return values.get("head_only") not in (None, False)


def parse_train_config(values: Mapping[str, Any], name: str) -> TrainConfig:
    """Check the values of a training config.

    Args:
        values: The object in its JSON file; null counts as missing.
        name: Name of the config in errors.

    Raises:
        ConfigError: Broken rules, all of them listed.
    """
    values = {key: value for key, value in values.items() if (key, value) != ("head_only", False)}
    values = _without_nulls(values, {**TRAIN_RULES, "head_only": HEAD_RULES["head_only"]})
    broken = broken_rules(values, TRAIN_RULES)
    refuse(name, broken or _contradictions(values))
    return TrainConfig(**{**values, "input_size": _size(values)})


def parse_head_config(values: Mapping[str, Any], name: str) -> HeadConfig:
    """Check the values of the config of a head.

    Args:
        values: The object in its JSON file; null counts as missing.
        name: Name of the config in errors.

    Raises:
        ConfigError: Broken rules, all of them listed.
    """
    values = _without_nulls(values, HEAD_RULES | TRAIN_RULES)
    unused = [key for key in values if key in TRAIN_RULES and key not in HEAD_RULES]
    broken = [f"{key!r} has no effect with 'head_only': leave it out" for key in unused]
    broken += broken_rules({key: value for key, value in values.items() if key not in unused}, HEAD_RULES)
    listed = values["encoders"] if isinstance(values.get("encoders"), list) else []
    encoders, broken_members = _members(listed, "encoder", _ENCODER_RULES)
    refuse(name, broken + broken_members)
    return HeadConfig(
        **{
            **values,
            "encoders": tuple(
                EncoderConfig(name=encoder["name"], input_size=_size(encoder)) for encoder in encoders
            ),
        }
    )


def _size(values: Mapping[str, Any]) -> tuple[int, int] | None:
    size = values.get("input_size")
    return tuple(size) if size else None


def _members(
    listed: Sequence[Any], noun: str, rules: Mapping[str, Rule]
) -> tuple[list[dict[str, Any]], list[str]]:
    """The objects of a list without their nulls, and their broken rules by number."""
    members, broken = [], []
    for number, member in enumerate(listed, start=1):
        if not isinstance(member, dict):
            broken.append(f"{noun} {number} must be an object")
        else:
            members.append(_without_nulls(member, rules))
            broken += [f"{noun} {number}: {text}" for text in broken_rules(members[-1], rules)]
    return members, broken


def _without_nulls(values: Mapping[str, Any], rules: Mapping[str, Rule]) -> dict[str, Any]:
    """An object without known keys that are null, which count as missing."""
    return {key: value for key, value in values.items() if value is not None or key not in rules}


def _contradictions(values: Mapping[str, Any]) -> list[str]:
    """Valid values that contradict each other."""
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
    if values.get("decode") == "scaled" and values.get("resize_filter", "nearest") == "nearest":
        broken.append(SCALED_NEAREST)
    return broken


def read_ensemble_config(path: str | os.PathLike[str]) -> EnsembleConfig:
    """Read and check an ensemble file.

    Args:
        path: JSON file: ``{"name": ..., "members": [{"model": ..., "weight": ...}, ...]}``.

    Returns:
        The ensemble; its name is the file's if it has none.

    Raises:
        ConfigError: Not a JSON object, or broken rules, all of them listed.
    """
    path = Path(path)
    values = _without_nulls(read_object(path, "An ensemble file"), _ENSEMBLE_RULES)
    broken = broken_rules(values, _ENSEMBLE_RULES)
    listed = values["members"] if isinstance(values.get("members"), list) else []
    members, broken_members = _members(listed, "member", _MEMBER_RULES)
    refuse(f"Ensemble {path}", broken + broken_members)
    return EnsembleConfig(
        name=values.get("name", path.stem),
        members=tuple(MemberConfig(**member) for member in members),
    )


def read_object(path: Path, what: str) -> Mapping[str, Any]:
    """Read the JSON object in a file.

    Raises:
        ConfigError: The file is missing, unreadable, or not a JSON object.
    """
    values = read_json(path, ConfigError, what)
    if not isinstance(values, dict):
        raise ConfigError(f"{what} must be a JSON object. Received: {path}, a {type(values).__name__}")
    return values


def refuse(name: str, broken: list[str]) -> None:
    """Raise an error for broken rules.

    Raises:
        ConfigError: There are broken rules; all of them are listed.
    """
    if broken:
        raise ConfigError(f"{name} breaks {len(broken)} rule(s): " + "; ".join(broken))
