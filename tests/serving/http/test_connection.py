"""nimakit.serving.http.connection: non-blocking client sockets and their states."""

import socket
import time
from collections.abc import Iterator

import pytest

from nimakit.serving.http.connection import Connection, Connections, State
from nimakit.serving.http.request_reader import RequestReader


@pytest.fixture
def pair() -> Iterator[tuple[Connection, socket.socket]]:
    """A connection over TCP, and its client's end."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as far,
    ):
        near, address = listener.accept()
        with near:
            yield Connection(near, address, RequestReader(100), 5.0), far


def test_a_connection_begins_as_new(pair: tuple[Connection, socket.socket]) -> None:
    """With a deadline for the head of its first request."""
    connection, _ = pair
    assert connection.state is State.NEW
    assert 4 < connection.deadline - time.monotonic() <= 5


def test_receiving_never_blocks(pair: tuple[Connection, socket.socket]) -> None:
    """No bytes, some bytes and the end are told apart."""
    connection, far = pair
    assert connection.receive() is None
    far.sendall(b"some")
    time.sleep(0.05)
    assert connection.receive() == b"some"
    far.shutdown(socket.SHUT_WR)
    time.sleep(0.05)
    assert connection.receive() == b""


def test_a_response_is_sent_as_fast_as_it_is_read(pair: tuple[Connection, socket.socket]) -> None:
    """Bytes that the socket does not take stay buffered, in order."""
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


def test_a_closed_connection_is_noticed(pair: tuple[Connection, socket.socket]) -> None:
    """Receiving gives the end, sending fails."""
    connection, far = pair
    far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    far.close()
    time.sleep(0.05)
    assert connection.receive() == b""
    connection.sendall(b"answer")
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        connection.flush()


def _unconnected() -> Connection:
    sock = socket.socket()
    return Connection(sock, None, RequestReader(100), 5.0)


@pytest.fixture
def five() -> Iterator[tuple[Connections, list[Connection]]]:
    """Five connections that were opened one after the other."""
    connections, opened = Connections(), [_unconnected() for _ in range(5)]
    for connection in opened:
        connections.add(connection)
    yield connections, opened
    for connection in opened:
        connection.close()


def test_the_oldest_of_the_first_state_with_any_is_found(
    five: tuple[Connections, list[Connection]],
) -> None:
    """States are searched in order; within one, the connection that entered it first."""
    connections, opened = five
    order = (State.LINGERING, State.NEW, State.RECEIVING)
    assert connections.oldest(*order) is opened[0]
    for number in (1, 0, 2, 3, 4):
        connections.enter(opened[number], State.RECEIVING, 5.0)
    assert connections.oldest(*order) is opened[1]
    connections.enter(opened[1], State.RECEIVING, 5.0)
    assert connections.oldest(*order) is opened[0]
    connections.enter(opened[4], State.LINGERING, 5.0)
    assert connections.oldest(*order) is opened[4]
    assert connections.oldest(State.SENDING) is None


def test_a_connection_is_in_one_state(five: tuple[Connections, list[Connection]]) -> None:
    """It is counted in its current state; once discarded, in none."""
    connections, opened = five
    connections.enter(opened[0], State.ANSWERING, 5.0)
    assert (connections.count(State.NEW), connections.count(State.ANSWERING), len(connections)) == (
        4,
        1,
        5,
    )
    connections.discard(opened[0])
    assert (len(connections), opened[0] in connections, opened[1] in connections) == (4, False, True)


def test_expired_connections_are_past_their_deadline(five: tuple[Connections, list[Connection]]) -> None:
    """In any state."""
    connections, opened = five
    connections.enter(opened[3], State.SENDING, -1.0)
    connections.enter(opened[1], State.IDLE, -1.0)
    assert {id(one) for one in connections.expired()} == {id(opened[3]), id(opened[1])}


def test_finding_the_oldest_takes_constant_time(five: tuple[Connections, list[Connection]]) -> None:
    """It looks at one connection, however many there are."""
    connections, opened = five

    class Counted(Connection):
        looked = 0

        def __getattribute__(self, name: str) -> object:
            Counted.looked += 1
            return super().__getattribute__(name)

    for connection in opened:
        connection.__class__ = Counted
    connections.oldest(State.LINGERING, State.NEW)
    assert Counted.looked <= 2
