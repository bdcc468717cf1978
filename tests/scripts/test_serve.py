"""./serve: what it mounts, and where the server can be reached."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from launchers import ROOT, RUN_CODE, Launcher, settle, without, write_json
from nimakit.cli import cli

INSIDE = ["--host", "0.0.0.0", "--port", "8080"]  # noqa: S104 - of a container


def published(serve: Launcher, *arguments: str, **environment: str) -> list[str]:
    """What of the container is reached from outside."""
    return serve(*arguments, env=environment).container.options["--publish"]


# --- the container -------------------------------------------------------------------------------------


def test_the_container_is_confined(serve: Launcher) -> None:
    """It runs as the caller, read-only, without capabilities, and only this machine can reach it."""
    result = serve()
    container = result.container
    assert result.code == RUN_CODE
    assert (container.image, container.flags) == ("nima-serve", {"--rm", "--init", "--read-only"})
    assert container.options["--user"] == [f"{os.getuid()}:{os.getgid()}"]
    assert container.options["--cap-drop"] == ["ALL"]
    assert container.options["--security-opt"] == ["no-new-privileges"]
    assert container.options["--publish"] == ["127.0.0.1:8080:8080"]
    assert container.options["--entrypoint"] == ["/opt/nimakit/entrypoints/serve"]
    assert container.arguments == INSIDE
    assert "--mount" not in container.options  # not even the cache
    assert "serve: serving on http://127.0.0.1:8080; Ctrl-C stops" in result.stderr


def test_its_address_can_be_opened(serve: Launcher) -> None:
    """If published on all addresses, the address shown is this machine's in its network."""
    (serve.bin / "ip").write_text(
        "#!/usr/bin/env bash\necho '192.0.2.1 via 10.1.1.1 dev eth0 src 10.1.2.3 uid 0'\n"
    )
    (serve.bin / "ip").chmod(0o755)
    result = serve("--host", "0.0.0.0", "--port", "9000")  # noqa: S104 - a fake docker
    assert "serve: serving on http://10.1.2.3:9000; Ctrl-C stops" in result.stderr
    assert "NIMAKIT_ADDRESS=10.1.2.3:9000" in result.container.options["--env"]


def test_its_logs_end_and_its_requests_are_finished(serve: Launcher) -> None:
    """Logs have a size limit, the container has a name, and a stop waits for requests in progress."""
    options = serve("--port", "9001").container.options
    assert options["--name"] == ["nimakit-serve-9001"]
    assert options["--log-driver"] == ["local"]
    assert options["--log-opt"] == ["max-size=10m", "max-file=3"]
    assert options["--stop-timeout"] == ["30"]


def test_the_image_is_built_once(serve: Launcher) -> None:
    """A missing image is built from Dockerfile.serve; with its label on, it is not built again."""
    (build,) = serve().asked("build")
    assert build[1:5] == ["--file", str(serve.repository / "Dockerfile.serve"), "--tag", "nima-serve"]
    assert serve().asked("build") == []


def test_the_image_is_built_anew_after_a_change(copied: Launcher) -> None:
    """The lock files of both its stages are sources of the image."""
    serve = replace(copied, program="serve")
    serve()
    for change in ("Dockerfile.serve", "requirements/serve.txt", "requirements/light.txt"):
        with (copied.repository / change).open("a") as file:
            file.write("# changed\n")
        assert len(serve().asked("build")) == 1, change


def test_the_two_images_share_their_first_layers() -> None:
    """Up to the public model, Dockerfile.serve has the instructions of Dockerfile.light, word for word."""
    light, serve = (
        [
            line
            for line in (ROOT / f"Dockerfile.{kind}").read_text().splitlines()
            if line.strip(" ")[:1] not in "#" and not line.startswith("FROM")
        ]
        for kind in ("light", "serve")
    )
    shared = light[: light.index("    && rm /opt/nimakit/models/*.hdf5") + 1]
    assert len(shared) > 10
    assert serve[: len(shared)] == shared


# --- where it is reached -------------------------------------------------------------------------------


def test_host_and_port_can_be_chosen(serve: Launcher) -> None:
    """An option wins over the environment, that over the config, and the container's own are not touched."""
    write_json(serve.folder / "c.json", {"host": "10.0.0.1", "port": 9001})
    config = ["--config-file", "c.json"]
    assert published(serve, *config) == ["10.0.0.1:9001:8080"]
    environment = {"NIMAKIT_SERVE_PORT": "9002", "NIMAKIT_SERVE_HOST": "10.0.0.2"}
    assert published(serve, *config, **environment) == ["10.0.0.2:9002:8080"]
    options = [*config, "--port=9003", "--host", "::1"]
    container = serve(*options, env=environment).container
    assert container.options["--publish"] == ["[::1]:9003:8080"]
    assert container.arguments == [*options, *INSIDE]


@pytest.mark.parametrize("port", ["65536", "08080", "80 -v /:/x", "", "99999999999999999999"])
def test_what_is_no_port_is_refused(serve: Launcher, port: str) -> None:
    """Only a port from 1 to 65535 can be published; nothing is run for anything else."""
    result = serve(f"--port={port}")
    assert (result.code, result.calls[1:]) == (1, [])
    assert result.stderr.splitlines()[-1].endswith(f"at a port from 1 to 65535. Received: {port}")


def test_a_key_is_made_without_a_network(serve: Launcher) -> None:
    """--new-key prints and ends: nothing is published, and no name or port is taken."""
    result = serve("--new-key", "me")
    assert result.container.arguments == ["--new-key", "me"]
    assert result.container.options["--network"] == ["none"]
    assert not {"--publish", "--name"} & result.container.options.keys()
    assert "serving on" not in result.stderr


# --- what it sees --------------------------------------------------------------------------------------


def test_models_are_mounted(serve: Launcher) -> None:
    """Model files and the members of ensembles are mounted read-only, whatever name they are served under."""
    job = serve.folder / "train_jobs" / "2026_01_02_03_04_05"
    job.mkdir(parents=True)
    for path in (job / "model.onnx", serve.folder / "a=b.onnx", serve.folder / "c d.onnx"):
        path.touch()
    write_json(serve.folder / "both.json", {"members": [{"model": "a=b.onnx"}, {"model": "aesthetic"}]})
    models = ["train_jobs/2026_01_02_03_04_05/model.onnx", "mine=c d.onnx", "both.json", "aesthetic"]
    container = serve(*(word for model in models for word in ("--model", model))).container
    expected = [job / "model.onnx", *(serve.folder / name for name in ("c d.onnx", "both.json", "a=b.onnx"))]
    assert container.mounts == {str(path): (str(path), "ro") for path in expected}


def test_what_a_config_names_is_mounted(serve: Launcher) -> None:
    """Paths in a config start at its folder; absolute ones are taken as they are."""
    folder = serve.folder / "my configs"
    (folder / "users").mkdir(parents=True)
    for path in (folder / "a.onnx", folder / "keys", serve.folder / "b.onnx"):
        path.touch()
    models = ["a.onnx", f"b={serve.folder}/b.onnx", "aesthetic"]
    write_json(folder / "c.json", {"models": models, "api_keys_file": "keys", "users_dir": "users"})
    container = serve("--config-file", "my configs/c.json").container
    expected = [*(folder / name for name in ("c.json", "a.onnx", "keys", "users")), serve.folder / "b.onnx"]
    assert container.mounts == {str(path): (str(path), "ro") for path in expected}


def test_the_environment_goes_into_the_container(serve: Launcher) -> None:
    """Settings in the environment are passed by name, so no key is an argument; their files are mounted."""
    for name in ("a.onnx", "keys"):
        (serve.folder / name).touch()
    environment = {
        "NIMAKIT_SERVE_MODELS": '["mine=a.onnx"]',
        "NIMAKIT_SERVE_API_KEYS_FILE": "keys",
        "NIMAKIT_SERVE_API_KEYS": '["me:secret"]',
        "NIMAKIT_SERVE_USERS_DIR": "photos",
    }
    result = serve(env=environment)
    assert set(environment) <= set(result.container.options["--env"])
    assert "secret" not in str(result.calls)
    expected = [str(serve.folder / name) for name in ("a.onnx", "keys", "photos")]
    assert sorted(result.container.mounts) == expected


def test_a_broken_config_is_left_to_the_command(serve: Launcher) -> None:
    """A broken config is mounted as it is; the command reports what is wrong."""
    for text in ("{", "[]", '{"models": 3, "port": null}', '{"models": [7, null, {}]}'):
        (serve.folder / "c.json").write_text(text)
        container = serve("--config-file", "c.json").container
        assert [Path(target).name for target in container.mounts] == ["c.json"]
        assert container.options["--publish"] == ["127.0.0.1:8080:8080"]


def test_a_config_needs_jq(serve: Launcher, tmp_path: Path) -> None:
    """Without jq a config cannot be looked into, and the launcher says so."""
    write_json(serve.folder / "c.json", {"port": 9000})
    path = {"PATH": without(tmp_path, "jq")}
    assert serve(env=path).code == RUN_CODE
    result = serve("--config-file", "c.json", env=path)
    assert (result.code, result.asked("run")) == (1, [])
    assert "Reading c.json needs jq" in result.stderr


# --- without Docker ------------------------------------------------------------------------------------


def test_native_serves_as_the_command_does(copied: Launcher) -> None:
    """Without an engine, `nimakit serve` of .venv takes the place of the launcher, with its arguments."""
    settle(copied)
    copied.stop_engine()
    result = replace(copied, program="serve")("--model", "my model.onnx", "--port", "9000")
    assert result.stdout == "nimakit<serve --model my model.onnx --port 9000>\n"
    assert result.runtime_lines == ["serve: runtime native (.venv)"]
    assert result.asked("run") == []


def test_help_needs_no_set_up_and_no_engine(serve: Launcher) -> None:
    """--help prints the options of the command."""
    result = serve("--help", runtime="podman")
    assert (result.code, result.stderr, result.calls) == (0, "", [])
    assert result.stdout.startswith("Usage: ./serve [OPTIONS]\n")
    for option in cli.commands["serve"].params:
        assert f"  {option.opts[-1]}" in result.stdout


def test_the_technical_model_is_downloaded_by_the_light_image(serve: Launcher) -> None:
    """The server sees that one file of the cache, read-only, where it looks for models."""
    fetches, serves = serve("--model", "quality=technical").containers
    assert (fetches.image, fetches.arguments) == ("nima-light", ["fetch", "technical"])
    [model] = (serve.bin.parent / "nimakit-cache").iterdir()
    assert serves.image == "nima-serve"
    assert serves.mounts == {f"/run/nimakit/.cache/nimakit/{model.name}": (str(model), "ro")}
