"""Counters of rate limits, in the memory of the process."""

import threading
import time

from limits.storage import Storage

COUNTERS = "nimakit://"
"""Address of the storage, for Flask-Limiter."""

_SECONDS_BETWEEN_PURGES = 60.0


class Counters(Storage):
    """Counters that expire, for the fixed windows of Flask-Limiter.

    The library's own counters in memory expire in a thread that is started by almost every request. Starting
    one waits for its first turn, which under load took longer than the rest of the request.
    """

    STORAGE_SCHEME = ["nimakit"]  # noqa: RUF012 - the library's own way

    def __init__(self, uri: str | None = None, wrap_exceptions: bool = False, **options: str) -> None:
        super().__init__(uri, wrap_exceptions, **options)
        self._lock = threading.Lock()
        self._counters: dict[str, tuple[int, float]] = {}
        self._purge_at = 0.0

    @property
    def base_exceptions(self) -> type[Exception]:
        """The errors that this storage can raise."""
        return ValueError

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Count, in a window that begins with the first count and lasts `expiry` seconds."""
        now = time.time()
        with self._lock:
            self._purge(now)
            count, until = self._counters.get(key, (0, 0.0))
            if until <= now:
                count, until = 0, now + expiry
            self._counters[key] = count + amount, until
            return count + amount

    def get(self, key: str) -> int:
        """The count of the current window."""
        count, until = self._counters.get(key, (0, 0.0))
        return count if until > time.time() else 0

    def get_expiry(self, key: str) -> float:
        """The Unix time at which the window ends; now if there is none."""
        return self._counters.get(key, (0, time.time()))[1]

    def check(self) -> bool:
        """Whether the storage works."""
        return True

    def reset(self) -> int:
        """Forget all counts, and return how many there were."""
        with self._lock:
            count = len(self._counters)
            self._counters.clear()
            return count

    def clear(self, key: str) -> None:
        """Forget a count."""
        with self._lock:
            self._counters.pop(key, None)

    def _purge(self, now: float) -> None:
        if now < self._purge_at:
            return
        self._purge_at = now + _SECONDS_BETWEEN_PURGES
        for key in [key for key, (_, until) in self._counters.items() if until <= now]:
            del self._counters[key]
