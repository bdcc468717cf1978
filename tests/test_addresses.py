"""nimakit.addresses: what servers can listen on."""

import socket

import pytest

from nimakit.addresses import check_address
from nimakit.errors import UsageError


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_any_free_port_will_do(host: str) -> None:
    """Asking takes nothing: the port is free afterwards."""
    with socket.create_server((host, 0)) as server:
        port = server.getsockname()[1]
    check_address(host, port)
    check_address(host, port)
    check_address(host, 0)


def test_refuses_a_port_that_is_taken() -> None:
    """The message names it, and the way out."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(
            UsageError, match=rf"127\.0\.0\.1, port {port} \(Address already in use\).*--port"
        ):
            check_address("127.0.0.1", port)


def test_refuses_an_address_of_another_machine() -> None:
    """It is reserved for documentation, and nobody's."""
    with pytest.raises(UsageError, match=r"192\.0\.2\.1"):
        check_address("192.0.2.1", 0)
