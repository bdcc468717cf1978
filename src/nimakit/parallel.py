"""Work on many items in threads, in order and in bounded memory."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from nimakit.machine import cores

Item = TypeVar("Item")
Result = TypeVar("Result")

_AHEAD = 4


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
            yield ahead.popleft().result()
            ahead.extend(pool.submit(function, item) for item in islice(left, 1))
    finally:
        pool.shutdown(cancel_futures=True)
