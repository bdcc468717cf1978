"""The Ratings pages in a real browser, by keyboard alone."""

import re

from playwright.sync_api import Page, expect

from web.conftest import Serve
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
