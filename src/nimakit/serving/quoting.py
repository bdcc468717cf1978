"""A Flask request class that accepts query strings with bytes that are not percent-encoded."""

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from flask import Request

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_ASCII = "".join(map(chr, range(128)))


class QuotedRequest(Request):
    """A request that percent-encodes the non-ASCII bytes of its query; Werkzeug fails on invalid UTF-8."""

    def __init__(self, environ: "WSGIEnvironment", *args: Any, **options: Any) -> None:
        environ["QUERY_STRING"] = quote(environ.get("QUERY_STRING", ""), safe=_ASCII, encoding="latin-1")
        super().__init__(environ, *args, **options)
