"""The app as a process: its output, its shutdown, and what happens when it is killed."""

import os
import re
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from rater import Rater

pytestmark = pytest.mark.slow

START = "import sys; from nimakit.cli import main; main(sys.argv[1:])"
# Root may write anywhere, but for one that gave this up.
AS_ANYBODY = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []


def command(*arguments: str) -> list[str]:
    """`nimakit rate` on the photographs, without root's file permissions."""
    return [*AS_ANYBODY, sys.executable, "-c", START, "rate", "--images", "photos", "--port", "0", *arguments]


class Process:
    """`nimakit rate` in a separate process."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.process = subprocess.Popen(
            command(*arguments),
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
        """A rater of the process."""
        self.raters.append(Rater(self.address))
        return self.raters[-1]

    @property
    def worker(self) -> int:
        """Process id of the worker."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0])

    def kill(self) -> None:
        """Kill it, as the kernel does when memory runs out."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(20)

    def stop(self) -> int:
        """Stop it as a container is stopped; return the exit code."""
        self.process.terminate()
        return self.process.wait(30)


@pytest.fixture
def processes(photos: Path) -> Iterator[list[Process]]:
    """Started processes, which are always stopped."""
    started: list[Process] = []
    yield started
    for one in started:
        if one.process.poll() is None:
            one.kill()
        assert one.process.stderr is not None
        one.process.stderr.close()
        for rater in one.raters:
            rater.client.close()


def test_one_line_has_the_address(photos: Path, processes: list[Process]) -> None:
    """The line has the collection, the place of the ratings, and an address that answers."""
    started = Process(photos.parent)
    processes.append(started)
    assert re.fullmatch(
        r"nimakit: rating photos \(kept in ratings/ratings\.db\) at http://127\.0\.0\.1:\d+/\n", started.line
    )
    assert started.process.stderr is not None
    assert (
        "only this machine can reach it; for others, start it with --host"
        in started.process.stderr.readline()
    )
    answer = httpx.get(started.address, follow_redirects=True)
    assert answer.status_code == 200
    assert "How good does this photograph look?" in answer.text
    assert started.stop() == 0


def test_a_port_that_is_taken_is_refused_at_once(photos: Path) -> None:
    """One line says what to do, without retrying for seconds."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        done = subprocess.run(
            command("--port", port),
            cwd=photos.parent,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert f"127.0.0.1, port {port} (Address already in use); choose others with --host and --port." in line


def test_every_acknowledged_rating_survives_a_kill(photos: Path, processes: list[Process]) -> None:
    """After a kill and a restart, all acknowledged ratings are there."""
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
    history = second.rater().history()
    assert history == dict(acknowledged)
    assert second.stop() == 0


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the worker in /proc")
def test_a_worker_that_dies_is_replaced(photos: Path, processes: list[Process]) -> None:
    """Raters only wait a moment, and their sessions continue."""
    started = Process(photos.parent)
    processes.append(started)
    rater = started.rater()
    [image, *_] = rater.images()
    assert rater.rate(image, 3)
    os.kill(started.worker, signal.SIGKILL)
    assert any(rater.rate(image, 4) for _ in range(200))
    assert started.stop() == 0


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the worker in /proc")
def test_on_a_full_disk_nothing_is_acknowledged_and_nothing_lost(
    photos: Path, processes: list[Process]
) -> None:
    """Once there is room again, rating continues, and nothing acknowledged is lost."""
    started = Process(photos.parent)
    processes.append(started)
    rater = started.rater()
    images = rater.images()
    assert rater.rate(images[0], 1)
    full = (photos.parent / "ratings" / "ratings.db-wal").stat().st_size
    resource.prlimit(started.worker, resource.RLIMIT_FSIZE, (full, resource.RLIM_INFINITY))
    assert not rater.rate(images[1], 2)
    answer = rater.send(images[1], 2)
    assert (answer.status_code, "disk is full" in answer.json()["reason"]) == (503, True)
    assert rater.history() == {images[0]: 1}
    resource.prlimit(started.worker, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert rater.rate(images[1], 3)
    assert rater.history() == {images[0]: 1, images[1]: 3}
    assert started.stop() == 0


def test_photographs_are_never_written_to(photos: Path, processes: list[Process]) -> None:
    """Their folder can be read-only."""
    for folder in (photos / "more", photos):
        folder.chmod(0o555)
    started = Process(photos.parent)
    processes.append(started)
    rater = started.rater()
    images = rater.images()
    for image in images:
        assert rater.client.get(f"/c/photos/pictures/{image}/1280").status_code == 200
        assert rater.rate(image, 5)
    assert len(images) == 6
    for folder in (photos, photos / "more"):
        folder.chmod(0o755)


def test_a_data_folder_that_cannot_be_written_is_refused(photos: Path) -> None:
    """It is refused at the start, with the remedy."""
    (photos.parent / "ratings").mkdir(mode=0o555)
    done = subprocess.run(
        command(), cwd=photos.parent, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert "must be writable" in done.stderr
    assert "--data-dir" in done.stderr
