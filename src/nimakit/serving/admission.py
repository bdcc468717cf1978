"""Admission control: work that needs memory waits for it, or is refused, before it starts."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from nimakit.errors import BusyError, UsageError

_TIMEOUT_S = 0.25


class OversizedWorkError(UsageError):
    """Work that needs more memory than the limit for all work of its kind."""

    http_status = 413


class Admission:
    """Admits work while the admitted work fits into a memory limit; other work waits a moment or is refused.

    Args:
        capacity: Bytes that all admitted work may take.
        at_once: Pieces of work that may run at the same time; None for no limit.
        most_waiting: Pieces of work that may wait; more are refused immediately. None for no limit.
    """

    def __init__(self, capacity: int, *, at_once: int | None = None, most_waiting: int | None = None) -> None:
        self._capacity = capacity
        self._at_once = at_once
        self._most_waiting = most_waiting
        self._waiting = 0
        self._changed = threading.Condition()
        self._taken = 0
        self._count = 0

    @contextmanager
    def admit(self, size: int, timeout: float | None = _TIMEOUT_S) -> Iterator[None]:
        """Reserve memory while a piece of work runs.

        Args:
            size: Largest number of bytes the work takes.
            timeout: Seconds to wait for admission; None waits without limit.

        Raises:
            OversizedWorkError: The work would never fit.
            BusyError: The work did not fit in time.
        """
        if size > self._capacity:
            raise OversizedWorkError(
                f"Processing a request may take {self._capacity} bytes of memory. This one needs {size}."
            )
        with self._changed:
            if not self._wait(size, timeout):
                raise BusyError("The server is busy with other requests. Try again later.")
            self._taken += size
            self._count += 1
        try:
            yield
        finally:
            with self._changed:
                self._taken -= size
                self._count -= 1
                # No more can start than `at_once`: waking the others would only cost time.
                self._changed.notify(self._at_once or self._waiting)

    @property
    def is_full(self) -> bool:
        """Whether no more work may wait."""
        return self._most_waiting is not None and self._waiting >= self._most_waiting

    def _wait(self, size: int, timeout: float | None) -> bool:
        if self._has_room(size):
            return True
        if self.is_full:
            return False
        self._waiting += 1
        try:
            return self._changed.wait_for(lambda: self._has_room(size), timeout)
        finally:
            self._waiting -= 1

    def _has_room(self, size: int) -> bool:
        return self._taken + size <= self._capacity and (self._at_once is None or self._count < self._at_once)
