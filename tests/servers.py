"""Real servers for tests: `nimakit serve` in a process of its own, on a free port of this machine."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

_START_S = 30.0


@dataclass(frozen=True)
class Server:
    """A server that runs, and where its output goes."""

    process: subprocess.Popen[bytes]
    port: int
    out: Path
    err: Path

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    @property
    def worker(self) -> int:
        """Process id of the one worker."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text("ascii")
        [worker] = map(int, children.split())
        return worker

    def connect(self) -> HTTPConnection:
        """A connection of one's own."""
        return HTTPConnection("127.0.0.1", self.port, timeout=20)

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[int, HTTPResponse, bytes]:
        """Status, response and body of one request."""
        connection = self.connect()
        connection.request(method, path, body or None, dict(headers or {}))
        response = connection.getresponse()
        content = response.read()
        connection.close()
        return response.status, response, content

    def open_socket(self) -> socket.socket:
        """A socket to send anything through."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def lines(self) -> list[dict[str, Any]]:
        """The requests' lines so far."""
        return [json.loads(line) for line in self.out.read_text("utf-8").splitlines()]

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Stop it; its exit code."""
        self.process.send_signal(how)
        return self.process.wait(30)


@contextmanager
def running(folder: Path, **settings: Any) -> Iterator[Server]:
    """A server with these settings, ready; stopped at the end."""
    config = folder / "serve.json"
    config.write_text(json.dumps(settings), "utf-8")
    out, err = folder / "out.log", folder / "err.log"
    command = [sys.executable, "-m", "nimakit", "serve", "--config-file", str(config), "--port", "0"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("NIMAKIT_SERVE_")}
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = subprocess.Popen(command, stdout=stdout, stderr=stderr, env=environment)
    try:
        yield Server(process, _wait_for_port(process, err), out, err)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(30)


def _wait_for_port(process: subprocess.Popen[bytes], err: Path) -> int:
    started = time.monotonic()
    while time.monotonic() - started < _START_S and process.poll() is None:
        found = re.search(r"serving .* at http://127\.0\.0\.1:(\d+)", err.read_text("utf-8"))
        if found:
            return int(found[1])
        time.sleep(0.02)
    raise AssertionError(f"the server did not start: {err.read_text('utf-8')}")
