"""nimakit.reports.contact_sheet: one HTML file, best picture first."""

import base64
import io
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, expect

from nimakit.images.measures import MEASURES
from nimakit.images.photo import MAX_PIXELS
from nimakit.reports import contact_sheet
from nimakit.stats.histogram import default_bins
from samples import write_photo
from web.accessibility import problems

SHEET = Path("sheet.html")


def _record(name: str, mean: float = 5.0, **more: Any) -> dict[str, Any]:
    scores = {"mean_score_prediction": mean, "sd_score_prediction": 1.25, "predictions": [0.1] * 10}
    return {"image_id": name, **scores, **more}


def _render(
    records: list[dict[str, Any]],
    paths: list[Path | None],
    reference: str = "",
    file: Path = Path("sheet.html"),
) -> str:
    return contact_sheet.render(
        records,
        paths,
        [contact_sheet.Scale(key="", name="<tiny>", bins=default_bins(10), reference=reference)],
        file=file,
        max_pixels=MAX_PIXELS,
    )


def _pictures(page: str) -> list[Image.Image]:
    encoded = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)
    return [Image.open(io.BytesIO(base64.b64decode(text))) for text in encoded]


def test_shows_the_pictures_in_the_order_given(tmp_path: Path) -> None:
    """Each scored record has its picture inside the page, small, and its figures."""
    paths: list[Path | None] = [
        write_photo(tmp_path / "white.jpg", 255, (1200, 600)),
        write_photo(tmp_path / "black.jpg", 0, (30, 60)),
    ]
    page = _render([_record("white", 7.125), _record("black", 3.5)], paths)
    white, black = _pictures(page)
    assert (white.size, black.size) == ((480, 240), (30, 60))
    assert (white.getpixel((0, 0)), black.getpixel((0, 0))) == ((255, 255, 255), (0, 0, 0))
    assert page.index("<strong>7.12</strong>") < page.index("<strong>3.50</strong>")
    assert "2 photographs, best first" in page
    assert "Average 5.31." in page


def test_needs_no_other_file(tmp_path: Path) -> None:
    """The page loads nothing: no script, no style sheet, no picture from elsewhere; photographs are links."""
    page = _render([_record("a")], [write_photo(tmp_path / "a.jpg")])
    assert not re.search(r"<script[^>]|<link|https?://|url\(", page)


def test_shows_names_as_text(tmp_path: Path) -> None:
    """A file name that is markup, and a model name that is, stay names."""
    name = '"><img src=x onerror=alert(1)>'
    page = _render([_record(name), {"image_id": name, "error": "<b>broken</b>"}], [None, None])
    assert "onerror=alert(1)&gt;" in page
    assert "<img src=x" not in page
    assert "<b>broken</b>" not in page
    assert "<tiny>" not in page


def test_lists_what_could_not_be_scored() -> None:
    """Failures are listed with their reasons, by path where names repeat."""
    failed = {"image_id": "a", "image": "sub/a.jpg", "error": "It is broken."}
    page = _render([_record("b"), failed], [None, None])
    assert "1 could not be scored" in page
    assert "<b>sub/a.jpg</b>: It is broken." in page


def test_shows_a_page_where_nothing_was_scored() -> None:
    """A folder of broken files still makes a page that says so."""
    page = _render([{"image_id": "a", "error": "It is broken."}], [None])
    assert "0 photographs, best first" in page
    assert "Average" not in page


def test_names_files_in_full_and_links_to_them(tmp_path: Path) -> None:
    """Links are relative and quoted; browsers do not open camera RAW; the spread says what it is."""
    photo = write_photo(tmp_path / "a #1.jpg")
    page = _render([_record("a #1"), _record("b")], [photo, tmp_path / "b.cr3"], file=tmp_path / "sheet.html")
    assert re.findall(r'href="([^"]+)"', page) == ["a%20%231.jpg"] * 2
    assert 'alt="a #1.jpg"' in page
    assert '<div class="name">b.cr3</div>' in page
    assert "&plusmn; 1.25 spread of ratings" in page


@pytest.mark.slow
def test_photographs_are_filtered_and_shown_at_full_size(tmp_path: Path, browser: Browser) -> None:
    """Next and previous follow what is shown, keys and focus work, and axe finds nothing."""
    names = ("one", "two", "three")
    paths: list[Path | None] = [write_photo(tmp_path / f"{n}.jpg", 99, (900, 600)) for n in names]
    file = tmp_path / "sheet.html"
    records = [_record(name, 7.0 - number) for number, name in enumerate(names)]
    file.write_text(_render(records, paths, file=file), "utf-8")
    page = browser.new_page()
    page.goto(file.as_uri())
    assert problems(page) == []
    page.get_by_label("Name contains").fill("T")
    assert page.locator(".card:visible .name").all_text_contents() == ["two.jpg", "three.jpg"]
    page.locator("a.photo:visible").first.click()
    caption = page.locator("#lightbox p")
    expect(caption).to_contain_text("1 of 2: two.jpg, 6.00")
    assert page.evaluate("document.querySelector('#lightbox img').decode().then(() => 1)") == 1
    assert page.evaluate("document.querySelector('#lightbox img').naturalWidth") == 900
    page.keyboard.press("ArrowRight")
    expect(caption).to_contain_text("2 of 2: three.jpg")
    assert problems(page) == []
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.getAttribute('href')") == "three.jpg"
    page.get_by_label("Score from").fill("6.5")
    expect(page.locator("output")).to_have_text("0 of 3 shown")
    page.close()


def test_falls_back_to_words_for_a_picture_that_vanished(tmp_path: Path) -> None:
    """A file deleted after it was scored leaves its card, without a picture."""
    page = _render([_record("gone")], [tmp_path / "gone.jpg"])
    assert "no picture" in page
    assert _pictures(page) == []


def test_shows_percentiles_only_with_their_reference() -> None:
    """A percentile names what it ranks among; without one, normalised scores fill the bar."""
    page = _render([_record("a", percentile=87.4)], [None], "scores of a test")
    assert "percentile 87" in page
    assert "Percentiles rank a score among the scores of a test." in page
    page = _render([_record("a", normalized_score=0.5)], [None])
    assert "width: 50.0%" in page
    assert "percentile" not in page.lower()


def test_shows_scores_of_a_model_without_distributions() -> None:
    """Neither a spread nor bars are drawn where there are none."""
    page = _render([_record("a", sd_score_prediction=None, predictions=[])], [None])
    assert "<strong>5.00</strong>" in page
    assert "standard deviation" not in page
    assert "\N{PLUS-MINUS SIGN}" not in page.replace("&plusmn;", "\N{PLUS-MINUS SIGN}")
    assert "Predicted distribution" not in page


def test_shows_measures_and_sorts_by_them() -> None:
    """Each card has its figures, and its place by each measure, the best first; null is last."""
    values: tuple[dict[str, float | None], ...] = (
        {"sharpness": 0.5, "noise": 2.0},
        {"sharpness": None, "noise": 0.25},
        {"sharpness": 1.1, "noise": 7.0},
    )
    records = [
        _record(str(i), measures={**dict.fromkeys(MEASURES, 0.5), **measures})
        for i, measures in enumerate(values)
    ]
    page = _render(records, [None] * 3)
    assert re.findall(r"--sharpness: (\d)", page.partition("<ol")[2]) == ["2", "3", "1"]
    assert re.findall(r"--noise: (\d)", page.partition("<ol")[2]) == ["2", "1", "3"]
    assert re.findall(r"<dt>sharpness</dt><dd>(.*?)</dd>", page) == ["0.50", "\N{EN DASH}", "1.10"]
    assert re.findall(r"<dt>highlights</dt><dd>(.*?)</dd>", page) == 3 * ["50 %"]
    for name in MEASURES:
        assert f'<input type="radio" name="order" value="{name}">' in page
        assert f"[value={name}]:checked) ~ .grid .card {{ order: var(--{name}); }}" in page
    assert '<input type="radio"' not in _render([_record("a")], [None])


def test_draws_a_bounded_number_of_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the best are shown, and the page says how many."""
    monkeypatch.setattr(contact_sheet, "MAX_PICTURES", 2)
    page = _render([_record(f"p{i}", 9.0 - i) for i in range(5)], [None] * 5)
    assert page.count('class="card"') == 2
    assert "5 photographs" in page
    assert "The best 2 are shown." in page
