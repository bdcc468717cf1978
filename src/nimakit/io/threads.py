"""Process many items in threads, in order and in bounded memory; and how many cores there are."""

import math
import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Prepared = TypeVar("Prepared")
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


def in_batches(
    items: Iterable[Item],
    prepare: Callable[[Item], Prepared],
    process: Callable[[Sequence[Prepared]], Sequence[Result]],
    *,
    batch_size: int,
    workers: int | None = None,
    cancel: Callable[[], None] | None = None,
) -> Generator[Result]:
    """Prepare items one by one and process them in batches; the results come in the order of the items.

    Both are tasks in one pool with as many threads as cores, so that both get the cores they need, and never
    compete for more.

    Args:
        items: Any number; a bounded number is taken ahead of the results.
        prepare: As the function of `in_threads`.
        process: As `prepare`, for several items; returns a result for each.
        batch_size: Most items processed at once.
        workers: Number of threads; by default the number of cores this process may use.
        cancel: Ends what is being processed, if the iterator is closed early.

    Yields:
        The results; what a function raises is raised here.

    >>> list(in_batches([-3, 2, -1], abs, lambda batch: [-n for n in batch], batch_size=2))
    [-3, -2, -1]
    """
    workers = workers or cores()
    sources = iter(items)
    preparing: deque[Future[Prepared]] = deque()
    processing: deque[Future[Sequence[Result]]] = deque()
    ahead = max(2 * batch_size, workers + batch_size)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="nimakit-batch")

    def fill() -> None:
        preparing.extend(pool.submit(prepare, item) for item in islice(sources, ahead - len(preparing)))

    try:
        fill()
        while preparing:
            size = batch_size
            if len(preparing) < ahead:  # the end: the rest is divided evenly
                size = min(size, -(-len(preparing) // workers))
            batch = [preparing.popleft() for _ in range(size)]
            fill()
            processing.append(pool.submit(process, [result(future) for future in batch]))
            while len(processing) > workers:
                yield from result(processing.popleft())
        while processing:
            yield from result(processing.popleft())
    finally:
        if cancel:
            cancel()
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
