"""The Rate and Preference experiments in a real browser."""

from pathlib import Path

from playwright.sync_api import Page, expect

from web.conftest import MakeStudy, Serve
from web.test_score_page import open_page, press, wait_for_events


def test_predictions_are_corrected_by_keyboard(
    page: Page, make_study: MakeStudy, tiny_file: Path, serve: Serve
) -> None:
    """Keys move the score by a tenth and by one, and never past the scale; Enter accepts."""
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
    """The buttons do what the keys do."""
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


def test_the_best_of_four_is_chosen_by_touch(phone: Page, make_study: MakeStudy, serve: Serve) -> None:
    """A tap on a picture chooses it."""
    study = make_study(experiment="preference", choices="4")
    phone.goto(serve(study))
    expect(phone.locator(".canvas img")).to_have_count(4)
    phone.locator(".choice .canvas").nth(2).tap()
    expect(phone.locator("#count")).to_have_text("1 comparison")
    wait_for_events(phone, study, 1)
    [event] = study.events
    assert event.shown is not None
    assert event.image_id == event.shown[2]


def test_a_missing_picture_of_a_pair_is_replaced(page: Page, make_study: MakeStudy, serve: Serve) -> None:
    """The comparison makes way for one that can be shown."""
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
