"""Trusted proxies: their X-Forwarded headers are used, those from other addresses are dropped."""

import ipaddress
import re
import threading
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from werkzeug.http import parse_list_header

from nimakit.errors import ConfigError
from nimakit.progress import say

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_WITH_PORT = re.compile(r"([0-9.]+):[0-9]+|\[([^]]+)\](?::[0-9]+)?")
_HEADERS = ("HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_HOST")
_MAX_REPORTED = 100
"""Addresses reported when their headers are dropped, once each: anyone may send such headers."""


def parse_proxies(texts: Iterable[str], shown: str) -> tuple[Network, ...]:
    """Parse networks of proxies: "10.0.0.7" or "172.16.0.0/12".

    Raises:
        ConfigError: A text is neither.
    """
    networks: list[Network] = []
    for text in texts:
        try:
            networks.append(ipaddress.ip_network(text.strip()))
        except ValueError as error:
            raise ConfigError(
                f"{shown}: a trusted proxy must be an address or a network such as 172.16.0.0/12."
                f" Received: {text}"
            ) from error
    return tuple(networks)


def _parse_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address in "192.0.2.7", "192.0.2.7:5678", "2001:db8::7" or "[2001:db8::7]:5678", or None.

    >>> _parse_address("[2001:db8::7]:5678")
    IPv6Address('2001:db8::7')
    """
    with_port = _WITH_PORT.fullmatch(text)
    try:
        return ipaddress.ip_address(text if with_port is None else with_port[1] or with_port[2])
    except ValueError:
        return None


class TrustedProxies:
    """WSGI middleware that replaces a trusted proxy's address by its client's.

    The client is the last address of ``X-Forwarded-For`` that is not a trusted proxy, without a port; an
    entry that is not an address ends the search. Headers from other addresses are dropped because anyone may
    send them, and a line on stderr reports each of the first 100 such addresses.

    Args:
        app: The application.
        networks: Networks of the proxies.
        setting: Name of the setting for these networks, for the report.
        names_site: Whether scheme and host come from the proxy, too.
    """

    def __init__(
        self, app: "WSGIApplication", networks: Sequence[Network], setting: str, *, names_site: bool = False
    ) -> None:
        self._app = app
        self._networks = networks
        self._setting = setting
        self._names_site = names_site
        self._reported: set[str] = set()
        self._lock = threading.Lock()

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer a request as if the client had sent it directly."""
        chain, schemes, hosts = (parse_list_header(environ.pop(name, "")) for name in _HEADERS)
        if self._trusts(environ.get("REMOTE_ADDR", "")):
            while chain and self._trusts(environ["REMOTE_ADDR"]) and (client := _parse_address(chain.pop())):
                environ["REMOTE_ADDR"] = str(client)
            if self._names_site and schemes:
                environ["wsgi.url_scheme"] = schemes[-1]
            if self._names_site and hosts:
                environ["HTTP_HOST"] = hosts[-1]
        elif chain or schemes or hosts:
            self._report(environ.get("REMOTE_ADDR", ""))
        return self._app(environ, start_response)

    def _report(self, address: str) -> None:
        with self._lock:
            if address in self._reported or len(self._reported) == _MAX_REPORTED:
                return
            self._reported.add(address)
        say(
            f"X-Forwarded headers from {address} are ignored because it is not a trusted proxy. If it is your"
            f" proxy, add its address to {self._setting}"
        )

    def _trusts(self, address: str) -> bool:
        found = _parse_address(address)
        mapped = getattr(found, "ipv4_mapped", None)
        return found is not None and any((mapped or found) in network for network in self._networks)
