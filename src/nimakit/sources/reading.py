"""Read the photographs of a source ahead of their use, from files, tar files, stores and web addresses."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from nimakit.errors import ImageError, NimakitError, require_extra
from nimakit.io.threads import result
from nimakit.sources.places import is_stored, is_web, reason, store_of

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal

    from nimakit.io.public_fetch import Fetcher

_AHEAD = 32
"""Photographs read at once from a store or the web: each waits for a network most of the time."""
MAX_BYTES = 300_000_000
"""Most bytes of a photograph that is not a file of this machine."""

Content: TypeAlias = Path | bytes | ImageError
"""A file of this machine, an encoded image, or why there is none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A photograph of a source.

    Attributes:
        image_id: Its name in records: the file name without its last suffix for those of a folder, the id or
            the path or URL for those of a manifest.
        place: Path or URL.
        image: Path relative to the folder, if several of its files share the image_id; else None.
        content: What was read already, as from a tar file; else None.
    """

    image_id: str
    place: str
    image: str | None = None
    content: bytes | ImageError | None = field(default=None, repr=False)

    @property
    def key(self) -> str:
        """What tells it from the others of its source."""
        return self.image or self.image_id


class Reader:
    """Reads photographs, several at once; its threads and connections end with `close`."""

    def __init__(self) -> None:
        self._resources = ExitStack()

    def close(self) -> None:
        """End threads and connections."""
        self._resources.close()

    def read_ahead(self, entries: Iterable[Entry]) -> Iterator[tuple[Entry, Content]]:
        """Read photographs in order; a bounded number is read ahead.

        Yields:
            Each with its content; files of this machine are not opened.
        """
        waiting: deque[tuple[Entry, Content | Future[Content]]] = deque()
        for entry in entries:
            waiting.append((entry, self._start(entry)))
            if len(waiting) > _AHEAD:
                yield _finished(*waiting.popleft())
        while waiting:
            yield _finished(*waiting.popleft())

    def _start(self, entry: Entry) -> Content | Future[Content]:
        if entry.content is not None:
            return entry.content
        if is_web(entry.place):
            return self._threads.submit(self._read, entry.place, self._web)
        if is_stored(entry.place):
            return self._threads.submit(self._read, entry.place)
        if "://" in entry.place:
            return ImageError(f"The store is not supported. Received: {entry.place}")
        return Path(entry.place)

    def _read(self, place: str, web: "tuple[BlockingPortal, Fetcher] | None" = None) -> Content:
        try:
            if web:
                content, _ = web[0].call(web[1].fetch, place)
            else:
                content = _from_store(place)
        except NimakitError as error:
            return ImageError(str(error))
        except Exception as error:  # noqa: BLE001 - each store's package has errors of its own
            return ImageError(f"The image cannot be read: {reason(error)}.")
        if len(content) > MAX_BYTES:
            return ImageError(f"The image must have at most {MAX_BYTES} bytes.")
        return content

    @cached_property
    def _threads(self) -> ThreadPoolExecutor:
        pool = ThreadPoolExecutor(_AHEAD, thread_name_prefix="nimakit-read")
        self._resources.callback(pool.shutdown, cancel_futures=True)
        return pool

    @cached_property
    def _web(self) -> "tuple[BlockingPortal, Fetcher]":
        require_extra("data", "Web addresses need httpx.", "anyio", "httpcore", "httpx")
        from anyio.from_thread import start_blocking_portal

        from nimakit.io.public_fetch import Fetcher, Limits
        from nimakit.io.public_http import open_pool

        portal = self._resources.enter_context(start_blocking_portal("asyncio"))
        pool = self._resources.enter_context(portal.wrap_async_context_manager(open_pool(connections=_AHEAD)))
        return portal, Fetcher(pool, Limits(max_bytes=MAX_BYTES))


def _from_store(place: str) -> bytes:
    store, path = store_of(place)
    content: bytes = store.cat_file(path, start=0, end=MAX_BYTES + 1)
    return content


def _finished(entry: Entry, content: Content | Future[Content]) -> tuple[Entry, Content]:
    return entry, result(content) if isinstance(content, Future) else content
