"""Process many items in threads, in order and in bounded memory; and how many cores there are."""

import math
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_ITEMS_AHEAD = 4
"""Items taken ahead of the results, for each core."""
_POLL_SECONDS = 0.5
"""A signal that arrives just before a wait does not end it, so waits are short."""


def cores() -> int:
    """Number of CPU cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_threads(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Call a function in threads; the results come in the order of the items.

    Unlike Executor.map, it takes only a few items per core ahead, however many there are.

    Args:
        function: Releases Python's global lock for most of its time, as decoding and hashing do.
        items: Any number.

    Yields:
        What the function returns; what it raises is raised here.

    >>> list(in_threads(abs, [-3, 2, -1]))
    [3, 2, 1]
    """
    workers = cores()
    remaining = iter(items)
    pool = ThreadPoolExecutor(workers)
    try:
        futures: deque[Future[Result]] = deque(
            pool.submit(function, item) for item in islice(remaining, _ITEMS_AHEAD * workers)
        )
        while futures:
            yield result(futures.popleft())
            futures.extend(pool.submit(function, item) for item in islice(remaining, 1))
    finally:
        pool.shutdown(cancel_futures=True)


def result(future: Future[Result], seconds: float = math.inf) -> Result:
    """The result of a future; unlike ``Future.result``, a signal always interrupts the wait.

    Args:
        future: In another thread.
        seconds: How long to wait for it.

    Raises:
        TimeoutError: It took longer.
    """
    end = time.monotonic() + seconds
    while not future.done():
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        wait([future], min(left, _POLL_SECONDS))
    return future.result()
