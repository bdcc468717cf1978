"""Middleware: API keys, rate limits, request ids, security headers and logging around every request."""

import re
import secrets
import time
from http import HTTPMethod

from flask import Flask, Response, g, request
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import RequestEntityTooLarge, Unauthorized, UnsupportedMediaType

from nimakit.serving.http.request_reader import OVERSIZED
from nimakit.serving.keys import find_owner
from nimakit.serving.proxies import TrustedProxies
from nimakit.serving.request_log import write_line
from nimakit.serving.service import current_service
from nimakit.serving.settings import ENVIRONMENT_PREFIX, Settings

OPEN_ENDPOINTS = frozenset({"pages.index", "pages.openapi", "static", "inference.live", "inference.ready"})
"""Endpoints that need no key: they reveal only that the server runs."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
_CORS_HEADERS = {
    "Access-Control-Expose-Headers": "Inference-Header-Content-Length, Retry-After, X-Request-ID",
}
_PREFLIGHT_HEADERS = {
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Inference-Header-Content-Length,"
    " X-Request-ID",
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Max-Age": "600",
}
_METHODS = frozenset(HTTPMethod)
_REASONS = {401: "unauthorised", 429: "rate", 503: "busy"}
"""Status -> reason of a rejection, in the metrics."""

_SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " img-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def install(app: Flask, settings: Settings) -> None:
    """Add API keys, limits, headers and logging to an application."""
    app.wsgi_app = TrustedProxies(  # type: ignore[method-assign]
        app.wsgi_app, settings.trusted_proxies, f"{ENVIRONMENT_PREFIX}TRUSTED_PROXIES"
    )
    app.before_request(_begin)
    app.before_request(_check_key)
    app.before_request(_check_body)
    if settings.rate_limit:
        _limit_rate(app, settings.rate_limit)
    app.after_request(_add_security_headers)
    app.after_request(_allow_origins)
    app.after_request(_record)


def _begin() -> None:
    g.started = time.monotonic()
    given = request.headers.get("X-Request-ID", "")
    g.request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(16)
    g.key = None
    g.log_fields = {}


def _check_key() -> None:
    """Check the key, if the server has keys and the endpoint is not one of `OPEN_ENDPOINTS`."""
    settings = current_service().settings
    is_open = request.endpoint is None or request.endpoint in OPEN_ENDPOINTS or request.method == "OPTIONS"
    if is_open or not settings.api_keys:
        return
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    g.key = find_owner(key.strip(), settings.api_keys) if scheme.lower() == "bearer" else None
    if g.key is None:
        raise Unauthorized(
            "A request must have a valid API key: Authorization: Bearer KEY.",
            www_authenticate=WWWAuthenticate("bearer"),
        )


def _check_body() -> None:
    limit = current_service().settings.max_body_bytes
    if request.environ.get(OVERSIZED) or (request.content_length or 0) > limit:
        raise RequestEntityTooLarge(f"A request body must have at most {limit} bytes.")
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding != "identity":
        raise UnsupportedMediaType("A request body must be sent without a Content-Encoding.")


def _limit_rate(app: Flask, rate: str) -> None:
    from flask_limiter import Limiter

    from nimakit.serving.http.counters import COUNTERS

    limiter = Limiter(
        lambda: g.key or request.remote_addr or "",
        app=app,
        application_limits=[rate],
        headers_enabled=True,
        storage_uri=COUNTERS,
    )
    limiter.request_filter(lambda: request.method != "POST")


def _add_security_headers(response: Response) -> Response:
    response.headers.extend(_SECURITY_HEADERS)
    response.headers["X-Request-ID"] = g.request_id
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def _allow_origins(response: Response) -> Response:
    """Add CORS headers for the configured origins only."""
    allowed = current_service().settings.cors_origins
    origin = request.headers.get("Origin")
    if allowed:
        response.vary.add("Origin")
    if origin in allowed:
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers.extend(_PREFLIGHT_HEADERS if request.method == "OPTIONS" else _CORS_HEADERS)
    return response


def _record(response: Response) -> Response:
    """Count and log the request."""
    seconds = time.monotonic() - g.started
    route = None if request.url_rule is None else request.url_rule.rule
    metrics, label = current_service().metrics, route or "none"
    method = request.method if request.method in _METHODS else "other"
    metrics.requests.labels(label, method, response.status_code).inc()
    metrics.request_seconds.labels(label).observe(seconds)
    if response.status_code in _REASONS:
        metrics.rejected.labels(_REASONS[response.status_code]).inc()
    write_line(
        id=g.request_id,
        method=request.method,
        route=route,
        status=response.status_code,
        total_ms=round(1000 * seconds, 2),
        key=g.key,
        **g.log_fields,
    )
    return response
