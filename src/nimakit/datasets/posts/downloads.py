"""Concurrent download of images, with checks, limits and retries."""

import asyncio
import random
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from http import HTTPStatus
from http.client import responses
from itertools import islice
from pathlib import Path
from typing import TypeAlias

import httpcore
import httpx
from anyio.from_thread import start_blocking_portal

from nimakit import __version__
from nimakit.datasets.posts.image_store import ImageStore, Stored, image_suffix
from nimakit.errors import ImageError, first_line
from nimakit.images.photo import MAX_PIXELS
from nimakit.io.downloads import TEMPORARY_STATUSES, retry_after
from nimakit.io.public_http import Origin, RefusedAddressError, open_pool, origin
from nimakit.io.threads import cores

Source: TypeAlias = str | Path
"""The URL or file an image is read from."""

_REDIRECTS = {301, 302, 303, 307, 308}
_PORTS = 65_536


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Limits of each download.

    Attributes:
        max_bytes: Maximum size of an image file.
        max_pixels: Maximum width times height of an image.
        connect_seconds: Timeout of connecting.
        read_seconds: Timeout between two pieces of a response.
        total_seconds: Timeout of an attempt, including redirects.
        redirects: Maximum number of redirects to follow.
        attempts: Maximum number of attempts per image.
        backoff_seconds: Wait before the second attempt, doubled before each further one, plus or minus half.
        longest_wait_seconds: Maximum Retry-After to obey; an image that needs a longer wait fails.
    """

    max_bytes: int = 30_000_000
    max_pixels: int = MAX_PIXELS
    connect_seconds: float = 10
    read_seconds: float = 20
    total_seconds: float = 120
    redirects: int = 5
    attempts: int = 4
    backoff_seconds: float = 1
    longest_wait_seconds: float = 120


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
        downloader = _Downloader(store, limits or Limits(), pool, threads)
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


class _PermanentError(Exception):
    """A failure that a retry would not fix."""


class _TemporaryError(Exception):
    """A failure that a retry may fix.

    Args:
        reason: Why the attempt failed.
        wait: Seconds the server asks to wait.
    """

    def __init__(self, reason: str, wait: float = 0) -> None:
        super().__init__(reason)
        self.wait = wait


class _Downloader:
    """Downloads images into a store."""

    def __init__(
        self,
        store: ImageStore,
        limits: Limits,
        pool: httpcore.AsyncConnectionPool,
        threads: ThreadPoolExecutor,
    ) -> None:
        self._store = store
        self._limits = limits
        self._pool = pool
        self._threads = threads
        self._retry_after: dict[Origin, float] = {}  # host -> time by the loop's clock

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
                content, kind = await self._retry(_parse(source))
            suffix = await loop.run_in_executor(self._threads, image_suffix, content, self._limits.max_pixels)
        except _PermanentError as error:
            return Failure(url, str(error))
        except ImageError as error:
            return Failure(url, f"{error}{kind}")
        return self._store.add(url, content, suffix)

    def _read(self, path: Path) -> bytes:
        try:
            with path.open("rb") as file:
                content = file.read(self._limits.max_bytes + 1)
        except (OSError, ValueError) as error:  # ValueError: not a possible file name
            raise _PermanentError(f"{path} cannot be read: {first_line(error)}") from error
        if len(content) > self._limits.max_bytes:
            raise self._too_large()
        return content

    async def _retry(self, url: httpx.URL) -> tuple[bytes, str]:
        """Attempt a download several times, with growing waits."""
        for attempt in range(self._limits.attempts):
            await self._await_host(origin(url))
            try:
                return await self._attempt(url)
            except _TemporaryError as error:
                if error.wait > self._limits.longest_wait_seconds:
                    raise _PermanentError(f"{error}: the server asks to wait {error.wait:.0f} s") from error
                failure = error
            pause = self._limits.backoff_seconds * 2**attempt * (0.5 + random.random())  # noqa: S311
            if attempt + 1 < self._limits.attempts:
                await asyncio.sleep(max(pause, failure.wait))
        raise _PermanentError(f"{failure} ({self._limits.attempts} attempts)")

    async def _attempt(self, url: httpx.URL) -> tuple[bytes, str]:
        """The content at a URL and, for messages, its content type."""
        try:
            async with asyncio.timeout(self._limits.total_seconds):
                for _ in range(self._limits.redirects + 1):
                    answer = await self._get(url)
                    if not isinstance(answer, httpx.URL):
                        return answer
                    url = answer
        except (TimeoutError, httpcore.TimeoutException) as error:
            raise _TemporaryError("no response in time") from error
        except httpcore.ConnectError as error:
            raise _TemporaryError(f"no connection: {error}") from error
        except httpcore.NetworkError as error:
            raise _TemporaryError("the connection was lost") from error
        except httpcore.RemoteProtocolError as error:
            raise _TemporaryError(f"the response is invalid: {first_line(error)}") from error
        except (RefusedAddressError, httpcore.UnsupportedProtocol, httpcore.LocalProtocolError) as error:
            raise _PermanentError(str(error)) from error
        raise _PermanentError(f"more than {self._limits.redirects} redirects")

    async def _get(self, url: httpx.URL) -> tuple[bytes, str] | httpx.URL:
        """Send one request; returns content and content type, or the URL of a redirect."""
        target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        headers = [
            (b"Host", url.netloc),
            (b"Accept", b"image/*"),
            (b"Accept-Encoding", b"identity"),  # so that the size limit applies to the file itself
            (b"User-Agent", f"nimakit/{__version__}".encode()),
        ]
        seconds = {"connect": self._limits.connect_seconds, "read": self._limits.read_seconds}
        extensions = {"timeout": seconds}
        async with self._pool.stream("GET", target, headers=headers, extensions=extensions) as response:
            answer = httpx.Headers(response.headers)
            if response.status in _REDIRECTS and "location" in answer:
                return _parse(answer["location"], url)
            if response.status != HTTPStatus.OK:
                self._refuse(response.status, answer, origin(url))
            kind = answer.get("content-type", "")[:80]
            return await self._body(
                response, answer
            ), f" The server's content type is {kind}." if kind else ""

    async def _await_host(self, host: Origin) -> None:
        """Wait as long as a host asks for, which it may extend in the meantime."""
        loop = asyncio.get_running_loop()
        while (pause := self._retry_after.get(host, 0) - loop.time()) > 0:
            await asyncio.sleep(pause)

    def _refuse(self, status: int, answer: httpx.Headers, host: Origin) -> None:
        reason = f"HTTP {status} {responses.get(status, '')}".rstrip()
        if status not in TEMPORARY_STATUSES:
            raise _PermanentError(reason)
        wait = retry_after(answer.get("retry-after", ""))
        if 0 < wait <= self._limits.longest_wait_seconds:
            self._retry_after[host] = asyncio.get_running_loop().time() + wait
        raise _TemporaryError(reason, wait)

    async def _body(self, response: httpcore.Response, answer: httpx.Headers) -> bytes:
        if int(answer.get("content-length", "0")) > self._limits.max_bytes:
            raise self._too_large()
        content = bytearray()
        async for piece in response.aiter_stream():
            content += piece
            if len(content) > self._limits.max_bytes:
                raise self._too_large()
        return bytes(content)

    def _too_large(self) -> _PermanentError:
        return _PermanentError(f"larger than {self._limits.max_bytes} bytes")


def _parse(text: str, base: httpx.URL | None = None) -> httpx.URL:
    """Parse an http or https URL; a relative one is joined to the base."""
    try:
        url = base.join(text) if base else httpx.URL(text)
    except (httpx.InvalidURL, ValueError) as error:  # ValueError: an invalid character
        raise _PermanentError(f"not a URL: {text[:200]} ({error})") from error
    if url.scheme not in ("http", "https") or not url.raw_host:
        raise _PermanentError(f"an image's URL must start with http:// or https://; received {text[:200]}")
    if not origin(url)[1] < _PORTS:
        raise _PermanentError(f"not a URL: {text[:200]} (there is no such port)")
    return url
