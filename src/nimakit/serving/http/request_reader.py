"""A request on its way in: how much of it there is, and how much there will be."""

import io
import itertools
import re
from collections.abc import Callable, Generator
from typing import IO

from nimakit.errors import NimakitError

OVERSIZED = "nimakit.oversized"
"""True in the environment of a request whose body is larger than allowed, and was not received."""

MAX_HEAD_BYTES = 32_768
IN_MEMORY = 1 << 20
"""Bytes of a body that are always kept in memory."""

_MAX_LINE_BYTES = 1024
_MIN_CHUNK_BYTES = 128  # on average: a chunk costs the one thread that receives as much, whatever it holds
_FREE_CHUNKS = 1000
_MAX_TRAILERS = 100
_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length[ \t]*:[ \t]*([^\r\n]*)", re.IGNORECASE)
_TRANSFER_ENCODING = re.compile(rb"\r\ntransfer-encoding[ \t]*:[ \t]*([^\r\n]*)", re.IGNORECASE)
_HOST = re.compile(rb"\r\nhost[ \t]*:", re.IGNORECASE)
_EXPECT = re.compile(rb"\r\nexpect[ \t]*:[ \t]*100-continue[ \t]*(?=\r\n)", re.IGNORECASE)
_CHUNK_SIZE = re.compile(rb"([0-9a-fA-F]{1,8})[ \t]*(;[^\r\n]*)?")


class MalformedError(NimakitError):
    """Bytes that are no request; nothing that follows them can be trusted."""

    http_status = 400


class OversizedHeadError(MalformedError):
    """A head of more than `MAX_HEAD_BYTES`."""

    http_status = 431


class Incoming:
    """A request that is being received.

    The body's end is found here; what the head means otherwise is for an HTTP parser to say.

    Args:
        max_body: Largest body that is received, in bytes; or a function that gives it for a head.
        open_file: Opens what a body is received into where it is larger than `IN_MEMORY`; None keeps
            every body in memory.

    Attributes:
        head: All up to the empty line, which is the last; empty until it is there.
        body: What has come of the body, without the framing of chunks. A body in memory is one `bytes`
            object: reading all of it copies nothing.
        body_size: Bytes of it.
        is_chunked: Whether it comes in chunks.
        expects_continue: Whether the client waits to be told to send the body.
        is_oversized: Whether the body is larger than it may be; no more of it is received.
        is_complete: Whether there is nothing more to wait for.
    """

    def __init__(
        self, max_body: int | Callable[[bytes], int], open_file: Callable[[], IO[bytes]] | None = None
    ) -> None:
        self.head = b""
        self.body: IO[bytes] = io.BytesIO()
        self.body_size = 0
        self.is_chunked = False
        self.expects_continue = False
        self.is_oversized = False
        self.is_complete = False
        self._max_body = max_body
        self._open_file = open_file
        self._buffer = bytearray()
        self._steps = self._receive()
        next(self._steps)

    @property
    def has_begun(self) -> bool:
        """Whether anything has come of it."""
        return bool(self.head or self._buffer)

    @property
    def has_surplus(self) -> bool:
        """Whether more has come than the request."""
        return self.is_complete and bool(self._buffer)

    @property
    def size(self) -> int:
        """Bytes that are held for it, on disk or in memory."""
        return len(self.head) + self.body_size + len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Take what has come.

        Raises:
            MalformedError: It is no request.
        """
        self._buffer += data
        if not self.is_complete:
            next(self._steps, None)

    def discard(self) -> None:
        """Hold nothing of it any more."""
        self.body.close()
        self._buffer.clear()

    def _receive(self) -> Generator[None, None, None]:
        """One step for each piece that comes."""
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > MAX_HEAD_BYTES:
                raise OversizedHeadError(f"The head of a request has at most {MAX_HEAD_BYTES} bytes.")
            yield
        head = self._take(end + 4)
        self.expects_continue = _EXPECT.search(head) is not None
        self.head = _EXPECT.sub(b"", head)
        is_newest = self.head.partition(b"\r\n")[0].endswith(b" HTTP/1.1")
        if not is_newest <= len(_HOST.findall(self.head)) <= 1:
            raise MalformedError("A request of HTTP/1.1 names one Host, and no request names two.")
        lengths = _CONTENT_LENGTH.findall(self.head)
        encodings = _TRANSFER_ENCODING.findall(self.head)
        if encodings:
            if lengths or [encoding.strip().lower() for encoding in encodings] != [b"chunked"]:
                raise MalformedError("A body has either a Content-Length or the one encoding chunked.")
            self.is_chunked = True
            yield from self._receive_chunks()
        elif lengths:
            if len(lengths) > 1 or re.fullmatch(rb"[0-9]{1,18}[ \t]*", lengths[0]) is None:
                raise MalformedError("A Content-Length is one number.")
            yield from self._receive_bytes(int(lengths[0]))
        if isinstance(self.body, io.BytesIO):
            self.body.getvalue()  # gives back what the buffer has grown too large; a read then shares it
        self.body.seek(0)
        self.is_complete = True

    def _receive_bytes(self, count: int) -> Generator[None, None, None]:
        """So many bytes of the body; none where they are too many."""
        limit = self._max_body if isinstance(self._max_body, int) else self._max_body(self.head)
        if self.body_size + count > limit:
            self.is_oversized = True
            return
        if self._open_file and self.body_size <= IN_MEMORY < self.body_size + count:
            self._move(self._open_file())
        wanted = self.body_size + count
        while True:
            with memoryview(self._buffer)[: wanted - self.body_size] as piece:  # written without a copy
                written = self.body.write(piece)
            del self._buffer[:written]
            self.body_size += written
            if self.body_size == wanted:
                return
            yield

    def _move(self, file: IO[bytes]) -> None:
        """Go on receiving the body in a file."""
        self.body.seek(0)
        file.write(self.body.read())
        self.body.close()
        self.body = file

    def _receive_chunks(self) -> Generator[None, None, None]:
        for count in itertools.count(1):
            if count > _FREE_CHUNKS + self.body_size // _MIN_CHUNK_BYTES:
                raise MalformedError(f"Chunks hold {_MIN_CHUNK_BYTES} bytes or more, on average.")
            line = yield from self._receive_line()
            size = _CHUNK_SIZE.fullmatch(line)
            if size is None:
                raise MalformedError("A chunk begins with its size.")
            if int(size[1], 16) == 0:
                break
            yield from self._receive_bytes(int(size[1], 16))
            if self.is_oversized:
                return
            if (yield from self._receive_line()):
                raise MalformedError("A chunk must have the length it declares.")
        for _ in range(_MAX_TRAILERS):
            if not (yield from self._receive_line()):
                return
        raise MalformedError(f"A body is followed by at most {_MAX_TRAILERS} headers, and by an empty line.")

    def _receive_line(self) -> Generator[None, None, bytes]:
        while (end := self._buffer.find(b"\r\n")) < 0:
            if len(self._buffer) > _MAX_LINE_BYTES:
                raise MalformedError(f"A line between chunks has at most {_MAX_LINE_BYTES} bytes.")
            yield
        return self._take(end + 2)[:-2]

    def _take(self, count: int) -> bytes:
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken
