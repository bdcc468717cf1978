"""Incremental reader of HTTP requests: it finds where the head and the body end."""

import io
import itertools
import re
from collections.abc import Callable, Generator
from typing import IO

from nimakit.errors import NimakitError

OVERSIZED = "nimakit.oversized"
"""True in the environment of a request whose body was too large and was not received."""

BEGAN = "nimakit.began"
"""In the environment of a request: when its first bytes were received, by `time.monotonic`."""

MAX_HEAD_BYTES = 32_768
IN_MEMORY = 1 << 20
"""Bytes of a body that are always kept in memory."""

_MAX_LINE_BYTES = 1024
_MIN_CHUNK_BYTES = 128  # on average: every chunk costs the receiving thread as much, whatever its size
_FREE_CHUNKS = 1000
_MAX_TRAILERS = 100
_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length[ \t]*:[ \t]*([^\r\n]*)", re.IGNORECASE)
_TRANSFER_ENCODING = re.compile(rb"\r\ntransfer-encoding[ \t]*:[ \t]*([^\r\n]*)", re.IGNORECASE)
_HOST = re.compile(rb"\r\nhost[ \t]*:", re.IGNORECASE)
_EXPECT = re.compile(rb"\r\nexpect[ \t]*:[ \t]*100-continue[ \t]*(?=\r\n)", re.IGNORECASE)
_CHUNK_SIZE = re.compile(rb"([0-9a-fA-F]{1,8})[ \t]*(;[^\r\n]*)?")


class MalformedError(NimakitError):
    """Invalid HTTP; the bytes that follow cannot be trusted."""

    http_status = 400


class OversizedHeadError(MalformedError):
    """A head longer than `MAX_HEAD_BYTES`."""

    http_status = 431


class RequestReader:
    """Reader of one request. It finds the body's end; gunicorn parses the rest of the head.

    Args:
        max_body: Largest body to receive, in bytes, or a function from the head to that size.
        open_file: Opens a file for a body larger than `IN_MEMORY`; None keeps every body in memory.

    Attributes:
        head: Request line and headers with the final empty line; empty until all of it is received.
        body: The body received so far, without chunk framing. A body in memory is one `bytes` object:
            reading all of it makes no copy.
        body_size: Its size in bytes.
        is_chunked: Whether the body comes in chunks.
        expects_continue: Whether the client waits for 100 Continue.
        is_oversized: Whether the body is too large; the rest of it is not received.
        is_complete: Whether the request is complete.
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
        self._steps = self._read()
        next(self._steps)

    @property
    def has_surplus(self) -> bool:
        """Whether bytes were received after the end of the request."""
        return self.is_complete and bool(self._buffer)

    @property
    def size(self) -> int:
        """Bytes buffered, in memory or on disk."""
        return len(self.head) + self.body_size + len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Add received bytes.

        Raises:
            MalformedError: They are not valid HTTP.
        """
        self._buffer += data
        if not self.is_complete:
            next(self._steps, None)

    def discard(self) -> None:
        """Free the buffers."""
        self.body.close()
        self._buffer.clear()

    def _read(self) -> Generator[None, None, None]:
        """Read the request; yields when it needs more bytes."""
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > MAX_HEAD_BYTES:
                raise OversizedHeadError(f"The head of a request must have at most {MAX_HEAD_BYTES} bytes.")
            yield
        head = self._take(end + 4)
        self.expects_continue = _EXPECT.search(head) is not None
        self.head = _EXPECT.sub(b"", head)
        needs_host = self.head.partition(b"\r\n")[0].endswith(b" HTTP/1.1")
        if not needs_host <= len(_HOST.findall(self.head)) <= 1:
            raise MalformedError("A request must have one Host header (HTTP/1.0: at most one).")
        lengths = _CONTENT_LENGTH.findall(self.head)
        encodings = _TRANSFER_ENCODING.findall(self.head)
        if encodings:
            if lengths or [encoding.strip().lower() for encoding in encodings] != [b"chunked"]:
                raise MalformedError("A body must have a Content-Length or the Transfer-Encoding chunked.")
            self.is_chunked = True
            yield from self._read_chunks()
        elif lengths:
            if len(lengths) > 1 or re.fullmatch(rb"[0-9]{1,18}[ \t]*", lengths[0]) is None:
                raise MalformedError("The Content-Length must be one number.")
            yield from self._read_bytes(int(lengths[0]))
        if isinstance(self.body, io.BytesIO):
            self.body.getvalue()  # shrinks the buffer to its content, which a read then shares
        self.body.seek(0)
        self.is_complete = True

    def _read_bytes(self, count: int) -> Generator[None, None, None]:
        """Read so many bytes of the body, or none if the body would be too large."""
        limit = self._max_body if isinstance(self._max_body, int) else self._max_body(self.head)
        end = self.body_size + count
        if end > limit:
            self.is_oversized = True
            return
        if self._open_file and self.body_size <= IN_MEMORY < end:
            file = self._open_file()
            file.write(self.body.getvalue())  # type: ignore[attr-defined]
            self.body.close()
            self.body = file
        while True:
            with memoryview(self._buffer)[: end - self.body_size] as piece:  # a slice would be a copy
                written = self.body.write(piece)
            del self._buffer[:written]
            self.body_size += written
            if self.body_size == end:
                return
            yield

    def _read_chunks(self) -> Generator[None, None, None]:
        for count in itertools.count(1):
            if count > _FREE_CHUNKS + self.body_size // _MIN_CHUNK_BYTES:
                raise MalformedError(f"Chunks must have {_MIN_CHUNK_BYTES} bytes or more on average.")
            size = _CHUNK_SIZE.fullmatch((yield from self._read_line()))
            if size is None:
                raise MalformedError("A chunk must begin with its size.")
            if int(size[1], 16) == 0:
                break
            yield from self._read_bytes(int(size[1], 16))
            if self.is_oversized:
                return
            if (yield from self._read_line()):
                raise MalformedError("A chunk must have the length it declares.")
        for _ in range(_MAX_TRAILERS):
            if not (yield from self._read_line()):
                return
        raise MalformedError(f"A body may be followed by at most {_MAX_TRAILERS} trailer lines.")

    def _read_line(self) -> Generator[None, None, bytes]:
        while (end := self._buffer.find(b"\r\n")) < 0:
            if len(self._buffer) > _MAX_LINE_BYTES:
                raise MalformedError(f"A line between chunks must have at most {_MAX_LINE_BYTES} bytes.")
            yield
        return self._take(end + 2)[:-2]

    def _take(self, count: int) -> bytes:
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken
