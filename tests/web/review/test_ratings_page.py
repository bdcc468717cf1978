"""The Ratings pages in a real browser: by keyboard alone, and by touch."""

import re
from typing import Literal

import pytest
from playwright.sync_api import Page, expect

from web.accessibility import sticks_out
from web.conftest import MakeStudy, Serve
from web.study import Study


def reach(page: Page, name: str) -> None:
    """Press Tab until what has such a label or text has the focus."""
    heard = """() => {
      const here = document.activeElement;
      return ((here.labels?.[0] || here).textContent + " " + (here.querySelector("img")?.alt || "")).trim();
    }"""
    seen = []
    for _ in range(60):
        page.keyboard.press("Tab")
        seen.append(page.evaluate(heard))
        if re.fullmatch(name, seen[-1], re.DOTALL):
            return
    raise AssertionError(f"no Tab leads to {name}, but to {seen}")


def shown(page: Page) -> list[str]:
    """The pictures of the page, in order."""
    return [re.findall(r"photo \d", text)[0] for text in page.locator(".tile").all_inner_texts()]


def test_comparisons_are_found_corrected_and_taken_back_by_keyboard(
    page: Page, make_study: MakeStudy, serve: Serve
) -> None:
    """A name filters; a comparison is opened, another picture chosen, then it is taken back."""
    study = make_study(experiment="preference")
    visitor = study.visitor()
    first, second, third, *_ = study.images[1:]
    for trial, pair in (("one", (first, second)), ("two", (second, third))):
        shown_ = [image.id for image in pair]
        visitor.send({"kind": "choice", "image": shown_[0], "trial": trial, "shown": shown_})
    page.goto(f"{serve(study)}{visitor.address('ratings')[1:]}")
    reach(page, "Comparisons")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert page.locator(".versus-card").count() == 2
    reach(page, "Name")
    page.keyboard.type("photo 0")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    reach(page, ".*chose the first.*")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="You: chose the first")).to_be_visible()
    expect(page.get_by_role("button", name="Chosen photo 0.jpg", pressed=True)).to_be_visible()
    reach(page, "Choose photo 1.jpg, the second")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="You: chose the second")).to_be_visible()
    reach(page, "Take back")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="You: taken back")).to_be_visible()
    assert [(event.kind, event.image_id) for event in study.events if event.trial == "one"] == [
        ("choice", first.id), ("choice", second.id), ("skip", None),
    ]  # fmt: skip


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_comparison_is_corrected_by_touch(
    phone: Page, make_study: MakeStudy, serve: Serve, scheme: Literal["light", "dark"]
) -> None:
    """On a phone, in the latter without scripts' help; nothing sticks out, and both count as alike."""
    study = make_study(experiment="preference", choices=4)
    visitor = study.visitor()
    shown_ = [image.id for image in study.images[:4]]
    visitor.send({"kind": "choice", "image": shown_[3], "trial": "one", "shown": shown_})
    phone.emulate_media(color_scheme=scheme)
    if scheme == "dark":
        phone.route("**/*.js", lambda route: route.abort())
    phone.goto(f"{serve(study)}{visitor.address('comparisons')[1:]}")
    assert not sticks_out(phone)
    phone.locator(".versus-card").tap()
    expect(phone.get_by_role("heading", name="You: chose the fourth")).to_be_visible()
    assert not sticks_out(phone)
    phone.get_by_role("button", name="All alike").tap()
    expect(phone.get_by_text("They now count as alike.")).to_be_visible()
    assert [image.total for image in study.images if image.count] == [0.25] * 4


def test_ratings_are_sorted_filtered_and_corrected_by_keyboard(
    page: Page, study: Study, serve: Serve
) -> None:
    """A choice sorts at once, Enter filters; a picture is opened, its rating corrected, then taken back."""
    visitor = study.visitor()
    for image, value in zip(study.images[1:4], (9, 2, 5), strict=True):
        visitor.rate(image.id, value)
    page.goto(f"{serve(study)}{visitor.address('ratings', show='mine', sort='mine')[1:]}")
    assert shown(page) == ["photo 0", "photo 2", "photo 1"]
    reach(page, "Order.*")
    with page.expect_navigation():
        page.keyboard.press("ArrowDown")
    assert shown(page) == ["photo 1", "photo 2", "photo 0"]
    reach(page, "To")
    page.keyboard.type("5")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    reach(page, "Name")
    page.keyboard.type("photo 1")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert shown(page) == ["photo 1"]
    reach(page, ".*photo 1.*")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    reach(page, "Rating")
    page.keyboard.press("Control+a")
    page.keyboard.type("8")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert sorted(rating.value or 0 for rating in study.ratings) == [5, 8, 9]
    reach(page, "Take back")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Your rating")).to_be_visible()
    assert sorted(rating.value or 0 for rating in study.ratings) == [0, 5, 9]
    assert [event.value for event in study.events][-2:] == [8, None]


def test_a_picture_is_enlarged_and_the_arrow_keys_lead_through_the_list(
    page: Page, study: Study, serve: Serve
) -> None:
    """Keys that would scroll the enlarged picture do not leave it."""
    first, second, *_ = study.images[1:]
    page.goto(f"{serve(study)}{study.visitor().address(f'ratings/{first.id}', sort='name')[1:]}")
    zoom = page.get_by_role("button", name="Full size")
    page.locator("#picture img[style]").wait_for()  # fitted: the script runs
    zoom.click()
    expect(zoom).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Escape")
    expect(zoom).to_have_attribute("aria-pressed", "false")
    page.keyboard.press("ArrowRight")
    page.wait_for_url(re.compile(f"/ratings/{second.id}\\?"))
    page.locator("#picture img[style]").wait_for()
    page.keyboard.press("ArrowLeft")
    page.wait_for_url(re.compile(f"/ratings/{first.id}\\?"))


def test_the_tab_of_the_page_is_in_sight_on_a_phone(phone: Page, study: Study, serve: Serve) -> None:
    """The last of them, too; the page does not scroll for it."""
    phone.goto(f"{serve(study)}{study.visitor().address('settings')[1:]}")
    expect(phone.locator(".tabs [aria-current]")).to_be_in_viewport(ratio=1)
    assert phone.evaluate("[scrollX, scrollY]") == [0, 0]
