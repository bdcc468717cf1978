"""nimakit.serving.http.request_reader: where a request ends."""

from pathlib import Path
from typing import IO

import pytest

from nimakit.errors import BusyError
from nimakit.serving.http.request_reader import (
    IN_MEMORY,
    MAX_HEAD_BYTES,
    MalformedError,
    OversizedHeadError,
    RequestReader,
)

HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\n"


def _fed(data: bytes, piece: int, max_body: int = 1000) -> RequestReader:
    request = RequestReader(max_body)
    for start in range(0, len(data), piece):
        request.feed(data[start : start + piece])
    return request


@pytest.mark.parametrize("piece", [1, 7, 1000])
@pytest.mark.parametrize(
    ("head", "wire"),
    [
        (b"Content-Length: 5\r\n\r\n", b"hello"),
        (b"content-length:5 \r\n\r\n", b"hello"),
        (b"Transfer-Encoding: chunked\r\n\r\n", b"5\r\nhello\r\n0\r\n\r\n"),
        (b"transfer-encoding:Chunked\r\n\r\n", b"2;x=y\r\nhe\r\n03\r\nllo\r\n0\r\nTrailer: x\r\n\r\n"),
    ],
)
def test_a_body_is_whole_however_it_comes(head: bytes, wire: bytes, piece: int) -> None:
    """With a length or in chunks, byte by byte or at once."""
    request = _fed(HEAD + head + wire, piece)
    assert request.is_complete
    assert (request.head, request.body.read()) == (HEAD + head, b"hello")
    assert not request.has_surplus


@pytest.mark.parametrize("piece", [1, 1000])
def test_a_request_without_a_body_ends_with_its_head(piece: int) -> None:
    """Nothing more is waited for."""
    request = _fed(HEAD + b"\r\n", piece)
    assert request.is_complete
    assert request.body.read() == b""


@pytest.mark.parametrize(
    "data",
    [
        b"",
        HEAD,
        HEAD + b"Content-Length: 5\r\n\r\nhell",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ],
)
def test_waits_for_what_is_missing(data: bytes) -> None:
    """Part of a head or of a body is not a request yet."""
    request = _fed(data, 1000)
    assert not request.is_complete
    assert request.size > 0 or not data


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nX-Host: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nhost : y\r\n\r\n",
        b"GET / HTTP/1.0\r\nHost: x\r\nHost: x\r\n\r\n",
    ],
)
def test_a_request_names_one_host(head: bytes) -> None:
    """What is for no host, or for two, may be taken for another's by the next one on its way."""
    with pytest.raises(MalformedError, match="must have one Host"):
        _fed(head, 1000)


def test_an_older_request_needs_no_host() -> None:
    """HTTP/1.0 did not know the header."""
    assert _fed(b"GET / HTTP/1.0\r\n\r\n", 1000).is_complete


def test_what_follows_a_request_is_noticed() -> None:
    """A second request sent before the first was answered is surplus."""
    assert _fed(HEAD + b"\r\n" + HEAD, 1000).has_surplus


@pytest.mark.parametrize(
    ("head", "wire"),
    [
        (b"Content-Length: 1001\r\n\r\n", b"x"),
        (b"Transfer-Encoding: chunked\r\n\r\n", b"3e9\r\nx"),
        (b"Transfer-Encoding: chunked\r\n\r\n", b"1f4\r\n" + 500 * b"x" + b"\r\n1f5\r\n"),
    ],
)
def test_a_body_that_is_too_large_is_not_received(head: bytes, wire: bytes) -> None:
    """The request is complete, without its body, before it was sent."""
    request = _fed(HEAD + head + wire, 1)
    assert request.is_oversized
    assert request.is_complete
    assert request.body_size <= 1000


def test_a_client_that_waits_to_be_told_is_noticed() -> None:
    """100-continue is ours to answer, so the header goes no further."""
    request = _fed(HEAD + b"Expect: 100-Continue\r\nContent-Length: 1\r\n\r\n", 1000)
    assert request.expects_continue
    assert request.head == HEAD + b"Content-Length: 1\r\n\r\n"


@pytest.mark.parametrize(
    "rest",
    [
        b"Content-Length: 1\r\nContent-Length: 1\r\n\r\n",
        b"Content-Length: -1\r\n\r\n",
        b"Content-Length: 1, 1\r\n\r\n",
        b"Content-Length: \r\n\r\n",
        b"Content-Length: 99999999999999999999\r\n\r\n",
        b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nz\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n-1\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n1\r\nxx\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n" + 2000 * b"1",
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + 2000 * b"x:y\r\n",
    ],
)
def test_refuses_a_body_whose_end_is_in_doubt(rest: bytes) -> None:
    """Two readings of one message are how requests are smuggled past a proxy."""
    with pytest.raises(MalformedError):
        _fed(HEAD + rest, 1000)


def test_chunks_may_be_small_but_not_tiny() -> None:
    """A few may be of any size; many of a byte each would keep the thread that receives from all others."""
    head = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    few = _fed(head + 999 * b"1\r\nx\r\n" + b"0\r\n\r\n", 1000)
    assert few.is_complete
    assert few.body_size == 999
    small = b"80\r\n" + 128 * b"x" + b"\r\n"
    many = _fed(head + 5000 * small + b"0\r\n\r\n", 100_000, max_body=1_000_000)
    assert many.is_complete
    with pytest.raises(MalformedError, match="128 bytes"):
        _fed(head + 1100 * b"1\r\nx\r\n", 1000, max_body=1_000_000)


def test_refuses_a_head_without_end() -> None:
    """A head is kept in memory, so it is limited."""
    with pytest.raises(OversizedHeadError, match=str(MAX_HEAD_BYTES)):
        _fed(HEAD + MAX_HEAD_BYTES * b"x", 1000)


def test_a_whole_body_is_read_without_a_copy() -> None:
    """Two reads of it give the very same bytes: what was received is held once."""
    request = _fed(HEAD + b"Content-Length: 900000\r\n\r\n" + 900_000 * b"x", 70_000, max_body=10**6)
    first = request.body.read()
    request.body.seek(0)
    assert request.body.read() is first


def test_a_large_body_is_received_into_a_file_where_there_is_one(tmp_path: Path) -> None:
    """A small one stays in memory; both are whole, in chunks too."""
    files: list[IO[bytes]] = []

    def open_file() -> IO[bytes]:
        files.append((tmp_path / "body").open("w+b"))
        return files[-1]

    limit = 2 * IN_MEMORY + 10
    for size, in_file in ((IN_MEMORY, False), (IN_MEMORY + 1, True)):
        for head, wire in (
            (f"Content-Length: {size}\r\n\r\n", size * b"x"),
            (
                "Transfer-Encoding: chunked\r\n\r\n",
                b"5\r\nxxxxx\r\n%x\r\n%b\r\n0\r\n\r\n" % (size - 5, (size - 5) * b"x"),
            ),
        ):
            request = RequestReader(limit, open_file)
            request.feed(HEAD + head.encode() + wire)
            assert request.is_complete
            assert request.body.read() == size * b"x"
            assert (request.body in files) is in_file
            request.discard()
            assert request.body.closed


def test_how_large_a_body_may_be_depends_on_its_head() -> None:
    """A front knows which routes take large bodies."""
    limits = {b"POST /large ": 100, b"POST /small ": 10}
    for begin, limit in limits.items():
        request = RequestReader(
            lambda head: next(size for line, size in limits.items() if head.startswith(line))
        )
        request.feed(begin + b"HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n")
        assert request.is_oversized is (limit < 50)


def test_a_request_may_be_refused_at_its_head() -> None:
    """Before any of its body is kept."""

    def refuse(_head: bytes) -> int:
        raise BusyError("The queue is full.")

    request = RequestReader(refuse)
    request.feed(HEAD)
    with pytest.raises(BusyError):
        request.feed(b"Content-Length: 5\r\n\r\nhello")
    assert request.body_size == 0
