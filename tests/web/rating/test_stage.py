"""What all rating pages share, in a real browser: focus, drawing, full size, and the end."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from samples import write_photo
from web.accessibility import sticks_out
from web.conftest import MakeStudy, Serve
from web.rating.test_score_page import press, settle, swipe, values, wait_for_events
from web.study import Study

EXPERIMENTS: dict[str, dict[str, str]] = {
    "score": {"experiment": "score"},
    "rate": {"experiment": "rate"},
    "two": {"experiment": "preference"},
    "four": {"experiment": "preference", "choices": "4"},
    "five": {"experiment": "best-worst", "choices": "5"},
}

BUTTONS = (
    ".step", ".step-by", ".zoom", "#help-button", "#theme", "summary", ".pick", "#accept", "#tie", "#skip",
    "#back",
)  # fmt: skip
"""What can be pressed, where there is something to answer."""


@pytest.fixture(params=EXPERIMENTS)
def any_study(request: pytest.FixtureRequest, make_study: MakeStudy, tiny_file: Path) -> Study:
    """A study of each experiment in turn."""
    options = EXPERIMENTS[request.param]
    return make_study(**options, **({"model": str(tiny_file)} if request.param == "rate" else {}))


def begin(page: Page, study: Study, serve: Serve) -> None:
    """Open the app and wait for a picture to answer."""
    page.goto(serve(study))
    settle(page)


def begin_answer(page: Page, study: Study) -> None:
    """Choose what the experiment asks for besides the answer of one click: the worst picture."""
    if study.collection.experiment == "best-worst":
        page.locator(".pick-worst").nth(1).click()


def focused(page: Page) -> str:
    """The id or name of the focused element."""
    return str(page.evaluate("document.activeElement.id || document.activeElement.tagName"))


def test_no_button_keeps_the_focus_of_a_pointer(page: Page, any_study: Study, serve: Serve) -> None:
    """After clicking any button, also help and menu, keys act on the page."""
    begin(page, any_study, serve)
    for name in BUTTONS:
        button = page.locator(name).first
        if not button.count() or button.is_disabled():
            continue
        button.click()
        assert focused(page) == "BODY" or page.locator("#help").is_visible()
        page.keyboard.press("Escape")  # the help, the menu, or full size
        settle(page)
        assert focused(page) == "BODY"


def test_enter_gives_what_is_chosen_after_a_click(page: Page, study: Study, serve: Serve) -> None:
    """Clicking 2, then moving to 5 and pressing Enter gives 2 and 5; Space rates nothing."""
    begin(page, study, serve)
    page.locator(".step", has_text="2").click()
    expect(page.locator("#count")).to_have_text("1 of 6")
    settle(page)
    page.keyboard.press(" ")
    expect(page.locator("#zoom")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press(" ")
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".step.chosen")).to_have_text("5")
    press(page, "Enter", "2 of 6")
    wait_for_events(page, study, 2)
    assert values(study) == [2, 5]


def test_enter_accepts_after_a_click_on_a_step(
    page: Page, make_study: MakeStudy, tiny_file: Path, serve: Serve
) -> None:
    """After clicking +, Enter accepts; after clicking Skip, Space accepts the next."""
    study = make_study(experiment="rate", model=str(tiny_file))
    begin(page, study, serve)
    predicted = float(page.locator("#predicted").inner_text())
    page.get_by_role("button", name="Up 0.1").click()
    press(page, "Enter", "1 of 6")
    settle(page)
    page.locator("#skip").click()
    expect(page.locator("#count")).to_have_text("2 of 6")
    press(page, " ", "3 of 6")
    wait_for_events(page, study, 3)
    assert [event.kind for event in study.events] == ["rating", "skip", "rating"]
    assert study.events[0].value == round(predicted + 0.1, 1)


def test_enter_chooses_nothing_after_a_click_on_a_side(
    page: Page, make_study: MakeStudy, serve: Serve
) -> None:
    """In a preference, no key repeats an earlier click."""
    study = make_study(experiment="preference")
    begin(page, study, serve)
    page.get_by_role("button", name="Choose photograph 2").click()
    expect(page.locator("#count")).to_have_text("1 comparison")
    settle(page)
    page.keyboard.press("Enter")
    page.keyboard.press(" ")
    press(page, "1", "2 comparisons")
    wait_for_events(page, study, 2)
    first, second = study.events
    assert first.shown is not None
    assert second.shown is not None
    assert [first.image_id, second.image_id] == [first.shown[1], second.shown[0]]


def test_a_button_that_tab_went_to_is_pressed_by_enter(page: Page, study: Study, serve: Serve) -> None:
    """Once another key has chosen an answer, Enter submits it and the button loses the focus."""
    begin(page, study, serve)
    page.locator(".step", has_text="3").focus()
    press(page, "Enter", "1 of 6")
    settle(page)
    page.keyboard.press("ArrowRight")
    press(page, "Enter", "2 of 6")
    wait_for_events(page, study, 2)
    assert values(study) == [3, 6]


def test_a_key_counts_once_the_picture_is_drawn(page: Page, any_study: Study, serve: Serve) -> None:
    """Keys and clicks before the next picture is drawn are ignored."""
    begin(page, any_study, serve)
    page.evaluate(
        """() => {
          const press = (key) =>
            document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
          const placed = new MutationObserver(() => ["s", "1", "Enter"].forEach(press));
          placed.observe(document.querySelector(".canvas"), { childList: true });
          ["s", "s", "1", "Enter"].forEach(press);
          document.getElementById("skip").click();
        }"""
    )
    settle(page)
    wait_for_events(page, any_study, 1)
    page.wait_for_timeout(200)
    assert [event.kind for event in any_study.events] == ["skip"]


def test_a_double_click_answers_once(page: Page, any_study: Study, serve: Serve) -> None:
    """However fast the next picture appears."""
    begin(page, any_study, serve)
    begin_answer(page, any_study)
    place = page.locator(".step, .pick, .accept").first.bounding_box()
    assert place is not None
    x, y = place["x"] + place["width"] / 2, place["y"] + place["height"] / 2
    page.mouse.click(x, y)
    settle(page)
    page.mouse.down(click_count=2)  # the second half
    page.mouse.up(click_count=2)
    settle(page)
    wait_for_events(page, any_study, 1)
    page.wait_for_timeout(200)
    assert len(any_study.events) == 1
    assert not page.locator(".best").count()


def test_a_click_that_began_on_another_picture_answers_nothing(
    page: Page, study: Study, serve: Serve
) -> None:
    """The mouse button went down before a key showed the next picture."""
    begin(page, study, serve)
    page.locator(".step", has_text="2").hover()
    page.mouse.down()
    press(page, "7", "1 of 6")
    settle(page)
    page.mouse.up()
    press(page, "8", "2 of 6")
    wait_for_events(page, study, 2)
    assert values(study) == [7, 8]


def test_a_click_that_closes_the_menu_answers_nothing(
    page: Page, make_study: MakeStudy, serve: Serve
) -> None:
    """A click outside an open menu closes it, and chooses no picture."""
    study = make_study(experiment="preference")
    begin(page, study, serve)
    page.locator("summary").click()
    page.locator(".choice .canvas").first.click()
    expect(page.locator(".menu nav")).to_be_hidden()
    press(page, "2", "1 comparison")
    wait_for_events(page, study, 1)
    assert study.events[0].shown is not None
    assert study.events[0].image_id == study.events[0].shown[1]


def test_a_tap_right_after_a_swipe_counts(phone: Page, any_study: Study, serve: Serve) -> None:
    """A fast swipe has no momentum that the next tap would only stop."""
    begin(phone, any_study, serve)
    swipe(phone, -200)
    settle(phone)
    phone.locator(".step, .pick, .accept").first.tap()
    begin_answer(phone, any_study)
    wait_for_events(phone, any_study, 2)
    assert [event.kind == "skip" for event in any_study.events] == [True, False]


def test_what_was_tapped_looks_like_the_rest(phone: Page, study: Study, serve: Serve) -> None:
    """Touching leaves no hover style, which would look like a choice."""
    begin(phone, study, serve)
    phone.locator(".step", has_text="8").tap()
    expect(phone.locator("#count")).to_have_text("1 of 6")
    settle(phone)
    phone.wait_for_timeout(700)  # the flash of what was given
    colours = phone.locator(".step").evaluate_all(
        "steps => steps.map((one) => getComputedStyle(one).backgroundColor)"
    )
    assert len(set(colours)) == 1


def test_hover_is_for_those_who_have_a_mouse(page: Page, any_study: Study, serve: Serve) -> None:
    """All :hover rules of the style sheets are limited to devices that can hover."""
    begin(page, any_study, serve)
    for name in ("base", "stage", "pages", "dashboard", "similarity"):
        page.add_style_tag(url=f"/static/css/{name}.css")
    found = page.evaluate(
        """() => [...document.styleSheets].flatMap((sheet) => [...sheet.cssRules])
             .filter((rule) => rule.selectorText?.includes(":hover")).map((rule) => rule.selectorText)"""
    )
    assert found == []


def test_full_size_is_never_smaller(page: Page, study: Study, serve: Serve) -> None:
    """A small enlarged picture stays as large; Escape and Space leave full size."""
    begin(page, study, serve)
    image = page.locator(".canvas img")
    fitted = image.bounding_box()
    assert fitted is not None
    assert fitted["width"] == 3 * 60
    for leave in ("Escape", " ", "f"):
        page.keyboard.press("f")
        expect(page.locator("#zoom")).to_have_attribute("aria-pressed", "true")
        page.wait_for_timeout(100)  # the picture in full takes its place
        full = image.bounding_box()
        assert full is not None
        assert (full["width"], full["height"]) == (fitted["width"], fitted["height"])
        page.keyboard.press(leave)
        expect(page.locator("#zoom")).to_have_attribute("aria-pressed", "false")
        assert image.bounding_box() == fitted
    assert study.events == []


def test_escape_leaves_full_size_in_a_preference(page: Page, make_study: MakeStudy, serve: Serve) -> None:
    """It leaves full size of all pictures."""
    study = make_study(experiment="preference")
    begin(page, study, serve)
    for zoom in page.locator(".zoom").all():
        zoom.click()
    expect(page.locator(".picture.zoomed")).to_have_count(2)
    page.keyboard.press("Escape")
    expect(page.locator(".picture.zoomed")).to_have_count(0)


def test_the_end_has_nothing_to_answer_and_leads_on(page: Page, any_study: Study, serve: Serve) -> None:
    """There is no question or Skip, but Undo, Ratings, and for the admin the dashboard."""
    begin(page, any_study, serve)
    for _ in range(40):
        settle(page)
        if page.locator(".finished").count():
            break
        begin_answer(page, any_study)
        page.keyboard.press("Enter" if any_study.collection.experiment == "rate" else "1")
    expect(page.locator(".finished")).to_be_visible()
    for gone in (".question", "#skip", ".step", ".step-by", "#accept", "#tie", ".pick", ".zoom"):
        expect(page.locator(gone).first).to_be_hidden()
    done = len(any_study.events)
    for key in ("1", "Enter", " ", "s", "t"):
        page.keyboard.press(key)
    assert page.locator(".onward a").all_inner_texts() == ["Ratings", "Dashboard"]
    assert len(any_study.events) == done
    page.locator("#back").click()
    expect(page.locator(".question")).to_be_visible()
    settle(page)
    page.keyboard.press("s")
    expect(page.locator(".finished")).to_be_visible()
    page.locator(".onward a").first.click()
    expect(page.locator("h1")).to_be_visible()
    assert re.search("/(ratings|comparisons)$", page.url)


def test_the_end_offers_raters_what_they_may_open(page: Page, study: Study, serve: Serve) -> None:
    """They may open their ratings, but not the dashboard."""
    study.set(wanted=1)
    study.visitor().send(*({"kind": "rating", "image": image.id, "value": 5} for image in study.images))
    rater = study.rater("Ann")
    study.services.candidates.invalidate(study.collection.id)
    page.goto(f"{serve(study)}go-on/{study.services.links.personal(rater.rater)}")
    page.locator("main form button").click()
    expect(page.locator(".finished")).to_be_visible()
    assert page.locator(".onward a").all_inner_texts() == ["Ratings"]


@pytest.mark.slow
@pytest.mark.parametrize("choices", ["2", "4"])
@pytest.mark.parametrize("device", ["page", "phone"])
def test_no_button_covers_a_picture_to_choose(  # noqa: PLR0917
    request: pytest.FixtureRequest,
    photos: Path,
    make_study: MakeStudy,
    serve: Serve,
    device: str,
    choices: str,
) -> None:
    """Buttons are visible below portrait and landscape pictures."""
    for number, path in enumerate(sorted(photos.rglob("*.*"))):
        write_photo(path, 100, (600, 900) if number % 2 else (900, 600))
    page: Page = request.getfixturevalue(device)
    begin(page, make_study(experiment="preference", choices=choices), serve)
    for figure in page.locator(".choice").all():
        picture = figure.locator("img").bounding_box()
        assert picture is not None
        for button in figure.locator("button").all():
            expect(button).to_have_css("opacity", re.compile(r"1|0\.75"))
            box = button.bounding_box()
            assert box is not None
            assert box["y"] >= picture["y"] + picture["height"]
    assert not sticks_out(page)


@pytest.mark.parametrize("experiment", ["score", "rate"])
def test_raters_see_which_end_is_good(
    phone: Page, make_study: MakeStudy, tiny_file: Path, serve: Serve, experiment: str
) -> None:
    """The ends are labelled worst and best, or as the collection says."""
    study = make_study(experiment=experiment, **({"model": str(tiny_file)} if experiment == "rate" else {}))
    begin(phone, study, serve)
    ends = phone.locator(".ends span")
    expect(ends).to_have_text(["1 = worst", "10 = best"])
    study.set(low_label="would never hang it", high_label="would hang it at home")
    phone.reload()
    expect(ends).to_have_text(["1 = would never hang it", "10 = would hang it at home"])
    left, right = (end.bounding_box() for end in ends.all())
    buttons = [box for box in (one.bounding_box() for one in phone.locator(".step, .step-by").all()) if box]
    assert left is not None
    assert right is not None
    assert left["x"] + left["width"] <= right["x"]
    assert all(left["y"] >= box["y"] + box["height"] for box in buttons)


def test_steps_say_what_they_add(page: Page, make_study: MakeStudy, tiny_file: Path, serve: Serve) -> None:
    """The step is on the button, and in its tooltip with its keys."""
    begin(page, make_study(experiment="rate", model=str(tiny_file)), serve)
    steps = page.locator(".step-by")
    assert steps.locator("small").all_inner_texts() == ["\N{MINUS SIGN}1", "\N{MINUS SIGN}0.1", "+0.1", "+1"]
    assert [step.get_attribute("title") for step in steps.all()] == [
        "Down 1 (Shift - or ←)", "Down 0.1 (- or ↓)", "Up 0.1 (+ or ↑)", "Up 1 (* or →)",
    ]  # fmt: skip


def test_buttons_name_their_keys(page: Page, any_study: Study, serve: Serve) -> None:
    """Tooltips and screen readers name them, and the keys work."""
    begin(page, any_study, serve)
    for button in page.locator("button:visible").all():
        title, keys = button.get_attribute("title"), button.get_attribute("aria-keyshortcuts")
        assert title
        assert bool(keys) == title.endswith(")")
    assert page.locator("#skip").get_attribute("title") == "Skip (S)"
    assert page.locator("#back").get_attribute("title") == "Undo: go back and change the last rating (Z or ⌫)"
    assert page.locator("#help-button").get_attribute("aria-keyshortcuts") == "?"
