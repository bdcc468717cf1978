"""Joining, signing in and out, personal links, and what visitors without access may not do."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from flask_login import encode_cookie  # type: ignore[import-untyped]
from sqlalchemy.orm import Session

from nimakit.errors import UsageError
from nimakit.io import sockets
from nimakit.web.app import create_app
from nimakit.web.db.tables import Invitation, Membership, Rater, now
from nimakit.web.settings import Settings, read_settings
from web.conftest import MakeStudy
from web.study import Study, Visitor, on_both

PASSWORD = "correct horse battery"  # noqa: S105 - of this test alone


@pytest.fixture
def shared(make_study: MakeStudy, settings: Settings) -> Study:
    """An app that others can reach."""
    return make_study(
        read_settings(
            folders=settings.folders,
            data_dir=settings.data_dir,
            host="192.0.2.1",
            environment={"NIMAKIT_RATE_PASSWORD": PASSWORD},
        )
    )


def invite(study: Study, **values: object) -> str:
    """The address of a new invitation."""

    def add(session: Session) -> Invitation:
        invitation = Invitation(collection_id=study.collection.id, **values)
        session.add(invitation)
        session.flush()
        return invitation

    return "/join/" + study.services.links.invitation(study.change(add))


def test_strangers_see_only_the_welcome_page(shared: Study) -> None:
    """If others can reach the app, visitors need a link or the password."""
    stranger = shared.visitor()
    assert stranger.get("/").location == "/welcome"
    assert stranger.get("/welcome").status_code == 200
    for page in ("", "score", "deck", "ratings", "transfer", "settings", "people", "pictures/1/480"):
        assert stranger.get(stranger.address(page)).status_code == 401, page
    assert stranger.get("/collections").status_code == 401
    assert stranger.get("/session", headers={"Accept": "application/json"}).status_code == 401
    answer = stranger.post_json(stranger.address("events"), {"events": []})
    assert answer.status_code == 401


def test_an_invitation_lets_people_in(shared: Study) -> None:
    """Each visitor becomes a rater with the name they entered; opening the link again changes nothing."""
    address = invite(shared)
    ann, ben = shared.visitor(), shared.visitor()
    for visitor, name in ((ann, "Ann"), (ben, "Ben"), (ann, "Ann again")):
        assert "You are invited" in visitor.get(address).text
        assert visitor.post(address, {"name": name}).status_code == 302
    assert (ann.rater.name, ben.rater.name) == ("Ann", "Ben")
    assert ann.get(ann.address("score")).status_code == 200


def test_raters_see_no_other_collection_and_no_admin_page(shared: Study) -> None:
    """An invitation gives access to one collection, for rating only."""
    rater = shared.rater()
    for page in ("settings", "people", "transfer", "transfer/labels.json"):
        assert rater.get(rater.address(page)).status_code == 403, page
    assert rater.get("/collections/new").status_code == 403
    shared.change(lambda session: session.delete(session.get_one(Membership, (rater.rater.id, 1))))
    assert rater.get(rater.address("score")).status_code == 404


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"revoked": True}, "withdrawn"),
        ({"max_uses": 1, "uses": 1}, "maximum number"),
        ({"expires_at": now() - timedelta(days=1)}, "expired"),
    ],
)
def test_an_ended_invitation_is_refused_with_the_reason(
    shared: Study, values: dict[str, object], reason: str
) -> None:
    """The page says what to do, and nobody joins."""
    address = invite(shared, **values)
    stranger = shared.visitor()
    for answer in (stranger.get(address), stranger.post(address, {"name": "Ann"})):
        assert answer.status_code == 410
        assert reason in answer.text
    assert stranger.get("/").location == "/welcome"


@on_both
def test_the_last_place_is_given_once(shared: Study) -> None:
    """An invitation for one person lets one person join."""
    address = invite(shared, max_uses=1)
    assert shared.visitor().post(address, {"name": "Ann"}).status_code == 302
    assert shared.visitor().post(address, {"name": "Ben"}).status_code == 410


def test_a_class_comes_in_from_one_address(shared: Study) -> None:
    """Only failed attempts, such as forged links, count towards the rate limit."""
    link = invite(shared)
    answers = [shared.visitor().post(link, {"name": "x"}).status_code for _ in range(12)]
    assert answers == [302] * 12
    answers = [shared.visitor().post("/join/made-up", {"name": "x"}).status_code for _ in range(12)]
    assert answers == [404] * 10 + [429] * 2


@pytest.mark.parametrize("token", ["1", "WzFd", "eyJ4IjoxfQ.abc", "x" * 500])
def test_a_forged_link_is_refused(shared: Study, token: str) -> None:
    """Links are signed."""
    for page in ("join", "go-on"):
        assert shared.visitor().get(f"/{page}/{token}").status_code == 404


def test_links_of_one_kind_do_not_work_as_another(shared: Study) -> None:
    """An invitation token does not work as a personal token."""
    token = invite(shared).removeprefix("/join/")
    assert shared.visitor().get(f"/go-on/{token}").status_code == 404


def test_a_personal_link_ends_when_it_is_renewed(shared: Study) -> None:
    """Other devices are signed out, but not this one."""
    ann, phone = shared.rater("Ann"), shared.visitor()
    link = f"/go-on/{shared.services.links.personal(ann.rater)}"
    assert "Ann" in phone.get(link).text
    assert phone.get("/").location == "/welcome"  # opening it is not enough: mail readers open links
    phone.post(link, {})
    assert phone.code == ann.code
    ann.post("/me/link", {})
    assert phone.get("/collections").status_code == 401
    assert ann.get("/collections").status_code == 200
    assert phone.get(link).status_code == 404


def test_the_page_of_the_rater_has_the_link(shared: Study) -> None:
    """The link can be opened on another device, also by its QR code."""
    page = shared.rater("Ann").get("/me").text
    assert re.findall(r'data-copy="http://[^"]+/go-on/', page)
    assert "<svg" in page.split('class="qr-code"')[1]
    assert "Ann" in page


def test_links_lead_other_devices_to_this_machine(
    make_study: MakeStudy, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Personal and invitation links do so even if the page was opened at localhost."""
    monkeypatch.delenv(sockets.ADDRESS_VARIABLE, raising=False)
    monkeypatch.setattr(sockets, "_own_address", lambda: "192.0.2.7")
    everywhere = read_settings(
        folders=settings.folders,
        data_dir=settings.data_dir,
        host="0.0.0.0",  # noqa: S104 - nothing listens there
        environment={"NIMAKIT_RATE_PASSWORD": PASSWORD},
    )
    study = make_study(everywhere)
    invite(study)
    admin = study.admin()
    asked = {"headers": {"Host": "localhost:8000"}}
    assert "http://192.0.2.7:8000/go-on/" in admin.get("/me", **asked).text
    assert "http://192.0.2.7:8000/join/" in admin.get(admin.address("people"), **asked).text


def test_a_local_app_offers_no_link(visitor: Visitor) -> None:
    """The link would not work elsewhere; the page says how to let other devices in."""
    page = visitor.get("/me").text
    assert "/go-on/" not in page
    assert "--host 0.0.0.0" in page


def test_the_admin_signs_in_by_password(shared: Study) -> None:
    """Only the right password works, and only its hash is stored."""
    visitor = shared.visitor()
    wrong = visitor.post("/login", {"password": "wrong"})
    assert (wrong.status_code, "password is wrong" in wrong.text) == (401, True)
    assert visitor.post("/login", {"password": PASSWORD}).location == "/collections"
    assert visitor.get(visitor.address("settings")).status_code == 200
    assert PASSWORD not in (shared.services.settings.data_dir / "ratings.db").read_bytes().decode("latin-1")


def test_password_attempts_are_limited(shared: Study) -> None:
    """More than ten attempts a minute are answered with 429."""
    visitor = shared.visitor()
    token = visitor.token()
    codes = [
        visitor.client.post("/login", data={"password": "x", "csrf_token": token}).status_code
        for _ in range(12)
    ]
    assert codes[0] == 401
    assert codes[-1] == 429


def test_a_new_password_ends_the_sessions_of_the_old(shared: Study) -> None:
    """Everyone who signed in with the old password is signed out at the next start."""
    admin = shared.admin()
    assert admin.get("/collections").status_code == 200
    settings = shared.services.settings
    create_app(
        read_settings(
            folders=settings.folders,
            data_dir=settings.data_dir,
            host=settings.host,
            environment={"NIMAKIT_RATE_PASSWORD": "another good one"},
        ),
        background=False,
    )
    assert admin.get("/collections").status_code == 401


def test_a_shared_app_needs_a_password(settings: Settings) -> None:
    """The app does not start without one."""
    with pytest.raises(UsageError, match="NIMAKIT_RATE_PASSWORD"):
        create_app(
            read_settings(
                folders=settings.folders, data_dir=settings.data_dir, host="192.0.2.1", environment={}
            ),
            background=False,
        )


def test_signing_up_is_off_unless_a_collection_allows_it(shared: Study) -> None:
    """If one does, the welcome page has a form."""
    stranger = shared.visitor()
    slug = shared.collection.slug
    assert stranger.post(f"/sign-up/{slug}", {"name": "Ann"}).status_code == 404
    shared.set(sign_up=True)
    assert shared.collection.name in stranger.get("/welcome").text
    assert stranger.post(f"/sign-up/{slug}", {"name": "x" * 81}).status_code == 400
    assert stranger.post(f"/sign-up/{slug}", {"name": "Ann"}).status_code == 302
    assert stranger.rater.name == "Ann"


def test_on_this_machine_nobody_signs_in(study: Study, visitor: Visitor) -> None:
    """The only collection opens at once, and the local rater is the admin."""
    answer = visitor.get("/", follow_redirects=True)
    assert answer.request.path == visitor.address("score")
    assert visitor.get(visitor.address("settings")).status_code == 200
    assert study.visitor().code == visitor.code


def test_foreign_host_names_are_refused(visitor: Visitor) -> None:
    """A foreign page whose host name resolves to this machine is not signed in as the local rater."""
    assert visitor.get("/collections", headers={"Host": "evil.example"}).status_code == 400
    assert visitor.get("/collections", headers={"Host": "localhost:8000"}).status_code == 200


def test_signing_out(shared: Study) -> None:
    """Signing out ends the session on this device."""
    rater = shared.rater()
    rater.post("/logout", {})
    assert rater.get("/collections").status_code == 401


@on_both
def test_copied_cookies_do_not_work_after_signing_out(shared: Study) -> None:
    """Neither the session cookie nor the remember cookie works; other devices and the link do."""
    ann = shared.rater()
    link = shared.services.links.personal(ann.rater)
    phone = shared.visitor()
    phone.post(f"/go-on/{link}", {})
    names = [shared.app.config[f"{kind}_COOKIE_NAME"] for kind in ("SESSION", "REMEMBER")]
    copies = {name: cookie.value for name in names if (cookie := ann.client.get_cookie(name))}
    assert len(copies) == 2
    ann.post("/logout", {})
    for chosen in (names, names[:1], names[1:]):
        thief = shared.visitor()
        for name in chosen:
            thief.client.set_cookie(name, copies[name])
        assert thief.get("/collections").status_code == 401, chosen
    assert phone.get("/collections").status_code == 200
    ann.post(f"/go-on/{link}", {})
    assert ann.code == phone.code


def test_sessions_without_an_id_end_too(shared: Study) -> None:
    """A cookie of an earlier version works until its rater signs out."""
    rater = shared.rater()
    with rater.client.session_transaction() as session:
        session["_user_id"] = session["_user_id"].rpartition(".")[0]
    rater.client.delete_cookie(shared.app.config["REMEMBER_COOKIE_NAME"])
    [kept] = [rater.client.get_cookie(shared.app.config["SESSION_COOKIE_NAME"])]
    assert kept is not None
    assert rater.get("/collections").status_code == 200
    rater.post("/logout", {})
    rater.client.set_cookie(kept.key, kept.value)
    assert rater.get("/collections").status_code == 401


def remembered_before(study: Study, rater: Rater) -> str:
    """The remember cookie of an earlier version."""
    with study.app.test_request_context():
        return str(encode_cookie(f"{rater.id}.{rater.link_version}"))


def test_an_update_keeps_raters_signed_in(shared: Study) -> None:
    """The cookie of an earlier version works and is replaced; signing out ends both."""
    ann, phone = shared.rater("Ann"), shared.visitor()
    kept = remembered_before(shared, ann.rater)
    phone.client.set_cookie("nimakit_rate_rater", kept)
    assert phone.code == ann.code
    assert phone.client.get_cookie("nimakit_rate_rater") is None
    phone.client.delete_cookie(shared.app.config["SESSION_COOKIE_NAME"])
    assert phone.code == ann.code
    phone.post("/logout", {})
    phone.client.set_cookie("nimakit_rate_rater", kept)
    assert phone.get("/collections").status_code == 401
    assert ann.get("/collections").status_code == 200


def test_an_update_uses_up_no_invitation(shared: Study) -> None:
    """A rater with an earlier cookie opens the invitation again and stays the same rater."""
    ann, later = shared.rater("Ann"), shared.visitor()
    address = invite(shared, max_uses=1)
    later.client.set_cookie("nimakit_rate_rater", remembered_before(shared, ann.rater))
    assert later.post(address, {}).status_code == 302
    assert later.code == ann.code
    later.post("/logout", {})
    assert later.get("/collections").status_code == 401


def test_an_update_keeps_invited_raters_on_this_machine(study: Study) -> None:
    """A rater with an earlier cookie does not become the local rater."""
    ann, later = study.rater("Ann"), study.visitor()
    later.client.set_cookie("nimakit_rate_rater", remembered_before(study, ann.rater))
    assert later.code == ann.code


@pytest.mark.parametrize("cookie", ["1.1|x", "1.1", "1.1|\u00fc", ""])
def test_an_older_cookie_must_be_signed(shared: Study, cookie: str) -> None:
    """A forged cookie does not work."""
    visitor = shared.visitor()
    visitor.client.set_cookie("nimakit_rate_rater", cookie)
    assert visitor.get("/collections").status_code == 401


def test_the_local_rater_cannot_sign_out(visitor: Visitor) -> None:
    """The local rater has no sign-out button, and all redirects work."""
    assert "/logout" not in visitor.get("/me").text
    assert "/login" not in visitor.get("/welcome").text
    for address in ("/logout", "/login"):
        answer = visitor.post(address, {}, follow_redirects=True)
        assert (answer.status_code, answer.request.path) == (200, "/collections")


def test_an_invited_rater_signs_out_on_this_machine(study: Study) -> None:
    """Afterwards the visitor is the local rater again."""
    ann = study.rater("Ann")
    assert "/logout" in ann.get("/me").text
    answer = ann.post("/logout", {}, follow_redirects=True)
    assert (answer.status_code, answer.request.path) == (200, "/collections")
    assert ann.code == study.visitor().code


def test_two_apps_of_one_host_keep_their_sessions(
    shared: Study, make_study: MakeStudy, tmp_path: Path
) -> None:
    """Browsers send cookies to all ports of a host, but the sessions of two apps stay separate."""
    other = make_study(
        read_settings(
            folders=shared.services.settings.folders,
            data_dir=tmp_path / "other",
            host="192.0.2.1",
            environment={"NIMAKIT_RATE_PASSWORD": PASSWORD},
        )
    )
    here, there = shared.rater("Ann"), other.rater("Ben")
    for name in ("SESSION_COOKIE_NAME", "REMEMBER_COOKIE_NAME"):
        kept = there.client.get_cookie(other.app.config[name])
        assert kept is not None
        here.client.set_cookie(kept.key, kept.value)
    assert here.rater.name == "Ann"


@pytest.mark.parametrize("address", ["/logout", "/me/link", "/login", "/sign-up/photos"])
def test_refuses_forged_forms(study: Study, address: str) -> None:
    """A form of another page has no token."""
    assert study.visitor().client.post(address, data={}).status_code == 400
