"""nimakit.serving.routes.pages: the page, the description, the metrics."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from clients import Client, encode
from nimakit.images.formats import KINDS
from nimakit.serving.keys import make_key
from nimakit.serving.settings import Settings
from samples import write_photo
from servers import Server, running


def test_the_page_and_its_files(web: Client) -> None:
    """HTML, script, style and icon, each with its type; nothing comes from elsewhere."""
    page = web.get("/")
    assert page.content_type == "text/html; charset=utf-8"
    assert "http" not in page.text
    for name, kind in (
        ("app.js", "text/javascript"),
        ("style.css", "text/css"),
        ("icon.svg", "image/svg+xml"),
    ):
        assert f"static/{name}" in page.text
        assert web.get(f"/static/{name}").content_type.startswith(kind)


def test_the_page_takes_files_of_the_default_formats(web: Client) -> None:
    """Browsers do not know all suffixes of photographs."""
    found = re.search(r'accept="image/\*,([^"]+)"', web.get("/").text)
    assert found
    others = {suffix for name in ("HEIF", "AVIF", "JXL") for suffix in KINDS[name].suffixes}
    assert set(found[1].split(",")) == others
    assert {"HEIF", "AVIF", "JXL"} < set(Settings().formats)
    assert "RAW" not in Settings().formats


# --- in a browser --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, tiny_file: Path) -> Iterator[tuple[Server, str]]:
    """A server that asks for a key, and the key."""
    key, entry = make_key("shop")
    folder = tmp_path_factory.mktemp("shop")
    with running(folder, models=[str(tiny_file)], api_keys=[str(entry)]) as server:
        yield server, key


def _open(browser: Browser, server: Server, **options: Any) -> tuple[Page, list[str]]:
    page = browser.new_page(**options)
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda line: problems.append(line.text) if "Content Security" in line.text else None)
    page.goto(f"http://{server.address}/")
    return page, problems


def test_photographs_are_scored_in_a_browser(
    browser: Browser, shop: tuple[Server, str], tmp_path: Path
) -> None:
    """With a key typed in: a card each, best first, the broken one at the end with its reason."""
    server, key = shop
    page, problems = _open(browser, server)
    page.locator("#key").fill(key)
    page.locator("#key").press("Tab")
    page.locator("#model option", has_text="tiny").wait_for(state="attached")
    paths = [write_photo(tmp_path / f"{name}.png", level) for name, level in (("dim", 40), ("bright", 230))]
    (tmp_path / "broken.jpg").write_text("no image", "utf-8")
    page.locator("#files").set_input_files([*paths, tmp_path / "broken.jpg"])
    page.locator(".card:not(.waiting)").nth(2).wait_for()
    assert page.locator(".name").all_inner_texts() == ["bright.png", "dim.png", "broken.jpg"]
    means = page.locator(".score strong").all_inner_texts()
    assert float(means[0]) > float(means[1])
    assert means[2] == "no score"
    assert "must be an image" in page.locator(".problem").nth(2).inner_text()
    assert page.locator(".card").first.locator("rect").count() == 10
    assert problems == []
    page.close()


def test_photographs_can_be_dropped(browser: Browser, shop: tuple[Server, str]) -> None:
    """What is dropped on the field is scored."""
    server, key = shop
    page, problems = _open(browser, server)
    page.locator("#key").fill(key)
    content = list(encode(200))
    script = """([drop, bytes]) => {
      const data = new DataTransfer();
      data.items.add(new File([new Uint8Array(bytes)], "dropped.png", { type: "image/png" }));
      drop.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
    }"""
    page.evaluate(script, [page.locator("#drop").element_handle(), content])
    page.locator(".card:not(.waiting)").wait_for()
    assert page.locator(".name").inner_text() == "dropped.png"
    assert float(page.locator(".score strong").inner_text()) > 5
    assert problems == []
    page.close()


def test_without_its_key_the_page_asks_for_it(browser: Browser, shop: tuple[Server, str]) -> None:
    """The field for the key appears once the server wants one."""
    page, _ = _open(browser, shop[0])
    page.locator("#key-field").wait_for(state="visible")
    assert "Authorization" in page.locator("#status").inner_text()
    page.close()


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (360, "dark"), (1280, "dark")])
def test_the_page_fits_and_is_accessible(
    browser: Browser, shop: tuple[Server, str], width: int, scheme: str
) -> None:
    """On a phone and on a screen, light and dark: nothing sticks out, nothing is illegible or unnamed."""
    from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]

    page, _ = _open(
        browser, shop[0], viewport={"width": width, "height": 800}, color_scheme=scheme, bypass_csp=True
    )
    page.locator("#key").fill(shop[1])
    page.locator("#files").set_input_files(
        {"name": f"{40 * 'long'}.png", "mimeType": "image/png", "buffer": encode()}
    )
    page.locator(".card:not(.waiting)").wait_for()
    assert page.locator("html").evaluate("html => html.scrollWidth") == width
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
    page.close()
