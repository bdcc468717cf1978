"""Concurrent download of images, with checks, limits and retries."""

import asyncio
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeAlias

from anyio.from_thread import start_blocking_portal

from nimakit.datasets.posts.image_store import ImageStore, Stored, image_suffix
from nimakit.errors import ImageError, first_line
from nimakit.images.photo import MAX_PIXELS
from nimakit.io import public_fetch
from nimakit.io.downloads import FailedDownloadError
from nimakit.io.public_fetch import Fetcher
from nimakit.io.public_http import Origin, open_pool
from nimakit.io.threads import cores

Source: TypeAlias = str | Path
"""The URL or file an image is read from."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits(public_fetch.Limits):
    """Limits of each download.

    Attributes:
        max_pixels: Maximum width times height of an image.
    """

    max_pixels: int = MAX_PIXELS


@dataclass(frozen=True, slots=True)
class Failure:
    """An image that could not be downloaded.

    Attributes:
        url: URL of the image.
        reason: Why it failed.
    """

    url: str
    reason: str


def download(
    store: ImageStore,
    sources: Mapping[str, Source],
    *,
    concurrency: int = 8,
    limits: Limits | None = None,
    trusted: Origin | None = None,
) -> Iterator[Stored | Failure]:
    """Download the images that a folder does not have yet.

    Args:
        store: The folder.
        sources: URL of the image -> where to read it from.
        concurrency: How many images to download at once.
        limits: Limits of each download.
        trusted: A host and port that may have a private address.

    Yields:
        The result for each URL, in order of completion.

    Raises:
        OutputError: The folder cannot be written to; images already in it are kept.
    """
    pool = open_pool(trusted, connections=concurrency)
    waiting = iter(sources.items())
    running: set[Future[Stored | Failure]] = set()
    # The event loop runs in its own thread, so that a signal interrupts the caller and never a task.
    with (
        ThreadPoolExecutor(cores()) as threads,
        start_blocking_portal("asyncio") as portal,
        portal.wrap_async_context_manager(pool),
    ):
        limits = limits or Limits()
        downloader = _Downloader(store, limits, Fetcher(pool, limits), threads)
        try:
            while True:
                for url, source in islice(waiting, concurrency - len(running)):
                    running.add(portal.start_task_soon(downloader.download, url, source))
                if not running:
                    return
                done, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        finally:
            for future in running:
                future.cancel()


class _Downloader:
    """Downloads images into a store."""

    def __init__(
        self,
        store: ImageStore,
        limits: Limits,
        fetcher: Fetcher,
        threads: ThreadPoolExecutor,
    ) -> None:
        self._store = store
        self._limits = limits
        self._fetcher = fetcher
        self._threads = threads

    async def download(self, url: str, source: Source) -> Stored | Failure:
        """Download, check and store one image."""
        loop = asyncio.get_running_loop()
        if stored := await loop.run_in_executor(self._threads, self._store.find, url):
            return stored
        kind = ""
        try:
            if isinstance(source, Path):
                content = await loop.run_in_executor(self._threads, self._read, source)
            else:
                content, kind = await self._fetcher.fetch(source)
            suffix = await loop.run_in_executor(self._threads, image_suffix, content, self._limits.max_pixels)
        except FailedDownloadError as error:
            return Failure(url, str(error))
        except ImageError as error:
            return Failure(url, f"{error} The server's content type is {kind}." if kind else str(error))
        return self._store.add(url, content, suffix)

    def _read(self, path: Path) -> bytes:
        try:
            with path.open("rb") as file:
                content = file.read(self._limits.max_bytes + 1)
        except (OSError, ValueError) as error:  # ValueError: not a possible file name
            raise FailedDownloadError(f"{path} cannot be read: {first_line(error)}") from error
        if len(content) > self._limits.max_bytes:
            raise FailedDownloadError(f"larger than {self._limits.max_bytes} bytes")
        return content
