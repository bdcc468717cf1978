"""The app as the worker sees it that receives requests for it."""

import tempfile
from collections.abc import Callable
from typing import IO, Any, TypeVar, cast

from flask import Flask
from werkzeug.exceptions import HTTPException

from nimakit.serving.http.front import Limits

View = TypeVar("View", bound=Callable[..., Any])

_THREADS = 16
_BUFFERED = 272 << 20
"""Bytes of all requests and answers: one large table to import, and what else is on its way."""

_FIRST_LINE = 4096


def takes_bodies(largest: int) -> Callable[[View], View]:
    """A view whose requests may have bodies of so many bytes, more than those of others.

    That much is received of anybody; who may send it is for the app to say, before it reads it.
    """

    def mark(view: View) -> View:
        view.largest_body = largest  # type: ignore[attr-defined]
        return view

    return mark


class Front:
    """What the worker may hold for the app, and for which routes.

    Args:
        app: The app; a view that takes larger bodies than `MAX_CONTENT_LENGTH` says so by `takes_bodies`.

    Attributes:
        limits: What may be held and waited for.
        probes: The paths of health probes.
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
            body_timeout_s=300.0,  # a large table comes over a slow line
            keepalive_timeout_s=75.0,  # a rater looks at a picture for a while, and then asks again
        )

    def open_file(self) -> IO[bytes]:
        """Where a large body is received."""
        return cast("IO[bytes]", tempfile.TemporaryFile())

    def max_body(self, head: bytes) -> int:
        """Largest body of a request, in bytes: most routes take little."""
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
        """Requests that are refused this early are not counted."""

    def drain(self) -> None:
        """Nothing asks whether the app is ready."""

    def close(self) -> None:
        """The work in the background ends with the process."""
