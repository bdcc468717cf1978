"""Random mouse, touch and key actions on each experiment in a real browser record what was chosen."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from samples import write_photo
from web.conftest import MakeStudy, Serve
from web.walker import Walker
from web.walkers import BestWorst, Preference, Rate, Score

WALKS: dict[str, tuple[type[Walker], dict[str, str]]] = {
    "score": (Score, {"experiment": "score"}),
    "rate": (Rate, {"experiment": "rate"}),
    "two": (Preference, {"experiment": "preference"}),
    "four": (Preference, {"experiment": "preference", "choices": "4"}),
    "best-worst": (BestWorst, {"experiment": "best-worst", "choices": "5"}),
}
LENGTHS = [
    pytest.param(1, 150, 40, id="150-1"),
    pytest.param(2, 150, 40, id="150-2", marks=pytest.mark.exhaustive),
    pytest.param(3, 2000, 900, id="2000", marks=pytest.mark.exhaustive),
]
"""Seed, number of actions, and number of pictures; with few pictures the end is reached."""


@pytest.mark.parametrize("experiment", WALKS)
@pytest.mark.parametrize(("seed", "steps", "pictures"), LENGTHS)
def test_what_is_recorded_is_what_was_chosen(  # noqa: PLR0917
    browser: Browser,
    photos: Path,
    make_study: MakeStudy,
    tiny_file: Path,
    serve: Serve,
    experiment: str,
    seed: int,
    steps: int,
    pictures: int,
) -> None:
    """This is true with or without waiting, and Enter submits what is shown as chosen."""
    walker, options = WALKS[experiment]
    for number in range(pictures - 6):
        write_photo(photos / f"extra {number}.jpg", 10 + number % 240, (60, 40))
    if experiment == "rate":
        options = {**options, "model": str(tiny_file)}
    study = make_study(**options)
    context = browser.new_context(viewport={"width": 1000, "height": 700}, has_touch=True)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(serve(study))
    expect(page.locator("main")).to_have_attribute("aria-busy", "false")
    walker(page, study, seed).walk(steps)
    context.close()
    assert errors == []
