"""What an application tells the HTTP worker: limits, and the answers before a request reaches it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Protocol

FRONT = "nimakit.front"
"""Key of an application's `Front` in its extensions."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Limits of a worker.

    Attributes:
        threads: Requests answered at the same time.
        max_waiting: Complete requests that may wait for a thread; more are refused with 503.
        max_connections: Open connections.
        max_buffered_bytes: Total size of all buffered requests and responses.
        header_timeout_s: Seconds a client may take to send the head of a request.
        body_timeout_s: Seconds a client may take to send the body, and to read a piece of the response.
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
    """What an application provides to the worker."""

    limits: Limits
    probes: frozenset[bytes]
    """Paths of health probes: GET requests without a body, answered by threads of their own."""

    open_file: Callable[[], IO[bytes]] | None
    """Opens a file for a large body; see `RequestReader`."""

    def max_body(self, head: bytes) -> int:
        """Largest allowed body of a request with this head, in bytes.

        Raises:
            BusyError: The request would be refused once its body was received.
        """

    def note_refusal(self, status: int, reason: str) -> None:
        """Record that the worker refused a request; the reason is busy, slow or malformed."""

    def drain(self) -> None:
        """Report not ready from now on."""

    def close(self) -> None:
        """Finish the work in progress and stop."""
