"""A client's connection: what has come of its request, and what is still to be sent of its answer."""

import socket
import time
from enum import Enum, auto
from typing import Any

from nimakit.serving.incoming import Incoming

_PIECE = 262_144


class State(Enum):
    """What a connection is at, the first of them the least to be missed."""

    LINGERING = auto()  # until its client has read the answer
    IDLE = auto()
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
        since: When it came to that, by `time.monotonic`.
        deadline: When it will have been at that for too long.
        stays_open: Whether it takes another request after this one.
    """

    def __init__(self, sock: socket.socket, address: Any, incoming: Incoming, seconds: float) -> None:
        sock.settimeout(0)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self.address = address
        self.incoming = incoming
        self.stays_open = False
        self._unsent = bytearray()
        self.enter(State.RECEIVING, seconds)

    def enter(self, state: State, seconds: float) -> None:
        """Come to something else, for so many seconds at the most."""
        self.state = state
        self.since = time.monotonic()
        self.deadline = self.since + seconds

    def receive(self) -> bytes | None:
        """What has come: empty once the client has gone, None where nothing has."""
        try:
            return self.sock.recv(_PIECE)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def sendall(self, data: bytes) -> None:
        """Keep data to be sent; the name by which gunicorn's response calls it."""
        self._unsent += data

    def flush(self) -> bool:
        """Send what the socket takes; whether nothing is left.

        Raises:
            OSError: The client has gone.
        """
        try:
            del self._unsent[: self.sock.send(self._unsent)]
        except BlockingIOError:
            return False
        return not self._unsent
