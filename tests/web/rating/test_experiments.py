"""The Rate and Preference experiments in a real browser."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from nimakit.web.db.tables import Attention, Checks
from nimakit.web.rating.checks import DEFAULTS, wanted_answer
from samples import write_photo
from web.conftest import MakeStudy, Serve
from web.rating.test_score_page import open_page, press, settle, swipe, wait_for_events


def test_predictions_are_corrected_by_keyboard(
    page: Page, make_study: MakeStudy, tiny_file: Path, serve: Serve
) -> None:
    """Keys change the score by 0.1 and 1, within the scale; Enter accepts."""
    study = make_study(experiment="rate", model=str(tiny_file))
    open_page(page, serve(study))
    value = page.locator("#value")
    predicted = float(page.locator("#predicted").inner_text())
    expect(value).to_have_text(f"{predicted:.1f}")
    for key, by in (
        ("+", 0.1),
        ("+", 0.1),
        ("-", -0.1),
        ("ArrowLeft", -1),
        ("ArrowRight", 1),
        ("ArrowUp", 0.1),
    ):
        before = float(value.inner_text())
        page.keyboard.press(key)
        expect(value).to_have_text(f"{before + by:.1f}")
    press(page, "Enter", "1 of 6")
    for _ in range(12):
        page.keyboard.press("ArrowRight")
    expect(value).to_have_text("10.0")
    press(page, "Enter", "2 of 6")
    press(page, "s", "3 of 6")
    page.keyboard.press("z")
    page.keyboard.press("z")
    expect(value).to_have_text("10.0")
    wait_for_events(page, study, 3)
    assert [rating.value for rating in study.ratings] == [round(predicted + 0.2, 1), 10, None]
    assert study.ratings[0].predicted == predicted


def test_predictions_are_corrected_by_touch(
    phone: Page, make_study: MakeStudy, tiny_file: Path, serve: Serve
) -> None:
    """The buttons have the actions of the keys."""
    study = make_study(experiment="rate", model=str(tiny_file))
    open_page(phone, serve(study))
    predicted = float(phone.locator("#predicted").inner_text())
    phone.get_by_role("button", name="Down 1", exact=True).tap()
    phone.get_by_role("button", name="Up 0.1").tap()
    phone.get_by_role("button", name="Accept").tap()
    expect(phone.locator("#count")).to_have_text("1 of 6")
    wait_for_events(phone, study, 1)
    assert [rating.value for rating in study.ratings] == [round(predicted - 0.9, 1)]


def test_the_best_of_two_is_chosen_by_keyboard(page: Page, make_study: MakeStudy, serve: Serve) -> None:
    """Digits and arrows choose, t is a tie, s skips, z goes back."""
    study = make_study(experiment="preference")
    page.goto(serve(study))
    expect(page.locator(".canvas img")).to_have_count(2)
    press(page, "1", "1 comparison")
    press(page, "ArrowRight", "2 comparisons")
    press(page, "t", "3 comparisons")
    press(page, "s", "4 comparisons")
    page.keyboard.press("z")
    page.keyboard.press("z")
    page.keyboard.press("z")
    expect(page.locator(".choice.chosen")).to_have_count(1)
    page.keyboard.press("ArrowLeft")
    wait_for_events(page, study, 5)
    assert [event.kind for event in study.events] == ["choice", "choice", "tie", "skip", "choice"]
    assert study.events[1].trial == study.events[4].trial
    assert study.events[1].shown is not None
    assert study.events[1].image_id == study.events[1].shown[1]
    assert study.events[4].image_id == study.events[1].shown[0]


def test_the_best_of_four_is_chosen_by_keyboard(page: Page, make_study: MakeStudy, serve: Serve) -> None:
    """Digits 1 to 4 choose, t is a tie, and arrows do nothing."""
    study = make_study(experiment="preference", choices="4")
    page.goto(serve(study))
    expect(page.locator(".canvas img")).to_have_count(4)
    press(page, "ArrowRight", "0 comparisons")
    press(page, "5", "0 comparisons")
    press(page, "4", "1 comparison")
    press(page, "t", "2 comparisons")
    page.keyboard.press("Backspace")
    page.keyboard.press("Backspace")
    expect(page.locator(".choice").nth(3)).to_have_class(re.compile("chosen"))
    page.keyboard.press("2")
    wait_for_events(page, study, 3)
    first, tie, second = study.events
    assert [first.kind, tie.kind, second.kind] == ["choice", "tie", "choice"]
    assert first.shown == second.shown
    assert first.shown is not None
    assert (first.image_id, second.image_id) == (first.shown[3], first.shown[1])


def test_the_best_and_the_worst_are_chosen_by_keyboard(
    page: Page, make_study: MakeStudy, serve: Serve
) -> None:
    """Digits choose the best, then the worst; z takes back the first half, then goes back to the last set."""
    study = make_study(experiment="best-worst", choices="5")
    page.goto(serve(study))
    expect(page.locator(".canvas img")).to_have_count(5)
    settle(page)
    page.keyboard.press("3")
    expect(page.locator(".choice").nth(2)).to_have_class(re.compile("best"))
    expect(page.locator("#announce")).to_have_text("Best: 3. Now choose the worst.")
    page.keyboard.press("z")
    expect(page.locator(".best")).to_have_count(0)
    page.keyboard.press("2")
    press(page, "5", "1 comparison")
    settle(page)
    page.keyboard.press("z")
    expect(page.locator(".choice").nth(1)).to_have_class(re.compile("best"))
    expect(page.locator(".choice").nth(4)).to_have_class(re.compile("worst"))
    settle(page)
    for key in "21":  # takes back the best, and chooses another
        page.keyboard.press(key)
    wait_for_events(page, study, 2)
    first, second = study.events
    assert first.shown is not None
    assert (first.image_id, first.worst_id) == (first.shown[1], first.shown[4])
    assert (second.image_id, second.worst_id) == (first.shown[0], first.shown[4])
    assert first.trial == second.trial


def test_the_best_and_the_worst_are_chosen_by_touch_and_by_buttons(
    phone: Page, make_study: MakeStudy, serve: Serve
) -> None:
    """Taps choose the best, then the worst. Buttons say what they choose, in either order, with Enter too.

    An attention check takes the question's place.
    """
    study = make_study(experiment="best-worst", choices="4")
    checks = {**DEFAULTS, "attention_every": 2}
    study.change(lambda session: session.add(Checks(collection_id=study.collection.id, **checks)))
    phone.goto(serve(study))
    expect(phone.locator(".canvas img")).to_have_count(4)
    settle(phone)
    phone.locator(".choice .canvas").nth(3).tap()
    expect(phone.locator("#step")).to_have_text("Now choose the worst.")
    phone.locator(".choice .canvas").nth(0).tap()
    expect(phone.locator("#count")).to_have_text("1 comparison")
    expect(phone.locator("#step")).to_have_text("Choose the best.")
    settle(phone)
    phone.get_by_role("button", name="Worst: photograph 2").focus()
    phone.keyboard.press("Enter")
    pressed = phone.get_by_role("button", name="Worst: photograph 2", pressed=True)
    expect(pressed).to_be_visible()
    phone.get_by_role("button", name="Best: photograph 4").tap()
    wait_for_events(phone, study, 2)
    for event, (best, worst) in zip(study.events, ((3, 0), (3, 1)), strict=True):
        assert event.shown is not None
        assert (event.image_id, event.worst_id) == (event.shown[best], event.shown[worst])
    settle(phone)
    wanted = wanted_answer(study.collection, study.visitor().rater, 1)
    expect(phone.locator(".question")).to_contain_text(f"choose photograph {wanted} as the best")
    for place in (wanted - 1, wanted % 4):
        phone.locator(".choice .canvas").nth(place).tap()
    wait_for_events(phone, study, 3)
    assert study.change(lambda session: session.query(Attention).one().passed)


def test_pictures_that_become_free_while_one_asks_are_asked_for_again(
    page: Page, make_study: MakeStudy, serve: Serve
) -> None:
    """Six pictures make one comparison of four; the next needs the first answer."""
    study = make_study(experiment="preference", choices="4")
    asked: list[Route] = []

    def hold(route: Route) -> None:
        asked.append(route)
        if len(asked) != 2:
            route.continue_()

    page.route("**/preference/next*", hold)
    page.goto(serve(study))
    expect(page.locator(".canvas img")).to_have_count(4)
    press(page, "4", "1 comparison")
    wait_for_events(page, study, 1)
    page.wait_for_timeout(300)  # until the browser has heard of it
    asked[1].continue_()
    expect(page.locator(".canvas img")).to_have_count(4)
    press(page, "t", "2 comparisons")


@pytest.mark.parametrize("choices", [2, 4])
def test_the_best_is_chosen_by_touch(
    phone: Page, photos: Path, make_study: MakeStudy, serve: Serve, choices: int
) -> None:
    """A tap chooses, a swipe left skips, a swipe right goes back, and a button is a tie."""
    for number in range(12):  # enough for three comparisons of four
        write_photo(photos / f"extra {number}.jpg", 20 + number)
    study = make_study(experiment="preference", choices=str(choices))
    phone.goto(serve(study))
    expect(phone.locator(".canvas img")).to_have_count(choices)
    count, main = phone.locator("#count"), phone.locator("main")
    settle(phone)
    phone.locator(".choice .canvas").nth(choices - 1).tap()
    expect(count).to_have_text("1 comparison")
    settle(phone)
    swipe(phone, -150)
    expect(count).to_have_text("2 comparisons")
    settle(phone)
    swipe(phone, 150)
    expect(main).to_have_attribute("aria-busy", "false")
    phone.wait_for_timeout(1000)  # a tap on what is not drawn yet is passed over
    settle(phone)
    phone.locator("#tie").tap()
    wait_for_events(phone, study, 3)
    chosen, skipped, tie = study.events
    assert [chosen.kind, skipped.kind, tie.kind] == ["choice", "skip", "tie"]
    assert skipped.trial == tie.trial
    assert chosen.shown is not None
    assert chosen.image_id == chosen.shown[choices - 1]


@pytest.mark.parametrize("experiment", ["rate", "preference"])
def test_a_swipe_on_keeps_what_was_said(
    phone: Page, make_study: MakeStudy, tiny_file: Path, serve: Serve, experiment: str
) -> None:
    """Going back and swiping on keeps the answer."""
    study = make_study(experiment=experiment, model=str(tiny_file))
    phone.goto(serve(study))
    main, count = phone.locator("main"), phone.locator("#count")
    settle(phone)
    phone.locator("#accept" if experiment == "rate" else "#tie").tap()
    expect(count).to_have_text(re.compile("^1 "))
    settle(phone)
    swipe(phone, 150)
    expect(phone.locator("#back")).to_be_disabled()
    settle(phone)
    swipe(phone, -150)
    expect(phone.locator("#back")).to_be_enabled()
    expect(main).to_have_attribute("aria-busy", "false")
    phone.wait_for_timeout(300)
    assert len(study.events) == 1


def test_a_missing_picture_of_a_pair_is_replaced(page: Page, make_study: MakeStudy, serve: Serve) -> None:
    """The comparison is replaced by one that can be shown."""
    study = make_study(experiment="preference")
    for image in study.images[1:4]:
        (study.folder / image.path).unlink()
    page.goto(serve(study))
    expect(page.locator(".canvas img")).to_have_count(2)
    expect(page.locator("main")).to_have_attribute("aria-busy", "false")
    press(page, "1", "1 comparison")
    wait_for_events(page, study, 1)
    gone = {image.id for image in study.images if image.state == "missing"}
    assert study.events[0].shown is not None
    assert not gone & set(study.events[0].shown)
