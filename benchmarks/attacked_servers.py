"""Servers for benchmarks/attack.py, natively or in containers, and their memory use."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from local_servers import answers, free_port, running

from nimakit import load_model
from nimakit.models.taste import Taste, linear, write_taste

SAMPLES = Path(__file__).parent.parent / "data" / "samples"
PLANS = {"serve": 1_300_000_000, "rate": 1_700_000_000}
"""Planned memory in bytes, from docs/security.md: two decoding threads, and 64 megapixels for the app."""

MEMORY = {"serve": "3g", "rate": "2g"}
"""Memory limits of compose.yaml."""

PIXELS = 64_000_000
_START_S = 60.0


USERS = [f"user{number}" for number in range(40)]
"""Users of the scoring server who have a file of their own."""


class WorkerMemory:
    """Resident memory of a worker, without files in tmpfs.

    Args:
        master: gunicorn's master.
    """

    def __init__(self, master: int) -> None:
        self._master = master
        self._worker = _child(master)

    def resident_bytes(self) -> int:
        """Current memory use."""
        return _status(_child(self._master), "VmRSS")

    def reset_peak(self) -> None:
        """Reset the peak."""
        Path(f"/proc/{self._worker}/clear_refs").write_text("5")

    def peak_bytes(self) -> int:
        """Peak since the last reset."""
        return _status(_child(self._master), "VmHWM")

    def kills(self) -> int:
        """1 if the first worker was killed for any reason, else 0."""
        return int(_child(self._master) != self._worker)


class ContainerMemory:
    """Memory charged to a container, including its page cache and tmpfs.

    Args:
        process: The container's first process.
    """

    def __init__(self, process: int) -> None:
        lines = Path(f"/proc/{process}/cgroup").read_text().splitlines()
        paths = {kinds: path.lstrip("/") for _, kinds, path in (line.split(":", 2) for line in lines)}
        base = Path("/sys/fs/cgroup")
        if "memory" in paths:  # the first version of cgroups
            names = ("memory.usage_in_bytes", "memory.max_usage_in_bytes", "memory.oom_control")
            folder = base / "memory" / paths["memory"]
        else:
            names = ("memory.current", "memory.peak", "memory.events")
            folder = base / paths[""]
        self._current, self._peak, self._events = (folder / name for name in names)

    def resident_bytes(self) -> int:
        """Current memory use."""
        return int(self._current.read_text())

    def reset_peak(self) -> None:
        """Reset the peak, if the kernel supports it; else it counts from the start."""
        with suppress(OSError):
            self._peak.write_text("0")

    def peak_bytes(self) -> int:
        """Peak since the last reset."""
        return int(self._peak.read_text())

    def kills(self) -> int:
        """Number of processes killed because memory ran out."""
        counts = dict(line.split() for line in self._events.read_text().splitlines())
        return int(counts["oom_kill"])


@dataclass(frozen=True, kw_only=True)
class Target:
    """A server that is attacked.

    Attributes:
        name: serve or rate.
        port: Its port on this machine.
        health: Path of its health route.
        plan: Planned memory in bytes, as documented.
        memory: Its memory use.
    """

    name: str
    port: int
    health: str
    plan: int
    memory: WorkerMemory | ContainerMemory


@contextmanager
def scoring(folder: Path, image: str | None) -> Iterator[Target]:
    """`nimakit serve` with two decoding threads and users."""
    health, port, users = "/v2/health/live", free_port(), folder / "users"
    write_tastes(users)
    settings = {"WORKERS": "2", "PORT": str(port), "HOST": "127.0.0.1", "MAX_USERS": "8"}
    settings["USERS_DIR"] = "/users" if image else str(users)
    environment = {f"NIMAKIT_SERVE_{name}": value for name, value in settings.items()}
    if image:
        options = ["--read-only", "--volume", f"{users}:/users:ro"]
        options += [part for name, value in environment.items() for part in ("--env", f"{name}={value}")]
        with _contained("serve", options, [image], port, health) as target:
            yield target
        return
    command = [sys.executable, "-m", "nimakit", "serve"]
    with _native("serve", folder, command, port, health, **environment) as target:
        yield target


def write_tastes(folder: Path) -> None:
    """Write an untrained file for each user; it takes as long to load as any other."""
    folder.mkdir(mode=0o755)
    base, features = load_model("aesthetic").probe()
    arrays = linear(np.zeros(features), 0.0, 0.1)
    for user in USERS:
        taste = Taste(method="head", base=base, base_name="aesthetic", ratings=9, arrays=arrays)
        write_taste(folder / f"{user}.taste", taste)
        (folder / f"{user}.taste").chmod(0o644)  # a container reads it as another user


@contextmanager
def rating(folder: Path, image: str | None) -> Iterator[Target]:
    """`nimakit rate` on the sample photographs, with a model for similarity search."""
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
        yield _target(name, port, health, WorkerMemory(process))


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
        yield _target(name, port, health, ContainerMemory(process))
    finally:
        with suppress(subprocess.CalledProcessError):
            _docker("rm", "--force", container)


def _target(name: str, port: int, health: str, memory: WorkerMemory | ContainerMemory) -> Target:
    return Target(name=name, port=port, health=health, plan=PLANS[name], memory=memory)


def _docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], check=True, text=True, stdout=subprocess.PIPE)
    return done.stdout


def _child(process: int) -> int:
    """Process id of the worker; 0 while there is none."""
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
