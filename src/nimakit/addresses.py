"""Addresses that servers listen on."""

import socket

from nimakit.errors import UsageError


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
