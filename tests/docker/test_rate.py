"""./rate in real containers, and the rating app of compose.yaml with PostgreSQL."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from docker.conftest import ROOT, SAMPLES, Launcher, docker
from docker.test_serve import compose_command, free_port
from rater import Rater

pytestmark = pytest.mark.docker

PASSWORD = "correct horse battery"  # noqa: S105 - of a test
SECONDS = 60  # to wait for anything


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A folder with a few photographs."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("coffee.jpg", "portrait.jpg"):
        shutil.copy(SAMPLES / name, photos)
    return tmp_path


@pytest.fixture
def rate(serving_image: str, tmp_path: Path) -> Launcher:
    """The launcher, with the image built."""
    return Launcher(cache=tmp_path / "cache", program="rate")


@contextmanager
def opened(rate: Launcher, work: Path) -> Iterator[str]:
    """Run the app as a shell does, and stop it with Ctrl-C; yields its address."""
    port = free_port()
    command = rate.command(["--images", "photos", "--port", str(port)])
    with subprocess.Popen(
        command, cwd=work, env=rate.environment(), stderr=subprocess.PIPE, text=True, process_group=0
    ) as process:
        try:
            assert process.stderr is not None
            found = None
            while found is None and (line := process.stderr.readline()):
                found = re.search(r"http://\S+", line)
            assert found
            yield found[0]
        finally:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(SECONDS)


def test_ratings_outlive_the_container(rate: Launcher, work: Path) -> None:
    """They are the caller's, in the caller's folder; the photographs are as they were; an export has them."""
    before = {path: path.stat().st_mtime_ns for path in (work / "photos").iterdir()}
    with opened(rate, work) as address, Rater(address) as rater:
        images = rater.images()
        assert all(rater.rate(image, 3 + place) for place, image in enumerate(images))
    with opened(rate, work) as address, Rater(address) as rater:
        assert rater.history() == {images[0]: 3, images[1]: 4}
    assert {path: path.stat().st_mtime_ns for path in (work / "photos").iterdir()} == before
    assert {path.stat().st_uid for path in (work / "ratings").rglob("*")} == {os.getuid()}
    done = rate("export", "--labels", "labels.json", folder=work)
    assert done.returncode == 0, done.stderr
    labels = json.loads((work / "labels.json").read_text())
    assert {one["image_id"] for one in labels} == {"coffee", "portrait"}
    assert sorted(one["label"].index(1) + 1 for one in labels) == [3, 4]


def test_no_other_container_reaches_the_app(rate: Launcher, work: Path, serving_image: str) -> None:
    """Nobody has to sign in: neither the default network nor a neighbour on the app's own leads to it."""
    ask = "import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=2)"
    with opened(rate, work) as address:
        assert httpx.get(f"{address}health", trust_env=False).status_code == 200
        port = httpx.URL(address).port
        inside = docker(
            "inspect",
            "--format",
            "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}",
            f"nimakit-rate-{port}",
        )
        for network in ("bridge", "nimakit-rate"):
            command = [
                "docker",
                "run",
                "--rm",
                "--network",
                network,
                "--entrypoint",
                "python3",
                serving_image,
            ]
            command += ["-c", ask, f"http://{inside}:{port}/health"]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
            assert "timed out" in done.stderr, network


class Compose:
    """The rating app of compose.yaml with PostgreSQL, under a name of its own.

    Args:
        photos: What is rated.
    """

    def __init__(self, photos: Path) -> None:
        port = free_port()
        self.address = f"http://127.0.0.1:{port}/"
        self.project = f"nimakit-test-{port}"
        self._env = {
            **os.environ,
            "NIMAKIT_PHOTOS": str(photos),
            "NIMAKIT_POSTGRES_PASSWORD": "it's a p@ssword: /?",
            "NIMAKIT_RATE_DATABASE": "postgresql://nimakit@postgres/ratings",
            "NIMAKIT_RATE_PASSWORD": PASSWORD,
            "NIMAKIT_RATE_PUBLISH": f"127.0.0.1:{port}",
        }

    def __call__(self, *arguments: str) -> str:
        """Run a command of compose; returns its output."""
        command = [*compose_command(), "--project-name", self.project]
        command += ["--profile", "rate", "--profile", "postgres", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=self._env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def wait(self) -> None:
        """Wait until the app answers."""
        give_up = time.monotonic() + SECONDS
        while True:
            try:
                if httpx.get(f"{self.address}health", timeout=5, trust_env=False).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            assert time.monotonic() < give_up
            time.sleep(0.2)


@pytest.fixture
def compose(serving_image: str) -> Iterator[Compose]:
    """The app, where it answers; photographs that any user may read."""
    running = Compose(SAMPLES)
    try:
        running("build", "postgres")
        running("up", "--detach", "--no-build", "rate", "postgres")
        running.wait()
        yield running
    finally:
        running("down", "--volumes", "--timeout", "5")


def test_ratings_in_postgresql_outlive_all_containers(compose: Compose) -> None:
    """Sign-in needs the password, no container runs as root, and ratings survive a new container."""
    assert httpx.get(f"{compose.address}session", trust_env=False).status_code == 401
    with Rater(compose.address, PASSWORD) as rater:
        image, *_ = rater.images()
        assert rater.rate(image, 7)
    for name in compose("ps", "--quiet").split():
        assert docker("exec", name, "id", "--user") != "0"
    compose("down", "--timeout", "20")
    compose("up", "--detach", "--no-build", "rate", "postgres")
    compose.wait()
    with Rater(compose.address, PASSWORD) as rater:
        assert rater.history() == {image: 7}
