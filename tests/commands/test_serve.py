"""nimakit.commands.serve: `nimakit serve`."""

import json
import sys
from pathlib import Path

import pytest

from nimakit.serving.keys import find_owner, parse_keys
from nimakit.serving.settings import Settings
from terminal import Command


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """The settings a server would have been started with."""
    found: list[Settings] = []
    monkeypatch.setattr("nimakit.serving.server.serve", found.append)
    return found


def test_options_win_over_the_config(nimakit: Command, served: list[Settings], tmp_path: Path) -> None:
    """Options override the config file."""
    config = tmp_path / "serve.json"
    config.write_text(json.dumps({"port": 1, "queue_size": 9, "models": ["a.onnx"]}), "utf-8")
    result = nimakit(
        "serve", "--config-file", config, "--port", 2, "--model", "b=c.onnx", "--model", "aesthetic"
    )
    assert result.code == 0
    [settings] = served
    assert (settings.port, settings.queue_size) == (2, 9)
    assert [(source.name, source.model) for source in settings.models] == [
        ("b", "c.onnx"),
        ("aesthetic", "aesthetic"),
    ]


def test_the_environment_is_read(
    nimakit: Command, served: list[Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Environment variables with the prefix are settings."""
    monkeypatch.setenv("NIMAKIT_SERVE_MAX_IMAGES", "3")
    nimakit("serve")
    assert served[0].max_images == 3


def test_a_broken_config_is_refused(nimakit: Command, served: list[Settings], tmp_path: Path) -> None:
    """All broken rules are listed before the server starts."""
    config = tmp_path / "serve.json"
    config.write_text('{"prot": 1, "queue_size": 0}', "utf-8")
    result = nimakit("serve", "--config-file", config)
    assert result.code == 1
    assert "'prot' is unknown (nearest known: 'port')" in result.err
    assert "'queue_size' must be" in result.err
    assert (result.out, served) == ("", [])


def test_a_new_key_goes_to_stdout(nimakit: Command) -> None:
    """The key is printed with its entry for a config."""
    result = nimakit("serve", "--new-key", "shop")
    made = json.loads(result.out)
    assert find_owner(made["key"], parse_keys([made["entry"]], "a test")) == "shop"


def test_a_key_has_a_proper_name(nimakit: Command) -> None:
    """A name with a space is refused."""
    result = nimakit("serve", "--new-key", "a b")
    assert (result.code, result.out) == (1, "")
    assert "NAME:SHA-256" in result.err


def test_without_its_libraries_the_line_that_installs_them_is_shown(
    nimakit: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is one line, without a traceback."""
    monkeypatch.setitem(sys.modules, "gunicorn", None)
    result = nimakit("serve")
    assert result.code == 1
    assert "pip install 'nimakit[serve]'" in result.err
