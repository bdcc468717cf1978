"""Addresses of pages that are opened on other devices."""

from typing import Any
from urllib.parse import urlsplit

from flask import request, url_for

from nimakit.io.sockets import is_local_address
from nimakit.web.services import services


def link(endpoint: str, **values: Any) -> str:
    """The address of a page as other devices open it.

    A browser on the app's own machine may have it at 127.0.0.1, which leads other devices to themselves.

    Args:
        endpoint: The page.
        values: The parts of its address.
    """
    settings = services().settings
    here = urlsplit(request.host_url)
    if not is_local_address(request.host) or settings.is_local or settings.url is not None:
        return url_for(endpoint, _external=True, **values)
    return settings.address(here.port or 80).rstrip("/") + url_for(endpoint, **values)


def leads_elsewhere(address: str) -> bool:
    """Whether another device can open the address, as far as can be seen from it."""
    return not is_local_address(urlsplit(address).netloc)
