"""nimakit.serving.http.descriptors: the number of connections leaves descriptors for other work."""

import json
import resource
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from nimakit.errors import NimakitError
from nimakit.serving.http import descriptors
from nimakit.serving.http.descriptors import affordable_connections
from nimakit.serving.http.front import Limits


@pytest.fixture
def raised(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[int, int]]:
    """A process that has 30 descriptors open, and may have as many as its limit is raised to."""
    held = {"limit": (1024, 1024)}
    monkeypatch.setattr(descriptors, "_open_descriptors", lambda: 30)
    monkeypatch.setattr(resource, "getrlimit", lambda _: held["limit"])
    monkeypatch.setattr(resource, "setrlimit", lambda _, limit: held.update(limit=limit))
    return held


def _limits(connections: int) -> Limits:
    return Limits(
        threads=100,
        max_connections=connections,
        max_buffered_bytes=1,
        header_timeout_s=1,
        body_timeout_s=1,
        keepalive_timeout_s=1,
    )


def test_what_work_needs_is_kept(
    raised: dict[str, tuple[int, int]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Where a process may not have more, there are fewer connections, and a line says so."""
    assert affordable_connections(_limits(5000), bodies_in_files=False) == 1024 - 30 - 64 - 2 * 100
    [line] = capsys.readouterr().err.splitlines()
    assert "730 connections instead of 5000: the limit of open files is 1024, and 5294 are needed" in line
    assert "ulimit -Hn" in line
    assert affordable_connections(_limits(700), bodies_in_files=False) == 700
    assert capsys.readouterr().err == ""
    assert raised["limit"] == (1024, 1024)


def test_a_body_in_a_file_takes_a_descriptor_too(raised: dict[str, tuple[int, int]]) -> None:
    """So that there are half as many connections."""
    assert affordable_connections(_limits(5000), bodies_in_files=True) == (1024 - 30 - 64 - 2 * 100) // 2
    assert raised["limit"] == (1024, 1024)


@pytest.mark.parametrize("hard", [100_000, resource.RLIM_INFINITY])
def test_the_limit_is_raised_as_far_as_it_may_be(raised: dict[str, tuple[int, int]], hard: int) -> None:
    """No further than is wanted."""
    raised["limit"] = (1024, hard)
    assert affordable_connections(_limits(5000), bodies_in_files=False) == 5000
    assert raised["limit"] == (5000 + 30 + 64 + 2 * 100, hard)


def test_a_process_with_too_few_is_refused(raised: dict[str, tuple[int, int]]) -> None:
    """Each thread needs a connection, and some are needed besides; where fewer are wanted, they do."""
    raised["limit"] = (409, 409)
    with pytest.raises(
        NimakitError, match=r"open 410 files, for 100 threads and 116 connections.*ulimit -Hn"
    ):
        affordable_connections(_limits(5000), bodies_in_files=False)
    assert affordable_connections(_limits(100), bodies_in_files=False) == 100
    raised["limit"] = (410, 410)
    assert affordable_connections(_limits(5000), bodies_in_files=False) == 116


@pytest.mark.slow
def test_a_server_says_that_it_may_not_open_enough_files(tmp_path: Path, tiny_file: Path) -> None:
    """It does not start, rather than leave a connection or two."""
    config = tmp_path / "serve.json"
    config.write_text(json.dumps({"models": [str(tiny_file)], "queue_size": 512}), "utf-8")
    command = shlex.join(
        [sys.executable, "-m", "nimakit", "serve", "--port", "0", "--config-file", str(config)]
    )
    limited = ["bash", "-c", f"ulimit -n 1024; exec {command}"]
    done = subprocess.run(limited, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "error: The server must be able to open" in done.stderr
    assert "Received: a limit of 1024" in done.stderr
