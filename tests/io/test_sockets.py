"""nimakit.io.sockets: what servers can listen on, and where that is reached."""

import socket

import pytest

from nimakit.errors import UsageError
from nimakit.io import sockets
from nimakit.io.sockets import ADDRESS_VARIABLE, browser_address, check_address, is_local_address


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


@pytest.fixture
def own_address(monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of this machine in its network."""
    monkeypatch.delenv(ADDRESS_VARIABLE, raising=False)
    monkeypatch.setattr(sockets, "_own_address", lambda: "192.0.2.7")
    return "192.0.2.7"


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])  # noqa: S104 - nothing listens there
def test_all_addresses_are_reached_by_the_machines_own(own_address: str, host: str) -> None:
    """Nobody can open 0.0.0.0."""
    assert browser_address(host, 8000) == f"{own_address}:8000"


@pytest.mark.parametrize(
    ("host", "address"),
    [("127.0.0.1", "127.0.0.1:80"), ("::1", "[::1]:80"), ("10.0.0.5", "10.0.0.5:80"), ("box", "box:80")],
)
@pytest.mark.usefixtures("own_address")
def test_any_other_address_is_reached_as_it_is(host: str, address: str) -> None:
    """In the form that stands in a browser."""
    assert browser_address(host, 80) == address


@pytest.mark.parametrize(
    ("told", "address"),
    [("192.0.2.9:8123", "192.0.2.9:8123"), ("[::1]:80", "[::1]:80"), ("0.0.0.0:8123", "localhost:8123")],
)
def test_a_container_is_reached_where_it_is_told(
    own_address: str, monkeypatch: pytest.MonkeyPatch, told: str, address: str
) -> None:
    """Its own address and port are those inside."""
    monkeypatch.setenv(ADDRESS_VARIABLE, told)
    assert own_address not in browser_address("0.0.0.0", 8000)  # noqa: S104 - nothing listens there
    assert browser_address("0.0.0.0", 8000) == address  # noqa: S104


def test_a_machine_has_an_address_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own browser can open it."""

    def unreachable(*_values: object) -> None:
        raise OSError(101, "Network is unreachable")

    monkeypatch.delenv(ADDRESS_VARIABLE, raising=False)
    monkeypatch.setattr(socket.socket, "connect", unreachable)
    assert browser_address("0.0.0.0", 8000) == "127.0.0.1:8000"  # noqa: S104 - nothing listens there


def test_loopback_is_local_address() -> None:
    """Whatever its port; so is what no machine can open."""
    assert all(map(is_local_address, ["127.0.0.1:80", "localhost", "[::1]:80", "0.0.0.0:80"]))
    assert not any(map(is_local_address, ["192.0.2.7:80", "rate.example.org"]))
