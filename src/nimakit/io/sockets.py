"""Addresses that servers listen on, and those by which others reach them."""

import os
import socket
from urllib.parse import urlsplit

from nimakit.errors import UsageError

ADDRESS_VARIABLE = "NIMAKIT_ADDRESS"
"""HOST:PORT by which a container is reached from outside: it cannot know that, so the launchers set it."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - nothing listens there by this

_ELSEWHERE = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))
"""Reserved for documentation: the way there is the way to any other machine."""
_ANY_PORT = 9


def reached_at(host: str, port: int) -> str:
    """HOST:PORT to open in a browser, for what listens on an address.

    Args:
        host: What it listens on. If that is every address there is, it is reached by the machine's own in its
            network; on a machine without a network, by 127.0.0.1.
        port: TCP port.
    """
    outside, _, published = os.environ.get(ADDRESS_VARIABLE, "").rpartition(":")
    if outside:
        return f"localhost:{published}" if outside.strip("[]") in EVERYWHERE else f"{outside}:{published}"
    if host in EVERYWHERE:
        host = _own_address()
    return f"{bracketed(host)}:{port}"


def is_only_here(address: str) -> bool:
    """Whether HOST:PORT leads every machine to itself.

    >>> is_only_here("127.0.0.1:8000"), is_only_here("192.168.1.5:8000")
    (True, False)
    """
    return urlsplit(f"//{address}").hostname in (*LOOPBACK, *EVERYWHERE)


def bracketed(host: str) -> str:
    """An IPv6 address as it stands before a port."""
    return f"[{host}]" if ":" in host else host


def _own_address() -> str:
    """The address other machines see this one by; looking for it sends nothing."""
    for family, elsewhere in _ELSEWHERE:
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((elsewhere, _ANY_PORT))
                return str(probe.getsockname()[0])
        except OSError:
            continue  # no network of that kind
    return LOOPBACK[0]


def check_address(host: str, port: int) -> None:
    """Refuse at once what cannot be listened on, where gunicorn would try for five seconds and say less.

    Args:
        host: A name or an address of this machine.
        port: TCP port; 0 for any free one.

    Raises:
        UsageError: There is no such address here, or somebody else listens on it.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise UsageError(
            f"A server needs an address of this machine that is free. Received: {host}, port {port}"
            f" ({error.strerror}); choose others with --host and --port."
        ) from error
