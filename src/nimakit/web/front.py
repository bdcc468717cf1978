"""The rating app's limits on incoming requests, which the HTTP worker enforces."""

import tempfile
from collections.abc import Callable
from typing import IO, Any, TypeVar, cast

from flask import Flask
from werkzeug.exceptions import HTTPException

from nimakit.serving.http.front import Limits

View = TypeVar("View", bound=Callable[..., Any])

_THREADS = 16
_BUFFERED = 272 << 20
"""Most bytes of all requests and answers: one large import, and smaller ones at the same time."""

_FIRST_LINE = 4096


def body_limit(largest: int) -> Callable[[View], View]:
    """Decorator that sets the largest body of a view's requests, in bytes.

    The worker receives that much from anyone; the app checks the sender before it reads the body.
    """

    def mark(view: View) -> View:
        view.largest_body = largest  # type: ignore[attr-defined]
        return view

    return mark


class Front:
    """The app's side of the worker: its limits, and the largest body of each route.

    Args:
        app: The app; views with bodies larger than `MAX_CONTENT_LENGTH` are decorated with `body_limit`.

    Attributes:
        limits: Limits of connections, buffers and times.
        probes: Paths of health probes.
    """

    probes = frozenset({b"/health"})

    def __init__(self, app: Flask) -> None:
        self._app = app
        self.limits = Limits(
            threads=_THREADS,
            max_waiting=256,  # browsers ask for many pictures at once
            max_connections=1000,
            max_buffered_bytes=_BUFFERED,
            header_timeout_s=10.0,
            body_timeout_s=300.0,  # for a large import over a slow line
            keepalive_timeout_s=75.0,  # raters look at a picture for a while between requests
        )

    def open_file(self) -> IO[bytes]:
        """A temporary file for a large body."""
        return cast("IO[bytes]", tempfile.TemporaryFile())

    def max_body(self, head: bytes) -> int:
        """Largest body of a request, in bytes, from its first line."""
        method, _, rest = head[:_FIRST_LINE].decode("latin-1").partition(" ")
        path = rest.partition(" ")[0].partition("?")[0]
        try:
            endpoint, _ = self._app.url_map.bind("").match(path, method)
        except HTTPException:
            endpoint = ""
        view = self._app.view_functions.get(endpoint)
        default: int = self._app.config["MAX_CONTENT_LENGTH"]
        return getattr(view, "largest_body", default)

    def note_refusal(self, status: int, reason: str) -> None:
        """Do nothing: refused requests are not counted."""

    def drain(self) -> None:
        """Do nothing: the app has no readiness probe."""

    def close(self) -> None:
        """Do nothing: background work ends with the process."""
