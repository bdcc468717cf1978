"""nimakit.serving.middleware: keys, limits, ids and headers around every request."""

import re
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from clients import Client, client, form, noise, service
from nimakit.serving import problems
from nimakit.serving.http.request_reader import OVERSIZED
from nimakit.serving.keys import make_key

Start = Callable[..., Client]


@pytest.fixture
def start(tiny_file: Path) -> Iterator[Start]:
    """Makes clients of applications with settings."""
    made = []

    def run(**settings: Any) -> Client:
        made.append(client(tiny_file, **settings))
        return made[-1]

    yield run
    for web in made:
        service(web).close()


def _photo() -> dict[str, Any]:
    return {"data": form(("a.png", noise()))}


# --- ids -----------------------------------------------------------------------------------------------


def test_a_request_id_is_given_back(web: Client) -> None:
    """On answers and on errors."""
    for path in ("/models", "/nowhere"):
        assert web.get(path, headers={"X-Request-ID": "a-1.b:2"}).headers["X-Request-ID"] == "a-1.b:2"


@pytest.mark.parametrize("given", ["", "with space", 129 * "x", "<script>", "é"])
def test_a_strange_request_id_is_replaced(web: Client, given: str) -> None:
    """Nothing gets into the log or the answer that does not belong there."""
    answered = web.get("/models", headers={"X-Request-ID": given}).headers["X-Request-ID"]
    assert re.fullmatch(r"[0-9a-f]{32}", answered)


# --- keys ----------------------------------------------------------------------------------------------

CLOSED = ["/models", "/models/tiny", "/metrics", "/v2", "/v2/models/tiny", "/v2/models/tiny/ready"]
OPEN = ["/", "/static/app.js", "/openapi.json", "/v2/health/live", "/v2/health/ready"]


def test_with_keys_only_their_holders_are_answered(start: Start) -> None:
    """A request without a key, or with another, is a 401 that says how to bear one."""
    key, entry = make_key("shop")
    web = start(api_keys=(entry,))
    good = {"Authorization": f"Bearer {key}"}
    for path in CLOSED:
        for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": f"Basic {key}"}):
            response = web.get(path, headers=headers)
            assert (response.status_code, response.content_type) == (401, problems.CONTENT_TYPE)
            assert response.headers["WWW-Authenticate"].lower().startswith("bearer")
        assert web.get(path, headers=good).status_code == 200
    assert web.post("/predict", **_photo()).status_code == 401
    assert web.post("/predict", **_photo(), headers=good).status_code == 200
    assert web.post("/v2/models/tiny/infer", data=b"{}").status_code == 401


def test_the_hash_of_a_key_is_no_key(start: Start) -> None:
    """Who reads the server's config cannot send requests."""
    _, entry = make_key("shop")
    web = start(api_keys=(entry,))
    assert web.get("/models", headers={"Authorization": f"Bearer {entry.sha256}"}).status_code == 401


def test_probes_and_the_page_need_no_key(start: Start) -> None:
    """They tell nothing but that the server is there."""
    web = start(api_keys=(make_key("shop")[1],))
    assert [web.get(path).status_code for path in OPEN] == [200] * len(OPEN)
    assert web.get("/nowhere").status_code == 404


def test_the_log_names_the_holder(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    """And never the key."""
    key, entry = make_key("shop")
    start(api_keys=(entry,)).get("/models", headers={"Authorization": f"Bearer {key}"})
    out = capsys.readouterr().out
    assert '"key": "shop"' in out
    assert key not in out


# --- rates ---------------------------------------------------------------------------------------------


def test_a_rate_limit_is_each_key_s_own(start: Start) -> None:
    """429 with Retry-After past it; other keys, and requests that score nothing, go on."""
    (one, first), (two, second) = make_key("one"), make_key("two")
    web = start(api_keys=(first, second), rate_limit="2 per minute")

    def ask(key: str) -> Any:
        return web.post("/predict", **_photo(), headers={"Authorization": f"Bearer {key}"})

    assert [ask(one).status_code for _ in range(2)] == [200, 200]
    refused = ask(one)
    assert (refused.status_code, refused.content_type) == (429, problems.CONTENT_TYPE)
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    assert ask(two).status_code == 200
    assert web.get("/models", headers={"Authorization": f"Bearer {one}"}).status_code == 200
    value = service(web).metrics.registry.get_sample_value
    assert value("nimakit_rejected_total", {"reason": "rate"}) == 1


def test_a_rate_limit_counts_all_that_scores_together(start: Start) -> None:
    """The two protocols are not two allowances."""
    web = start(rate_limit="1 per minute")
    assert web.post("/v2/models/tiny/infer", data=b"{}").status_code == 400
    assert web.post("/predict", **_photo()).status_code == 429


def test_without_keys_addresses_have_rates(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    """A proxy is believed about the client's address only where it was named."""
    here, elsewhere = ip_network("127.0.0.0/8"), ip_network("192.0.2.0/24")
    for proxies, statuses in (((), [200, 429]), ((elsewhere,), [200, 429]), ((here,), [200, 200])):
        web = start(rate_limit="1 per minute", trusted_proxies=proxies)
        found = [
            web.post("/predict", **_photo(), headers={"X-Forwarded-For": address}).status_code
            for address in ("198.51.100.1", "198.51.100.2")
        ]
        assert found == statuses
        said = capsys.readouterr().err.count("add its address to NIMAKIT_SERVE_TRUSTED_PROXIES\n")
        assert said == (proxies != (here,))


# --- bodies --------------------------------------------------------------------------------------------


def test_a_body_the_worker_did_not_receive_is_a_413(web: Client) -> None:
    """However it was sent, in chunks too."""
    response = web.post("/predict", data=b"", environ_overrides={OVERSIZED: True})
    assert (response.status_code, response.content_type) == (413, problems.CONTENT_TYPE)


def test_a_compressed_body_is_refused(web: Client) -> None:
    """What unpacks to a gigabyte is never unpacked."""
    response = web.post("/predict", **_photo(), headers={"Content-Encoding": "gzip"})
    assert response.status_code == 415


# --- headers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/models", "/nowhere", "/static/app.js"])
def test_every_answer_has_the_security_headers(web: Client, path: str) -> None:
    """Pages and errors alike."""
    headers = web.get(path).headers
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "Access-Control-Allow-Origin" not in headers


def test_scores_are_not_cached(web: Client) -> None:
    """Neither by browsers nor by proxies."""
    assert web.post("/predict", **_photo()).headers["Cache-Control"] == "no-store"


def test_only_named_origins_may_call(start: Start) -> None:
    """A page of another origin gets no header that would let it read the answer."""
    web = start(cors_origins=("https://shop.example",))
    named = web.get("/models", headers={"Origin": "https://shop.example"}).headers
    assert named["Access-Control-Allow-Origin"] == "https://shop.example"
    for origin in ("https://evil.example", "https://shop.example.evil.example", "null", "*"):
        headers = web.get("/models", headers={"Origin": origin}).headers
        assert "Access-Control-Allow-Origin" not in headers
        assert "Origin" in headers["Vary"]


def test_a_preflight_needs_no_key(start: Start) -> None:
    """Browsers send none with it; it allows what requests need."""
    web = start(cors_origins=("https://shop.example",), api_keys=(make_key("shop")[1],))
    asked = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
    response = web.options("/predict", headers=asked)
    assert response.status_code == 200
    assert "POST" in response.headers["Access-Control-Allow-Methods"]
    assert "Authorization" in response.headers["Access-Control-Allow-Headers"]


def test_the_application_is_not_in_debug_mode(web: Client) -> None:
    """No console, no traceback."""
    assert web.application.debug is False
    assert web.application.testing is False
