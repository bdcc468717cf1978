"""Every error as problem JSON (RFC 9457), and never more in it than the client is to know."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, current_app, g, request
from werkzeug.exceptions import HTTPException

from nimakit.errors import BusyError, ImageUnreadError, NimakitError, machine_fault

CONTENT_TYPE = "application/problem+json"
RETRY_AFTER_S = 1
"""What a refused client is told: queues are short, and empty within seconds."""


_STRAINED = (
    "The server is short of memory, of files, or of its disk. Try again later; its log has the reason."
)


def problem(status: int, detail: str, **members: Any) -> dict[str, Any]:
    """The members of a problem.

    Args:
        status: HTTP status.
        detail: What is wrong with this request.
        members: More of them, of our own.
    """
    title = HTTPStatus(status).phrase
    return {"type": "about:blank", "title": title, "status": status, "detail": detail, **members}


def answer(status: int, detail: str, headers: Mapping[str, str] | None = None, **members: Any) -> Response:
    """A problem as a response; under /v2 with the member ``error`` that inference clients look for."""
    if request.path.startswith("/v2"):
        members["error"] = detail
    body = json.dumps(problem(status, detail, **members))
    return Response(body, status, dict(headers or {}), content_type=CONTENT_TYPE)


def plain_answer(status: int, detail: str) -> bytes:
    """A whole HTTP response that ends its connection, for what no application gets to see."""
    body = json.dumps(problem(status, detail)).encode()
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        f"Content-Type: {CONTENT_TYPE}",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
        *([f"Retry-After: {RETRY_AFTER_S}"] if status == HTTPStatus.SERVICE_UNAVAILABLE else []),
    )
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def install(app: Flask) -> None:
    """Have an application answer every error with a problem."""
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(NimakitError, _own_error)
    app.register_error_handler(Exception, _unexpected)


def _http_error(error: HTTPException) -> Response:
    response = answer(error.code or 500, error.description or "")
    for name, value in error.get_headers():
        if name.lower() != "content-type":
            response.headers[name] = value
    return response


def _own_error(error: NimakitError) -> Response:
    if isinstance(error, BusyError):
        return answer(error.http_status, str(error), {"Retry-After": str(RETRY_AFTER_S)})
    if error.http_status >= 500:
        return _unexpected(error)
    return answer(error.http_status, str(error))


def _unexpected(error: Exception) -> Response:
    current_app.logger.error("request %s failed", g.request_id, exc_info=error)
    if isinstance(error, ImageUnreadError) or machine_fault(error):
        return answer(503, _STRAINED, {"Retry-After": str(RETRY_AFTER_S)})
    return answer(500, f"The server failed at this request; its log has more under {g.request_id}.")
