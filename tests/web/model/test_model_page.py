"""The page of the model in a real browser, from the first rating to a file that scores."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from terminal import Command
from web.accessibility import problems
from web.colours import random_colours
from web.conftest import MakeStudy, Serve
from web.model.rated import redness
from web.study import Study

PICTURES = 40


@pytest.fixture
def study(make_study: MakeStudy, tiny_file: Path, tmp_path: Path) -> Study:
    """A study with predicted scores of more pictures than the other tests share, and no ratings."""
    folder = tmp_path / "more"
    folder.mkdir()
    return make_study(random_colours(folder, PICTURES), model=str(tiny_file))


def test_forty_ratings_by_keyboard_become_a_model(
    page: Page, study: Study, serve: Serve, tmp_path: Path, nimakit: Command
) -> None:
    """The page shows its curve, Use this model changes the predictions, and the download scores."""
    base = serve(study)
    red = {str(image.id): redness(study.folder / image.path) for image in study.images}
    page.goto(base)
    for count in range(1, PICTURES + 1):
        expect(page.locator("main")).to_have_attribute("aria-busy", "false")
        source = page.locator(".canvas img").get_attribute("src") or ""
        key = source.split("/")[-2]
        page.keyboard.press(str(1 + int(8 * red[key])))
        expect(page.locator("#count")).to_have_text(f"{count} of {PICTURES}")
    expect(page.locator("#message")).to_contain_text("All done")
    study.services.background.once()

    page.goto(f"{base}c/colours/ratings?sort=predicted")
    page.get_by_role("link", name="Model", exact=True).click()
    expect(page.locator(".curve-dot")).to_have_count(1)
    expect(page.locator("main")).to_contain_text(re.compile(r"40\s+ratings"))
    assert problems(page) == []
    before = {image.id: image.position for image in study.images}
    page.get_by_role("button", name="Use this model").press("Enter")
    expect(page.get_by_role("status")).to_have_text("This model predicts scores now.")
    expect(page.get_by_role("button", name="Back to")).to_be_visible()
    after = {image.id: image.position for image in study.images}
    assert None not in after.values()
    assert all(after[key] != before[key] for key in before)
    with page.expect_download() as started:
        page.get_by_role("link", name="Model", exact=True).last.click()
    file = tmp_path / started.value.suggested_filename
    started.value.save_as(file)
    result = nimakit("predict", "--model", file, "--image-source", study.folder)
    scores = {record["image_id"]: record["mean_score_prediction"] for record in result.records}
    shown = {image.image_id: 1 + 9 * (after[image.id] or 0) for image in study.images}
    assert scores == pytest.approx(shown, abs=0.02)
