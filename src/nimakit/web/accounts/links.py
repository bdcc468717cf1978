"""Links to pages of the app that work on other devices."""

from typing import Any
from urllib.parse import urlsplit

from flask import request, url_for

from nimakit.io.sockets import is_local_address
from nimakit.web.services import services


def link(endpoint: str, **values: Any) -> str:
    """The address of a page for other devices.

    The request itself may have come to 127.0.0.1, which other devices cannot use.

    Args:
        endpoint: Name of the page's route.
        values: Values for the variable parts of its address.
    """
    settings = services().settings
    here = urlsplit(request.host_url)
    if not is_local_address(request.host) or settings.is_local or settings.url is not None:
        return url_for(endpoint, _external=True, **values)
    return settings.address(here.port or 80).rstrip("/") + url_for(endpoint, **values)


def with_query(address: str) -> str:
    """An address with the query of the request, such as the ids that a platform adds to a link."""
    query = request.query_string.decode("ascii", "ignore")
    return f"{address}?{query}" if query else address


def leads_elsewhere(address: str) -> bool:
    """Whether other devices can open the address, judging only by its host."""
    return not is_local_address(urlsplit(address).netloc)
