"""A client's connection: what has come of its request, and what is still to be sent of its answer."""

import contextlib
import socket
import time
from collections import OrderedDict
from collections.abc import Generator, Iterator
from enum import Enum, auto
from typing import Any

from nimakit.serving.http.request_reader import Incoming

_PIECE = 262_144
_WASTE = bytearray(_PIECE)


class State(Enum):
    """What a connection is at, the first of them the least to be missed."""

    LINGERING = auto()  # until its client has read the answer
    SILENT = auto()  # nothing has come of it yet
    IDLE = auto()  # it had its answer
    RECEIVING = auto()
    SENDING = auto()
    ANSWERING = auto()


class Connection:
    """A socket that never makes anybody wait.

    Args:
        sock: The client's.
        address: The client's.
        incoming: Where its request goes.
        seconds: How long the head of the request may take to come.

    Attributes:
        sock: The client's.
        address: The client's.
        incoming: The request on its way.
        state: What it is at.
        deadline: When it will have been at that for too long, by `time.monotonic`.
        counted: Bytes that were held for it when they were last counted.
        rest: Makes the rest of its answer, a piece at a time; None where there is none.
        stays_open: Whether it takes another request after this one.
    """

    def __init__(self, sock: socket.socket, address: Any, incoming: Incoming, seconds: float) -> None:
        sock.settimeout(0)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self.address = address
        self.incoming = incoming
        self.counted = 0
        self.rest: Generator[None, None, bool] | None = None
        self.stays_open = False
        self._unsent = bytearray()
        self.enter(State.SILENT, seconds)

    def enter(self, state: State, seconds: float) -> None:
        """Come to something else, for so many seconds at the most."""
        self.state = state
        self.deadline = time.monotonic() + seconds

    @property
    def unsent(self) -> int:
        """Bytes of the answer that wait to be sent."""
        return len(self._unsent)

    @property
    def size(self) -> int:
        """Bytes that are held for it."""
        return self.incoming.size + self.unsent

    def receive(self) -> bytes | None:
        """What has come: empty once the client has gone, None where nothing has."""
        try:
            return self.sock.recv(_PIECE)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def skip(self) -> bool:
        """Throw away what has come; whether the client has gone."""
        try:
            return self.sock.recv_into(_WASTE, 0, socket.MSG_TRUNC) == 0
        except BlockingIOError:
            return False
        except OSError:
            return True

    def sendall(self, data: bytes) -> None:
        """Keep data to be sent; the name by which gunicorn's response calls it."""
        self._unsent += data

    def flush(self) -> bool:
        """Send what the socket takes; whether nothing is left.

        Raises:
            OSError: The client has gone.
        """
        if self._unsent:
            with contextlib.suppress(BlockingIOError):
                del self._unsent[: self.sock.send(self._unsent)]
        return not self._unsent

    def close(self) -> None:
        """Close the socket, and hold nothing any more."""
        self.sock.close()
        self.incoming.discard()
        if self.rest is not None:
            self.rest.close()


class Connections:
    """All that are open, by what they are at; of each state the one that came to it first is first."""

    def __init__(self) -> None:
        self._by_state: dict[State, OrderedDict[Connection, None]] = {state: OrderedDict() for state in State}

    def __len__(self) -> int:
        return sum(map(len, self._by_state.values()))

    def __iter__(self) -> Iterator[Connection]:
        return (connection for held in self._by_state.values() for connection in held)

    def __contains__(self, connection: Connection) -> bool:
        return connection in self._by_state[connection.state]

    def add(self, connection: Connection) -> None:
        """Take one in, last of its state."""
        self._by_state[connection.state][connection] = None

    def enter(self, connection: Connection, state: State, seconds: float) -> None:
        """Have a connection come to something else, for so many seconds at the most."""
        self.discard(connection)
        connection.enter(state, seconds)
        self.add(connection)

    def discard(self, connection: Connection) -> None:
        """Forget one."""
        self._by_state[connection.state].pop(connection, None)

    def count(self, state: State) -> int:
        """How many are at something."""
        return len(self._by_state[state])

    def least(self, *states: State) -> Connection | None:
        """Of the first of these states that has any, the connection that has been at it for longest."""
        return next((next(iter(held)) for state in states if (held := self._by_state[state])), None)

    def late(self) -> list[Connection]:
        """Those whose time is up."""
        now = time.monotonic()
        return [connection for connection in self if connection.deadline < now]
