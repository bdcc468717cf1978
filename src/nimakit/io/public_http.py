"""HTTP connections to public addresses only, for fetching URLs that other people listed.

The guard sits below httpx: if a URL were checked first and then passed to a client, its host would be looked
up twice, and the second answer might be a private address.
"""

import asyncio
import ipaddress
import socket
import ssl
from functools import cache
from typing import Any, TypeAlias

import httpcore
import httpx

Origin: TypeAlias = tuple[str, int]
"""Host and port."""

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
"""How IPv4 addresses are written on IPv6-only networks (RFC 6052)."""
_UNICAST = ipaddress.ip_network("2000::/3")
"""The IPv6 addresses assigned to the public internet."""
_SPECIAL = tuple(
    map(ipaddress.ip_network, ("192.0.0.0/24", "192.88.99.0/24", "2001::/23", "2002::/16", "3fff::/20"))
)
"""IANA's special-purpose networks that some versions of Python call global, in part or as a whole."""
_DEFAULT_PORTS = {"http": 80, "https": 443}


class RefusedAddressError(Exception):
    """A host with an address that is not public."""


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public internet.

    False for private, loopback, link-local, shared, multicast and reserved addresses, and for IPv6 addresses
    that embed such an IPv4 address.

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
    """Host and port of a URL; by default the scheme's port."""
    port = _DEFAULT_PORTS[url.scheme] if url.port is None else url.port
    return url.raw_host.decode("ascii"), port


def open_pool(trusted: Origin | None = None, *, connections: int) -> httpcore.AsyncConnectionPool:
    """A connection pool that connects to public addresses only.

    A host is looked up once, all its addresses are checked, and the connection uses one of them, so a second
    lookup with another answer cannot get around the check. TLS certificates are checked against the name. No
    proxy is used, because a proxy would look the name up again.

    Args:
        trusted: A host and port that may have any address.
        connections: Most connections open at once.
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
    """TLS settings, cached: reading all root certificates takes 50 ms."""
    return httpx.create_ssl_context()


class _PublicBackend(httpcore.AnyIOBackend):
    """Opens connections of a pool after checking their addresses."""

    def __init__(self, trusted: Origin | None) -> None:
        self._trusted = trusted

    async def connect_tcp(
        self, host: str, port: int, *args: Any, **options: Any
    ) -> httpcore.AsyncNetworkStream:
        failure: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in await self._addresses(host, port):
            try:
                return await super().connect_tcp(address, port, *args, **options)
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
