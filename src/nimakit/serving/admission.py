"""Work that takes memory is admitted before it is done."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from nimakit.errors import BusyError, UsageError

_PATIENCE_S = 0.25


class OversizedWorkError(UsageError):
    """Work that would take more memory than there is for all of its kind."""

    http_status = 413


class Admission:
    """Admits work while all that was admitted fits into some memory; the rest waits a moment, or is refused.

    Args:
        capacity: Bytes that everything admitted may take.
        at_once: Pieces of work that may be done at the same time; None for any number.
        most_waiting: Pieces of work that may wait; more are refused at once. None for any number.
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
    def admit(self, size: int, patience: float | None = _PATIENCE_S) -> Iterator[None]:
        """Hold room for a piece of work while it is done.

        Args:
            size: Bytes it takes at the most.
            patience: Seconds it waits to be admitted; None for as long as it takes.

        Raises:
            OversizedWorkError: It would never fit.
            BusyError: It did not fit in time.
        """
        if size > self._capacity:
            raise OversizedWorkError(
                f"Processing a request may take at most {self._capacity} bytes of memory."
                f" Received: one that needs {size}."
            )
        with self._changed:
            if not self._wait(size, patience):
                raise BusyError("The server is busy with other requests. Try again later.")
            self._taken += size
            self._count += 1
        try:
            yield
        finally:
            with self._changed:
                self._taken -= size
                self._count -= 1
                self._changed.notify(self._at_once or self._waiting)

    @property
    def is_full(self) -> bool:
        """Whether as much work waits as may; more would be refused."""
        return self._most_waiting is not None and self._waiting >= self._most_waiting

    def _wait(self, size: int, patience: float | None) -> bool:
        """Whether there is room, or there is within this time."""
        if self._has_room(size):
            return True
        if self.is_full:
            return False
        self._waiting += 1
        try:
            return self._changed.wait_for(lambda: self._has_room(size), patience)
        finally:
            self._waiting -= 1

    def _has_room(self, size: int) -> bool:
        return self._taken + size <= self._capacity and (self._at_once is None or self._count < self._at_once)
