"""The servers that benchmarks/attack.py attacks, natively or in containers, and the memory they take."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from local_servers import answers, free_port, running

SAMPLES = Path(__file__).parent.parent / "data" / "samples"
PLANS = {"serve": 1_300_000_000, "rate": 1_700_000_000}
"""Bytes each may take, as docs/security.md says: two threads that decode, and 64 megapixels for the app."""

MEMORY = {"serve": "3g", "rate": "2g"}
"""As compose.yaml has it."""

PIXELS = 64_000_000
_START_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Target:
    """A server that is attacked.

    Attributes:
        name: serve or rate.
        port: Where it listens, on this machine.
        health: The path that tells its health.
        plan: Bytes it may take, as documented.
        process: gunicorn's master.
        worker: The worker that ran at first.
    """

    name: str
    port: int
    health: str
    plan: int
    process: int
    worker: int

    def resident_bytes(self) -> int:
        """Memory that the worker takes now."""
        return _status(_child(self.process), "VmRSS")

    def reset_peak(self) -> None:
        """Forget the peak so far."""
        Path(f"/proc/{self.worker}/clear_refs").write_text("5")

    def peak_bytes(self) -> int:
        """The most that the worker took since."""
        return _status(_child(self.process), "VmHWM")

    def kills(self) -> int:
        """Whether the first worker was killed, because memory ran out or for another reason."""
        return int(_child(self.process) != self.worker)


@contextmanager
def scoring(folder: Path, image: str | None) -> Iterator[Target]:
    """`nimakit serve`, with two threads that decode."""
    health, port = "/v2/health/live", free_port()
    if image:
        options = ["--read-only", "--env", "NIMAKIT_SERVE_WORKERS=2", "--env", f"NIMAKIT_SERVE_PORT={port}"]
        options += ["--env", "NIMAKIT_SERVE_HOST=127.0.0.1"]
        with _contained("serve", options, [image], port, health) as target:
            yield target
        return
    command = [sys.executable, "-m", "nimakit", "serve", "--port", str(port)]
    with _native("serve", folder, command, port, health, NIMAKIT_SERVE_WORKERS="2") as target:
        yield target


@contextmanager
def rating(folder: Path, image: str | None) -> Iterator[Target]:
    """`nimakit rate` on the sample photographs, with a model, so that pictures can be compared."""
    (folder / "photos").symlink_to(SAMPLES)
    port = free_port()
    options = ["--experiment", "score", "--model", "aesthetic", "--name", "photos", "--port", str(port)]
    if image:
        mounts = ["--volume", f"{SAMPLES}:/photos:ro", "--read-only", "--tmpfs", "/tmp:size=600m,mode=1777"]  # noqa: S108
        mounts += ["--env", f"NIMAKIT_RATE_MAX_PIXELS={PIXELS}"]
        mounts += ["--entrypoint", "/opt/nimakit/entrypoints/rate"]
        arguments = ["--images", "/photos", "--data-dir", "/tmp/ratings", *options]  # noqa: S108
        with _contained("rate", mounts, [image, *arguments], port, "/health") as target:
            yield target
        return
    command = [sys.executable, "-m", "nimakit", "rate", "--images", str(folder / "photos")]
    command += ["--data-dir", str(folder / "ratings"), *options]
    with _native("rate", folder, command, port, "/health", NIMAKIT_RATE_MAX_PIXELS=str(PIXELS)) as target:
        yield target


@contextmanager
def _native(
    name: str, folder: Path, command: list[str], port: int, health: str, **environment: str
) -> Iterator[Target]:
    with (folder / "log").open("ab") as log, running(command, port, health, log, environment) as process:
        yield _target(name, port, health, process)


@contextmanager
def _contained(
    name: str, options: list[str], arguments: list[str], port: int, health: str
) -> Iterator[Target]:
    # On this machine's own network: Docker's proxy has fewer descriptors than the servers have connections.
    limits = ["--memory", MEMORY[name], "--memory-swap", MEMORY[name], "--cap-drop", "ALL"]
    container = _docker("run", "--detach", *limits, "--network", "host", *options, *arguments).strip()
    try:
        started = time.monotonic()
        while not answers(port, health):
            if time.monotonic() - started > _START_S:
                raise SystemExit(_docker("logs", container))
            time.sleep(0.1)
        process = int(_docker("inspect", "--format", "{{.State.Pid}}", container))
        yield _target(name, port, health, process)
    finally:
        with suppress(subprocess.CalledProcessError):
            _docker("rm", "--force", container)


def _target(name: str, port: int, health: str, process: int) -> Target:
    return Target(
        name=name, port=port, health=health, plan=PLANS[name], process=process, worker=_child(process)
    )


def _docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], check=True, text=True, stdout=subprocess.PIPE)
    return done.stdout


def _child(process: int) -> int:
    """The worker; 0 while there is none."""
    with suppress(OSError):
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        return int(children[0]) if children else 0
    return 0


def _status(process: int, name: str) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    return 0
