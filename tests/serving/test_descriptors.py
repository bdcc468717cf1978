"""nimakit.serving.descriptors: connections leave descriptors to work."""

import resource

import pytest

from nimakit.serving import descriptors
from nimakit.serving.descriptors import affordable_connections
from nimakit.serving.front import Limits


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


def test_what_work_needs_is_kept(raised: dict[str, tuple[int, int]]) -> None:
    """Where a process may not have more, there are fewer connections."""
    assert affordable_connections(_limits(5000), bodies_in_files=False) == 1024 - 30 - 64 - 2 * 100
    assert affordable_connections(_limits(700), bodies_in_files=False) == 700
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
