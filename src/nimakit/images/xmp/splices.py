"""Changes of a file as splices: which bytes are replaced by which, and how that is undone."""

import hashlib
from collections.abc import Iterator, Sequence
from os.path import commonprefix
from typing import IO, NamedTuple

_CHUNK = 1 << 20


class Splice(NamedTuple):
    """Bytes `start` to `stop` of a file are replaced by `content`, which may have another length."""

    start: int
    stop: int
    content: bytes


def between(old: bytes, new: bytes, offset: int = 0) -> tuple[Splice, ...]:
    """The one splice that turns a part of a file into another; none if they are equal.

    Args:
        old: The part.
        new: What it becomes.
        offset: Where it begins in the file.

    >>> between(b"Rating 3 of 5", b"Rating 10 of 5", offset=20)
    (Splice(start=27, stop=28, content=b'10'),)
    """
    if old == new:
        return ()
    start = len(commonprefix((old, new)))  # noqa: RUF071 - bytes, not paths
    end = len(commonprefix((old[start:][::-1], new[start:][::-1])))  # noqa: RUF071
    return (Splice(offset + start, offset + len(old) - end, new[start : len(new) - end]),)


def inverse(stream: IO[bytes], splices: Sequence[Splice]) -> tuple[Splice, ...]:
    """The splices that restore a file after others were applied.

    Args:
        stream: The file before.
        splices: In the order of their places, not overlapping.
    """
    restoring, shift = [], 0
    for start, stop, content in splices:
        stream.seek(start)
        restoring.append(Splice(start + shift, start + shift + len(content), stream.read(stop - start)))
        shift += len(content) - (stop - start)
    return tuple(restoring)


def spliced(stream: IO[bytes], splices: Sequence[Splice]) -> Iterator[bytes]:
    """The content of a file after splices, in parts of at most a megabyte or a splice.

    Args:
        stream: The file before.
        splices: In the order of their places, not overlapping.
    """
    stream.seek(0)
    for start, stop, content in splices:
        yield from _read(stream, start - stream.tell())
        yield content
        stream.seek(stop)
    yield from _read(stream, -1)


def digest(parts: Iterator[bytes]) -> str:
    """SHA-256 of a content in parts."""
    total = hashlib.sha256()
    for part in parts:
        total.update(part)
    return total.hexdigest()


def _read(stream: IO[bytes], length: int) -> Iterator[bytes]:
    """The next bytes of a file; all that are left for -1."""
    while length and (part := stream.read(min(length, _CHUNK) if length > 0 else _CHUNK)):
        length -= len(part) if length > 0 else 0
        yield part
