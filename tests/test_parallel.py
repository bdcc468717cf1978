"""nimakit.parallel: work in threads."""

import threading
from collections.abc import Iterator

import pytest

from nimakit.machine import cores
from nimakit.parallel import in_threads


def test_results_come_in_order_with_a_few_items_taken_ahead() -> None:
    """However many items there are, only a bounded number is under way."""
    taken = []

    def items() -> Iterator[int]:
        for number in range(1000):
            taken.append(number)
            yield number

    for done, result in enumerate(in_threads(lambda number: number * 2, items())):
        assert result == 2 * done
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
