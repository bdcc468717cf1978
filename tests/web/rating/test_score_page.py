"""The Score experiment in a real browser: by keyboard, by touch, offline, and when pictures break."""

import re
import time
from pathlib import Path

from playwright.sync_api import BrowserContext, Page, Route, expect

from samples import write_photo
from web.conftest import MakeStudy, Serve
from web.study import Study


def values(study: Study) -> list[float | None]:
    """The current ratings, in order of time."""
    return [rating.value for rating in study.ratings]


def wait_for_events(page: Page, study: Study, count: int) -> None:
    """Wait until the server has this number of events."""
    for _ in range(300):
        if len(study.events) >= count:
            return
        page.wait_for_timeout(30)
    assert len(study.events) == count


def open_page(page: Page, address: str) -> None:
    """Open the app and wait for a picture."""
    page.goto(address)
    expect(page.locator(".canvas img")).to_be_visible()


def press(page: Page, key: str, count: str) -> None:
    """Press a key once a picture is shown, and wait for the new count."""
    expect(page.locator("main")).to_have_attribute("aria-busy", "false")
    page.keyboard.press(key)
    expect(page.locator("#count")).to_have_text(count)


def test_pictures_are_scored_by_keyboard_alone(page: Page, study: Study, serve: Serve) -> None:
    """Digits rate, 0 is 10, arrows and Enter rate, s skips, z goes back; then all is done."""
    open_page(page, serve(study))
    press(page, "7", "1 of 6")
    press(page, "0", "2 of 6")
    page.keyboard.press("ArrowRight")
    press(page, "Enter", "3 of 6")
    press(page, "s", "4 of 6")
    page.keyboard.press("z")
    page.keyboard.press("z")
    expect(page.locator(".step.chosen")).to_have_text("6")
    page.keyboard.press("2")
    page.keyboard.press("Enter")  # nothing is chosen on what was skipped
    press(page, "4", "4 of 6")
    press(page, "5", "5 of 6")
    press(page, "6", "6 of 6")
    expect(page.locator("#message")).to_contain_text("All done")
    wait_for_events(page, study, 8)
    assert sorted(value for value in values(study) if value) == [2, 4, 5, 6, 7, 10]


def test_pictures_are_scored_by_touch(phone: Page, study: Study, serve: Serve) -> None:
    """A tap rates, a swipe left skips, and a swipe right goes back."""
    open_page(phone, serve(study))
    count = phone.locator("#count")
    settle(phone)
    phone.locator(".step", has_text="8").tap()
    expect(count).to_have_text("1 of 6")
    settle(phone)
    swipe(phone, -150)
    expect(count).to_have_text("2 of 6")
    settle(phone)
    swipe(phone, 150)
    phone.wait_for_timeout(1000)  # nobody rates what is not drawn yet, and such a tap is passed over
    settle(phone)
    phone.locator(".step", has_text="3").tap()
    wait_for_events(phone, study, 3)
    assert sorted(value for value in values(study) if value) == [3, 8]


def swipe(page: Page, distance: int) -> None:
    """Swipe over the picture."""
    session = page.context.new_cdp_session(page)
    x, y = 195, 350
    session.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
    for step in range(1, 6):
        moved = {"x": x + distance * step / 5, "y": y}
        session.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [moved]})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def settle(page: Page) -> None:
    """Wait until a picture is drawn; earlier touches are ignored."""
    expect(page.locator("main")).to_have_attribute("aria-busy", "false")
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def test_the_next_picture_is_there_within_a_tenth_of_a_second(page: Page, study: Study, serve: Serve) -> None:
    """This is the median time from a key to the next drawn picture."""
    open_page(page, serve(study))
    page.wait_for_timeout(800)  # somebody looks at the first
    waits = []
    for _ in range(4):
        waits.append(
            page.evaluate(
                """async () => {
                  const shown = () => document.querySelector(".canvas img")?.src;
                  const before = shown();
                  const start = performance.now();
                  document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "5", bubbles: true }));
                  while ([before, undefined].includes(shown())) await new Promise(requestAnimationFrame);
                  return performance.now() - start;
                }"""
            )
        )
        page.wait_for_timeout(300)
    assert sorted(waits)[1] < 100, waits


def test_ratings_given_offline_arrive_once(page: Page, study: Study, serve: Serve) -> None:
    """Rating continues without a network; the ratings are sent later, and count once."""
    open_page(page, serve(study))
    page.wait_for_timeout(500)  # the next pictures are loaded
    page.context.set_offline(True)
    press(page, "7", "1 of 6")
    press(page, "8", "2 of 6")
    press(page, "9", "3 of 6")
    expect(page.locator("#sync")).to_contain_text("Offline: 3 saved on this device")
    assert study.events == []
    page.context.set_offline(False)
    wait_for_events(page, study, 3)
    expect(page.locator("#sync")).to_have_text("")
    assert values(study) == [7, 8, 9]


def test_a_rating_whose_answer_was_lost_is_sent_again_and_counts_once(
    page: Page, study: Study, serve: Serve
) -> None:
    """The browser does not know that the server has it, and sends it again; there is one event."""
    lost = []

    def lose_the_first_answer(route: Route) -> None:
        answer = route.fetch()
        lost.append(answer.status)
        if len(lost) == 1:
            route.abort("connectionreset")
        else:
            route.fulfill(response=answer)

    page.route("**/events", lose_the_first_answer)
    open_page(page, serve(study))
    press(page, "7", "1 of 6")
    for _ in range(100):
        if len(lost) >= 2:
            break
        page.wait_for_timeout(50)
    expect(page.locator("#sync")).to_have_text("")
    assert lost[:2] == [200, 200]
    assert [event.value for event in study.events] == [7]


def test_what_was_not_sent_survives_closing_the_page(page: Page, study: Study, serve: Serve) -> None:
    """After a page was closed while the server was down, the next page sends the ratings."""
    address = serve(study)
    open_page(page, address)
    page.route("**/events", lambda route: route.abort())
    press(page, "7", "1 of 6")
    expect(page.locator("#sync")).to_contain_text("1 saved on this device")
    page.goto("about:blank")
    assert study.events == []
    page.unroute("**/events")
    page.goto(address)
    wait_for_events(page, study, 1)
    assert values(study) == [7]


def test_progress_is_not_set_back_by_what_was_asked_before(page: Page, study: Study, serve: Serve) -> None:
    """An answer that was computed before a rating was stored may arrive after it."""
    asked: list[Route] = []

    def hold(route: Route) -> None:
        asked.append(route)
        if len(asked) == 1:
            route.continue_()

    page.route(re.compile(r"/deck\?"), hold)
    open_page(page, serve(study))
    press(page, "3", "1 of 6")
    wait_for_events(page, study, 1)
    stale = asked[1].fetch()
    press(page, "4", "2 of 6")
    wait_for_events(page, study, 2)
    page.wait_for_timeout(300)  # until the browser has heard of it
    asked[1].fulfill(response=stale)
    page.wait_for_timeout(300)
    expect(page.locator("#count")).to_have_text("2 of 6")


def test_two_tabs_never_show_what_one_of_them_did(page: Page, study: Study, serve: Serve) -> None:
    """A second tab starts where the first is, and no rating is lost."""
    address = serve(study)
    open_page(page, address)
    press(page, "3", "1 of 6")
    wait_for_events(page, study, 1)
    other = page.context.new_page()
    open_page(other, address)
    expect(other.locator("#count")).to_have_text("1 of 6")
    press(other, "4", "2 of 6")
    press(page, "5", "2 of 6")  # the same picture: this tab did not know
    wait_for_events(page, study, 3)
    assert sorted(value for value in values(study) if value) == [3, 5]


def test_a_picture_deleted_in_mid_session_is_replaced(page: Page, study: Study, serve: Serve) -> None:
    """It is reported and replaced, and not shown to anyone again."""
    for image in study.images[1:4]:
        (study.folder / image.path).unlink()
    open_page(page, serve(study))
    press(page, "5", "1 of 3")
    press(page, "5", "2 of 3")
    press(page, "5", "3 of 3")
    expect(page.locator("#message")).to_contain_text("All done")
    wait_for_events(page, study, 3)
    assert [image.state for image in study.images] == ["ok", *["missing"] * 3, "ok", "ok"]


def test_a_picture_is_shown_at_its_own_size(
    page: Page, photos: Path, make_study: MakeStudy, serve: Serve
) -> None:
    """The key f shows it at 100 %, and fits it to the page again."""
    for path in photos.rglob("*.*"):
        write_photo(path, 100, (2000, 1500))
    open_page(page, serve(make_study()))
    settle(page)
    image = page.locator(".canvas img")
    fitted = image.bounding_box()
    page.keyboard.press("f")
    expect(page.locator("#zoom")).to_have_attribute("aria-pressed", "true")
    expect(image).to_have_css("width", "2000px")
    page.keyboard.press("f")
    assert image.bounding_box() == fitted


def test_a_correction_holds_though_the_first_answer_took_long(page: Page, study: Study, serve: Serve) -> None:
    """A first answer that was delayed looks newer than its correction."""
    held: list[Route] = []
    page.route("**/events", lambda route: route.continue_() if held else held.append(route))
    open_page(page, serve(study))
    press(page, "5", "1 of 6")
    expect(page.locator("main")).to_have_attribute("aria-busy", "false")
    page.keyboard.press("z")
    expect(page.locator(".step.chosen")).to_have_text("5")
    page.keyboard.press("7")
    page.wait_for_timeout(800)
    held[0].continue_()
    wait_for_events(page, study, 2)
    assert values(study) == [7]


def test_skipped_pictures_are_offered_once_more(page: Page, study: Study, serve: Serve) -> None:
    """Pictures skipped twice do not come a third time, even if answers are late."""

    def delay(route: Route) -> None:
        time.sleep(1)
        route.continue_()

    study.set(wanted=1)
    study.rater().send(*({"kind": "rating", "image": image.id, "value": 5} for image in study.images[2:]))
    study.services.candidates.invalidate(study.collection.id)
    open_page(page, serve(study))
    press(page, "s", "1 of 2")
    press(page, "s", "2 of 2")
    page.get_by_role("button", name="Rate the 2 you skipped").click()
    expect(page.locator(".canvas img")).to_be_visible()
    expect(page.locator("main")).to_have_attribute("aria-busy", "false")
    page.route(re.compile(r"/deck\?"), delay)
    page.keyboard.press("s")
    expect(page.locator("main")).to_have_attribute("aria-busy", "false")
    page.keyboard.press("6")
    expect(page.locator("#message")).to_contain_text("All done")
    wait_for_events(page, study, 8)
    assert [event.value for event in study.events[4:]] == [None, None, None, 6]


def test_all_keys_are_shown(page: Page, study: Study, serve: Serve) -> None:
    """? opens the list, Escape closes it, and no key rates while it is open."""
    open_page(page, serve(study))
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    expect(page.locator("#keys")).to_contain_text("Undo: go back and change the last rating")
    page.keyboard.press("7")
    page.keyboard.press("Escape")
    expect(page.locator("#help")).to_be_hidden()
    expect(page.locator("#count")).to_have_text("0 of 6")


def test_a_session_that_has_ended_loses_nothing(page: Page, study: Study, serve: Serve) -> None:
    """The page reports it, and ratings wait until the rater is back."""
    rater = study.rater("Ann")
    link = study.services.links.personal(rater.rater)
    address = serve(study)
    page.goto(f"{address}go-on/{link}")
    page.get_by_role("button", name="Continue").click()
    expect(page.locator(".canvas img")).to_be_visible()
    cookies: BrowserContext = page.context
    cookies.clear_cookies()
    page.keyboard.press("7")  # on this machine one is somebody else now: the local rater
    expect(page.locator("#sync")).to_contain_text("1 saved on this device")
    assert study.events == []
    page.goto(f"{address}go-on/{link}")
    page.get_by_role("button", name="Continue").click()
    wait_for_events(page, study, 1)
    assert [rating.rater_id for rating in study.ratings] == [rater.rater.id]


def test_colours_follow_the_reader(page: Page, study: Study, serve: Serve) -> None:
    """A button cycles through system, light and dark colours, and the next page uses them."""
    address = serve(study)
    open_page(page, address)
    button = page.locator("#theme")
    button.click()
    button.click()
    assert page.locator("html").get_attribute("data-theme") == "dark"
    page.goto(f"{address}collections")
    assert page.locator("html").get_attribute("data-theme") == "dark"
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"
