"""Pictures from URLs to a folder: several at once, each checked, tried again where that may help."""

import asyncio
import email.utils
import random
import time
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
from nimakit.datasets.posts.image_store import PictureStore, Stored, picture_suffix
from nimakit.errors import ImageError, first_line
from nimakit.images.photo import MAX_PIXELS
from nimakit.io.public_http import Origin, RefusedAddressError, open_pool, origin
from nimakit.io.threads import cores

Source: TypeAlias = str | Path
"""Where a picture is fetched from: a URL or a file."""

_REDIRECTS = {301, 302, 303, 307, 308}
_PASSING = {408, 425, 429, 500, 502, 503, 504}
"""Answers that may be others a little later."""
_PORTS = 65_536


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """How much a download may take.

    Attributes:
        max_bytes: Of one picture.
        max_pixels: Of one picture, width times height.
        connect_seconds: To connect.
        read_seconds: Between two pieces of an answer.
        total_seconds: For one attempt, redirects included.
        redirects: That are followed.
        attempts: For one picture.
        backoff_seconds: Before the second attempt; twice as long before each further one, give or take half.
        longest_wait_seconds: That a server's Retry-After is obeyed; a picture that would have to wait longer
            is given up.
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
    """A picture that could not be had.

    Attributes:
        url: Of the picture.
        reason: Why, in words.
    """

    url: str
    reason: str


def download(
    store: PictureStore,
    sources: Mapping[str, Source],
    *,
    concurrency: int = 8,
    limits: Limits | None = None,
    trusted: Origin | None = None,
) -> Iterator[Stored | Failure]:
    """Fetch the pictures a folder does not have yet.

    Args:
        store: The folder.
        sources: URL by which the picture is known -> where it is fetched from.
        concurrency: Pictures at once.
        limits: What one may take.
        trusted: A host and port that may have a private address.

    Yields:
        What became of each URL, in the order in which they are done.

    Raises:
        OutputError: The folder cannot be written; what it has by then is kept.
    """
    pool = open_pool(trusted, connections=concurrency)
    waiting = iter(sources.items())
    running: set[Future[Stored | Failure]] = set()
    # The event loop has a thread of its own, so that a signal interrupts the caller and never half a task.
    with (
        ThreadPoolExecutor(cores()) as threads,
        start_blocking_portal("asyncio") as portal,
        portal.wrap_async_context_manager(pool),
    ):
        job = _Job(store, limits or Limits(), pool, threads)
        try:
            while True:
                for url, source in islice(waiting, concurrency - len(running)):
                    running.add(portal.start_task_soon(job.do, url, source))
                if not running:
                    return
                done, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        finally:
            for future in running:
                future.cancel()


class _GivenUpError(Exception):
    """Another attempt would end the same way."""


class _PassingError(Exception):
    """Another attempt may do better.

    Args:
        reason: Why, in words.
        wait: Seconds the server asks to wait.
    """

    def __init__(self, reason: str, wait: float = 0) -> None:
        super().__init__(reason)
        self.wait = wait


class _Job:
    """What the pictures of a run share."""

    def __init__(
        self,
        store: PictureStore,
        limits: Limits,
        pool: httpcore.AsyncConnectionPool,
        threads: ThreadPoolExecutor,
    ) -> None:
        self._store = store
        self._limits = limits
        self._pool = pool
        self._threads = threads
        self._closed_until: dict[Origin, float] = {}  # by the loop's clock

    async def do(self, url: str, source: Source) -> Stored | Failure:
        """Fetch, check and keep one picture."""
        loop = asyncio.get_running_loop()
        if stored := await loop.run_in_executor(self._threads, self._store.find, url):
            return stored
        kind = ""
        try:
            if isinstance(source, Path):
                content = await loop.run_in_executor(self._threads, self._read, source)
            else:
                content, kind = await self._persist(_parse(source))
            suffix = await loop.run_in_executor(
                self._threads, picture_suffix, content, self._limits.max_pixels
            )
        except _GivenUpError as error:
            return Failure(url, str(error))
        except ImageError as error:
            return Failure(url, f"{error}{kind}")
        return self._store.add(url, content, suffix)

    def _read(self, path: Path) -> bytes:
        try:
            with path.open("rb") as file:
                content = file.read(self._limits.max_bytes + 1)
        except (OSError, ValueError) as error:  # the latter where no file can have that name
            raise _GivenUpError(f"{path} cannot be read: {first_line(error)}") from error
        if len(content) > self._limits.max_bytes:
            raise self._too_large()
        return content

    async def _persist(self, url: httpx.URL) -> tuple[bytes, str]:
        """Attempts with growing waits between them."""
        for attempt in range(self._limits.attempts):
            await self._await_turn(origin(url))
            try:
                return await self._attempt(url)
            except _PassingError as error:
                if error.wait > self._limits.longest_wait_seconds:
                    raise _GivenUpError(f"{error}: it asks to wait {error.wait:.0f} s") from error
                failure = error
            pause = self._limits.backoff_seconds * 2**attempt * (0.5 + random.random())  # noqa: S311
            if attempt + 1 < self._limits.attempts:
                await asyncio.sleep(max(pause, failure.wait))
        raise _GivenUpError(f"{failure} ({self._limits.attempts} attempts)")

    async def _attempt(self, url: httpx.URL) -> tuple[bytes, str]:
        """The content behind a URL and, for messages, what the server calls it."""
        try:
            async with asyncio.timeout(self._limits.total_seconds):
                for _ in range(self._limits.redirects + 1):
                    answer = await self._get(url)
                    if not isinstance(answer, httpx.URL):
                        return answer
                    url = answer
        except (TimeoutError, httpcore.TimeoutException) as error:
            raise _PassingError("no answer in time") from error
        except httpcore.ConnectError as error:
            raise _PassingError(f"no connection: {error}") from error
        except httpcore.NetworkError as error:
            raise _PassingError("the connection broke off") from error
        except httpcore.RemoteProtocolError as error:
            raise _PassingError(f"the answer is broken: {first_line(error)}") from error
        except (RefusedAddressError, httpcore.UnsupportedProtocol, httpcore.LocalProtocolError) as error:
            raise _GivenUpError(str(error)) from error
        raise _GivenUpError(f"more than {self._limits.redirects} redirects")

    async def _get(self, url: httpx.URL) -> tuple[bytes, str] | httpx.URL:
        """One request: content and kind, or where it is said to be."""
        target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        headers = [
            (b"Host", url.netloc),
            (b"Accept", b"image/*"),
            (b"Accept-Encoding", b"identity"),  # what is counted is what is kept
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
            return await self._body(response, answer), f" The server calls it {kind}." if kind else ""

    async def _await_turn(self, host: Origin) -> None:
        """Wait while a host has asked not to be asked; it may ask again in the meantime."""
        loop = asyncio.get_running_loop()
        while (pause := self._closed_until.get(host, 0) - loop.time()) > 0:
            await asyncio.sleep(pause)

    def _refuse(self, status: int, answer: httpx.Headers, host: Origin) -> None:
        reason = f"HTTP {status} {responses.get(status, '')}".rstrip()
        if status not in _PASSING:
            raise _GivenUpError(reason)
        wait = _retry_after(answer.get("retry-after", ""))
        if 0 < wait <= self._limits.longest_wait_seconds:
            self._closed_until[host] = asyncio.get_running_loop().time() + wait
        raise _PassingError(reason, wait)

    async def _body(self, response: httpcore.Response, answer: httpx.Headers) -> bytes:
        if int(answer.get("content-length", "0")) > self._limits.max_bytes:
            raise self._too_large()
        content = bytearray()
        async for piece in response.aiter_stream():
            content += piece
            if len(content) > self._limits.max_bytes:
                raise self._too_large()
        return bytes(content)

    def _too_large(self) -> _GivenUpError:
        return _GivenUpError(f"larger than {self._limits.max_bytes} bytes")


def _parse(text: str, base: httpx.URL | None = None) -> httpx.URL:
    """A URL that can be fetched; a relative one starts at the base."""
    try:
        url = base.join(text) if base else httpx.URL(text)
    except (httpx.InvalidURL, ValueError) as error:  # the latter where a character is broken
        raise _GivenUpError(f"no URL: {text[:200]} ({error})") from error
    if url.scheme not in ("http", "https") or not url.raw_host:
        raise _GivenUpError(f"a picture's URL starts with http:// or https://, unlike {text[:200]}")
    if not origin(url)[1] < _PORTS:
        raise _GivenUpError(f"no URL: {text[:200]} (there is no such port)")
    return url


def _retry_after(value: str) -> float:
    """Seconds a Retry-After header asks for: a number, or a date; 0 where it says neither."""
    if value.isdecimal():
        return float(value)
    try:
        return max(email.utils.parsedate_to_datetime(value).timestamp() - time.time(), 0)
    except (ValueError, OverflowError):
        return 0
