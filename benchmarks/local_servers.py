"""The servers that benchmarks/serve.py loads, each a process of its own on this machine."""

import http.client
import io
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nimakit.models import pretrained

HERE = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Server:
    """A server that runs.

    Attributes:
        port: Where it listens.
        process: The process that was started: gunicorn's master.
        seconds_to_ready: From its start.
    """

    port: int
    process: int
    seconds_to_ready: float

    @property
    def url(self) -> str:
        """Where photos are sent."""
        return f"http://127.0.0.1:{self.port}/predict"

    def worker(self) -> int:
        """The process that scores; 0 while there is none."""
        children = Path(f"/proc/{self.process}/task/{self.process}/children").read_text().split()
        return int(children[0]) if children else 0

    def resident_bytes(self) -> int:
        """Resident memory of the worker."""
        pages = int(Path(f"/proc/{self.worker()}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def is_ready(self) -> bool:
        """Whether it says so."""
        return answers(self.port, "/v2/health/ready")


@contextmanager
def served(log: Path, **environment: str) -> Iterator[Server]:
    """`nimakit serve`, on a free port."""
    port = free_port()
    command = [sys.executable, "-m", "nimakit", "serve", "--port", str(port)]
    started = time.monotonic()
    with log.open("ab") as output, running(command, port, "/v2/health/ready", output, environment) as process:
        yield Server(port=port, process=process, seconds_to_ready=time.monotonic() - started)


@contextmanager
def plain_server() -> Iterator[str]:
    """The plain way: gunicorn's usual worker around benchmarks/plain_server.py."""
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "--chdir", str(HERE), "--bind", f"127.0.0.1:{port}"]
    weights = {"WEIGHTS": str(pretrained.fetch_weights("aesthetic"))}
    with running([*command, "plain_server:app"], port, "/", subprocess.DEVNULL, weights):
        yield f"http://127.0.0.1:{port}/predict"


@contextmanager
def running(
    command: list[str], port: int, path: str, output: int | io.BufferedWriter, environment: Mapping[str, str]
) -> Iterator[int]:
    """A server from its first answer to its end; its process."""
    surroundings = {**os.environ, **environment}
    with subprocess.Popen(command, stdout=output, stderr=output, env=surroundings) as process:
        try:
            while not answers(port, path):
                if process.poll() is not None:
                    raise SystemExit(f"{command} ended with {process.returncode}")
                time.sleep(0.02)
            yield process.pid
        finally:
            process.terminate()


def answers(port: int, path: str) -> bool:
    """Whether a server has an answer at a path, and not that it is busy."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status < 500
    except OSError:
        return False
    finally:
        connection.close()


def free_port() -> int:
    """A port nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
