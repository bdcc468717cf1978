"""nimakit.serving.proxies: X-Forwarded headers are used from trusted proxies only."""

from typing import Any

import pytest
from werkzeug.test import create_environ, run_wsgi_app

from nimakit.errors import ConfigError
from nimakit.serving.proxies import TrustedProxies, parse_proxies

PROXIES = parse_proxies(["10.0.0.0/8", "2001:db8::1"], "A test")


def _seen(peer: str, *, names_site: bool = False, **headers: str) -> tuple[str, str, str]:
    """Client, scheme and host as the application sees them."""
    seen: dict[str, Any] = {}

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.update(environ)
        start_response("200 OK", [])
        return []

    environ = create_environ(base_url="http://inside/")
    environ |= {"REMOTE_ADDR": peer} | {f"HTTP_X_FORWARDED_{name}": value for name, value in headers.items()}
    run_wsgi_app(TrustedProxies(app, PROXIES, "PROXIES", names_site=names_site), environ)
    assert not [name for name in seen if name.startswith("HTTP_X_FORWARDED")]
    return seen["REMOTE_ADDR"], seen["wsgi.url_scheme"], seen["HTTP_HOST"]


@pytest.mark.parametrize(
    ("peer", "chain", "client"),
    [
        ("10.1.2.3", "198.51.100.7", "198.51.100.7"),
        ("2001:db8::1", "198.51.100.7", "198.51.100.7"),
        ("::ffff:10.1.2.3", "198.51.100.7", "198.51.100.7"),
        ("10.1.2.3", "192.0.2.9, 198.51.100.7, 10.9.9.9", "198.51.100.7"),
        ("10.1.2.3", "10.4.4.4", "10.4.4.4"),
        ("10.1.2.3", "198.51.100.7:5678", "198.51.100.7"),
        ("10.1.2.3", "198.51.100.7:5678, 10.9.9.9:80", "198.51.100.7"),
        ("10.1.2.3", '"[2001:db8::7]:80"', "2001:db8::7"),
        ("10.1.2.3", "[2001:db8::7]:80", "2001:db8::7"),
        ("10.1.2.3", "[2001:db8::7]", "2001:db8::7"),
        ("10.1.2.3", "198.51.100.7, unknown", "10.1.2.3"),
        ("10.1.2.3", "unknown, 10.9.9.9", "10.9.9.9"),
        ("10.1.2.3", "", "10.1.2.3"),
        ("198.51.100.8", "198.51.100.7", "198.51.100.8"),
        ("", "198.51.100.7", ""),
    ],
)
def test_the_client_is_the_last_address_that_is_no_proxy(peer: str, chain: str, client: str) -> None:
    """What clients put before it themselves is not read, nor anything that comes without a proxy."""
    assert _seen(peer, FOR=chain) == (client, "http", "inside")


def test_scheme_and_host_come_from_a_proxy_where_that_is_wanted() -> None:
    """Of somebody else's request they are its own."""
    headers: Any = {"PROTO": "https", "HOST": "rate.example.org"}
    assert _seen("10.1.2.3", names_site=True, **headers) == ("10.1.2.3", "https", "rate.example.org")
    assert _seen("198.51.100.8", names_site=True, **headers) == ("198.51.100.8", "http", "inside")
    assert _seen("10.1.2.3", **headers) == ("10.1.2.3", "http", "inside")


def test_an_address_whose_headers_are_dropped_is_named_once(capsys: pytest.CaptureFixture[str]) -> None:
    """With what to set; of many addresses the first hundred."""
    app = TrustedProxies(lambda _environ, _start: [], PROXIES, "PROXIES")

    def ask(peer: str, **headers: str) -> str:
        app({"REMOTE_ADDR": peer} | headers, lambda *_: lambda _: None)
        return capsys.readouterr().err

    said = (
        "nimakit: X-Forwarded headers from 192.0.2.1 are ignored because it is not a trusted proxy."
        " If it is your proxy, add its address to PROXIES\n"
    )
    assert ask("192.0.2.1") == ask("10.1.2.3", HTTP_X_FORWARDED_FOR="192.0.2.1") == ""
    assert ask("192.0.2.1", HTTP_X_FORWARDED_PROTO="https") == said
    assert ask("192.0.2.1", HTTP_X_FORWARDED_FOR="198.51.100.7") == ""
    others = [ask(f"198.51.100.{number}", HTTP_X_FORWARDED_HOST="x") for number in range(120)]
    assert [bool(text) for text in others] == [True] * 99 + [False] * 21


@pytest.mark.parametrize("text", ["proxy", "10.0.0.1/8", "", "1"])
def test_refuses_what_is_no_network(text: str) -> None:
    """With an example of one."""
    with pytest.raises(ConfigError, match=r"172\.16\.0\.0/12"):
        parse_proxies([text], "A test")
