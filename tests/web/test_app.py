"""What all answers have in common: headers, error pages, and no details of the machine."""

import dataclasses
import re
import socket
import threading

import httpx
import pytest
from sqlalchemy.exc import OperationalError
from werkzeug.serving import make_server

from nimakit.web.app import create_app, services_of
from nimakit.web.settings import Settings, read_settings
from web.study import JSON, Study, Visitor

PAGES = ("score", "ratings", "ratings/1", "transfer", "settings", "people")


def test_every_page_forbids_what_it_does_not_need(visitor: Visitor) -> None:
    """Only own scripts and styles, nothing inline, no frames, no type sniffing."""
    for page in PAGES:
        answer = visitor.get(visitor.address(page))
        assert answer.status_code == 200, page
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"


def test_no_page_has_inline_scripts_or_styles(visitor: Visitor) -> None:
    """The content security policy would block them; data in JSON is no script."""
    for page in PAGES:
        text = visitor.get(visitor.address(page)).text
        text = text.replace('<script type="application/json"', "<data")
        assert not re.search(r"<style|<script(?![^>]*\bsrc=)|\sstyle=|\son\w+=|javascript:", text), page


def test_every_form_has_a_token(visitor: Visitor) -> None:
    """Posts without it are refused."""
    for page in PAGES:
        text = visitor.get(visitor.address(page)).text
        for form in re.findall(r"<form[^>]*method=\"post\".*?</form>", text, re.DOTALL):
            assert 'name="csrf_token"' in form, page


def test_cookies_are_kept_from_scripts_and_other_sites(study: Study) -> None:
    """With https they are also marked as secure."""
    answer = study.visitor().post(
        f"/go-on/{study.services.links.personal(study.visitor().rater)}", {}, follow_redirects=False
    )
    cookies = answer.headers.getlist("Set-Cookie")
    assert cookies
    assert all("HttpOnly" in cookie and "SameSite=Lax" in cookie for cookie in cookies)


def test_behind_a_proxy_cookies_are_for_https_alone(settings: Settings) -> None:
    """Links lead to the proxy as well."""
    app = create_app(
        read_settings(
            folders=settings.folders,
            data_dir=settings.data_dir,
            url="https://rate.example.org",
            environment={"NIMAKIT_RATE_PASSWORD": "correct horse battery"},
        ),
        background=False,
    )
    assert app.config["SESSION_COOKIE_SECURE"]
    assert app.config["REMEMBER_COOKIE_SECURE"]
    client = app.test_client()
    proxied = {
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "rate.example.org",
        "X-Forwarded-For": "1.2.3.4",
    }
    assert client.get("/welcome", headers=proxied).status_code == 200
    assert client.get("/welcome").status_code == 400  # another host's name


@pytest.mark.parametrize(
    "address",
    ["/nothing", "/c/nothing/", "/c/nothing/score", "/c/photos/ratings/99", f"/c/photos/ratings/{2**70}"],
)
def test_missing_pages_are_error_pages(visitor: Visitor, address: str) -> None:
    """The page links to the start; scripts get JSON."""
    answer = visitor.get(address)
    assert answer.status_code == 404
    assert "Home" in answer.text
    answer = visitor.get(address, headers=JSON)
    assert (answer.status_code, answer.mimetype) == (404, "application/json")


def test_a_failing_database_is_reported_and_nothing_is_acknowledged(
    study: Study, visitor: Visitor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A full disk is answered with 503; only the log names the database."""
    code, token = visitor.code, visitor.token()
    event = {"id": "a", "kind": "rating", "image": study.images[0].id, "value": 5}

    def fail(*_: object) -> None:
        import sqlite3

        raise OperationalError("INSERT", {}, sqlite3.OperationalError("database or disk is full"))

    monkeypatch.setattr("nimakit.web.rating.validation.store_events", fail)
    answer = visitor.client.post(
        visitor.address("events"),
        json={"rater": code, "events": [event]},
        headers={**JSON, "X-CSRFToken": token},
    )
    assert answer.status_code == 503
    assert answer.json
    assert "disk is full" in answer.json["reason"]
    assert str(study.services.settings.data_dir) not in answer.text
    assert str(study.services.settings.data_dir) in caplog.text
    assert "disk is full" in caplog.text
    monkeypatch.undo()
    assert visitor.send(event).json == {"accepted": ["a"], "done": 1, "refused": []}


def test_the_health_check_answers(visitor: Visitor) -> None:
    """Health checks need no session."""
    answer = visitor.get("/health")
    assert (answer.status_code, answer.json) == (200, {"status": "ok"})


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_answers_on_either_loopback(settings: Settings, host: str) -> None:
    """A request to the printed address works; other host names are refused."""
    try:
        socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError:
        pytest.skip(f"there is no {host} here")
    app = create_app(dataclasses.replace(settings, host=host, listen=host), background=False)
    server = make_server(host, 0, app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = dataclasses.replace(settings, host=host).address(server.server_port) + "health"
        assert httpx.get(address, trust_env=False).json() == {"status": "ok"}
        forged = httpx.get(address, headers={"Host": "evil.example"}, trust_env=False)
        assert forged.status_code == 400
    finally:
        server.shutdown()
        server.server_close()
        services_of(app).database.close()


@pytest.mark.parametrize("theme", ["light", "dark", "auto", 'evil"><script>'])
def test_the_theme_is_one_of_three(study: Study, theme: str) -> None:
    """Invalid cookies are ignored."""
    visitor = study.visitor()
    visitor.client.set_cookie("theme", theme)
    page = visitor.get(visitor.address("score")).text
    [found] = re.findall(r'<html lang="en" dir="ltr" data-theme="([^"]*)"', page)
    assert found == (theme if theme in ("light", "dark") else "auto")


def test_names_are_escaped(study: Study, visitor: Visitor) -> None:
    """Names that look like scripts are shown as text."""
    study.set(name="<script>alert(1)</script>", question="<b>x</b>", blind=False)
    study.rater("<i>Ann</i>").rate(study.images[0].id, 5)
    for page in (*PAGES, f"ratings/{study.images[0].id}"):
        text = visitor.get(visitor.address(page)).text
        assert "<script>alert" not in text
        assert "<i>Ann" not in text
        assert "<b>x</b>" not in text
