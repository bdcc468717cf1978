"""A small run of benchmarks/rate.py: fifty raters at once, and a server that is killed."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from web.study import POSTGRESQL, SQLITE

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script, as a module."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    spec = importlib.util.spec_from_file_location("rate_benchmark", BENCHMARKS / "rate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "rate_benchmark", module)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize("engine", [SQLITE, POSTGRESQL])
def test_of_fifty_raters_at_once_nothing_is_lost_or_doubled(
    benchmark: Any, engine: str, request: pytest.FixtureRequest
) -> None:
    """All acknowledged events are stored and counted once, although the server was killed."""
    url = None
    if engine == POSTGRESQL:
        url = request.getfixturevalue("postgres").url("postgres")
    report = benchmark.measure(url, ratings=250, raters=50, seconds=0.0, is_killed=True)
    assert (len(report.acknowledged), report.lost, report.doubled) == (250, 0, 0)
    assert report.repeated > 0
