"""HTTP that reaches public addresses alone: what a list of other people's URLs may be fetched with."""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Iterable
from functools import cache
from typing import Any, TypeAlias

import httpcore
import httpx

Origin: TypeAlias = tuple[str, int]
"""Host and port."""

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
"""How IPv4 addresses are written on networks that have IPv6 alone (RFC 6052)."""
_UNICAST = ipaddress.ip_network("2000::/3")
"""The IPv6 addresses that are given out to the public internet."""
_SPECIAL = tuple(
    map(ipaddress.ip_network, ("192.0.0.0/24", "192.88.99.0/24", "2001::/23", "2002::/16", "3fff::/20"))
)
"""IANA's special purposes that Python calls global, some or all of each, depending on its patch level."""
_DEFAULT_PORTS = {"http": 80, "https": 443}


class RefusedAddressError(Exception):
    """A host that must not be connected to."""


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public internet.

    False for private, loopback, link-local, shared, multicast and reserved ones, also where an IPv6 address
    stands for such an IPv4 one.

    >>> is_public("192.168.1.7"), is_public("::ffff:127.0.0.1"), is_public("1.1.1.1")
    (False, False, True)
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip in _NAT64:
            return is_public(str(ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)))
        if ip.ipv4_mapped:
            return is_public(str(ip.ipv4_mapped))
        if ip not in _UNICAST:
            return False
    if any(ip in network for network in _SPECIAL):
        return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def origin(url: httpx.URL) -> Origin:
    """Host and port of a URL, the scheme's usual port where it names none."""
    port = _DEFAULT_PORTS[url.scheme] if url.port is None else url.port
    return url.raw_host.decode("ascii"), port


def open_pool(trusted: Origin | None = None, *, connections: int) -> httpcore.AsyncConnectionPool:
    """Connections to public addresses.

    A host's addresses are looked up once, all of them checked, and one of them is connected to: a name that
    is looked up a second time with another answer gains nothing. TLS certificates are checked against the
    name. No proxy is used: it would look the name up again.

    Args:
        trusted: A host and port that may have any address.
        connections: Open at once, at most.
    """
    return httpcore.AsyncConnectionPool(
        ssl_context=_tls(),
        max_connections=connections,
        max_keepalive_connections=connections,
        keepalive_expiry=5.0,
        network_backend=_PublicBackend(trusted),
    )


@cache
def _tls() -> ssl.SSLContext:
    """Reading all root certificates takes a twentieth of a second."""
    return httpx.create_ssl_context()


class _PublicBackend(httpcore.AnyIOBackend):
    """Makes the connections of a pool."""

    def __init__(self, trusted: Origin | None) -> None:
        self._trusted = trusted

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        failure: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in await self._addresses(host, port):
            try:
                return await super().connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def _addresses(self, host: str, port: int) -> list[str]:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"{host} is not known") from error
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        refused = [address for address in addresses if not is_public(address)]
        if refused and (host, port) != self._trusted:
            raise RefusedAddressError(f"the address of {host} is not public: {', '.join(refused)}")
        return addresses
