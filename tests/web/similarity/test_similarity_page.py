"""The Similarity pages in a real browser: by keyboard, by touch, with a picture of one's own."""

import io
from pathlib import Path

import pytest
from PIL import Image as Picture
from playwright.sync_api import Browser, Page, Route, expect
from sqlalchemy import delete

from nimakit.web.db.tables import Features
from nimakit.web.similarity import index
from web.accessibility import problems
from web.colours import COLOURS, paint
from web.conftest import MakeStudy, Serve
from web.study import Study


@pytest.fixture
def study(make_study: MakeStudy, photos: Path, tiny_file: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """A collection with a model that sees colours."""
    monkeypatch.setattr(index, "_MIN_SECONDS_BETWEEN_READS", -1.0)
    paint(photos, (600, 400))
    return make_study(model=str(tiny_file))


def file(colour: tuple[int, int, int], name: str = "mine.png") -> dict[str, object]:
    """A picture to bring along."""
    stream = io.BytesIO()
    Picture.new("RGB", (300, 200), colour).save(stream, "PNG")
    return {"name": name, "mimeType": "image/png", "buffer": stream.getvalue()}


def arrive(page: Page, shown: str) -> None:
    """Wait for a page, until its keys do something."""
    expect(page.locator(shown).first).to_be_visible()
    page.wait_for_load_state()


def test_pairs_are_looked_at_by_keyboard_alone(page: Page, study: Study, serve: Serve) -> None:
    """Key n draws a pair, 1 and 2 look for similar ones, a digit chooses, Backspace goes back, ? helps."""
    page.goto(serve(study) + f"c/{study.collection.slug}/similarity")
    seen = set()
    for _ in range(8):
        arrive(page, ".verdict-number")
        seen.add(page.url)
        with page.expect_navigation():
            page.keyboard.press("n")
    arrive(page, ".verdict-number")
    assert len(seen) > 2
    pair = page.url
    page.keyboard.press("?")
    expect(page.locator("#help")).to_contain_text("Another pair")
    page.keyboard.press("Escape")
    page.keyboard.press("2")
    arrive(page, ".match")
    expect(page.locator(".match")).to_have_count(len(COLOURS) - 1)
    page.keyboard.press("3")
    arrive(page, ".verdict-number")
    page.keyboard.press("Backspace")
    arrive(page, ".match")
    page.keyboard.press("Backspace")
    page.wait_for_url(pair)


def test_the_bar_is_as_long_as_the_number_says(page: Page, study: Study, serve: Serve) -> None:
    """And as high as its frame."""
    page.goto(f"{serve(study)}c/{study.collection.slug}/similarity")
    number = float(page.locator(".verdict-number").inner_text())
    frame, filled = (page.locator(which).first.bounding_box() for which in (".alike", ".alike > rect"))
    assert frame is not None
    assert filled is not None
    assert filled["height"] == pytest.approx(frame["height"], abs=0.1)
    assert filled["width"] / frame["width"] == pytest.approx(max(number, 0), abs=0.01)


def test_pairs_are_looked_at_by_touch(phone: Page, study: Study, serve: Serve) -> None:
    """Another pair, another picture on one side, one that is chosen, similar ones, and its ratings."""
    images = study.images
    place = f"c/{study.collection.slug}/similarity?left={images[0].id}&right={images[1].id}"
    phone.goto(serve(study) + place)
    phone.get_by_role("link", name="Another first picture").tap()
    expect(phone.locator(".verdict-number")).to_be_visible()
    phone.wait_for_url(f"**right={images[1].id}")
    phone.get_by_role("link", name="Choose the second picture").tap()
    phone.get_by_role("link", name="colour 4.png").tap()
    phone.wait_for_url(f"**right={images[4].id}")
    phone.get_by_role("link", name="Similar to the second picture").tap()
    expect(phone.locator(".match").first).to_contain_text("0.98")
    phone.get_by_role("link", name="Ratings of colour 5.png").tap()
    phone.get_by_role("link", name="Similar pictures").tap()
    expect(phone.locator(".match")).to_have_count(5)
    phone.get_by_role("link", name="Another pair").tap()
    expect(phone.locator(".verdict-number")).to_be_visible()


def test_a_picture_of_ones_own_is_drawn_and_compared(page: Page, study: Study, serve: Serve) -> None:
    """Without leaving the page; the next one takes its place; what is none is refused there."""
    page.goto(serve(study) + f"c/{study.collection.slug}/similarity")
    page.keyboard.press("u")
    arrive(page, "#upload")
    field = page.locator("input[type=file]")
    field.set_input_files(file((10, 10, 230)))  # type: ignore[arg-type]
    expect(page.locator("#result")).to_contain_text("most similar to mine.png")
    expect(page.locator("#preview")).to_be_visible()
    drawn = page.evaluate(
        "[...document.getElementById('preview').getContext('2d').getImageData(9, 9, 1, 1).data]"
    )
    assert drawn == [10, 10, 230, 255]
    first = page.locator(".match-picture").first.get_attribute("href") or ""
    assert int(first.rpartition("/")[2]) in {study.images[4].id, study.images[5].id}
    bad = {"name": "bad.jpg", "mimeType": "image/jpeg", "buffer": b"nothing"}
    field.set_input_files(bad)  # type: ignore[arg-type]
    expect(page.locator("#result [role=alert]")).to_contain_text("bad.jpg")
    expect(page.locator(".match")).to_have_count(0)
    field.set_input_files(file((230, 10, 10), "red.png"))  # type: ignore[arg-type]
    expect(page.locator("#result")).to_contain_text("most similar to red.png")
    expect(page.locator("#preview")).to_be_visible()
    page.route("**/upload", lambda route: route.abort())
    field.set_input_files(file((0, 200, 10), "green.png"))  # type: ignore[arg-type]
    expect(page.locator("#result [role=alert]")).to_contain_text("could not be sent")
    page.unroute("**/upload")
    often = '<main><p class="lead">60 per 1 minute</p></main>'
    page.route("**/upload", lambda route: route.fulfill(status=429, content_type="text/html", body=often))
    page.locator("#find").click()
    expect(page.locator("#result [role=alert]")).to_have_text("60 per 1 minute")
    page.unroute("**/upload")
    page.locator("#find").click()
    expect(page.locator("#result")).to_contain_text("most similar to green.png")
    page.keyboard.press("1")
    expect(page.locator("h1")).to_have_text("Similar pictures")


def test_a_picture_chosen_before_the_script_came_is_sent(page: Page, study: Study, serve: Serve) -> None:
    """On a slow line the field is there before what watches it."""
    scripts: list[Route] = []
    page.route("**/similarity.js*", lambda route: scripts.append(route))  # noqa: PLW0108 - takes no built-in
    page.goto(serve(study) + f"c/{study.collection.slug}/similarity/upload", wait_until="commit")
    page.locator("input[type=file]").set_input_files(file((10, 10, 230)))  # type: ignore[arg-type]
    scripts[0].continue_()
    expect(page.locator("#result")).to_contain_text("most similar to mine.png")


def test_a_picture_that_is_too_large_is_not_even_sent(page: Page, study: Study, serve: Serve) -> None:
    """The page says how large one may be."""
    page.goto(serve(study) + f"c/{study.collection.slug}/similarity/upload")
    page.evaluate("document.getElementById('similarity').dataset.largest = 70000")
    large = {"name": "large.png", "mimeType": "image/png", "buffer": b"x" * 10_000}
    page.locator("input[type=file]").set_input_files(large)  # type: ignore[arg-type]
    expect(page.locator("#result [role=alert]")).to_contain_text("large.png is too large")


def test_without_scripts_everything_is_there(browser: Browser, study: Study, serve: Serve) -> None:
    """Links and forms do it alone."""
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(serve(study) + f"c/{study.collection.slug}/similarity")
    page.get_by_role("link", name="Another pair").click()
    expect(page.locator(".verdict-number")).to_be_visible()
    page.get_by_role("link", name="Upload a picture").click()
    page.locator("input[type=file]").set_input_files(file((10, 10, 230)))  # type: ignore[arg-type]
    page.get_by_role("button", name="Find").click()
    expect(page.locator(".match")).to_have_count(6)
    context.close()


def test_the_page_goes_on_once_there_are_features(page: Page, study: Study, serve: Serve) -> None:
    """Nobody has to look again by hand."""
    study.change(lambda session: session.execute(delete(Features)))
    page.goto(serve(study) + f"c/{study.collection.slug}/similarity")
    expect(page.locator("#waiting")).to_contain_text("0 of 6")
    study.services.background.wake(study.collection.id)
    study.services.background.once()
    expect(page.locator(".verdict-number")).to_be_visible()


def test_a_picture_that_goes_in_mid_session_is_said_and_reported(
    page: Page, study: Study, serve: Serve
) -> None:
    """It stands as missing where it was, and nobody is shown it again."""
    images = study.images
    (study.folder / images[0].path).unlink()
    page.goto(serve(study) + f"c/{study.collection.slug}/similarity?left={images[0].id}&right={images[1].id}")
    expect(page.locator(".tile-gone")).to_have_text("This picture cannot be shown")
    page.get_by_role("link", name="Another first picture").click()
    expect(page.locator(".verdict-number")).to_be_visible()
    assert study.images[0].state == "missing"


def test_axe_finds_nothing(page: Page, study: Study, serve: Serve) -> None:
    """On no page, in light and dark, on a desktop, a phone, and at 200 %; nor does anything stick out."""
    base = serve(study) + f"c/{study.collection.slug}/similarity"
    first, second, *_ = (image.id for image in study.images)
    places = (f"?left={first}&right={second}", f"/like/{first}", "/choose?side=left", "/upload")
    for place in places:
        page.goto(base + place)
        page.wait_for_load_state("networkidle")
        if place == "/upload":
            page.locator("input[type=file]").set_input_files(file((1, 1, 200)))  # type: ignore[arg-type]
            expect(page.locator(".match")).to_have_count(6)
        assert problems(page, (1200, 600, 390)) == []
    page.keyboard.press("?")
    assert problems(page, (1200, 600, 390)) == []
