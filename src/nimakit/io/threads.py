"""Work on many items in threads, in order and in bounded memory."""

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import TypeVar

from nimakit.io.machine import cores

Item = TypeVar("Item")
Result = TypeVar("Result")

_AHEAD = 4
_LOOK_S = 0.5
"""How often a wait looks for signals: one that comes just before a wait does not end it."""


def in_threads(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Results in the order of the items; a few items a core are taken ahead, however many there are.

    Args:
        function: Lets go of Python's lock where it takes long, as decoding and hashing do.
        items: Any number.

    Yields:
        What the function returns; what it raises is raised here.

    >>> list(in_threads(abs, [-3, 2, -1]))
    [3, 2, 1]
    """
    workers = cores()
    left = iter(items)
    pool = ThreadPoolExecutor(workers)
    try:
        ahead: deque[Future[Result]] = deque(
            pool.submit(function, item) for item in islice(left, _AHEAD * workers)
        )
        while ahead:
            yield result(ahead.popleft())
            ahead.extend(pool.submit(function, item) for item in islice(left, 1))
    finally:
        pool.shutdown(cancel_futures=True)


def result(future: Future[Result], seconds: float = math.inf) -> Result:
    """What a future gives, or raises; unlike its own method, this is always interrupted by a signal.

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
        wait([future], min(left, _LOOK_S))
    return future.result()
