"""nima-serve in real containers: on its own, with ./serve, and as replicas behind a proxy."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from docker.conftest import ROOT, SAMPLES, Launcher, docker
from nimakit.models import loading
from nimakit.models.engine import Scorer
from nimakit.models.score import Score, score_record
from samples import write_model

pytestmark = pytest.mark.docker

AVA = ROOT.parent / "shared" / "data" / "ava" / "images"
CONFINED = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--init")
SECONDS = 60  # to wait for anything


class Server:
    """A server to send requests to, each over a connection of its own.

    Args:
        port: Where it is reached.
    """

    def __init__(self, port: int) -> None:
        self.port = port

    def __call__(self, method: str, path: str, **content: Any) -> httpx.Response:
        """Send a request."""
        with httpx.Client(timeout=SECONDS, trust_env=False, verify=False) as client:  # noqa: S501 - no TLS here
            return client.request(method, f"http://127.0.0.1:{self.port}{path}", **content)

    def is_ready(self) -> bool:
        """Whether it says so."""
        try:
            return self("GET", "/v2/health/ready").status_code == 200
        except httpx.TransportError:
            return False

    def wait(self) -> None:
        """Wait until it is ready."""
        give_up = time.monotonic() + SECONDS
        while not self.is_ready():
            assert time.monotonic() < give_up
            time.sleep(0.05)

    def score(self, *photos: Path, **query: str) -> list[dict[str, Any]]:
        """The records of some photos."""
        files = [("image", (photo.name, photo.read_bytes())) for photo in photos]
        answer = self("POST", "/predict", files=files, params=query)
        assert answer.status_code == 200, answer.text
        records: list[dict[str, Any]] = answer.json()
        return records


def free_port() -> int:
    """A free port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def container(image: str, *options: str) -> Iterator[tuple[str, Server]]:
    """A container of an image as it is, ready for requests; its id, and how it is reached."""
    name = docker("run", "--detach", "--publish", "127.0.0.1::8080", *CONFINED, *options, image)
    try:
        server = Server(int(docker("port", name, "8080").splitlines()[0].rpartition(":")[2]))
        server.wait()
        yield name, server
    finally:
        docker("rm", "--force", name)


@pytest.fixture
def serve(serving_image: str, tmp_path: Path) -> Launcher:
    """The launcher, with the image built."""
    return Launcher(cache=tmp_path / "cache", program="serve")


@contextmanager
def launched(serve: Launcher, *arguments: str | Path, folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """Run the launcher as a shell does."""
    with subprocess.Popen(
        serve.command(arguments),
        cwd=folder,
        env=serve.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


# --- the image -----------------------------------------------------------------------------------------


def test_the_image_is_small_and_needs_no_root(serving_image: str) -> None:
    """It adds less than 340 MB to its base image, has no TensorFlow, and its user is not root."""
    (found,) = json.loads(docker("image", "inspect", serving_image))
    base = os.environ.get("NIMAKIT_BASE_IMAGE", "python:3.11-slim-bookworm")
    added = found["Size"] - int(docker("image", "inspect", "--format", "{{.Size}}", base))
    assert 0 < added < 340_000_000
    assert found["Config"]["User"] not in ("", "0", "root")
    packages = "import importlib.metadata as m; print(*(found.name for found in m.distributions()))"
    installed = docker("run", "--rm", "--entrypoint", "python3", serving_image, "-c", packages).split()
    assert "onnxruntime" in installed
    assert not any(name.startswith("tensorflow") for name in installed)


def test_the_image_has_nothing_for_intruders(serving_image: str) -> None:
    """No SUID or SGID program, perl, apt or pip."""
    look = "find / -xdev -type f -perm /6000 2>/dev/null; type -P perl apt apt-get pip pip3 su mount passwd"
    done = subprocess.run(
        ["docker", "run", "--rm", "--user", "0", "--entrypoint", "bash", serving_image, "-c", look],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.parametrize(
    ("user", "photo"),
    [([], AVA / "42039.jpg"), (["--user", "12345:12345"], SAMPLES / "portrait.jpg")],
    ids=["its own user", "any user"],
)
def test_a_confined_container_scores_as_the_command_line(
    serving_image: str, public_model: Path, photo: Path, user: list[str]
) -> None:
    """With a read-only root and no capabilities, curl gets the record that `nimakit predict` prints."""
    if not photo.exists():
        pytest.skip("../shared/data/ava/images is not here")
    with container(serving_image, *user) as (name, server):
        line = ["curl", "--silent", "--show-error", "--form", f"image=@{photo}"]
        answer = subprocess.run(
            [*line, f"http://127.0.0.1:{server.port}/predict"], capture_output=True, text=True, check=True
        )
        logged = [json.loads(line) for line in docker("logs", name).splitlines()]
    [result] = Scorer(loading.load_model(public_model)).score([photo])
    assert isinstance(result, Score)
    [record] = json.loads(answer.stdout)
    expected = score_record(result)  # of a model that may have been converted by an earlier version
    predictions = expected.pop("predictions")
    assert record.pop("predictions") == pytest.approx(predictions, abs=1e-5)
    assert record.pop("image_id") == photo.stem
    assert record == pytest.approx(expected, abs=1e-4)
    if photo.stem == "42039":
        assert record["mean_score_prediction"] == pytest.approx(5.15448, abs=1e-3)
    assert [line["status"] for line in logged if line["route"] == "/predict"] == [200]


def test_what_a_server_imports_is_compiled(serving_image: str) -> None:
    """Nothing is compiled at each start, which could not be kept."""
    code = """
import os, sys, nimakit.cli, nimakit.commands.serve, nimakit.serving.server
from nimakit.serving.app import create_app
from nimakit.serving.settings import read_settings
create_app(read_settings(options={"rate_limit": "9 per minute"}))
files = [getattr(module, "__cached__", None) for module in sys.modules.values()]
print(len(files), *(file for file in files if file and not os.path.exists(file)), flush=True)
os._exit(0)  # the threads that score
"""
    run = ["run", "--rm", "--read-only", "--entrypoint", "python3", serving_image, "-c", code]
    loaded, *missing = docker(*run).split()
    assert int(loaded) > 500
    assert missing == []


def test_a_large_upload_needs_no_disk(serving_image: str) -> None:
    """Nothing is written for a body of many megabytes: nowhere could be."""
    with container(serving_image) as (_, server):
        photos = [SAMPLES / "dandelions_12mp.jpg"] * 12
        assert sum(photo.stat().st_size for photo in photos) > 10_000_000
        assert len(server.score(*photos)) == 12


def test_its_health_is_checked(serving_image: str) -> None:
    """HEALTHCHECK is healthy if the server is ready, and unhealthy if nothing answers."""
    (found,) = json.loads(docker("image", "inspect", serving_image))
    kind, *command = found["Config"]["Healthcheck"]["Test"]
    assert kind == "CMD"
    with container(serving_image) as (name, _):
        docker("exec", name, *command)
        elsewhere = ["docker", "exec", "--env", "NIMAKIT_SERVE_PORT=1", name, *command]
        assert subprocess.run(elsewhere, capture_output=True, check=False).returncode == 1


def test_a_stop_finishes_what_has_begun(serving_image: str) -> None:
    """On SIGTERM a request in progress is answered, new ones are not, and the exit code is 0."""
    with container(serving_image) as (name, server):
        records: list[Any] = []
        photos = [SAMPLES / "dandelions_12mp.jpg"] * 6
        request = threading.Thread(target=lambda: records.extend(server.score(*photos, tta="flips")))
        request.start()
        give_up = time.monotonic() + SECONDS
        while "nimakit_queue_depth 0.0" in server("GET", "/metrics").text:
            assert time.monotonic() < give_up
        stop = subprocess.Popen(["docker", "stop", name], stdout=subprocess.DEVNULL)
        while server.is_ready():
            assert time.monotonic() < give_up
        assert request.is_alive()
        request.join()
        assert (stop.wait(SECONDS), len(records)) == (0, 6)
        assert docker("inspect", "--format", "{{.State.ExitCode}}", name) == "0"


# --- the launcher --------------------------------------------------------------------------------------


def test_a_trained_model_is_served_at_once(serve: Launcher, tmp_path: Path) -> None:
    """./serve --model train_jobs/<stamp>/model.onnx needs nothing else; Ctrl-C ends it for good."""
    job = tmp_path / "my photos" / "train_jobs" / "2026_01_02_03_04_05"
    job.mkdir(parents=True)
    write_model(job / "model.onnx")
    server = Server(free_port())
    model = "train_jobs/2026_01_02_03_04_05/model.onnx"
    with launched(serve, "--model", model, f"--port={server.port}", folder=job.parents[1]) as process:
        server.wait()
        assert [found["name"] for found in server("GET", "/models").json()] == [job.name]
        [record] = server.score(SAMPLES / "coffee.jpg")
        [expected] = Scorer(loading.load_model(job / "model.onnx")).score([SAMPLES / "coffee.jpg"])
        assert isinstance(expected, Score)
        assert record == {"image_id": "coffee", **score_record(expected)}
        os.killpg(process.pid, signal.SIGINT)
        output, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, output
    assert f"serve: serving on http://127.0.0.1:{server.port}; Ctrl-C stops\n" in output
    assert docker("ps", "--all", "--quiet", "--filter", f"name=nimakit-serve-{server.port}") == ""


def test_a_broken_model_is_refused(serve: Launcher, tmp_path: Path) -> None:
    """What cannot be served ends the launcher with 1 and the reason."""
    (tmp_path / "model.onnx").write_bytes(b"no model")
    done = serve("--model", "model.onnx", f"--port={free_port()}", folder=tmp_path)
    assert done.returncode == 1
    assert "must be a valid ONNX model" in done.stderr


# --- replicas ------------------------------------------------------------------------------------------


def compose_command() -> list[str]:
    """docker-compose, as a plugin or as a program of its own."""
    plugin = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    if plugin.returncode == 0:
        return ["docker", "compose"]
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    pytest.skip("docker-compose is not installed")


class Compose:
    """What compose.yaml describes, running under a name of its own.

    Args:
        port: Where its proxy is reached.
    """

    def __init__(self, port: int) -> None:
        self._command = [*compose_command(), "--project-name", f"nimakit-test-{port}"]
        self._env = {**os.environ, "NIMAKIT_PUBLISH": f"127.0.0.1:{port}"}
        self.server = Server(port)

    def __call__(self, *arguments: str) -> str:
        """Run a command of compose; returns its output."""
        done = subprocess.run(
            [*self._command, *arguments], cwd=ROOT, env=self._env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def replicas(self) -> list[str]:
        """The containers that score."""
        return self("ps", "--quiet", "api").split()

    def scored(self, names: Sequence[str]) -> list[int]:
        """How many requests each of the containers has scored."""
        return [len(re.findall(r'"/predict", "status": 200', docker("logs", name))) for name in names]


@pytest.fixture
def compose(serving_image: str) -> Iterator[Compose]:
    """Two replicas behind the proxy, healthy."""
    running = Compose(free_port())
    try:
        running("build", "proxy")
        running("up", "--detach", "--no-build", "--scale", "api=2")
        running.server.wait()
        yield running
    finally:
        running("down", "--volumes", "--timeout", "5")


def test_two_replicas_answer_behind_a_proxy(compose: Compose) -> None:
    """Both replicas score, one may stop, and metrics of a single replica are not public."""
    server, photo = compose.server, SAMPLES / "coffee.jpg"
    names = compose.replicas()
    first = server.score(photo)
    for _ in range(19):
        assert server.score(photo) == first
    scored = compose.scored(names)
    assert (len(scored), sum(scored), min(scored) > 0) == (2, 20, True)
    assert server("GET", "/metrics").status_code == 404
    assert server("POST", "/predict", content=bytes(20_000_001)).status_code == 413
    large = [SAMPLES / "dandelions_12mp.jpg"] * 4  # too large for the proxy's memory
    assert len(server.score(*large)) == 4
    docker("stop", "--time", "20", names[0])
    for _ in range(10):
        assert server.score(photo) == first
    docker("stop", "--time", "20", names[1])
    answer = server("POST", "/predict", content=photo.read_bytes())
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    assert answer.headers["retry-after"] == "1"
