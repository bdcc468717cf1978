"""Client connections: the request received so far, the response still to send, and the connection's state."""

import contextlib
import socket
import time
from collections import OrderedDict
from collections.abc import Generator, Iterator
from enum import Enum, auto
from typing import Any

from nimakit.serving.http.request_reader import RequestReader

_SMALL = 131_072
"""Buffered bytes of a connection with a small body."""
_RECEIVED_AT_ONCE = 262_144
_DISCARDED = bytearray(_RECEIVED_AT_ONCE)


class State(Enum):
    """Connection states, cheapest to drop first."""

    LINGERING = auto()  # refused; closed once the client has read the response
    NEW = auto()  # nothing received yet
    IDLE = auto()  # between two requests
    RECEIVING = auto()
    SENDING = auto()
    ANSWERING = auto()


class Connection:
    """A non-blocking client socket.

    Args:
        sock: The client's socket.
        address: The client's address.
        request: Reads the next request.
        seconds: Seconds the client has to send the head of its first request.

    Attributes:
        state: Its state.
        deadline: When it must have left this state, by `time.monotonic`.
        began: When the current request's first bytes were received, by `time.monotonic`.
        counted: Its `size` when it was last added to the worker's total.
        response: Generator that produces the rest of the response; None when the response is complete.
        stays_open: Whether it takes another request after this one.
    """

    def __init__(self, sock: socket.socket, address: Any, request: RequestReader, seconds: float) -> None:
        sock.settimeout(0)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self.address = address
        self.request = request
        self.began = 0.0
        self.counted = 0
        self.response: Generator[None, None, bool] | None = None
        self.stays_open = False
        self._unsent = bytearray()
        self.enter(State.NEW, seconds)

    def enter(self, state: State, seconds: float) -> None:
        """Change to a state that may last so many seconds."""
        self.state = state
        self.deadline = time.monotonic() + seconds

    @property
    def unsent(self) -> int:
        """Bytes of the response that wait to be sent."""
        return len(self._unsent)

    @property
    def size(self) -> int:
        """Bytes buffered for this connection."""
        return self.request.size + self.unsent

    @property
    def is_bulk(self) -> bool:
        """Whether the client sends a large body, or one that is discarded."""
        return self.state is State.LINGERING or self.size > _SMALL

    def receive(self) -> bytes | None:
        """Received bytes: empty after the client has closed, None if there are none, or it is lingering."""
        try:
            if self.state is State.LINGERING:  # discarded without a copy
                return None if self.sock.recv_into(_DISCARDED, 0, socket.MSG_TRUNC) else b""
            return self.sock.recv(_RECEIVED_AT_ONCE if self.is_bulk else _SMALL // 2)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def sendall(self, data: bytes) -> None:
        """Queue data to be sent; gunicorn's response calls it by this name."""
        self._unsent += data

    def flush(self) -> bool:
        """Send as much as the socket takes, and return whether everything is sent.

        Raises:
            OSError: The client has gone.
        """
        if self._unsent:
            with contextlib.suppress(BlockingIOError):
                del self._unsent[: self.sock.send(self._unsent)]
        return not self._unsent

    def close(self) -> None:
        """Close the socket and free the buffers."""
        self.sock.close()
        self.request.discard()
        if self.response is not None:
            self.response.close()


class Connections:
    """All open connections, by state, in the order in which they entered it."""

    def __init__(self) -> None:
        self._by_state: dict[State, OrderedDict[Connection, None]] = {state: OrderedDict() for state in State}

    def __len__(self) -> int:
        return sum(map(len, self._by_state.values()))

    def __iter__(self) -> Iterator[Connection]:
        return (connection for connections in self._by_state.values() for connection in connections)

    def __contains__(self, connection: Connection) -> bool:
        return connection in self._by_state[connection.state]

    def add(self, connection: Connection) -> None:
        """Add a connection, last of its state."""
        self._by_state[connection.state][connection] = None

    def enter(self, connection: Connection, state: State, seconds: float) -> None:
        """Move a connection to a state that may last so many seconds."""
        self.discard(connection)
        connection.enter(state, seconds)
        self.add(connection)

    def discard(self, connection: Connection) -> None:
        """Remove a connection."""
        self._by_state[connection.state].pop(connection, None)

    def count(self, state: State) -> int:
        """Number of connections in a state."""
        return len(self._by_state[state])

    def oldest(self, *states: State) -> Connection | None:
        """Connection that has been longest in the first of these states that has any."""
        return next((next(iter(found)) for state in states if (found := self._by_state[state])), None)

    def expired(self) -> list[Connection]:
        """Connections past their deadline."""
        now = time.monotonic()
        return [connection for connection in self if connection.deadline < now]
