"""The admin pages: collections and their settings, raters and invitations."""

import re
from dataclasses import replace
from html import unescape
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from nimakit.web.accounts.links import link
from nimakit.web.db.tables import Collection, Image, Invitation, Membership, PlatformId, Rater
from nimakit.web.settings import Settings
from web.conftest import MakeStudy
from web.study import Study, Visitor

FORM = {
    "name": "Sunsets",
    "experiment": "score",
    "scale": "1-7",
    "choices": "2",
    "question": "How calm?",
    "ordering": "fewest",
    "wanted": "3",
    "repeats": "10",
    "model": "",
    "is_open": "y",
}


def collections(study: Study) -> list[Collection]:
    """All collections."""
    with study.database.read() as session:
        return list(session.scalars(select(Collection).order_by(Collection.id)))


def test_a_finished_collection_leads_to_its_ratings(study: Study, visitor: Visitor) -> None:
    """Its card says Start, then Continue, and Results once every picture has been rated."""
    images = study.images
    for count, text in ((0, "Start"), (1, "Continue"), (len(images), "Results")):
        for image in images[:count]:
            visitor.rate(image.id, 5)
        page = visitor.get("/collections").text
        assert f'primary">{text}<' in page
    assert f'href="{visitor.address("ratings")}"' in page


def test_only_the_admin_is_told_of_problems(study: Study, visitor: Visitor) -> None:
    """What is wrong with a file names it, which blind raters must not see."""
    rater, image = study.rater(), study.images[0]
    rater.rate(image.id, 5)
    study.set(note="Not read: secret.jpg")
    study.change(lambda session: setattr(session.get_one(Image, image.id), "problem", "secret.jpg: bad"))
    for address in ("/collections", visitor.address(f"ratings/{image.id}")):
        assert "secret" in visitor.get(address).text
        answer = rater.get(address)
        assert (answer.status_code, "secret" in answer.text) == (200, False)


def test_settings_are_changed(study: Study, visitor: Visitor) -> None:
    """The form changes the collection, and raters see it at once."""
    assert visitor.post(visitor.address("settings"), FORM).status_code == 302
    found = study.collection
    assert (found.name, found.low, found.high, found.wanted, found.repeats) == ("Sunsets", 1, 7, 3, 0.1)
    assert (found.ordering, found.model, found.blind, found.is_open) == ("fewest", None, False, True)
    page = visitor.get(visitor.address("score")).text
    assert "How calm?" in page
    assert 'data-value="8"' not in page


def test_the_form_shows_what_is_set(study: Study, visitor: Visitor) -> None:
    """Saving it unchanged changes nothing."""
    visitor.post(visitor.address("settings"), FORM)
    page = visitor.get(visitor.address("settings")).text
    for text in ('value="Sunsets"', 'value="1-7"', 'value="3"', 'value="10"'):
        assert text in page


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"scale": "7-1"}, "Enter the lowest rating, 0 or 1, a hyphen, and the highest, at most 10"),
        ({"scale": "1-100"}, "at most 10"),
        ({"scale": "good"}, "1-10, for example"),
        ({"name": " "}, "Enter a name."),
        ({"wanted": "0"}, "Ratings wanted per picture must be a whole number from 1 to 10,000, or blank."),
        ({"wanted": "many"}, "or blank. Received: many"),
        ({"repeats": "60"}, "Repeat rate (%) must be a whole number from 0 to 50, or blank."),
        ({"experiment": "guess"}, "valid choice"),
        ({"question": "x" * 201}, "Enter at most 200 characters."),
    ],
)
def test_refuses_invalid_settings(
    study: Study, visitor: Visitor, change: dict[str, str], reason: str
) -> None:
    """The form comes back with the reason, and nothing is changed."""
    answer = visitor.post(visitor.address("settings"), {**FORM, **change})
    assert answer.status_code == 400
    assert reason in answer.text
    assert study.collection.name == "photos"


def test_settings_are_checked_before_they_are_saved(study: Study, visitor: Visitor) -> None:
    """The form's script gets the same messages by field, and nothing is changed."""
    visitor.rate(study.images[0].id, 7)
    for address in (visitor.address("settings/check"), "/collections/new/check"):
        sent = {**FORM, "root": "0", "wanted": "many", "repeats": "60"}
        answer = visitor.post(address, sent).get_json()
        assert answer["fields"]["wanted"] == [
            "Ratings wanted per picture must be a whole number from 1 to 10,000, or blank. Received: many"
        ]
        assert answer["fields"]["repeats"] == [
            "Repeat rate (%) must be a whole number from 0 to 50, or blank. Received: 60"
        ]
        assert set(answer["fields"]) == {"wanted", "repeats"}
    [problem] = visitor.post(visitor.address("settings/check"), FORM).get_json()["form"]
    assert "cannot change once there are ratings" in problem
    assert visitor.post(visitor.address("settings/check"), {**FORM, "scale": "1-10"}).json == {
        "fields": {},
        "form": [],
    }
    assert study.collection.name == "photos"


def test_settings_that_the_experiment_does_not_use_are_neither_shown_nor_changed(
    study: Study, visitor: Visitor
) -> None:
    """A comparison has no scale and a score no number of choices, whatever their fields contain."""
    form = {**FORM, "experiment": "preference", "scale": "nonsense", "choices": "4", "low_label": "x" * 99}
    assert visitor.post(visitor.address("settings"), form).status_code == 302
    found = study.collection
    assert (found.low, found.high, found.choices, found.low_label) == (1, 10, 4, "")
    page = visitor.get(visitor.address("settings")).text
    hidden = set(re.findall(r'data-setting="(\w+)" hidden', page))
    assert hidden == {"scale", "low_label", "high_label", "personal", "encoder"}


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (
            "nonsense",
            "a public model (aesthetic, technical), an .onnx file or an ensemble .json. Received: nonsense",
        ),
        ("weights.hdf5", "Received: weights.hdf5"),
        ("nowhere.onnx", "must exist. Received: nowhere.onnx"),
        ("nowhere.json", "nowhere.json"),
        ("photo.onnx", "must be a valid ONNX model"),
    ],
)
def test_refuses_a_model_that_cannot_be_loaded(
    study: Study, visitor: Visitor, monkeypatch: pytest.MonkeyPatch, model: str, reason: str
) -> None:
    """Both forms refuse it, without mentioning options of other commands."""
    (study.folder / "photo.onnx").write_bytes((study.folder / "photo 0.jpg").read_bytes())
    monkeypatch.chdir(study.folder)
    for address in (visitor.address("settings"), "/collections/new"):
        answer = visitor.post(address, {**FORM, "root": "0", "model": model})
        assert answer.status_code == 400
        assert reason in unescape(answer.text)
        assert " --" not in answer.text.split("<main")[1]
    assert [(one.name, one.model) for one in collections(study)] == [("photos", None)]


def test_a_missing_model_does_not_block_other_changes(study: Study, visitor: Visitor) -> None:
    """The problem is shown above the form."""
    study.set(model="gone.onnx")
    assert visitor.post(visitor.address("settings"), {**FORM, "model": "gone.onnx"}).status_code == 302
    assert study.collection.name == "Sunsets"


def test_a_public_model_is_saved_before_it_is_fetched(study: Study, visitor: Visitor) -> None:
    """The download, which may take minutes, happens later."""
    assert visitor.post(visitor.address("settings"), {**FORM, "model": "aesthetic"}).status_code == 302
    assert study.collection.model == "aesthetic"


def test_what_ratings_depend_on_cannot_change_once_there_are_any(study: Study, visitor: Visitor) -> None:
    """Scale and kind of experiment are disabled with the reason, and refused if they are sent anyway."""
    settings = visitor.address("settings")
    visitor.post(settings, FORM)
    assert "disabled" not in visitor.get(settings).text.split("<form")[1]
    visitor.rate(study.images[0].id, 7)
    for change in ({"scale": "1-5"}, {"experiment": "preference"}):
        answer = visitor.post(settings, {**FORM, **change})
        assert answer.status_code == 400
        assert "cannot change once there are ratings. Duplicate" in answer.text.split('id="problem"')[1]
    page = visitor.get(settings).text
    assert re.search(r'<input disabled[^>]* name="scale"[^>]* value="1-7"><small>This cannot change', page)
    assert re.findall(r'<option disabled value="([\w-]+)"', page) == ["preference", "best-worst", "cull"]
    sent = {key: value for key, value in FORM.items() if key != "scale"} | {"experiment": "rate"}
    assert visitor.post(settings, sent).status_code == 302
    assert (study.collection.high, study.collection.experiment) == (7, "rate")


def test_showing_predictions_needs_a_model(study: Study, visitor: Visitor) -> None:
    """Without a model the default model is used."""
    visitor.post(visitor.address("settings"), {**FORM, "experiment": "rate"})
    assert study.collection.model == "aesthetic"


def test_a_second_collection_is_made_of_a_folder_inside(study: Study, visitor: Visitor) -> None:
    """Another study can use the same pictures under a unique name."""
    answer = visitor.post("/collections/new", {**FORM, "root": "0", "inside": "more", "name": "photos"})
    assert answer.location == "/c/photos-2/"
    study.services.background.once()
    assert collections(study)[1].folder == str(study.folder / "more")
    assert visitor.get_json("/c/photos-2/deck")["total"] == 1
    assert "photos-2" in visitor.get("/collections").text


def test_a_new_collection_is_blind_and_from_1_to_10_unless_asked_otherwise(visitor: Visitor) -> None:
    """The defaults are those of the command line; a cleared box stays cleared."""
    page = visitor.get("/collections/new").text
    assert re.search(r'name="scale"[^>]* value="1-10"', page)
    assert re.search(r'<input checked[^>]* name="blind"', page)
    visitor.post(visitor.address("settings"), FORM)
    assert not re.search(r'<input checked[^>]* name="blind"', visitor.get(visitor.address("settings")).text)


@pytest.mark.parametrize("inside", ["..", "../..", "/etc", "nowhere", "more/../../..", "photo 0.jpg"])
def test_a_collection_stays_in_the_folders_of_the_start(study: Study, visitor: Visitor, inside: str) -> None:
    """The pages give no access to other files of the machine."""
    answer = visitor.post("/collections/new", {**FORM, "root": "0", "inside": inside})
    assert answer.status_code == 400
    assert len(collections(study)) == 1


def test_a_link_out_of_the_folder_is_refused(study: Study, visitor: Visitor) -> None:
    """Nor do links give access to them."""
    (study.folder / "out").symlink_to(study.folder.parent, target_is_directory=True)
    assert visitor.post("/collections/new", {**FORM, "root": "0", "inside": "out"}).status_code == 400


def test_an_invitation_is_made_and_withdrawn(study: Study, visitor: Visitor) -> None:
    """Its link is shown until it is withdrawn."""
    visitor.post(visitor.address("people"), {"label": "the club", "max_uses": "5", "days": "7"})
    page = visitor.get(visitor.address("people")).text
    assert "the club" in page
    assert "/join/" in page
    with study.database.read() as session:
        [invitation] = session.scalars(select(Invitation))
    assert invitation.expires_at is not None
    assert (invitation.expires_at - invitation.created_at).days in (6, 7)
    visitor.post(visitor.address(f"invitations/{invitation.id}"), {})
    page = visitor.get(visitor.address("people")).text
    assert "withdrawn" in page
    assert "/join/" not in page
    assert visitor.post(visitor.address("invitations/99"), {}).status_code == 404


def test_a_new_link_is_where_its_message_is(visitor: Visitor) -> None:
    """The message is directly above the link, above the raters, and appears only once."""
    visitor.post(visitor.address("people"), {"label": "the club"})
    page = visitor.get(visitor.address("people")).text
    parts = [page.index(text) for text in ("<h2>Invitations", "The link is ready", "/join/", "<h2>Raters")]
    assert parts == sorted(parts)
    assert page.count("The link is ready") == 1


def test_raters_and_invitations_are_paged(study: Study, visitor: Visitor) -> None:
    """Raters are listed fifty per page, the most active first; old invitations are folded away."""
    key, people = study.collection.id, visitor.address("people")

    def add(session: Session) -> None:
        session.add_all(Invitation(collection_id=key, label=f"for {number}") for number in range(12))
        for number in range(230):
            rater = Rater(code=f"r{number:07d}")
            session.add(rater)
            session.flush()
            session.add(Membership(rater_id=rater.id, collection_id=key))

    study.change(add)
    found: list[str] = []
    for number in range(1, 6):
        page = visitor.get(f"{people}?page={number}").text
        on_it = re.findall(r"<td>(r[0-9]{7})", page)
        assert len(on_it) <= 50
        assert ('rel="next"' in page, 'rel="prev"' in page) == (number < 5, number > 1)
        found += on_it
    assert found == [f"r{number:07d}" for number in range(230)]
    assert page.index("Earlier invitations (2)") < page.index("for 1<") < page.index("<h2>Raters")
    for nowhere in ("0", "-1", "x", "99", "9" * 30):
        assert visitor.get(f"{people}?page={nowhere}").status_code == 200, nowhere
    answer = visitor.post(visitor.address(f"people/{visitor.rater.id + 150}"), {"excluded": "1", "page": "2"})
    assert answer.location.endswith("/people?page=2#raters")


@pytest.mark.parametrize("change", [{"max_uses": "0"}, {"days": "x"}, {"label": "x" * 81}])
def test_refuses_an_invalid_invitation(study: Study, visitor: Visitor, change: dict[str, str]) -> None:
    """No invitation is created."""
    visitor.post(visitor.address("people"), change)
    with study.database.read() as session:
        assert session.scalars(select(Invitation)).all() == []


def test_a_rater_is_excluded_and_included(study: Study, visitor: Visitor) -> None:
    """Their ratings are kept, but left out of exports and figures."""
    ann = study.rater("Ann")
    ann.rate(study.images[0].id, 5)
    key = ann.rater.id
    page = visitor.address(f"people/{key}")
    for excluded in ("1", "0"):
        visitor.post(page, {"excluded": excluded})
        with study.database.read() as session:
            assert session.get_one(Membership, (key, 1)).excluded is (excluded == "1")
    assert visitor.post(visitor.address("people/99"), {}).status_code == 404
    assert "Ann" in visitor.get(visitor.address("people")).text
    assert len(study.ratings) == 1


def test_the_folder_is_scanned_when_asked(study: Study, visitor: Visitor) -> None:
    """It is scanned even if it does not seem to have changed."""
    assert visitor.post(visitor.address("scan"), {}).status_code == 302


@pytest.mark.parametrize("page", ["settings", "people", "scan", "people/1", "invitations/1", "transfer"])
def test_refuses_forged_forms(visitor: Visitor, page: str) -> None:
    """A form of another page has no token."""
    assert visitor.client.post(visitor.address(page), data=FORM).status_code == 400


@pytest.mark.parametrize("page", ["settings", "people", "scan", "people/1", "invitations/1", "transfer"])
def test_raters_change_nothing(study: Study, page: str) -> None:
    """Only the admin may."""
    rater = study.rater()
    data: dict[str, Any] = {**FORM, "what": "list"}
    assert rater.post(rater.address(page), data).status_code == 403


def test_people_are_found_by_name_or_pseudonym(study: Study, visitor: Visitor) -> None:
    """In any case, and wildcards stand for themselves; excluding one of them keeps the search."""
    ann, ben = study.rater("Ann Example"), study.rater("Ben 100%")
    address = visitor.address("people")
    for asked, shown, hidden in (("ann", ann, ben), ("0%25", ben, ann), (ann.code.upper(), ann, ben)):
        page = visitor.get(f"{address}?q={asked}").text
        assert shown.code in page
        assert hidden.code not in page
    assert "No rater has this" in visitor.get(f"{address}?q=nobody").text
    answer = visitor.post(visitor.address(f"people/{ann.rater.id}"), {"excluded": "1", "q": "ann"})
    assert answer.location.endswith("people?q=ann#raters")


def test_people_are_found_by_their_whole_id_on_a_platform(study: Study, visitor: Visitor) -> None:
    """Of this collection only; a part of it finds nobody."""
    ann, ben = study.rater("Ann"), study.rater("Ben")
    named = {"platform": "prolific", "participant": "5f0a", "study": "", "session": ""}
    study.change(
        lambda s: s.add(PlatformId(rater_id=ann.rater.id, collection_id=study.collection.id, **named))
    )
    page = visitor.get(visitor.address("people?q=5f0a")).text
    assert ann.code in page
    assert ben.code not in page
    assert "No rater has this" in visitor.get(visitor.address("people?q=5f0")).text


def test_links_use_the_address_that_people_can_reach(make_study: MakeStudy, settings: Settings) -> None:
    """The one of --url, or the request's host; the page warns if only this machine can open them."""
    address = "https://rate.example.org:8443/"
    study = make_study(replace(settings, url=address, password="x" * 12))
    with study.app.test_request_context("/", base_url="https://rate.example.org"):
        assert link("accounts.welcome") == f"{address}welcome"
    study = make_study(replace(settings, host="0.0.0.0", password="x" * 12))  # noqa: S104
    admin = study.admin()
    admin.post(admin.address("people"), {"label": "the club"})
    page = admin.get(admin.address("people")).text
    leads_nowhere = "//127" in study.services.settings.address(1)
    assert ("an address that only this machine can open" in page) == leads_nowhere
    assert "<svg" in page.split('class="qr-code"')[1]
    with study.app.test_request_context("/", base_url="http://192.0.2.7:8000"):
        assert link("accounts.welcome") == "http://192.0.2.7:8000/welcome"


def test_a_local_app_warns_that_its_links_lead_nowhere(visitor: Visitor) -> None:
    """Before anybody sends them."""
    assert "Only this machine can reach the app" in visitor.get(visitor.address("people")).text
