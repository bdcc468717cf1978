"""nimakit.config: configuration files."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest

from nimakit.config import (
    TRAIN_RULES,
    EncoderConfig,
    HeadConfig,
    MemberConfig,
    TrainConfig,
    read_config,
    read_ensemble_config,
    read_train_config,
    valid_values,
)
from nimakit.errors import ConfigError
from nimakit.io.rules import described

ROOT = Path(__file__).parent.parent


def _write(folder: Path, value: Any) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


@pytest.mark.parametrize("path", sorted((ROOT / "models").rglob("config_*.json")), ids=lambda p: p.name)
def test_reads_the_configs_that_come_with_the_project(path: Path) -> None:
    """Every committed config keeps the rules."""
    values = json.loads(path.read_text(encoding="utf-8"))
    config = json.loads(json.dumps(dataclasses.asdict(read_config(path))))  # without tuples
    assert {key: config[key] for key in values} == values


def test_fills_in_defaults(tmp_path: Path) -> None:
    """Only the backbone is required."""
    config = read_train_config(_write(tmp_path, {"base_model_name": "VGG16"}))
    assert config == TrainConfig(base_model_name="VGG16")


def test_gives_what_is_sound_of_a_broken_config(tmp_path: Path) -> None:
    """Values that keep their rules, and nothing of a file that is missing or no object."""
    path = tmp_path / "config.json"
    path.write_text('{"n_classes": 7, "batch_size": 0, "epochs": 3, "head": "regression"}', encoding="utf-8")
    assert valid_values(path) == {"n_classes": 7, "head": "regression"}
    path.write_text("[]", encoding="utf-8")
    assert valid_values(path) == valid_values(tmp_path / "none.json") == {}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("base_model_name", ""),
        ("n_classes", 1),
        ("n_classes", 10.0),
        ("batch_size", 0),
        ("epochs_train_all", -1),
        ("learning_rate_dense", 0),
        ("learning_rate_all", "0.1"),
        ("decay_all", -1e-9),
        ("dropout_rate", 1),
        ("dropout_rate", "half"),
        ("multiprocessing_data_load", 1),
        ("existing_weights", ""),
        ("public_model", "beauty"),
        ("s3_bucket", 5),
        ("head", "histogramm"),
        ("score_activation", "softmax"),
        ("input_size", 224),
        ("input_size", [224]),
        ("input_size", [31, 224]),
        ("input_size", [224, 4097]),
        ("input_size", [224.0, 224]),
        ("resize_filter", "near"),
        ("fit", "stretch"),
        ("decode", "half"),
        ("random_crop", 0),
        ("random_crop", 1.1),
        ("random_flip", "yes"),
        ("validation_split", 1),
        ("seed", -1),
        ("seed", 4294967296),
        ("balance_ratings", "yes"),
        ("early_stopping_patience", 0),
        ("freeze_batch_norm", "no"),
        ("learning_rate_schedule", "linear"),
        ("layer_decay", 0),
        ("pooled_levels", 0),
        ("pooled_levels", 9),
        ("ridge_start", 1),
        ("weight_averaging", 1),
        ("mixed_precision", "float16"),
        ("exported_epoch", "first"),
        ("cache_memory_mb", -1),
        ("cache_disk_mb", 1.5),
    ],
)
def test_rejects_a_bad_value_by_key(tmp_path: Path, key: str, value: Any) -> None:
    """A value out of its range is refused with its key and what was received."""
    path = _write(tmp_path, {"base_model_name": "MobileNet", key: value})
    with pytest.raises(ConfigError, match=rf"'{key}' must be .*; received {re.escape(described(value))}"):
        read_train_config(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("input_size", [32, 4096]),
        ("random_crop", 1),
        ("validation_split", 0),
        ("seed", 4294967295),
        ("layer_decay", 1),
        ("pooled_levels", 8),
        ("cache_memory_mb", 0),
        ("cache_disk_mb", 0),
    ],
)
def test_takes_values_at_the_ends_of_their_range(tmp_path: Path, key: str, value: Any) -> None:
    """The ends that belong to a range are allowed."""
    config = read_train_config(_write(tmp_path, {"base_model_name": "MobileNet", key: value}))
    expected = tuple(value) if isinstance(value, list) else value
    assert getattr(config, key) == expected


@pytest.mark.parametrize("key", sorted(set(TRAIN_RULES) - {"base_model_name"}))
def test_null_is_as_good_as_left_out(tmp_path: Path, key: str) -> None:
    """Each optional key may be null, which stands for none given."""
    path = _write(tmp_path, {"base_model_name": "MobileNet", key: None})
    assert read_train_config(path) == TrainConfig(base_model_name="MobileNet")
    assert key not in valid_values(path)


def test_null_is_no_backbone_and_no_unknown_key(tmp_path: Path) -> None:
    """A required key that is null is missing, and a typing error is one whatever its value."""
    path = _write(tmp_path, {"base_model_name": None, "batch_sise": None})
    with pytest.raises(ConfigError) as caught:
        read_train_config(path)
    assert "'base_model_name' is missing (it must be the name of a backbone)" in str(caught.value)
    assert "'batch_sise' is unknown (nearest known: 'batch_size')" in str(caught.value)


@pytest.mark.parametrize(("image", "batch_size", "workers"), [("nima-cpu", 96, 1), ("nima-gpu", 96, 8)])
@pytest.mark.parametrize("epochs", [5, 50])
def test_reads_the_configs_of_the_first_nima_toolkit(
    tmp_path: Path, image: str, batch_size: int, workers: int, epochs: int
) -> None:
    """Its aesthetic and technical configs have null where a key is unused; null means none."""
    values = {
        **{"train_env": "remote", "s3_bucket": None, "docker_image": image, "base_model_name": "MobileNet"},
        **{"existing_weights": None, "n_classes": 10, "batch_size": batch_size},
        **{"epochs_train_dense": epochs, "learning_rate_dense": 0.001, "decay_dense": 0},
        **{"epochs_train_all": 9, "learning_rate_all": 0.00003, "decay_all": 0.000023},
        **{"l2_reg": None, "dropout_rate": 0.75, "multiprocessing_data_load": True},
        **{"num_workers_data_load": workers},
    }
    config = read_train_config(_write(tmp_path, values))
    assert (config.l2_reg, config.s3_bucket, config.existing_weights) == (0, None, None)
    assert (config.docker_image, config.decay_all) == (image, 0.000023)


def test_new_configs_decode_scaled_and_old_ones_whole(tmp_path: Path) -> None:
    """Configs that come with nimakit have the key where the filter weighs pixels; for others it is off."""
    files = sorted((ROOT / "models").glob("*/config_*.json"))
    shipped = [config for config in map(read_config, files) if isinstance(config, TrainConfig)]
    assert {config.decode for config in shipped if config.resize_filter != "nearest"} == {"scaled"}
    assert {config.decode for config in shipped if config.resize_filter == "nearest"} == {"full"}
    old = read_train_config(_write(tmp_path, {"base_model_name": "MobileNet", "resize_filter": "bicubic"}))
    assert old.preprocessing((8, 8)).decode == "full"
    assert dataclasses.replace(old, decode="scaled").preprocessing((8, 8)).decode == "scaled"


def test_rejects_unknown_keys_with_the_nearest_known_one(tmp_path: Path) -> None:
    """A typing error is met with the key that was meant, and all errors come together."""
    path = _write(tmp_path, {"base_model_nam": "MobileNet", "batch_sise": 3, "n_classes": 0})
    with pytest.raises(ConfigError) as caught:
        read_train_config(path)
    message = str(caught.value)
    assert "breaks 4 rule(s)" in message
    assert "'batch_sise' is unknown (nearest known: 'batch_size')" in message
    assert "'base_model_nam' is unknown (nearest known: 'base_model_name')" in message


@pytest.mark.parametrize("value", [[], 3, None, "text"])
def test_rejects_what_is_no_object(tmp_path: Path, value: Any) -> None:
    """A config is a JSON object."""
    with pytest.raises(ConfigError, match="must be a JSON object"):
        read_train_config(_write(tmp_path, value))


def test_configs_cannot_be_changed_after_they_were_checked() -> None:
    """A checked config is frozen."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrainConfig(base_model_name="MobileNet").batch_size = 0  # type: ignore[misc]


def test_reads_an_ensemble(tmp_path: Path) -> None:
    """Members keep their order and weights; a weight left out is 1, a name left out the file's."""
    path = _write(tmp_path, {"members": [{"model": "a.onnx", "weight": 0.5}, {"model": "aesthetic"}]})
    ensemble = read_ensemble_config(path)
    assert ensemble.name == "config"
    assert ensemble.members == (
        MemberConfig(model="a.onnx", weight=0.5),
        MemberConfig(model="aesthetic", weight=1.0),
    )


def test_null_in_an_ensemble_is_as_good_as_left_out(tmp_path: Path) -> None:
    """A name and a weight may be null, a model may not."""
    path = _write(tmp_path, {"name": None, "members": [{"model": "a.onnx", "weight": None}]})
    ensemble = read_ensemble_config(path)
    assert (ensemble.name, ensemble.members) == ("config", (MemberConfig(model="a.onnx", weight=1.0),))
    with pytest.raises(ConfigError, match="member 1: 'model' is missing"):
        read_ensemble_config(_write(tmp_path, {"members": [{"model": None}]}))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, "'members' is missing"),
        ({"members": []}, "one or more members"),
        ({"members": ["a.onnx"]}, "member 1 must be an object"),
        (
            {"members": [{"model": "a.onnx"}, {"weight": 0}]},
            "member 2: 'model' is.*member 2: 'weight'",
        ),
        ({"members": [{"model": "a.onnx", "wieght": 1}]}, "member 1: 'wieght' is unknown .*'weight'"),
        ([], "must be a JSON object"),
    ],
)
def test_rejects_a_broken_ensemble(tmp_path: Path, value: Any, message: str) -> None:
    """Every broken member is told by its number."""
    with pytest.raises(ConfigError, match=message):
        read_ensemble_config(_write(tmp_path, value))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs_train_dense": 0, "epochs_train_all": 0}, "must not both be 0 without 'ridge_start'"),
        ({"score_activation": "sigmoid"}, "'score_activation' must be left out"),
        (
            {"score_activation": "sigmoid", "head": "regression", "ridge_start": True},
            "'ridge_start' fits linear scores",
        ),
        ({"learning_rate_schedule": "cosine", "decay_all": 0.1}, "'decay_all' must be left out, or 0, with"),
        ({"decode": "scaled"}, "'decode' must be \"full\" with the 'resize_filter' nearest"),
    ],
)
def test_rejects_keys_that_contradict_each_other(
    tmp_path: Path, values: dict[str, Any], message: str
) -> None:
    """Each key keeps its own rule, and together they make no sense."""
    with pytest.raises(ConfigError, match=message):
        read_train_config(_write(tmp_path, {"base_model_name": "MobileNet", **values}))


def test_a_head_in_closed_form_needs_no_epochs(tmp_path: Path) -> None:
    """With ridge_start, a config without epochs is a whole one."""
    values = {"base_model_name": "MobileNet", "epochs_train_dense": 0, "epochs_train_all": 0}
    assert read_train_config(_write(tmp_path, {**values, "ridge_start": True})).ridge_start


def test_reads_the_config_of_a_head(tmp_path: Path) -> None:
    """Encoders keep their order; a size left out is the encoder's own."""
    encoders = [
        {"name": "efficientnet-lite0", "input_size": [224, 320]},
        {"name": "e.onnx", "input_size": None},
    ]
    config = read_config(_write(tmp_path, {"head_only": True, "encoders": encoders, "seed": None}))
    assert config == HeadConfig(
        head_only=True,
        encoders=(
            EncoderConfig(name="efficientnet-lite0", input_size=(224, 320)),
            EncoderConfig(name="e.onnx", input_size=None),
        ),
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "'encoders' is missing"),
        ({"encoders": []}, "one or more encoders"),
        ({"encoders": [{"name": ""}, 3]}, "encoder 1: 'name' must be.*encoder 2 must be an object"),
        ({"encoders": [{"name": "a", "size": 3}]}, "encoder 1: 'size' is unknown"),
        (
            {"encoders": [{"name": "a"}], "epochs_train_all": 3},
            "'epochs_train_all' has no effect with 'head_only'",
        ),
        (
            {"encoders": [{"name": "a"}], "head": "classification"},
            "'head' must be one of histogram, regression",
        ),
        ({"encoders": [{"name": "a"}], "head_only": "yes"}, "'head_only' must be true"),
    ],
)
def test_rejects_a_broken_config_of_a_head(tmp_path: Path, values: dict[str, Any], message: str) -> None:
    """What trains a whole network is refused by name, and so is every broken encoder."""
    with pytest.raises(ConfigError, match=message):
        read_config(_write(tmp_path, {"head_only": True, **values}))


def test_the_config_of_a_head_is_no_network(tmp_path: Path) -> None:
    """Where Keras weights are needed, the error names the model file; false is as good as left out."""
    path = _write(tmp_path, {"head_only": True, "encoders": [{"name": "a"}]})
    assert valid_values(path) == {"head_only": True, "encoders": [{"name": "a"}]}
    with pytest.raises(ConfigError, match=r"use the model\.onnx"):
        read_train_config(path)
    plain = _write(tmp_path, {"head_only": False, "base_model_name": "MobileNet"})
    assert read_config(plain) == TrainConfig(base_model_name="MobileNet")
