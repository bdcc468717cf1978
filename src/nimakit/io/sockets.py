"""Addresses that servers listen on, and addresses to reach them at."""

import os
import socket
from urllib.parse import urlsplit

from nimakit.errors import UsageError

ADDRESS_VARIABLE = "NIMAKIT_ADDRESS"
"""HOST:PORT to reach a container at, set by the launchers: it cannot be found out inside."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")
ANY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 - only compared with

_REMOTE = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))
"""Addresses reserved for documentation, routed like any other machine's."""
_ANY_PORT = 9


def browser_address(host: str, port: int) -> str:
    """HOST:PORT to open in a browser for a server that listens on an address.

    Args:
        host: Address it listens on. If it listens on every address, the result has the machine's address in
            its network; on a machine without a network, 127.0.0.1.
        port: TCP port.
    """
    outside, _, published = os.environ.get(ADDRESS_VARIABLE, "").rpartition(":")
    if outside:
        return f"localhost:{published}" if outside.strip("[]") in ANY_ADDRESS else f"{outside}:{published}"
    if host in ANY_ADDRESS:
        host = _own_address()
    return f"{bracketed(host)}:{port}"


def is_local_address(address: str) -> bool:
    """Whether HOST:PORT always means the machine that connects to it.

    >>> is_local_address("127.0.0.1:8000"), is_local_address("192.168.1.5:8000")
    (True, False)
    """
    return urlsplit(f"//{address}").hostname in (*LOOPBACK, *ANY_ADDRESS)


def bracketed(host: str) -> str:
    """A host as written before a port: IPv6 addresses in brackets."""
    return f"[{host}]" if ":" in host else host


def _own_address() -> str:
    """This machine's address in its network. Connecting a UDP socket finds it and sends nothing."""
    for family, remote in _REMOTE:
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((remote, _ANY_PORT))
                return str(probe.getsockname()[0])
        except OSError:
            continue  # no network of that kind
    return LOOPBACK[0]


def check_address(host: str, port: int) -> None:
    """Refuse an address that cannot be listened on. gunicorn would try for five seconds and not say why.

    Args:
        host: A name or an address of this machine.
        port: TCP port; 0 for any free one.

    Raises:
        UsageError: This machine has no such address, or another program listens on it.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise UsageError(
            f"A server needs a free address of this machine. Received: {host}, port {port}"
            f" ({error.strerror}); choose others with --host and --port."
        ) from error
