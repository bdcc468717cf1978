"""nimakit.serving.settings: config file, environment and command line."""

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from nimakit.errors import ConfigError
from nimakit.models.names import ModelSource
from nimakit.serving.keys import make_key
from nimakit.serving.settings import RULES, Settings, read_settings

PAGE = Path(__file__).parents[2] / "docs" / "serving.md"


def _config(folder: Path, **values: Any) -> Path:
    path = folder / "serve.json"
    path.write_text(json.dumps(values), "utf-8")
    return path


def test_without_anything_the_public_model_is_served_to_this_machine() -> None:
    """The defaults are those of `Settings`."""
    settings = read_settings()
    assert settings == Settings()
    assert (settings.models[0].name, settings.host, settings.port) == ("aesthetic", "127.0.0.1", 8080)


def test_options_override_the_environment_which_overrides_the_file(tmp_path: Path) -> None:
    """Each of the three layers wins over the one before it."""
    path = _config(tmp_path, port=1, queue_size=2, max_images=3)
    environment = {"NIMAKIT_SERVE_PORT": "4", "NIMAKIT_SERVE_QUEUE_SIZE": "5", "PORT": "6"}
    settings = read_settings(path, environment=environment, options={"port": 7, "host": None})
    assert (settings.port, settings.queue_size, settings.max_images) == (7, 5, 3)


def test_a_variable_holds_json_or_text() -> None:
    """Lists and numbers are JSON, text may stand bare."""
    environment = {
        "NIMAKIT_SERVE_MODELS": '["aesthetic", "own=m.onnx"]',
        "NIMAKIT_SERVE_HOST": "0.0.0.0",  # noqa: S104 - never listened on
        "NIMAKIT_SERVE_RATE_LIMIT": "5 per minute",
    }
    settings = read_settings(environment=environment)
    assert [source.name for source in settings.models] == ["aesthetic", "own"]
    assert (settings.host, settings.rate_limit) == ("0.0.0.0", "5 per minute")  # noqa: S104 - as above


def test_models_have_names(tmp_path: Path) -> None:
    """A file is served under its own name, a job's under the job's, any under a given one."""
    models = ["aesthetic", "tiny.onnx", "jobs/2026_01_31_12_00_00/model.onnx", "both.json", "a-b=x/y=z.onnx"]
    settings = read_settings(_config(tmp_path, models=models))
    assert settings.models == (
        ModelSource(name="aesthetic", model="aesthetic"),
        ModelSource(name="tiny", model=str(tmp_path / "tiny.onnx")),
        ModelSource(name="2026_01_31_12_00_00", model=str(tmp_path / models[2])),
        ModelSource(name="both", model=str(tmp_path / "both.json")),
        ModelSource(name="a-b", model=str(tmp_path / "x/y=z.onnx")),
    )


@pytest.mark.parametrize(
    ("models", "message"),
    [
        (["my model.onnx"], "Received: my model.onnx; give it a name: NAME=my model.onnx"),
        (["a/m.onnx", "b/m.onnx"], "Received: m more than once; give them names"),
    ],
)
def test_refuses_models_without_a_name_of_their_own(models: list[str], message: str) -> None:
    """A name that no URL takes, or that two models have, is refused with the way out."""
    with pytest.raises(ConfigError, match=re.escape(message)):
        read_settings(options={"models": models})


def test_keys_come_from_a_list_and_a_file(tmp_path: Path) -> None:
    """Both are used; the file's path is relative to the config."""
    first, second = (make_key(name)[1] for name in ("first", "second"))
    (tmp_path / "keys").write_text(f"{second}\n", "utf-8")
    path = _config(tmp_path, api_keys=[str(first)], api_keys_file="keys")
    assert read_settings(path).api_keys == (first, second)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"pot": 1}, "'pot' is unknown (nearest known: 'port')"),
        ({"port": 70000}, "'port' must be an integer from 0 to 65535; received 70000"),
        ({"models": []}, "'models' must be a list of one or more"),
        ({"formats": ["JPG"]}, "'formats' must be a list of one or more of JPEG, PNG"),
        ({"cors_origins": ["*"]}, "'cors_origins' must be a list of origins"),
        ({"rate_limit": "often"}, "'rate_limit' must be a rate"),
        ({"api_keys": ["x"]}, "key 1 must be NAME:SHA-256"),
        ({"api_keys_file": "none"}, "file of API keys must be readable"),
        ({"request_timeout_s": 0}, "'request_timeout_s' must be a number above 0"),
        ({"port": "80", "queue_size": 0}, "breaks 2 rule(s)"),
    ],
)
def test_refuses_broken_values(tmp_path: Path, values: dict[str, Any], message: str) -> None:
    """Every broken rule is named, with what it was and the nearest known key."""
    with pytest.raises(ConfigError, match=re.escape(message)):
        read_settings(_config(tmp_path, **values))


def test_null_means_left_out_for_keys_without_a_default(tmp_path: Path) -> None:
    """A null key file does not remove keys from another layer."""
    path = tmp_path / "c.json"
    nothing = dict.fromkeys(("workers", "batch_size", "api_keys_file", "rate_limit", "users_dir"))
    path.write_text(json.dumps(nothing), "utf-8")
    assert read_settings(path) == Settings()
    path.write_text(json.dumps({"api_keys": [f"shop:{64 * '0'}"]}), "utf-8")
    settings = read_settings(path, environment={"NIMAKIT_SERVE_API_KEYS_FILE": "null"})
    assert [key.name for key in settings.api_keys] == ["shop"]


def test_refuses_an_unknown_variable() -> None:
    """A variable with our prefix that means nothing is a mistake."""
    with pytest.raises(ConfigError, match=r"The environment breaks .*'quue_size' is unknown .*'queue_size'"):
        read_settings(environment={"NIMAKIT_SERVE_QUUE_SIZE": "5"})


def test_every_setting_can_be_set() -> None:
    """The fields of `Settings` are the keys of a config, which has one more: the file of keys."""
    assert set(RULES) == {field.name for field in fields(Settings)} | {"api_keys_file"}


@pytest.mark.parametrize("key", RULES)
def test_a_setting_is_documented_with_its_default(key: str) -> None:
    """Every key has its row in docs/serving.md, and the row its default."""
    rows = re.findall(rf"^\| `{key}` \| (.*?) \|", PAGE.read_text("utf-8"), re.MULTILINE)
    assert len(rows) == 1
    default = {field.name: field.default for field in fields(Settings)}.get(key)
    if isinstance(default, int | float):
        assert float(rows[0].replace(",", "")) == default


def test_proxies_are_addresses_or_networks() -> None:
    """In JSON, in the environment too; anything else is refused, and a number of proxies is no address."""
    environment = {"NIMAKIT_SERVE_TRUSTED_PROXIES": '["10.0.0.7", "172.16.0.0/12", "fd00::/8"]'}
    found = read_settings(environment=environment).trusted_proxies
    assert [str(network) for network in found] == ["10.0.0.7/32", "172.16.0.0/12", "fd00::/8"]
    for value in (1, ["proxy"], ["10.0.0.1/8"]):
        with pytest.raises(ConfigError, match=r"172\.16\.0\.0/12"):
            read_settings(options={"trusted_proxies": value})


def test_a_name_too_long_for_a_folder_is_refused() -> None:
    """The system reports an error instead of a missing folder."""
    with pytest.raises(ConfigError, match="'users_dir' must be a folder that exists"):
        read_settings(environment={}, options={"users_dir": 5000 * "x"})
