"""nimakit.serving.connection: a socket that never makes anybody wait."""

import socket
import time
from collections.abc import Iterator

import pytest

from nimakit.serving.connection import Connection, State
from nimakit.serving.incoming import Incoming


@pytest.fixture
def pair() -> Iterator[tuple[Connection, socket.socket]]:
    """A connection over TCP, and its client's end."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as far,
    ):
        near, address = listener.accept()
        with near:
            yield Connection(near, address, Incoming(100), 5.0), far


def test_it_begins_with_receiving(pair: tuple[Connection, socket.socket]) -> None:
    """And has as long for it as was said."""
    connection, _ = pair
    assert connection.state is State.RECEIVING
    assert 4 < connection.deadline - time.monotonic() <= 5


def test_what_has_come_is_taken_without_waiting(pair: tuple[Connection, socket.socket]) -> None:
    """Nothing, something, and the end are three things."""
    connection, far = pair
    assert connection.receive() is None
    far.sendall(b"some")
    time.sleep(0.05)
    assert connection.receive() == b"some"
    far.shutdown(socket.SHUT_WR)
    time.sleep(0.05)
    assert connection.receive() == b""


def test_an_answer_goes_out_as_fast_as_it_is_read(pair: tuple[Connection, socket.socket]) -> None:
    """What the socket does not take is kept, in order, for the next time."""
    connection, far = pair
    data = bytes(range(256)) * 50_000
    connection.sendall(data[:1000])
    connection.sendall(data[1000:])
    assert not connection.flush()
    received = bytearray()
    while not connection.flush():
        received += far.recv(100_000)
    while len(received) < len(data):
        received += far.recv(100_000)
    assert received == data


def test_a_client_that_is_gone_is_noticed(pair: tuple[Connection, socket.socket]) -> None:
    """Receiving gives the end, sending fails."""
    connection, far = pair
    far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    far.close()
    time.sleep(0.05)
    assert connection.receive() == b""
    connection.sendall(b"answer")
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        connection.flush()
