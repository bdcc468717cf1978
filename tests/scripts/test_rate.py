"""./rate: what it mounts, and where the app can be reached."""

import os
import pty
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from launchers import Launcher

OPENER = """\
#!/usr/bin/env bash
printf '%s\n' "$@" >>"$(dirname -- "$0")/opened"
"""
SCREEN = {"DISPLAY": ":1"}


@pytest.fixture
def rate(predict: Launcher) -> Launcher:
    """The launcher of the rating app."""
    return replace(predict, program="rate")


def test_photographs_are_read_only_and_ratings_are_kept_outside(rate: Launcher) -> None:
    """The data folder is made, and is the only place the container writes to."""
    container = rate("--images", "photos").container
    assert {Path(target).name: mode for target, (_, mode) in container.mounts.items()} == {
        "photos": "ro",
        "ratings": "rw",
    }
    assert (rate.folder / "ratings").is_dir()
    assert (container.image, container.arguments) == ("nima-serve", ["--images", "photos"])
    assert container.options["--entrypoint"] == ["/opt/nimakit/entrypoints/rate"]


def test_the_app_is_reached_from_this_machine_alone(rate: Launcher) -> None:
    """Unless --host says otherwise, the port is published on loopback."""
    container = rate("--images", "photos", "--port", "8123").container
    assert container.options["--publish"] == ["127.0.0.1:8123:8123"]
    assert "NIMAKIT_RATE_LISTEN=0.0.0.0" in container.options["--env"]
    assert rate("--images", "photos", "--host", "::1").container.options["--publish"] == ["[::1]:8000:8000"]
    everywhere = rate("--images", "photos", "--host", "0.0.0.0").container  # noqa: S104 - a fake docker
    assert everywhere.options["--publish"] == ["0.0.0.0:8000:8000"]


def test_the_container_is_told_where_it_is_reached(rate: Launcher) -> None:
    """The container knows only its own address, which other machines cannot open."""
    (rate.bin / "ip").write_text(
        "#!/usr/bin/env bash\necho '192.0.2.1 via 10.1.1.1 dev eth0 src 10.1.2.3 uid 0'\n"
    )
    (rate.bin / "ip").chmod(0o755)
    for options, address in (
        ((), "127.0.0.1:8000"),
        (("--host", "::1"), "[::1]:8000"),
        (("--host", "0.0.0.0", "--port", "8123"), "10.1.2.3:8123"),  # noqa: S104 - a fake docker
        (("--host", "rater.example"), "rater.example:8000"),
    ):
        container = rate("--images", "photos", *options).container
        assert f"NIMAKIT_ADDRESS={address}" in container.options["--env"]


class Answers(BaseHTTPRequestHandler):
    """An app that is there."""

    def do_GET(self) -> None:
        """Answer anything."""
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_values: object) -> None:
        """Keep it to itself."""


@pytest.fixture
def port() -> Iterator[int]:
    """Where something answers."""
    server = HTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def started_at_a_terminal(rate: Launcher, *arguments: str, env: dict[str, str]) -> None:
    """Run the launcher in a terminal."""
    (rate.bin / "xdg-open").write_text(OPENER)
    (rate.bin / "xdg-open").chmod(0o755)
    screen, terminal = pty.openpty()
    own = rate.surroundings()
    for name in ("SSH_CONNECTION", "DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        own.pop(name, None)
    try:
        subprocess.run(
            [rate.repository / "rate", "--images", "photos", *arguments],
            cwd=rate.folder, env={**own, **env}, stdout=terminal, stderr=terminal, check=False, timeout=60,
        )  # fmt: skip
    finally:
        os.close(terminal)
        os.close(screen)


def opened(rate: Launcher, within: float) -> str:
    """What was opened in a browser, as soon as anything was."""
    until = time.monotonic() + within
    while not (rate.bin / "opened").exists() and time.monotonic() < until:
        time.sleep(0.02)
    return (rate.bin / "opened").read_text() if (rate.bin / "opened").exists() else ""


def test_from_a_terminal_it_opens_a_browser(rate: Launcher, port: int) -> None:
    """At the address of the app, once that answers."""
    started_at_a_terminal(rate, "--port", str(port), env=SCREEN)
    assert opened(rate, within=20) == f"http://127.0.0.1:{port}/\n"


def test_opens_no_browser_that_nobody_asked_for_or_sees(rate: Launcher, port: int) -> None:
    """Not with --no-browser, without a screen, over SSH, or if the output goes to a file or a pipe."""
    number = ("--port", str(port))
    started_at_a_terminal(rate, *number, "--no-browser", env=SCREEN)
    started_at_a_terminal(rate, *number, env={})
    started_at_a_terminal(rate, *number, env={**SCREEN, "SSH_CONNECTION": "10.0.0.1 1 10.0.0.2 22"})
    rate("--images", "photos", *number, env=SCREEN)
    assert opened(rate, within=0.5) == ""


def test_no_other_container_is_a_neighbour(rate: Launcher) -> None:
    """The first start makes a network on which containers cannot reach each other; later ones use it."""
    first, second = rate("--images", "photos"), rate("--images", "photos", "--port", "8001")
    made = ["create", "--opt", "com.docker.network.bridge.enable_icc=false", "nimakit-rate"]
    assert [call[1:] for call in first.asked("network") if call[1] == "create"] == [made]
    assert [call[1] for call in second.asked("network")] == ["inspect"]
    for result in (first, second):
        assert result.container.options["--network"] == ["nimakit-rate"]


def test_refuses_to_start_among_neighbours(rate: Launcher) -> None:
    """Without a network of its own nothing is started; the error gives Docker's reason."""
    (rate.bin / "no-network-left").touch()
    result = rate("--images", "photos")
    assert result.code == 1
    assert "no address is left" in result.stderr
    assert "NIMAKIT_RUNTIME=native" in result.stderr
    assert result.asked("run") == []


def test_secrets_are_passed_by_name(rate: Launcher) -> None:
    """Arguments are visible to every user of the machine."""
    result = rate("--images", "photos", env={"NIMAKIT_RATE_PASSWORD": "pa55 word"})
    assert "NIMAKIT_RATE_PASSWORD" in result.container.options["--env"]
    assert "pa55" not in str(result.calls)


def test_a_database_of_this_machine_is_reached(rate: Launcher) -> None:
    """The container shares the network of this machine, and listens where --host says."""
    url = "postgresql://ann@localhost/ratings"
    for result in (
        rate("--images", "photos", "--database", url),
        rate("--images", "photos", env={"DATABASE_URL": url}),
    ):
        assert result.container.options["--network"] == ["host"]
        assert "--publish" not in result.container.options
        assert "NIMAKIT_RATE_LISTEN=0.0.0.0" not in result.container.options["--env"]


def test_an_sqlite_file_elsewhere_is_mounted(rate: Launcher) -> None:
    """With its folder, where SQLite keeps its log."""
    (rate.folder / "db").mkdir()
    container = rate("--images", "photos", "--database", f"sqlite:///{rate.folder}/db/r.db").container
    assert container.mounts[str(rate.folder / "db")] == (str(rate.folder / "db"), "rw")


def test_models_are_mounted(rate: Launcher) -> None:
    """Read-only, as everywhere."""
    (rate.folder / "a.onnx").touch()
    container = rate("--images", "photos", "--model", "a.onnx").container
    assert container.mounts[str(rate.folder / "a.onnx")][1] == "ro"


def test_an_export_writes_where_it_is_told(rate: Launcher) -> None:
    """Without a network, and with no port."""
    (rate.folder / "out").mkdir()
    container = rate("export", "--labels", "out/labels.json", "--ratings", "ratings.csv").container
    assert {Path(target).name: mode for target, (_, mode) in container.mounts.items()} == {
        "out": "rw",
        "work": "rw",
        "ratings": "rw",
    }
    assert container.options["--network"] == ["none"]
    assert "--publish" not in container.options
    assert container.arguments[0] == "export"


def test_an_import_reads_what_it_is_given(rate: Launcher) -> None:
    """The table is mounted read-only."""
    (rate.folder / "ratings.csv").touch()
    container = rate("import", "--ratings", "ratings.csv", "--skip-bad").container
    assert container.mounts[str(rate.folder / "ratings.csv")][1] == "ro"


@pytest.mark.parametrize("name", ["export", "import"])
def test_a_folder_may_have_the_name_of_a_command(rate: Launcher, name: str) -> None:
    """What follows an option is its value."""
    (rate.folder / name).mkdir()
    container = rate("--images", name, "--port", "8123").container
    assert container.options["--publish"] == ["127.0.0.1:8123:8123"]
    assert name in {Path(target).name for target in container.mounts}


def test_what_follows_a_flag_is_not_its_value(rate: Launcher) -> None:
    """The photographs are mounted, wherever the flag stands."""
    for arguments in (("--personal", "--images", "photos"), ("--images", "photos", "--personal")):
        assert "photos" in {Path(target).name for target in rate(*arguments).container.mounts}


@pytest.mark.parametrize("port", ["0", "65536"])
def test_refuses_a_port_that_is_none(rate: Launcher, port: str) -> None:
    """Before anything is built."""
    result = rate("--images", "photos", "--port", port)
    assert result.code == 1
    assert "port from 1 to 65535" in result.stderr
    assert result.asked("run") == []


def test_refuses_a_data_folder_that_cannot_be_made(rate: Launcher) -> None:
    """It says how to choose another."""
    (rate.folder / "file").touch()
    result = rate("--images", "photos", "--data-dir", "file/ratings")
    assert (result.code, "--data-dir" in result.stderr) == (1, True)


@pytest.mark.parametrize("arguments", [["--help"], ["export", "--help"], ["import", "-h"]])
def test_help_needs_no_set_up(rate: Launcher, arguments: list[str]) -> None:
    """It comes from the docs, of the command that is asked for."""
    result = rate(*arguments)
    name = "./rate" if arguments[0] == "--help" else f"./rate {arguments[0]}"
    assert result.code == 0
    assert result.stdout.startswith(f"Usage: {name} [OPTIONS]")
    assert result.calls == []


def test_without_docker_it_runs_natively(copied: Launcher) -> None:
    """With the same arguments, in .venv."""
    result = replace(copied, program="rate")("--images", "photos", runtime="native")
    assert result.code == 0, result.stderr
    assert "runtime native" in result.stderr
    assert "nimakit<rate --images photos>" in result.stdout


def test_the_technical_model_is_mounted(rate: Launcher) -> None:
    """As for a server: downloaded by the light image, and mounted where the app looks for models."""
    fetches, app = rate("--images", "photos", "--model", "technical").containers
    assert (fetches.image, fetches.arguments) == ("nima-light", ["fetch", "technical"])
    [model] = (rate.bin.parent / "nimakit-cache").iterdir()
    assert app.mounts[f"/run/nimakit/.cache/nimakit/{model.name}"] == (str(model), "ro")
