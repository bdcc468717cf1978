"""nimakit.io.public_http: HTTP that reaches public addresses alone."""

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import httpcore
import httpx
import pytest

from nimakit.io.public_http import Origin, RefusedAddressError, is_public, open_pool, origin
from picture_server import PictureServer, picture_server

PUBLIC = "93.184.215.14"


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",  # noqa: S104
        "10.1.2.3",
        "100.64.0.1",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",
        "172.31.0.1",
        "192.168.0.1",
        "192.0.0.9",
        "192.0.0.170",
        "192.0.2.1",
        "192.88.99.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:100.64.0.1",
        "::ffff:192.0.0.9",
        "::ffff:192.88.99.1",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a00:1",
        "64:ff9b::c0a8:101",
        "64:ff9b::c058:6301",
        "64:ff9b:1::1",
        "100::1",
        "2001:0:7f00:1::",
        "2001:20::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "2002:101:101::",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
    ],
)
def test_these_are_not_public(address: str) -> None:
    """Whatever a home, a company, a cloud or the machine itself keeps behind them."""
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", [PUBLIC, "1.1.1.1", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]
)
def test_these_are_public(address: str) -> None:
    """Also where IPv6 stands for a public IPv4 address."""
    assert is_public(address)


def test_an_origin_has_a_port() -> None:
    """The scheme's usual one, where the URL names none; hosts are compared as they are looked up."""
    assert origin(httpx.URL("http://Example.org/x")) == ("example.org", 80)
    assert origin(httpx.URL("https://bücher.example:8443")) == ("xn--bcher-kva.example", 8443)


@pytest.fixture
def server() -> Iterator[PictureServer]:
    """A server of the test's own."""
    with picture_server() as server:
        yield server


def _answer_with(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Name look-ups give these addresses, one answer after the other; returns the names looked up."""
    names: list[str] = []

    def getaddrinfo(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        names.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, port)) for a in answers[len(names) - 1]]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return names


def _status(url: str, trusted: Origin | None = None) -> int:
    async def ask() -> int:
        async with open_pool(trusted, connections=2) as pool, pool.stream("GET", url) as response:
            return response.status

    return asyncio.run(ask())


def test_connects_to_the_address_that_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name whose second look-up would give a private address is looked up once."""
    names = _answer_with(monkeypatch, [PUBLIC], ["127.0.0.1"])
    connected = []

    async def connect_tcp(self: Any, host: str, *_: Any, **__: Any) -> httpcore.AsyncNetworkStream:
        connected.append(host)
        raise httpcore.ConnectError("as far as a test goes")

    monkeypatch.setattr(httpcore.AnyIOBackend, "connect_tcp", connect_tcp)
    with pytest.raises(httpcore.ConnectError, match="as far as a test goes"):
        _status("http://rebinding.example/")
    assert (names, connected) == (["rebinding.example"], [PUBLIC])


def test_one_private_address_among_several_is_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which of them would be connected to must not be left to chance."""
    _answer_with(monkeypatch, [PUBLIC, "10.0.0.1"])
    with pytest.raises(
        RefusedAddressError, match=r"the address of mixed\.example is not public: 10\.0\.0\.1"
    ):
        _status("http://mixed.example/")


def test_goes_on_to_the_next_address(monkeypatch: pytest.MonkeyPatch, server: PictureServer) -> None:
    """A host is reached where any of its addresses answers."""
    _answer_with(monkeypatch, ["127.0.0.2", "127.0.0.1"])
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert _status(f"http://two.example:{server.port}/", ("two.example", server.port)) == 200


def test_a_trusted_host_is_trusted_at_its_port_alone(server: PictureServer) -> None:
    """Another service of the same machine stays out of reach."""
    assert _status(server.base, ("127.0.0.1", server.port)) == 200
    with pytest.raises(RefusedAddressError):
        _status(server.base, ("127.0.0.1", server.port + 1))
    with pytest.raises(RefusedAddressError):
        _status(server.base)


def test_a_name_nobody_has_is_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is one that cannot be a name."""

    def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    for name in ("nobody.invalid", "a" * 70):
        with pytest.raises(httpcore.ConnectError, match="is not known"):
            _status(f"http://{name}/")
