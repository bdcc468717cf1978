"""Download of files from addresses that other people listed: public ones only, with limits and retries."""

import asyncio
import random
from dataclasses import dataclass
from http import HTTPStatus
from http.client import responses

import httpcore
import httpx

from nimakit.errors import first_line
from nimakit.io.downloads import TEMPORARY_STATUSES, FailedDownloadError, TemporaryError, retry_after
from nimakit.io.public_http import Origin, RefusedAddressError, origin

_REDIRECTS = {301, 302, 303, 307, 308}
_PORTS = 65_536


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Limits of each download of a file.

    Attributes:
        max_bytes: Maximum size of a file.
        connect_seconds: Timeout of connecting.
        read_seconds: Timeout between two pieces of a response.
        total_seconds: Timeout of an attempt, including redirects.
        redirects: Maximum number of redirects to follow.
        attempts: Maximum number of attempts per file.
        backoff_seconds: Wait before the second attempt, doubled before each further one, plus or minus half.
        longest_wait_seconds: Maximum Retry-After to obey; a file that needs a longer wait fails.
    """

    max_bytes: int = 30_000_000
    connect_seconds: float = 10
    read_seconds: float = 20
    total_seconds: float = 120
    redirects: int = 5
    attempts: int = 4
    backoff_seconds: float = 1
    longest_wait_seconds: float = 120


class Fetcher:
    """Downloads files through a connection pool; a host's Retry-After counts for all of its files.

    Args:
        pool: From `nimakit.io.public_http.open_pool`, open in the running event loop.
        limits: Limits of each download.
    """

    def __init__(self, pool: httpcore.AsyncConnectionPool, limits: Limits) -> None:
        self._pool = pool
        self._limits = limits
        self._retry_after: dict[Origin, float] = {}  # host -> time by the loop's clock

    async def fetch(self, address: str) -> tuple[bytes, str]:
        """Download a file, in several attempts with growing waits.

        Args:
            address: Its URL.

        Returns:
            The content, and the content type that the server gives; empty if it gives none.

        Raises:
            FailedDownloadError: The address is invalid or not public, or every attempt failed.
        """
        url = _parse(address)
        for attempt in range(self._limits.attempts):
            await self._await_host(origin(url))
            try:
                return await self._attempt(url)
            except TemporaryError as error:
                if error.wait > self._limits.longest_wait_seconds:
                    raise FailedDownloadError(
                        f"{error}: the server asks to wait {error.wait:.0f} s"
                    ) from error
                failure = error
            pause = self._limits.backoff_seconds * 2**attempt * (0.5 + random.random())  # noqa: S311
            if attempt + 1 < self._limits.attempts:
                await asyncio.sleep(max(pause, failure.wait))
        raise FailedDownloadError(f"{failure} ({self._limits.attempts} attempts)")

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
            raise TemporaryError("no response in time") from error
        except httpcore.ConnectError as error:
            raise TemporaryError(f"no connection: {error}") from error
        except httpcore.NetworkError as error:
            raise TemporaryError("the connection was lost") from error
        except httpcore.RemoteProtocolError as error:
            raise TemporaryError(f"the response is invalid: {first_line(error)}") from error
        except (RefusedAddressError, httpcore.UnsupportedProtocol, httpcore.LocalProtocolError) as error:
            raise FailedDownloadError(str(error)) from error
        raise FailedDownloadError(f"more than {self._limits.redirects} redirects")

    async def _get(self, url: httpx.URL) -> tuple[bytes, str] | httpx.URL:
        """Send one request; returns content and content type, or the URL of a redirect."""
        target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        headers = [
            (b"Host", url.netloc),
            (b"Accept", b"image/*"),
            (b"Accept-Encoding", b"identity"),  # so that the size limit applies to the file itself
            (b"User-Agent", b"nimakit"),
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
            return await self._body(response, answer), kind

    async def _await_host(self, host: Origin) -> None:
        """Wait as long as a host asks for, which it may extend in the meantime."""
        loop = asyncio.get_running_loop()
        while (pause := self._retry_after.get(host, 0) - loop.time()) > 0:
            await asyncio.sleep(pause)

    def _refuse(self, status: int, answer: httpx.Headers, host: Origin) -> None:
        reason = f"HTTP {status} {responses.get(status, '')}".rstrip()
        if status not in TEMPORARY_STATUSES:
            raise FailedDownloadError(reason)
        wait = retry_after(answer.get("retry-after", ""))
        if 0 < wait <= self._limits.longest_wait_seconds:
            self._retry_after[host] = asyncio.get_running_loop().time() + wait
        raise TemporaryError(reason, wait)

    async def _body(self, response: httpcore.Response, answer: httpx.Headers) -> bytes:
        if int(answer.get("content-length", "0")) > self._limits.max_bytes:
            raise self._too_large()
        content = bytearray()
        async for piece in response.aiter_stream():
            content += piece
            if len(content) > self._limits.max_bytes:
                raise self._too_large()
        return bytes(content)

    def _too_large(self) -> FailedDownloadError:
        return FailedDownloadError(f"larger than {self._limits.max_bytes} bytes")


def _parse(text: str, base: httpx.URL | None = None) -> httpx.URL:
    """Parse an http or https URL; a relative one is joined to the base."""
    try:
        url = base.join(text) if base else httpx.URL(text)
    except (httpx.InvalidURL, ValueError) as error:  # ValueError: an invalid character
        raise FailedDownloadError(f"not a URL: {text[:200]} ({error})") from error
    if url.scheme not in ("http", "https") or not url.raw_host:
        raise FailedDownloadError(f"the address must start with http:// or https://; received {text[:200]}")
    if not origin(url)[1] < _PORTS:
        raise FailedDownloadError(f"not a URL: {text[:200]} (there is no such port)")
    return url
