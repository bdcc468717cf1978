"""Shared fixtures: an application with two models."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from clients import Client, client, routes_compiled_once, service  # noqa: F401 - a fixture


@pytest.fixture
def web(tiny_file: Path, score_file: Path) -> Iterator[Client]:
    """A client of an application that serves `tiny`, by default, and `score`."""
    found = client(tiny_file, score_file)
    yield found
    service(found).close()
