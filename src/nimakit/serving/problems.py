"""Error responses as problem JSON (RFC 9457), without internal details."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, current_app, g, request
from werkzeug.exceptions import HTTPException

from nimakit.errors import BusyError, ImageUnreadError, NimakitError, machine_fault

CONTENT_TYPE = "application/problem+json"
RETRY_AFTER_S = 1
"""Seconds after which a refused client may retry: queues are short and empty within seconds."""

_OUT_OF_RESOURCES = (
    "The server is out of memory, open files or disk space. Try again later; its log has the reason."
)
_RETRY = {"Retry-After": str(RETRY_AFTER_S)}


def problem(status: int, detail: str, **members: Any) -> dict[str, Any]:
    """The members of a problem.

    Args:
        status: HTTP status.
        detail: What is wrong with this request.
        members: Extension members.
    """
    title = HTTPStatus(status).phrase
    return {"type": "about:blank", "title": title, "status": status, "detail": detail, **members}


def answer(status: int, detail: str, headers: Mapping[str, str] | None = None, **members: Any) -> Response:
    """A problem as a response; under /v2 with the member ``error`` that inference clients read."""
    if request.path.startswith("/v2"):
        members["error"] = detail
    body = json.dumps(problem(status, detail, **members))
    return Response(body, status, dict(headers or {}), content_type=CONTENT_TYPE)


def plain_answer(status: int, detail: str) -> bytes:
    """A problem as raw HTTP that closes the connection, for requests refused before the application."""
    body = json.dumps(problem(status, detail)).encode()
    headers = {
        "Content-Type": CONTENT_TYPE,
        "Content-Length": len(body),
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Connection": "close",
    } | (_RETRY if status == HTTPStatus.SERVICE_UNAVAILABLE else {})
    lines = (f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{''.join(lines)}\r\n".encode() + body


def install(app: Flask) -> None:
    """Have an application answer every error with a problem."""
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(NimakitError, _nimakit_error)
    app.register_error_handler(Exception, _unexpected)


def _http_error(error: HTTPException) -> Response:
    response = answer(error.code or 500, error.description or "")
    for name, value in error.get_headers():
        if name.lower() != "content-type":
            response.headers[name] = value
    return response


def _nimakit_error(error: NimakitError) -> Response:
    if error.http_status >= 500 and not isinstance(error, BusyError):
        return _unexpected(error)
    return answer(error.http_status, str(error), _RETRY if isinstance(error, BusyError) else None)


def _unexpected(error: Exception) -> Response:
    current_app.logger.error("request %s failed", g.request_id, exc_info=error)
    if isinstance(error, ImageUnreadError) or machine_fault(error):
        return answer(503, _OUT_OF_RESOURCES, _RETRY)
    return answer(500, f"Internal error; the server's log has details under the request's id {g.request_id}.")
