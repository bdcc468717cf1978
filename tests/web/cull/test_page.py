"""The Cull experiment in a real browser: by keyboard, by touch, and without a network."""

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from made_frames import blurred, picture
from nimakit.models.encoders import Encoder
from nimakit.models.session import Stop
from nimakit.stats.histogram import Float32Array
from nimakit.web.cull import grouping
from nimakit.web.db.database import sqlite_url
from nimakit.web.settings import read_settings
from web.conftest import MakeStudy, Serve
from web.cull.test_routes import decision, ids
from web.rating.test_score_page import wait_for_events
from web.study import Study

CURRENT = ".frame.current"
MANY, STEP = 200, 28


class Tagged(Encoder):
    """Sees only the colour in the corner of a picture."""

    def encode(self, pixels: Any, stop: Stop | None = None) -> Float32Array:  # noqa: ARG002
        """One number is 1: that of the colour."""
        red, green = pixels[:, 1, 1, 0] // STEP, pixels[:, 1, 1, 1] // STEP
        rows: Float32Array = np.eye(81, dtype=np.float32)[np.int64(red) + 9 * np.int64(green)]
        return rows


@pytest.fixture
def shoot(
    make_study: MakeStudy,
    sqlite_tables: Path,
    tiny_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Study:
    """A cull of 200 pictures in bursts of three, whose corners tell them apart, scored and grouped."""
    folder, data = tmp_path / "shoot", tmp_path / "shoot data"
    folder.mkdir()
    data.mkdir()
    for number in range(MANY):
        seed = number // 3
        frame = picture(seed, (96, 72)) if number % 3 else blurred(picture(seed, (96, 72)))
        frame.paste((seed % 9 * STEP + 14, seed // 9 * STEP + 14, 0), (0, 0, 36, 27))
        frame.save(folder / f"{number:03}.png")
    monkeypatch.setattr(grouping, "load_encoder", lambda *_, **__: Tagged(tiny_file))
    database = sqlite_url(Path(shutil.copy(sqlite_tables, data / "ratings.db")))
    settings = read_settings(folders=(folder,), data_dir=data, database=database, environment={})
    return make_study(settings, experiment="cull", model=str(tiny_file))


def test_a_cull_by_keyboard(page: Page, cull: Study, serve: Serve) -> None:
    """Tab goes from group to group, arrows from frame to frame; all else has a key."""
    page.goto(f"{serve(cull)}c/photos/cull")
    expect(page.locator(".frame")).to_have_count(10)
    page.locator(".frame").first.focus()
    expect(page.locator(CURRENT)).to_have_attribute("aria-label", re.compile("^burst 0 2.jpg, Suggested"))
    page.keyboard.press("p")
    page.keyboard.press("4")
    page.keyboard.press("Tab")
    expect(page.locator(CURRENT)).to_have_attribute("aria-label", re.compile("^burst 1 2.jpg"))
    page.keyboard.press("ArrowRight")
    page.keyboard.press("x")
    rejected = page.locator(CURRENT).get_attribute("aria-label") or ""
    assert rejected.endswith("rejected")
    page.keyboard.press("Control+z")
    expect(page.locator(CURRENT)).not_to_have_attribute("aria-label", re.compile("rejected"))
    page.keyboard.press("k")
    expect(page.locator("#count")).to_have_text("2 picked · 4 of 10 decided")
    page.keyboard.press("Enter")
    expect(page.locator(".pane")).to_have_count(3)
    page.keyboard.press("f")
    expect(page.locator("#zoom")).to_have_attribute("aria-pressed", "true")
    widths = page.locator(".view img").evaluate_all(
        "all => all.map(one => one.getBoundingClientRect().width)"
    )
    assert len(set(widths)) == 1
    page.keyboard.press("PageDown")
    expect(page.locator("#compare-title")).to_have_text("Burst of 3")
    page.keyboard.press("1")
    page.keyboard.press("Escape")
    expect(page.locator("#compare")).to_be_hidden()
    expect(page.locator(CURRENT)).to_be_focused()
    wait_for_events(page, cull, 8)
    visitor, known = cull.visitor(), ids(cull)
    assert decision(visitor, known["burst 0 2.jpg"]) == ("pick", 4)
    flags = sorted(str(decision(visitor, known[f"burst 1 {number}.jpg"])[0]) for number in range(3))
    assert flags == ["pick", "reject", "reject"]
    page.locator("#flags").select_option("pick")
    expect(page.locator(".frame:visible")).to_have_count(2)


def test_a_cull_by_touch(phone: Page, cull: Study, serve: Serve) -> None:
    """A tap chooses a frame, a second one compares its group; a double tap zooms all, and buttons decide."""
    phone.goto(f"{serve(cull)}c/photos/cull")
    frame = phone.locator(".frame").first
    frame.tap()
    phone.locator("#answers [data-do=pick]").tap()
    expect(frame).to_have_attribute("aria-label", re.compile("picked$"))
    frame.tap()
    expect(phone.locator(".pane")).to_have_count(2)
    second = phone.locator(".pane").nth(1)
    second.tap()
    expect(second).to_have_class(re.compile("current"))
    phone.locator("#compare [data-do=reject]").tap()
    expect(second).to_have_class(re.compile("rejected"))
    phone.wait_for_timeout(400)  # else the next tap would be the second of two
    view = second.locator(".view")
    view.tap()
    view.tap()
    expect(phone.locator("#zoom")).to_have_attribute("aria-pressed", "true")
    phone.get_by_role("button", name="Back to all groups").tap()
    phone.locator("#answers [data-do=undo]").tap()
    expect(phone.locator("#count")).to_have_text("1 picked · 1 of 10 decided")
    wait_for_events(phone, cull, 3)
    assert [event.kind for event in cull.events] == ["pick", "reject", "unflag"]


def test_decisions_outlive_the_network_and_a_reload(page: Page, cull: Study, serve: Serve) -> None:
    """Without a network they are kept in the browser and sent later; undo works across a reload."""
    page.goto(f"{serve(cull)}c/photos/cull")
    page.locator(".frame").first.focus()
    page.context.set_offline(True)
    page.keyboard.press("p")
    expect(page.locator("#sync")).to_have_text("Offline: 1 saved on this device")
    page.context.set_offline(False)
    page.reload()
    expect(page.locator(".frame.picked")).to_have_count(1)
    wait_for_events(page, cull, 1)
    page.keyboard.press("u")
    expect(page.locator(".frame.picked")).to_have_count(0)
    wait_for_events(page, cull, 2)
    assert [event.kind for event in cull.events] == ["pick", "unflag"]


def test_two_hundred_pictures_by_keyboard_then_by_touch(
    page: Page, phone: Page, shoot: Study, serve: Serve
) -> None:
    """A pick in every group, from the first to the last; then the last picture on a phone."""
    address = f"{serve(shoot)}c/shoot/cull"
    page.goto(address)
    expect(page.locator(".frame")).to_have_count(MANY)
    page.locator(".frame").first.focus()
    groups = page.locator(".group").count()
    assert groups > 60
    for _ in range(groups):
        page.keyboard.press("p")
        page.keyboard.press("Tab")
    expect(page.locator("#count")).to_have_text(f"{groups} picked · {groups} of {MANY} decided")
    wait_for_events(page, shoot, groups)
    phone.goto(address)
    expect(phone.locator("#count")).to_have_text(f"{groups} picked · {groups} of {MANY} decided")
    last = phone.locator(".frame:not(.picked)").last
    last.tap()
    expect(last).to_be_in_viewport()
    phone.locator("#answers [data-do=reject]").tap()
    expect(last).to_have_attribute("aria-label", re.compile("rejected$"))
    wait_for_events(phone, shoot, groups + 1)
