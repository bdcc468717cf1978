"""Download of one known file over HTTP, resumed where it was cut off.

urllib rather than httpx, because the first score must need no further package. `public_http` serves the
opposite case, URLs that other people listed: it uses no proxy and connects to public addresses only.
"""

import email.utils
import time
from collections.abc import Iterator
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, build_opener

from nimakit.errors import first_line
from nimakit.io.atomic import output_errors
from nimakit.progress import track

TEMPORARY_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
"""HTTP statuses worth a retry."""

_ATTEMPTS = 6
_BACKOFF_S = 1.0
"""Wait before the second attempt, doubled before each further one."""
_LONGEST_WAIT_S = 120.0
_TIMEOUT_S = 30.0
_PARTS = 100
"""Steps of the progress bar."""
_SMALLEST_PART = 2**16
_UNSATISFIABLE_RANGE = 416


class FailedDownloadError(Exception):
    """A file that could not be downloaded; the message is the reason."""


class TemporaryError(Exception):
    """A failure that another attempt may get past.

    Args:
        reason: Why the attempt failed.
        wait: Seconds the server asks to wait.
    """

    def __init__(self, reason: str, wait: float = 0) -> None:
        super().__init__(reason)
        self.wait = wait


def download(url: str, path: Path, *, max_bytes: int, label: str) -> None:
    """Download a file.

    Redirects are followed, proxies are those of the environment (``https_proxy``, ``no_proxy``). A lost
    connection is resumed where it was cut off, or from the start if the server sends only whole files.

    Args:
        url: Address, http:// or https://.
        path: The file to write; after an error it is incomplete.
        max_bytes: Maximum size.
        label: Name of the work in progress messages.

    Raises:
        FailedDownloadError: The address is invalid, the server is unreachable or refuses, the file is too
            large, or every attempt was cut off.
        OutputError: The file cannot be written.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise FailedDownloadError("the address must start with http:// or https://")
    with output_errors(str(path)), path.open("wb") as file:
        for attempt in range(_ATTEMPTS):
            try:
                _receive(url, file, max_bytes, label)
                return
            except TemporaryError as error:
                if error.wait > _LONGEST_WAIT_S:
                    raise FailedDownloadError(
                        f"{error}: the server asks to wait {error.wait:.0f} s"
                    ) from error
                failure = error
            if attempt + 1 < _ATTEMPTS:
                time.sleep(max(failure.wait, _BACKOFF_S * 2**attempt))
    raise FailedDownloadError(f"{failure} ({_ATTEMPTS} attempts)")


def retry_after(value: str) -> float:
    """Seconds that a Retry-After header asks for, as a number or a date; 0 if it is neither."""
    if value.isdecimal():
        return float(value)
    try:
        return max(email.utils.parsedate_to_datetime(value).timestamp() - time.time(), 0)
    except (ValueError, OverflowError):
        return 0


def _receive(url: str, file: IO[bytes], max_bytes: int, label: str) -> None:
    """Append what the file does not have yet."""
    with _open(url, file) as response:
        start = file.tell()
        if start and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            _empty(file)  # the server sends the whole file
            start = 0
        length = response.headers.get("Content-Length", "")
        expected = int(length) if length.isdecimal() else None
        if start + (expected or 0) > max_bytes:
            raise _too_large(max_bytes)
        part = max(_SMALLEST_PART, -(-(expected or 0) // _PARTS))
        total = -(-(expected or 0) // part)
        for piece in track(_pieces(response, part), total, label):
            file.write(piece)
            if file.tell() > max_bytes:
                raise _too_large(max_bytes)
        if expected is not None and file.tell() - start < expected:
            raise TemporaryError("the connection was lost")


def _open(url: str, file: IO[bytes]) -> HTTPResponse:
    """Ask for the rest of a file, after what was already received."""
    headers = {"User-Agent": "nimakit", "Accept-Encoding": "identity"}
    if file.tell():
        headers["Range"] = f"bytes={file.tell()}-"
    request = Request(url, headers=headers)  # noqa: S310 - the scheme is checked
    try:
        # A new opener each time: the default one keeps the proxies of its first use.
        response: HTTPResponse = build_opener().open(request, timeout=_TIMEOUT_S)
    except HTTPError as error:
        error.close()
        reason = f"HTTP {error.code} {error.reason}".rstrip()
        if error.code == _UNSATISFIABLE_RANGE and file.tell():
            _empty(file)
            raise TemporaryError(reason) from error
        if error.code in TEMPORARY_STATUSES:
            raise TemporaryError(reason, retry_after(error.headers.get("Retry-After", ""))) from error
        raise FailedDownloadError(reason) from error
    except (OSError, HTTPException, ValueError) as error:  # ValueError: an invalid port or character
        cause = error.reason if isinstance(error, URLError) else error
        reason = f"no connection: {first_line(cause) if isinstance(cause, Exception) else cause}"
        # Without a network, retries only delay the message; after a part of the file, they may help.
        raise (TemporaryError if file.tell() else FailedDownloadError)(reason) from error
    return response


def _pieces(response: HTTPResponse, size: int) -> Iterator[bytes]:
    while True:
        try:
            piece = response.read(size)
        except (OSError, HTTPException) as error:
            raise TemporaryError(f"the connection was lost: {first_line(error)}") from error
        if not piece:
            return
        yield piece


def _empty(file: IO[bytes]) -> None:
    file.seek(0)
    file.truncate()


def _too_large(max_bytes: int) -> FailedDownloadError:
    return FailedDownloadError(f"it is larger than {max_bytes} bytes")
