"""Tests of the counters of rate limits."""

import threading
from unittest import mock

from limits.storage import storage_from_string

from nimakit.serving.http.counters import COUNTERS


def test_counts_expire_with_their_window() -> None:
    """A window begins with its first count, and later counts do not extend it."""
    storage = storage_from_string(COUNTERS)
    with mock.patch("time.time", return_value=100.0) as clock:
        assert [storage.incr("key", 60), storage.incr("key", 60, 2), storage.incr("other", 60)] == [1, 3, 1]
        assert (storage.get("key"), storage.get_expiry("key")) == (3, 160.0)
        clock.return_value = 160.0
        assert (storage.get("key"), storage.get("none")) == (0, 0)
        assert storage.incr("key", 60) == 1
        storage.clear("key")
        assert storage.get("key") == 0


def test_windows_that_ended_do_not_pile_up() -> None:
    """They are removed by later counts."""
    storage = storage_from_string(COUNTERS)
    with mock.patch("time.time", return_value=100.0) as clock:
        for number in range(50):
            storage.incr(f"address {number}", 60)
        clock.return_value = 400.0
        storage.incr("another", 60)
        assert storage.reset() == 1


def test_counting_starts_no_thread_and_loses_nothing() -> None:
    """Requests in several threads count the same key."""
    storage, before = storage_from_string(COUNTERS), threading.active_count()
    storage.incr("key", 60)
    assert threading.active_count() == before
    threads = [
        threading.Thread(target=lambda: [storage.incr("key", 60) for _ in range(200)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert storage.get("key") == 801
