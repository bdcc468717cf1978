"""Uploading, deleting and bringing back collections in a real browser."""

import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from nimakit.web.collections import uploads
from web.conftest import Serve
from web.study import Study


@pytest.fixture
def holiday(tmp_path: Path, photographs: Path) -> Path:
    """A folder of three photographs and a damaged one, and a zip file of a fourth next to it."""
    folder = tmp_path / "holiday"
    folder.mkdir()
    for number in range(3):
        (folder / f"photo {number}.jpg").write_bytes((photographs / f"photo {number}.jpg").read_bytes())
    (folder / "damaged.jpg").write_bytes(b"no picture")
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as archive:
        archive.write(photographs / "photo 3.jpg", "zipped.jpg")
    return folder


@pytest.mark.slow
def test_a_folder_is_uploaded_through_a_lost_connection_and_its_collection_deleted_and_undone(
    study: Study, serve: Serve, page: Page, holiday: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refused file is named; sending the same folder again sends nothing; the undo brings all back."""
    monkeypatch.setattr(uploads, "_SPARE", 0)
    lost: list[str] = []

    def lose(route: Route) -> None:
        lost.append(route.request.url)
        if len(lost) == 2:
            route.abort()
        else:
            route.continue_()

    address = serve(study)
    page.route("**/upload/part?*", lose)
    page.goto(f"{address}collections")
    page.get_by_role("link", name="Upload pictures").click()
    page.get_by_label("Name of the collection").fill("Holiday")
    page.get_by_role("button", name="Continue").click()
    page.locator("#folder").set_input_files(holiday)
    expect(page.locator("#problem")).to_contain_text("does not answer")
    status = page.locator("#status")
    expect(status).to_have_text("Done: 3 pictures added, 1 refused.")
    expect(page.locator("#problem")).to_be_hidden()
    expect(page.locator("#refused summary")).to_have_text("1 file refused")
    assert len(lost) == 5
    page.locator("#folder").set_input_files(holiday)
    expect(status).to_have_text("Done: 0 pictures added, 3 there already, 1 refused.")
    page.locator("#files").set_input_files(holiday.with_name("more.zip"))
    expect(status).to_have_text("Done: 1 picture added.")
    study.services.background.once()
    page.locator("#ready").get_by_role("link", name="Settings").click()
    expect(page.locator("main")).to_contain_text("4 to be rated")
    page.get_by_role("link", name="Delete…").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Delete Holiday?")
    page.get_by_role("button", name="Delete the collection").click()
    cards = page.locator(".cards")
    expect(cards).not_to_contain_text("Holiday")
    page.get_by_role("button", name="Undo the deletion of Holiday").click()
    expect(cards).to_contain_text("Holiday")
    expect(cards).to_contain_text("4 pictures")


@pytest.mark.slow
def test_a_model_is_chosen_from_a_list(study: Study, serve: Serve, page: Page, tiny_file: Path) -> None:
    """A damaged file cannot be chosen; the field for another file appears on request."""
    folder = study.services.settings.models_dir / "trained"
    folder.mkdir(parents=True)
    good = folder / "good.onnx"
    good.write_bytes(tiny_file.read_bytes())
    (folder / "damaged.onnx").write_bytes(b"no model")
    page.goto(f"{serve(study)}c/{study.collection.slug}/settings")
    chooser, field = page.locator("#model-choice"), page.locator("input[name=model]")
    expect(chooser).to_be_visible()
    expect(field).to_be_hidden()
    expect(chooser.locator("option:disabled").first).to_contain_text("models/trained/damaged.onnx: ")
    chooser.select_option("other file")
    expect(field).to_be_visible()
    chooser.select_option(str(good))
    expect(field).to_be_hidden()
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".notice").first).to_have_text("Saved.")
    assert study.collection.model == str(good)
    expect(page.locator("#model-choice")).to_have_value(str(good))
