"""Configuration files, parsed once at the edge into frozen dataclasses."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nimakit.errors import ConfigError
from nimakit.schema import Rule, broken_rules, is_integer, is_number, is_text, or_null, read_json


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """A training config. Scoring reads which model it stands for; training reads the rest.

    Attributes:
        base_model_name: Backbone, as keras.applications names it.
        train_env: Where training runs; a note for people.
        docker_image: Image the launchers run; a name with "gpu" in it gets the GPUs.
        existing_weights: Keras weights to start from, relative to the working directory; None for none.
        n_classes: Number of bins, at least 2.
        batch_size: Images a training step, at least 1.
        epochs_train_dense: Epochs that train the head alone.
        learning_rate_dense: Learning rate of those, above 0.
        decay_dense: Learning-rate decay of those, at least 0.
        epochs_train_all: Epochs that train the whole network.
        learning_rate_all: Learning rate of those, above 0.
        decay_all: Learning-rate decay of those, at least 0.
        l2_reg: L2 penalty on the weights, at least 0.
        dropout_rate: Dropout before the head, 0 to below 1.
        multiprocessing_data_load: Whether images are loaded by several workers.
        num_workers_data_load: How many, at least 0.
        s3_bucket: Bucket the finished job is copied to; None for none.
        img_format: Suffix of the images, without the dot; any supported one is found.
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


_POSITIVE = Rule(is_number(0, above=True), "a number above 0")
_NOT_NEGATIVE = Rule(is_number(0), "a number, 0 or more")
_COUNT = Rule(is_integer(0), "an integer, 0 or more")
_TEXT = Rule(is_text, "text")
_TEXT_OR_NULL = Rule(or_null(is_text), "text or null")

TRAIN_RULES: dict[str, Rule] = {
    "base_model_name": Rule(is_text, "the name of a backbone", required=True),
    "train_env": _TEXT,
    "docker_image": _TEXT,
    "existing_weights": _TEXT_OR_NULL,
    "n_classes": Rule(is_integer(2), "an integer, 2 or more"),
    "batch_size": Rule(is_integer(1), "an integer, 1 or more"),
    "epochs_train_dense": _COUNT,
    "learning_rate_dense": _POSITIVE,
    "decay_dense": _NOT_NEGATIVE,
    "epochs_train_all": _COUNT,
    "learning_rate_all": _POSITIVE,
    "decay_all": _NOT_NEGATIVE,
    "l2_reg": _NOT_NEGATIVE,
    "dropout_rate": Rule(lambda value: is_number(0)(value) and value < 1, "a number from 0 to below 1"),
    "multiprocessing_data_load": Rule(lambda value: isinstance(value, bool), "true or false"),
    "num_workers_data_load": _COUNT,
    "s3_bucket": _TEXT_OR_NULL,
    "img_format": _TEXT,
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


def read_train_config(path: str | os.PathLike[str]) -> TrainConfig:
    """Read and check a training config.

    Args:
        path: JSON file.

    Returns:
        The config; keys left out have the defaults of `TrainConfig`.

    Raises:
        ConfigError: Not a JSON object, or broken rules, all of them listed.
    """
    path = Path(path)
    values = _read_object(path, "A training config")
    _refuse(path, "Training config", broken_rules(values, TRAIN_RULES))
    return TrainConfig(**values)


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
    values = _read_object(path, "An ensemble file")
    broken = broken_rules(values, _ENSEMBLE_RULES)
    members = values["members"] if isinstance(values.get("members"), list) else []
    for number, member in enumerate(members, start=1):
        if not isinstance(member, dict):
            broken.append(f"member {number} must be an object")
        else:
            broken += [f"member {number}: {text}" for text in broken_rules(member, _MEMBER_RULES)]
    _refuse(path, "Ensemble", broken)
    return EnsembleConfig(
        name=values.get("name", path.stem),
        members=tuple(MemberConfig(**member) for member in members),
    )


def _read_object(path: Path, what: str) -> Mapping[str, Any]:
    values = read_json(path, ConfigError, what)
    if not isinstance(values, dict):
        raise ConfigError(f"{what} must be a JSON object. Received: {path}, a {type(values).__name__}")
    return values


def _refuse(path: Path, what: str, broken: list[str]) -> None:
    if broken:
        raise ConfigError(f"{what} {path} breaks {len(broken)} rule(s): " + "; ".join(broken))
