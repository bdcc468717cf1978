"""A child process for calls that would block the threads of this process."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
Result = TypeVar("Result")

_NICE = 5


class ChildProcess:
    """Runs calls one at a time in a process of lower priority, which starts with the first call.

    It starts again after it was ended from outside, for example for its memory.

    Args:
        initializer: Called in the child process when it starts.
    """

    def __init__(self, initializer: Callable[[], None] | None = None) -> None:
        self._initializer = initializer
        self._lock = threading.Lock()
        self._pool: ProcessPoolExecutor | None = None

    def run(self, call: Callable[P, Result], *args: P.args, **kwargs: P.kwargs) -> Result:
        """Call a function of a module in the child process; arguments and result are pickled.

        Raises:
            MemoryError: The process was ended, which the system does when memory runs out.
            Exception: Whatever the call raises.
        """
        with self._lock:
            pool = self._pool = self._pool or ProcessPoolExecutor(
                1, get_context("spawn"), _set_up, (self._initializer,)
            )
        try:
            return pool.submit(call, *args, **kwargs).result()
        except BrokenProcessPool as error:
            with self._lock:
                if self._pool is pool:
                    self._pool = None
            pool.shutdown(wait=False)
            raise MemoryError("the process that was working on it was ended") from error

    def close(self, *, wait: bool = True) -> None:
        """Finish the calls in progress and end the process; a later call starts another one.

        Args:
            wait: Whether to return only when it has ended.
        """
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=wait)


def _set_up(initializer: Callable[[], None] | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then closes the pool
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if sys.platform != "win32":
        os.nice(_NICE)
    if initializer is not None:
        initializer()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(0)
