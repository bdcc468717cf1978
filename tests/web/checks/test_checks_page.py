"""Checks in a real browser: what raters see, the time that is measured, and the admin's page."""

from pathlib import Path

from playwright.sync_api import Page, expect

from nimakit.web.db.tables import Attention, Checks
from nimakit.web.rating.checks import DEFAULTS, wanted_answer
from web.accessibility import problems
from web.conftest import Serve
from web.rating.test_score_page import open_page, press, wait_for_events
from web.study import Study

HIDE = """hidden => {
  Object.defineProperty(document, "hidden", { value: Boolean(hidden), configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


def test_a_rater_meets_checks(page: Page, study: Study, serve: Serve, tmp_path: Path) -> None:
    """Offline too, the instruction replaces the question, and only time in view counts as time looked."""
    checks = {**DEFAULTS, "attention_every": 2}
    study.change(lambda session: session.add(Checks(collection_id=study.collection.id, **checks)))
    address = serve(study)
    wanted = wanted_answer(study.collection, study.visitor().rater, 1)
    open_page(page, address)
    question = page.locator(".question")
    expect(question).to_have_text("How good does this photograph look?")
    expect(page.locator("main")).to_have_attribute("aria-busy", "false")
    page.evaluate(HIDE, 1)
    page.wait_for_timeout(3000)
    page.evaluate(HIDE, 0)
    press(page, "7", "1 of 6")
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(500)  # for the pictures ahead
    page.context.set_offline(True)
    press(page, "6", "2 of 6")
    expect(question).to_contain_text(f"choose {wanted} for this picture")
    page.screenshot(path=tmp_path / "check.png")
    press(page, "0" if wanted == 10 else str(wanted), "2 of 6")
    expect(question).to_have_text("How good does this photograph look?")
    page.keyboard.press("z")
    expect(question).to_contain_text("choose")
    expect(page.locator("main")).to_have_attribute("aria-busy", "false")
    page.keyboard.press("Enter")
    press(page, "5", "3 of 6")
    page.context.set_offline(False)
    wait_for_events(page, study, 4)
    assert [event.kind for event in study.events] == ["rating", "rating", "check", "rating"]
    assert all(event.elapsed_ms is not None for event in study.events)
    first = study.events[0]
    assert first.elapsed_ms is not None
    assert first.elapsed_ms < 3000
    assert study.change(lambda session: session.query(Attention).one().passed)
    page.goto(address + f"c/{study.collection.slug}/checks")
    expect(page.get_by_role("heading", name="Raters")).to_be_visible()
    page.get_by_label("Exclude raters who break a rule").check()
    page.get_by_role("button", name="Save and apply").click()
    expect(page.get_by_label("Exclude raters who break a rule")).to_be_checked()
    assert problems(page) == []
    page.screenshot(path=tmp_path / "checks.png", full_page=True)
