"""Links to pages of the app that work on other devices."""

from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import segno
from flask import request, url_for
from markupsafe import Markup

from nimakit.io.sockets import is_local_address
from nimakit.web.services import services

_MAX_CODES = 256


def link(endpoint: str, **values: Any) -> str:
    """The address of a page for other devices.

    It begins with --url if that is given, and otherwise with the host of the request, unless that is
    127.0.0.1, which other devices cannot use: then with this machine's address in its network.

    Args:
        endpoint: Name of the page's route.
        values: Values for the variable parts of its address.
    """
    settings = services().settings
    here = urlsplit(request.host_url)
    if settings.url is None and (settings.is_local or not is_local_address(request.host)):
        return url_for(endpoint, _external=True, **values)
    return settings.address(here.port or 80).rstrip("/") + url_for(endpoint, **values)


def with_query(address: str) -> str:
    """An address with the query of the request, such as the ids that a platform adds to a link."""
    query = request.query_string.decode("ascii", "ignore")
    return f"{address}?{query}" if query else address


def leads_elsewhere(address: str) -> bool:
    """Whether other devices can open the address, judging only by its host."""
    return not is_local_address(urlsplit(address).netloc)


@lru_cache(_MAX_CODES)
def qr_code(address: str) -> Markup:
    """An address as a QR code: an SVG for a page, dark on white in both colour themes."""
    drawn = segno.make_qr(address, error="m").svg_inline(scale=4, border=4, light="#fff", omitsize=True)
    return Markup(drawn)  # noqa: S704 - drawn by segno, which encodes the address as squares
