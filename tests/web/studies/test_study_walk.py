"""A study of forty pictures in a real browser, from a Prolific-shaped link to the completion code."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from samples import write_photo
from web.accessibility import problems
from web.conftest import MakeStudy, Serve
from web.studies.conftest import PROLIFIC, Way

pytestmark = pytest.mark.slow

COUNT = 40
EXPLAINED = 3
"""Pictures of examples and practice, which are not among the forty."""


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Generated pictures of increasing brightness."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(COUNT + EXPLAINED):
        write_photo(folder / f"p{number:02}.jpg", 5 * number + 20, (60, 40))
    return folder


@pytest.fixture
def way(make_study: MakeStudy, photos: Path) -> Way:
    """A study with consent, an example, two practice tasks, two gold pictures and a common code."""
    made = Way(make_study())
    answer = made.save(
        consent="# Who we are\n\nA university. ![Its logo](p00.jpg)\n\n[Privacy](https://example.org/privacy)",
        instructions="## The task\n\n| rating | meaning |\n|---|---|\n| 1 | dark |",
        examples="p00 | almost black: 1",
        practice="p01 | 1-3 | It is dark.\np02 | 8-10 | Imagine it bright.",
        practice_needed="1",
        platform="prolific",
        quota=str(COUNT),
        places="2",
        minutes="60",
        thanks="**That was all.**",
        code="C1ABCDEF",
        link="https://app.example.org/submissions/complete?cc={code}",
    )
    assert answer.status_code == 302, answer.text
    images = {image.image_id: image.id for image in made.study.images}
    for name, low, high in (("p10", 1, 3), ("p30", 8, 10)):
        gold = made.admin.address(f"checks/gold/{images[name]}")
        assert made.admin.post(gold, {"low": str(low), "high": str(high)}).status_code == 302
    return made


def found(page: Page) -> list[str]:
    """What axe finds on a page, with the page's title."""
    return [f"{page.title()}: {what}" for what in problems(page)]


def settled(page: Page) -> None:
    """Wait until a picture can be rated."""
    expect(page.locator("main")).to_have_attribute("aria-busy", "false")


def test_a_study_is_walked_by_keyboard(page: Page, way: Way, serve: Serve) -> None:
    """Tab and Enter go from page to page, digits rate; axe finds nothing, and exports name no platform id.

    A rater who misses both gold pictures is excluded, and loses nothing.
    """
    wrong: list[str] = []
    page.goto(serve(way.study)[:-1] + way.link + PROLIFIC.format("key"))
    assert page.locator(".text img").evaluate("image => image.naturalWidth") == 60
    wrong += found(page)
    enter(page, "I agree, start")
    expect(page.get_by_role("heading", name="Instructions")).to_be_visible()
    wrong += found(page)
    enter(page, "Continue to practice")
    settled(page)
    wrong += found(page)
    page.keyboard.press("9")
    expect(page.locator("#feedback-title")).to_have_text("Not as expected")
    for part, text in (
        ("given", "Your rating: 9."),
        ("expected", "Expected here: 1 to 3."),
        ("text", "It is dark."),
    ):
        expect(page.locator(f"#feedback-{part}")).to_have_text(text)
    wrong += found(page)
    page.keyboard.press("5")  # rates nothing while the feedback is open
    page.keyboard.press("Enter")
    settled(page)
    page.keyboard.press("4")
    expect(page.locator("#feedback-title")).to_have_text("Not as expected")
    page.keyboard.press("Enter")
    expect(page.get_by_text("0 of 2 as expected")).to_be_visible()
    wrong += found(page)
    enter(page, "Practise again")
    for key in ("2", "9"):
        settled(page)
        page.keyboard.press(key)
        expect(page.locator("#feedback-title")).to_have_text("As expected")
        page.keyboard.press("Enter")
    expect(page.get_by_text("2 of 2 as expected")).to_be_visible()
    enter(page, "Start rating")
    expect(page.locator("#skip")).to_be_hidden()
    with page.expect_response(re.compile("/study/done$")):
        for number in range(COUNT):
            settled(page)
            page.keyboard.press(str(5 + number % 2))
            expect(page.locator("#count")).to_have_text(f"{number + 1} of {COUNT}")
    expect(page.get_by_role("link", name="Finish")).to_be_focused()
    expect(page.locator("#pace")).to_be_empty()  # raters of a study are not hurried
    wrong += found(page)
    assert all(one.finished_at for one in way.participations())  # also if the rater leaves now
    page.keyboard.press("Enter")
    expect(page.locator(".completion")).to_have_text("C1ABCDEF")
    expect(page.get_by_text("That was all.")).to_be_visible()
    back = page.get_by_role("link", name="Return to app.example.org")
    assert back.get_attribute("href") == "https://app.example.org/submissions/complete?cc=C1ABCDEF"
    wrong += found(page)
    assert wrong == []
    assert len(way.study.ratings) == COUNT
    assert len(way.admin.table("ratings.csv")) == COUNT
    check_gold(way)


def check_gold(way: Way) -> None:
    """The rule excludes who missed both gold pictures; the ratings are kept."""
    rule = {"gold_every": 10, "gold_misses": 2, "excludes": "y", "same_share": "", "fast_ms": ""}
    assert way.admin.post(way.admin.address("checks"), rule).status_code == 302
    assert len(way.admin.table("ratings.csv")) == 0
    kept = way.admin.table("all-ratings.csv")
    assert len(kept) == COUNT
    assert {row["excluded"] for row in kept} == {"missed 2 of 2 gold pictures"}
    assert re.search("5f0akey|77ckey|61b2", str([kept, way.admin.table("raters.csv")])) is None


def enter(page: Page, name: str) -> None:
    """Press Tab until a button has the focus, then Enter."""
    button = page.get_by_role("button", name=name)
    expect(button).to_be_visible()
    for _ in range(30):
        page.keyboard.press("Tab")
        if button.evaluate("button => button === document.activeElement"):
            break
    page.keyboard.press("Enter")


def test_a_study_is_walked_by_touch_in_german(phone: Page, way: Way, serve: Serve) -> None:
    """Taps go from page to page, practise and rate; a reload in the middle loses nothing."""
    phone.goto(serve(way.study)[:-1] + way.link + PROLIFIC.format("tap") + "&lang=de")
    phone.get_by_role("button", name="Ich stimme zu").tap()
    phone.get_by_role("button", name="Weiter zur Übung").tap()
    for value in (2, 9):
        settled(phone)
        phone.locator(".step", has_text=re.compile(f"^{value}$")).tap()
        expect(phone.locator("#feedback-title")).to_have_text("Wie erwartet")
        phone.locator("#feedback-next").tap()
    phone.get_by_role("button", name="Mit dem Bewerten beginnen").tap()
    for number in range(COUNT):
        settled(phone)
        phone.locator(".step", has_text=re.compile(f"^{number % 10 + 1}$")).tap()
        expect(phone.locator("#count")).to_have_text(f"{number + 1} von {COUNT}")
        if number == COUNT // 2:
            expect(phone.locator("#sync")).to_have_text("")
            phone.reload()
    phone.get_by_role("link", name="Abschließen").tap()
    expect(phone.locator(".completion")).to_have_text("C1ABCDEF")
    assert problems(phone) == []
    assert len(way.study.ratings) == COUNT


def test_the_page_study_is_accessible(page: Page, way: Way, serve: Serve) -> None:
    """Axe finds nothing on it, nor on the page of those who are refused."""
    address = serve(way.study)
    page.goto(f"{address}c/{way.study.collection.slug}/study/settings")
    assert problems(page) == []
    page.goto(address[:-1] + way.link)
    expect(page.get_by_text("from Prolific")).to_be_visible()
    assert problems(page) == []
