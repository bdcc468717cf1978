"""Paths and URLs: files of this machine, objects of a store (through fsspec), and public web addresses."""

import errno
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlsplit

from nimakit.errors import UsageError, first_line, require_extra

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_STORES = {"s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs", "memory": "fsspec"}
"""Scheme -> the package that reads it."""
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)
_COPY_BYTES = 2**20


def scheme(place: str) -> str:
    """The scheme of a URL, in lower case; empty for a path.

    >>> scheme("s3://bucket/a.jpg"), scheme("photos/a.jpg")
    ('s3', '')
    """
    found = _SCHEME.match(place)
    return found[1].lower() if found else ""


def is_stored(place: str) -> bool:
    """Whether a place is in an object store."""
    return scheme(place) in _STORES


def is_web(place: str) -> bool:
    """Whether a place is a web address."""
    return scheme(place) in ("http", "https")


def store_of(place: str) -> tuple["AbstractFileSystem", str]:
    """The store of a URL, and the path in it.

    Raises:
        UsageError: The scheme is unknown, or the store's settings are invalid.
        MissingExtraError: The package for it is not installed.
    """
    kind = scheme(place)
    if kind not in _STORES:
        raise UsageError(
            f"A URL must start with {', '.join(f'{name}://' for name in _STORES if name != 'memory')}"
            f" or https://. Received: {place}"
        )
    require_extra("cloud", f"Reading {kind}:// needs {_STORES[kind]}.", "fsspec", _STORES[kind])
    from fsspec.core import url_to_fs

    try:
        store, path = url_to_fs(place)
    except Exception as error:
        raise UsageError(f"The store must be reachable. Received: {place} ({reason(error)})") from error
    return store, path


def url_of(place: str, path: str) -> str:
    """The URL of a path that a store listed, in the spelling of the URL that was listed."""
    return f"{scheme(place)}://{path.lstrip('/')}"


def reason(error: BaseException) -> str:
    """Why a store refused, in words; its packages raise their own errors next to those of the system.

    >>> reason(FileNotFoundError("bucket/a.jpg"))
    'there is no such file'
    """
    match error:
        case FileNotFoundError():
            return "there is no such file"
        case PermissionError():
            return "the store gives no permission; check the credentials"
        case OSError(errno=errno.EACCES):
            return "the store gives no permission; check the credentials"
    name = type(error).__name__
    if "Credentials" in name:
        return f"the store needs credentials: {first_line(error) if isinstance(error, Exception) else name}"
    return first_line(error) if isinstance(error, Exception) else name


@contextmanager
def opened(place: str, what: str) -> Iterator[IO[bytes]]:
    """Open a file or an object for reading.

    Args:
        place: A path or a URL of a store.
        what: Name of the file in messages, such as "manifest".

    Raises:
        UsageError: It cannot be opened.
    """
    try:
        if is_stored(place):
            store, path = store_of(place)
            stream: IO[bytes] = store.open(path, "rb")
        else:
            stream = Path(place).open("rb")  # noqa: SIM115 - closed below
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(f"The {what} must be readable. Received: {place} ({reason(error)})") from error
    with stream:
        yield stream


@contextmanager
def local_copy(place: str, what: str) -> Iterator[Path]:
    """A file of this machine with the content of a place, which is copied if it is in a store."""
    if not is_stored(place):
        yield Path(place)
        return
    with (
        opened(place, what) as stream,
        tempfile.NamedTemporaryFile(suffix=Path(urlsplit(place).path).suffix) as copy,
    ):
        while piece := stream.read(_COPY_BYTES):
            copy.write(piece)
        copy.flush()
        yield Path(copy.name)


def info(place: str, what: str) -> dict[str, Any] | None:
    """What a store knows of a URL: ``type`` is "file" or "directory"; None if there is nothing.

    Raises:
        UsageError: The store cannot be asked.
    """
    store, path = store_of(place)
    try:
        found: dict[str, Any] = store.info(path)
    except FileNotFoundError:
        return None
    except Exception as error:
        raise UsageError(f"The {what} must be readable. Received: {place} ({reason(error)})") from error
    return found
