"""Proxies that are known by address: what they say of a client is believed, what others say is not."""

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

_WITH_PORT = re.compile(r"([0-9.]+):[0-9]+|\[([^]]+)\](?::[0-9]+)?")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_FOR, _PROTO, _HOST = "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_HOST"


_REMEMBERED = 100
"""Addresses that get a line each when their headers are dropped: anyone may send such headers."""


def parse_proxies(texts: Iterable[str], shown: str) -> tuple[Network, ...]:
    """Networks of proxies: "10.0.0.7" or "172.16.0.0/12".

    Raises:
        ConfigError: Something else.
    """
    networks: list[Network] = []
    for text in texts:
        try:
            networks.append(ipaddress.ip_network(text.strip()))
        except ValueError as error:
            raise ConfigError(
                f"{shown}: a trusted proxy is an address or a network as in 172.16.0.0/12. Received: {text}"
            ) from error
    return tuple(networks)


def _address(text: str) -> str | None:
    """The address of "192.0.2.7", "192.0.2.7:5678", "2001:db8::7" or "[2001:db8::7]:5678"; None of others.

    >>> _address("[2001:db8::7]:5678")
    '2001:db8::7'
    """
    with_port = _WITH_PORT.fullmatch(text)
    address = text if with_port is None else with_port[1] or with_port[2]
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return None
    return address


class TrustedProxies:
    """A WSGI application behind proxies.

    The client is the last address of ``X-Forwarded-For`` that is no trusted proxy, without the port that some
    proxies add; what is no address ends the search at the last one before it. From other addresses
    the headers are dropped, because anyone may send them, and a line on stderr names the address, once each
    for the first 100.

    Args:
        app: The application.
        networks: Where the proxies are.
        setting: What sets these networks, to be named where headers are dropped.
        names_site: Whether scheme and host come from the proxy as well.
    """

    def __init__(
        self, app: "WSGIApplication", networks: Sequence[Network], setting: str, *, names_site: bool = False
    ) -> None:
        self._app = app
        self._networks = networks
        self._setting = setting
        self._names_site = names_site
        self._dropped: set[str] = set()
        self._lock = threading.Lock()

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer a request as if its client had come without a proxy."""
        chain = parse_list_header(environ.pop(_FOR, ""))
        schemes, hosts = (parse_list_header(environ.pop(name, "")) for name in (_PROTO, _HOST))
        if self._trusts(environ.get("REMOTE_ADDR", "")):
            while chain and self._trusts(environ["REMOTE_ADDR"]) and (client := _address(chain.pop())):
                environ["REMOTE_ADDR"] = client
            if self._names_site and schemes:
                environ["wsgi.url_scheme"] = schemes[-1]
            if self._names_site and hosts:
                environ["HTTP_HOST"] = hosts[-1]
        elif chain or schemes or hosts:
            self._say_dropped(environ.get("REMOTE_ADDR", ""))
        return self._app(environ, start_response)

    def _say_dropped(self, address: str) -> None:
        with self._lock:
            if address in self._dropped or len(self._dropped) == _REMEMBERED:
                return
            self._dropped.add(address)
        say(
            f"X-Forwarded headers from {address} are ignored because it is not a trusted proxy. If it is your"
            f" proxy, add its address to {self._setting}"
        )

    def _trusts(self, address: str) -> bool:
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        mapped = getattr(found, "ipv4_mapped", None)
        return any((mapped or found) in network for network in self._networks)
