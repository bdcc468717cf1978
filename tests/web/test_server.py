"""The app as a process: it says where it is, stops when told, and loses nothing when it is killed."""

import os
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

START = "import sys; from nimakit.cli import main; main(sys.argv[1:])"


class Process:
    """`nimakit rate` in a process of its own."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", START, "rate", "--images", "photos", "--port", "0", *arguments],
            cwd=folder,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self.process.stderr is not None
        self.line = self.process.stderr.readline()
        found = re.search(r"http://\S+", self.line)
        assert found, self.line
        self.address = found[0]
        self.raters: list[Rater] = []

    def rater(self) -> "Rater":
        """Somebody who rates here."""
        self.raters.append(Rater(self.address))
        return self.raters[-1]

    def kill(self) -> None:
        """As the kernel does when there is no memory left."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(20)

    def stop(self) -> int:
        """As a container is stopped; the exit code."""
        self.process.terminate()
        return self.process.wait(30)


@pytest.fixture
def processes(photos: Path) -> Iterator[list[Process]]:
    """Those that were started, to be ended whatever happens."""
    started: list[Process] = []
    yield started
    for one in started:
        if one.process.poll() is None:
            one.kill()
        assert one.process.stderr is not None
        one.process.stderr.close()
        for rater in one.raters:
            rater.client.close()


class Rater:
    """Somebody who rates over HTTP."""

    def __init__(self, address: str) -> None:
        self.client = httpx.Client(base_url=address, headers={"Accept": "application/json"}, timeout=30)
        session = self.client.get("/session").json()
        self.code, token = session["rater"], session["csrf"]
        self.client.headers["X-CSRFToken"] = token

    def images(self) -> list[int]:
        """What comes next."""
        for _ in range(100):
            items = self.client.get("/c/photos/deck").json()["items"]
            if items:
                break
        return [item["id"] for item in items]

    def rate(self, image: int, value: int) -> bool:
        """Rate a picture; whether that was acknowledged."""
        event = {"id": secrets.token_hex(8), "kind": "rating", "image": image, "value": value}
        body = {"rater": self.code, "events": [event]}
        try:
            answer = self.client.post("/c/photos/events", json=body)
        except httpx.TransportError:
            return False
        return answer.status_code == 200 and answer.json()["accepted"] == [event["id"]]


def test_one_line_says_where_it_is(photos: Path, processes: list[Process]) -> None:
    """What is rated, where it is kept, and the address to open, which answers at once."""
    started = Process(photos.parent)
    processes.append(started)
    assert re.fullmatch(
        r"nimakit: rating photos \(kept in ratings/ratings\.db\) at http://127\.0\.0\.1:\d+/\n", started.line
    )
    answer = httpx.get(started.address, follow_redirects=True)
    assert answer.status_code == 200
    assert "How good does this photograph look?" in answer.text
    assert started.stop() == 0


def test_every_acknowledged_rating_survives_a_kill(photos: Path, processes: list[Process]) -> None:
    """Killed in the middle of rating, and started again: what was acknowledged is there."""
    first = Process(photos.parent)
    processes.append(first)
    rater = first.rater()
    images = rater.images()
    acknowledged = []
    for number in range(40):
        if number == 25:
            first.process.send_signal(signal.SIGSTOP)
            os.killpg(first.process.pid, signal.SIGKILL)
        if not rater.rate(images[number % 6], 1 + number % 10):
            break
        acknowledged.append((images[number % 6], 1 + number % 10))
    assert len(acknowledged) == 25
    second = Process(photos.parent)
    processes.append(second)
    history = second.rater().client.get("/c/photos/deck").json()["history"]
    assert {item["id"]: item["value"] for item in history} == dict(acknowledged)
    assert second.stop() == 0


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the worker in /proc")
def test_a_worker_that_dies_is_replaced(photos: Path, processes: list[Process]) -> None:
    """Raters only wait for a moment; their session goes on."""
    started = Process(photos.parent)
    processes.append(started)
    rater = started.rater()
    [image, *_] = rater.images()
    assert rater.rate(image, 3)
    children = Path(f"/proc/{started.process.pid}/task/{started.process.pid}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGKILL)
    assert any(rater.rate(image, 4) for _ in range(200))
    assert started.stop() == 0
