"""What the worker has to know of the application it receives requests for."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Protocol

FRONT = "nimakit.front"
"""Where an application keeps its `Front`, among its extensions."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What a worker may hold and wait for.

    Attributes:
        threads: Requests that are answered at the same time.
        max_waiting: Whole requests that may wait for a thread; more are refused with 503.
        max_connections: Open connections.
        max_buffered_bytes: Bytes of all requests and answers that are held at the same time.
        header_timeout_s: Seconds a client may take to send the head of a request.
        body_timeout_s: Seconds a client may take to send the body, and to read a piece of the answer.
        keepalive_timeout_s: Seconds an idle connection is kept open.
    """

    threads: int
    max_waiting: int = 0
    max_connections: int
    max_buffered_bytes: int
    header_timeout_s: float
    body_timeout_s: float
    keepalive_timeout_s: float


class Front(Protocol):
    """An application as the worker sees it."""

    limits: Limits
    probes: frozenset[bytes]
    """The paths of health probes: GET requests without a body, answered whatever else is done."""

    open_file: Callable[[], IO[bytes]] | None
    """As for `Incoming`."""

    def max_body(self, head: bytes) -> int:
        """Largest body of a request, in bytes, by its head.

        Raises:
            BusyError: The request would be refused once its body had come.
        """
        ...

    def note_refusal(self, status: int, reason: str) -> None:
        """Count a request that was refused before the application saw it: busy, slow or malformed."""
        ...

    def drain(self) -> None:
        """Be ready no more."""
        ...

    def close(self) -> None:
        """Finish what is in progress, and end."""
        ...
