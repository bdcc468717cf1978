"""Watch a folder: new photographs as they come, once they are written whole.

The operating system's notifications (inotify on Linux, through watchdog) only wake the loop, which then lists
the folder; so nothing is missed where they are not delivered, as on network drives: the folder is also listed
every few seconds. watchdog rather than watchfiles: it has no dependencies, and an event loop of asyncio would
gain nothing here.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from nimakit.errors import UsageError
from nimakit.images.files import find_images

_SETTLED_SECONDS = 2.0
"""A file is whole once its size and time of change stay the same for so long."""
_NOTIFIED_SECONDS = 10.0
_POLL_SECONDS = 2.0
"""How often the folder is listed, with notifications and without."""


class State(NamedTuple):
    """State of a file.

    Attributes:
        size: In bytes.
        modified_ns: Time of its last change, in nanoseconds.
    """

    size: int
    modified_ns: int


def watch(
    folder: Path,
    *,
    recursive: bool = False,
    settled_seconds: float = _SETTLED_SECONDS,
    notify: Callable[[str], None] | None = None,
) -> Iterator[Mapping[Path, State]]:
    """Watch a folder until the iterator is closed, or Ctrl-C.

    Args:
        folder: The folder.
        recursive: Whether to watch sub-folders.
        settled_seconds: How long a file must not change.
        notify: Called with a sentence if there are no notifications.

    Yields:
        The photographs that are whole, at first and after each change. Files that are being written are left
        out until they are.

    Raises:
        UsageError: The folder is missing, or is removed.
    """
    with _notifications(folder, recursive=recursive, notify=notify) as (changed, seconds):
        before: dict[Path, State] | None = None
        since: dict[Path, tuple[State, float]] = {}
        while True:
            changed.clear()
            now = time.time()
            listed = _list(folder, recursive=recursive)
            is_first = before is None
            since = {
                path: since[path]
                if path in since and since[path][0] == state
                # A clock that is ahead makes no file older than now.
                else (state, min(now, state.modified_ns / 1e9) if is_first else now)
                for path, state in listed.items()
            }
            whole = {
                path: state
                for path, (state, start) in since.items()
                if state.size and now - start >= settled_seconds
            }
            if whole != before:
                before = whole
                yield whole
            changed.wait(seconds if len(whole) == len(listed) else min(seconds, settled_seconds / 2))


def _list(folder: Path, *, recursive: bool) -> dict[Path, State]:
    """The images of a folder; none if it is empty."""
    try:
        paths = find_images(folder, recursive=recursive)
    except UsageError:
        if not folder.is_dir():
            raise
        paths = []
    listed = {}
    for path in paths:
        try:
            state = path.stat()
        except OSError:  # removed after it was listed
            continue
        listed[path] = State(state.st_size, state.st_mtime_ns)
    return listed


@contextmanager
def _notifications(
    folder: Path, *, recursive: bool, notify: Callable[[str], None] | None
) -> Iterator[tuple[threading.Event, float]]:
    """An event that is set whenever a file changes; and after how many seconds to look in any case."""
    changed = threading.Event()
    try:
        from watchdog.events import FileSystemEvent, FileSystemEventHandler
        from watchdog.observers import Observer
    except ImportError:
        if notify:
            notify(f"listing {folder} every {_POLL_SECONDS:g} s; faster with pip install 'nimakit[watch]'")
        yield changed, _POLL_SECONDS
        return

    class Handler(FileSystemEventHandler):
        def dispatch(self, event: FileSystemEvent) -> None:
            if event.event_type not in ("opened", "closed_no_write"):  # what reading causes
                changed.set()

    observer = Observer()
    observer.schedule(Handler(), str(folder), recursive=recursive)
    try:
        observer.start()
    except OSError as error:  # most likely too many watched folders
        if notify:
            notify(
                f"looking into {folder} every {_POLL_SECONDS:g} s, without notifications: {error.strerror}"
            )
        yield changed, _POLL_SECONDS
        return
    try:
        yield changed, _NOTIFIED_SECONDS
    finally:
        observer.stop()
        observer.join()
