"""Accessibility of every page of the app, checked by axe in light and dark, on desktop and phone."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import select
from sqlalchemy.orm import Session

from nimakit.models.encoders.encoder import Encoder
from nimakit.web.accounts import raters
from nimakit.web.collections.setup import add_collection
from nimakit.web.cull import grouping
from nimakit.web.db.tables import CHOICE, Choice, Collection, Image, Invitation, now
from nimakit.web.rating.store import NewEvent, store_events
from web.accessibility import problems
from web.conftest import MakeStudy, Serve
from web.study import Study

EXPERIMENTS = {
    "rating": ("rate", 2),
    "pairs": ("preference", 2),
    "fours": ("preference", 4),
    "fives": ("best-worst", 5),
    "cull": ("cull", 2),
}
"""Further collections: experiment and pictures of a comparison."""
READY = {"cull": "main[aria-busy=false] .frame img"}


@pytest.fixture
def study(make_study: MakeStudy, tiny_file: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """A collection of each experiment; the first has ratings and a correction."""
    monkeypatch.setattr(grouping, "load_encoder", lambda *_, **__: Encoder(tiny_file))
    study = make_study(model=str(tiny_file), sign_up=True)
    first = study.collection

    def add(session: Session) -> None:
        for slug, (experiment, choices) in EXPERIMENTS.items():
            session.add(
                Collection(
                    name=slug, slug=slug, folder=first.folder, experiment=experiment, choices=choices,
                    low=first.low, high=first.high, model=first.model, created_at=first.created_at,
                )
            )  # fmt: skip

    visitor = study.visitor()
    for image in study.images[:4]:
        visitor.rate(image.id, 4)
        study.rater(f"Rater {image.id}").rate(image.id, 1 + image.id)
    visitor.rate(study.images[0].id, 6)
    study.change(add)
    study.services.background.wake(first.id)
    study.services.background.once()
    study.change(compare)
    return study


def compare(session: Session) -> None:
    """Store a choice of the local rater between two pictures, and one of five."""
    for slug, worst in (("pairs", None), ("fives", 1)):
        one = session.scalars(select(Collection).where(Collection.slug == slug)).one()
        wanted = select(Image.id).where(Image.collection_id == one.id).limit(one.choices)
        shown, said = list(session.scalars(wanted)), now()
        act = NewEvent(
            client_id=slug, collection_id=one.id, rater_id=raters.local_rater(session).id, kind=CHOICE,
            image_id=shown[0], worst_id=None if worst is None else shown[worst], trial=slug, shown=shown,
            occurred_at=said, received_at=said, source="app",
        )  # fmt: skip
        store_events(session, [act])


def hide_and_upload(study: Study) -> Callable[[Session], str]:
    """Make an archived collection, a deleted one and one of uploaded pictures; the slug of the last."""

    def act(session: Session) -> str:
        folder = study.services.settings.uploads_dir
        for name, values in {"old": {"archived_at": now()}, "gone": {"deleted_at": now()}, "new": {}}.items():
            collection = add_collection(session, folder / name, name=name)
            for key, value in values.items():
                setattr(collection, key, value)
        return "new"

    return act


def pages(study: Study) -> dict[str, str]:
    """The address of each page, and an element that is there once its script has run."""
    collection = study.collection
    image = next(one.id for one in study.images if one.collection_id == collection.id)

    def invite(session: Session) -> str:
        invitation = Invitation(collection_id=collection.id)
        session.add(invitation)
        session.flush()
        return study.services.links.invitation(invitation)

    with study.database.read() as session:
        choice, set_of_five = session.scalars(select(Choice).order_by(Choice.collection_id))
    token = study.change(invite)
    uploaded = study.change(hide_and_upload(study))
    study.change(lambda session: raters.set_password(session, "a long one"))
    ready = "main[aria-busy=false] .canvas img"
    own = f"c/{collection.slug}/"
    return {
        f"{own}score": ready,
        **{f"c/{slug}/{kind}": READY.get(kind, ready) for slug, (kind, _) in EXPERIMENTS.items()},
        f"{own}ratings": ".tile img",
        f"{own}ratings?text=nothing": ".lead",
        f"{own}ratings/{image}": ".detail-picture img",
        "c/pairs/ratings": ".tile img",
        "c/pairs/comparisons": ".versus img",
        f"c/pairs/comparisons/{choice.rater_id}/{choice.trial}": ".offered img",
        "c/fours/comparisons": ".lead",
        "c/fives/comparisons": ".versus img",
        f"c/fives/comparisons/{set_of_five.rater_id}/{set_of_five.trial}": ".offered img",
        f"{own}model": ".lead",
        "c/pairs/model": ".lead",
        f"{own}people": "table",
        f"{own}people/{choice.rater_id}/erase": "form",
        f"{own}settings": "#model-choice",
        f"{own}delete": "form",
        f"c/{uploaded}/upload": "#drop",
        "collections/upload": "form",
        f"{own}transfer": "form",
        "me": "main h1",
        "welcome": "main h1",
        "login": "form",
        f"join/{token}": "form",
        "join/nonsense": "main",
        "collections/new": "form",
        "collections": "main h1",
    }


def in_dialog(page: Page, name: str) -> list[str]:
    """What axe finds in a dialog of the cull, with a decision about the picture that is shown."""
    page.locator(".frame").first.focus()
    page.keyboard.press("p")
    page.locator(f"#{name}-button").click()
    expect(page.locator(f"#{name}")).to_be_visible()
    found = problems(page)
    page.keyboard.press("Escape")
    return found


def test_axe_finds_nothing(browser: Browser, study: Study, serve: Serve) -> None:
    """Neither on any page nor in the help dialog, and no page scrolls sideways."""
    base = serve(study)
    context = browser.new_context(reduced_motion="reduce")
    page = context.new_page()
    found: list[str] = []
    for address, shown in pages(study).items():
        page.goto(base + address)
        expect(page.locator(shown).first).to_be_visible()
        found += [f"{address}, {what}" for what in problems(page)]
        if address.endswith("/score"):
            page.keyboard.press("?")
            found += [f"list of keys, {what}" for what in problems(page)]
        if address.endswith("/cull"):
            found += [f"{name}, {what}" for name in ("compare", "export") for what in in_dialog(page, name)]
    context.close()
    assert found == []
