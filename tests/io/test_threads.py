"""nimakit.io.threads: work in threads."""

import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future

import pytest

from nimakit.io.threads import cores, in_threads, result


def test_results_come_in_order_with_a_few_items_taken_ahead() -> None:
    """However many items there are, only a bounded number is under way."""
    taken = []

    def items() -> Iterator[int]:
        for number in range(1000):
            taken.append(number)
            yield number

    for done, doubled in enumerate(in_threads(lambda number: number * 2, items())):
        assert doubled == 2 * done
        assert len(taken) <= done + 1 + 4 * cores()
    assert len(taken) == 1000


def test_an_error_is_raised_where_its_result_would_be() -> None:
    """Results before it come first."""

    def half(number: int) -> float:
        return 1 / (2 - number)

    results = in_threads(half, range(5))
    assert [next(results), next(results)] == [0.5, 1.0]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_whoever_stops_early_leaves_no_thread_behind() -> None:
    """Threads end with the iteration."""
    before = threading.active_count()
    results = in_threads(abs, range(1000))
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_a_wait_ends_at_its_time_or_with_what_the_future_has() -> None:
    """The result, or what was raised in its place."""
    future: Future[int] = Future()
    with pytest.raises(TimeoutError):
        result(future, 0.01)
    future.set_result(7)
    assert result(future) == 7
    failed: Future[int] = Future()
    failed.set_exception(OSError("gone"))
    with pytest.raises(OSError, match="gone"):
        result(failed)


def test_a_signal_that_does_not_wake_the_wait_ends_it_all_the_same() -> None:
    """As where it comes just before the wait begins; here another thread gets it."""
    started = time.monotonic()
    threading.Timer(0.1, signal.raise_signal, [signal.SIGINT]).start()
    with pytest.raises(KeyboardInterrupt):
        result(Future(), 30)
    assert time.monotonic() - started < 5
