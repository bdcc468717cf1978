"""Make the screenshots of the rating app in docs/rate: python scripts/screenshots.py [NAME ...].

Needs Chromium and, for predicted scores, the public model (nimakit fetch aesthetic).
"""

import io
import logging
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import example_study
from flask import Flask
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright
from werkzeug.serving import make_server

_CHROMIUM = "/usr/bin/chromium"
_FOLDER = Path(__file__).parents[1] / "docs" / "rate"
_PORT = 8000
"""Appears in invitation links. If it is taken, any free port is used."""
_LARGEST = 60_000
"""Most bytes of a screenshot."""
_QUALITIES = range(88, 20, -4)
_DESKTOP: dict[str, Any] = {"viewport": {"width": 1200, "height": 750}}
_PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 780},
    "has_touch": True,
    "is_mobile": True,
    "device_scale_factor": 1.5,
}


def _nothing(_page: Page) -> None:
    """The page as it is."""


def _rate(*keys: str) -> Callable[[Page], None]:
    """Wait for the first picture, then press keys."""

    def act(page: Page) -> None:
        page.wait_for_selector("main[aria-busy=false] .canvas img")
        for key in keys:
            page.keyboard.press(key)

    return act


def _at(name: str) -> Callable[[Page], None]:
    """Scroll down to the part of a page with that id."""
    return lambda page: page.evaluate("name => document.getElementById(name).scrollIntoView()", name)


def _click(*names: str) -> Callable[[Page], None]:
    """Press buttons, each on the page that the one before leads to."""

    def act(page: Page) -> None:
        for name in names:
            page.get_by_role("button", name=name).click()

    return act


def _practise(page: Page) -> None:
    """Go on to the practice of a study, and give the wrong answer."""
    _click("I agree, start", "Continue to practice")(page)
    _rate("9")(page)
    page.wait_for_selector("#feedback-expected:not([hidden])")


def _finish_practice(page: Page) -> None:
    """Go on to the result of the practice."""
    _practise(page)
    _click("Next")(page)
    page.get_by_role("heading", name="Practice finished").wait_for()


def _take_part(page: Page) -> None:
    """Walk through a study to its end."""
    _finish_practice(page)
    _click("Start rating")(page)
    for number in range(1, example_study.QUOTA + 1):
        _rate("7")(page)
        page.get_by_text(f"{number} of {example_study.QUOTA}").wait_for()
    page.get_by_role("link", name="Finish").click()
    page.wait_for_selector(".completion")


def _look_at_me(page: Page) -> None:
    """Continue by a personal link, and open the page of that name with its QR code."""
    _click("Continue")(page)
    page.wait_for_url("**/collections")
    page.get_by_role("navigation", name="You").get_by_role("link").click()
    page.get_by_text("QR code", exact=True).click()


def _upload(page: Page) -> None:
    """Make a collection, and upload pictures and a file that is none into it."""
    page.get_by_label("Name").fill("Holiday")
    _click("Continue")(page)
    names = ("coffee.jpg", "courtyard.jpg", "README.md", "room.jpg")
    page.set_input_files("#files", [str(example_study.SAMPLES / name) for name in names])
    page.wait_for_selector("#ready:not([hidden])", timeout=120_000)
    page.get_by_text("1 file refused").click()


@dataclass(frozen=True, slots=True)
class Shot:
    """A page, and actions on it before the screenshot.

    Attributes:
        address: Path of the page; names in braces are keys of `example_study.places`.
        act: Actions on the page.
        is_dark: Whether dark colours are used.
        site: Key of `Site.addresses`.
    """

    address: str
    act: Callable[[Page], None] = _nothing
    is_dark: bool = False
    site: str = "own"


SHOTS = {
    "collections": Shot("collections"),
    "score": Shot("c/samples/score", _rate("ArrowRight", "ArrowRight")),
    "keys": Shot("c/samples/score", _rate("?"), is_dark=True),
    "rate": Shot("c/predictions/rate", _rate("+", "+", "+"), is_dark=True),
    "preference": Shot("c/comparisons/preference", _rate(), is_dark=True),
    "best-worst": Shot("c/best-and-worst/best-worst", _rate("2")),
    "ratings": Shot("c/samples/ratings?sort=mean&show=rated"),
    "picture": Shot("c/samples/ratings/1"),
    "dashboard": Shot("c/samples/dashboard"),
    "exclusions": Shot("c/samples/dashboard", _at("excluded"), is_dark=True),
    "agreement": Shot("c/samples/dashboard", _at("agreement")),
    "sheet": Shot("c/samples/dashboard", _at("sheet"), is_dark=True),
    "model": Shot("c/details/model", site="learning"),
    "comparisons": Shot("c/comparisons/comparisons"),
    "comparison": Shot("c/comparisons/comparisons/{comparison}", is_dark=True),
    "personal": Shot("c/predictions/ratings?sort=mine&show=mine"),
    "ranking": Shot("c/comparisons/dashboard", _at("ranking"), is_dark=True),
    "best-worst-ranking": Shot("c/best-and-worst/dashboard", _at("ranking")),
    "similarity": Shot("c/samples/similarity?left=10&right=11"),
    "similar": Shot("c/samples/similarity/like/10", is_dark=True),
    "new": Shot("collections/new"),
    "people": Shot("c/samples/people"),
    "erase": Shot("c/samples/people/{rater}/erase"),
    "checks": Shot("c/samples/checks"),
    "checked": Shot("c/samples/checks", _at("gold"), is_dark=True),
    "export": Shot("c/samples/transfer"),
    "settings": Shot("c/samples/settings"),
    "lifecycle": Shot("c/samples/settings", _at("lifecycle")),
    "delete": Shot("c/samples/delete"),
    "kept": Shot("collections", _at("archived")),
    "uploading": Shot("collections/upload", _upload, site="learning"),
    "study": Shot("c/samples/study/settings", site="study"),
    "consent": Shot("{study}", site="study"),
    "instructions": Shot("{study}", _click("I agree, start"), site="study"),
    "practice": Shot("{study}", _practise, site="study"),
    "practised": Shot("{study}", _finish_practice, site="study"),
    "thanks": Shot("{study}", _take_part, site="study"),
    "me": Shot("go-on/{link}", _look_at_me, site="strange"),
    "welcome": Shot("welcome", site="strange"),
    "join": Shot("join/{invitation}", site="strange"),
    "resume": Shot("go-on/{link}", site="strange"),
    "login": Shot("login", is_dark=True, site="strange"),
    "choose": Shot("c/samples/similarity/choose?side=left", is_dark=True),
    "upload": Shot("c/samples/similarity/upload"),
}
"""File name -> page. Each page has a desktop and a phone screenshot."""


def main(names: list[str]) -> None:
    """Make the screenshots of some pages, or of all."""
    unknown = [name for name in names if name not in SHOTS]
    if unknown:
        sys.exit(f"There is no page {', '.join(unknown)}. There are: {', '.join(SHOTS)}")
    _FOLDER.mkdir(exist_ok=True)
    with _served() as site, sync_playwright() as playwright:
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=_CHROMIUM, args=[*options, "--disable-gpu"])
        for name in names or SHOTS:
            for suffix, screen in (("", _DESKTOP), ("-phone", _PHONE)):
                path = _FOLDER / f"{name}{suffix}.webp"
                path.write_bytes(_small(_picture(browser, site, SHOTS[name], screen)))
                print(f"{path.name}: {path.stat().st_size:,} bytes")


@dataclass(frozen=True, slots=True)
class Site:
    """The example study, over HTTP on loopback.

    Attributes:
        addresses: "own" for the local rater, "strange" for visitors who have not signed in, "learning" for
            the local rater of a study with a model of its own, "study" for that of a collection with consent.
        places: Values for the names in braces in paths of pages.
    """

    addresses: dict[str, str]
    places: dict[str, str]

    def address(self, shot: Shot) -> str:
        """The URL of a page."""
        return self.addresses[shot.site] + shot.address.format(**self.places)


@contextmanager
def _served() -> Iterator[Site]:
    """The example study, while it answers."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        data_dir, photos = Path(folder, "ratings"), _photos(stack)
        app = example_study.make(data_dir, photos)
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        stack.enter_context(patch("nimakit.web.dashboard.routes.now", return_value=example_study.END))
        stack.enter_context(patch("nimakit.web.accounts.routes.leads_elsewhere", return_value=True))
        own = _address(stack, app, _PORT)
        strange = _address(stack, example_study.for_strangers(data_dir, photos), 0)
        details = Path(folder, "details")
        learning = _address(stack, example_study.make_learning(Path(folder, "learning"), details), 0)
        asking = example_study.make_asking(Path(folder, "asking"), Path(folder, "samples"))
        study = _address(stack, asking, 0)
        addresses = {"own": own, "strange": strange, "learning": learning, "study": study}
        yield Site(addresses, example_study.places(app) | {"study": example_study.start(asking)})


def _photos(stack: ExitStack) -> Path:
    """A folder that does not exist yet and is removed at the end. Screenshots show its path."""
    path = Path(tempfile.gettempdir(), "photos")
    if path.exists():
        path = Path(tempfile.mkdtemp(), "photos")
    stack.callback(shutil.rmtree, path, ignore_errors=True)
    return path


def _address(stack: ExitStack, app: Flask, port: int) -> str:
    """Serve an app; returns its address. If the port is 0 or taken, any free port is used."""
    try:
        server = make_server("127.0.0.1", port, app, threaded=True)
    except (OSError, SystemExit):  # Werkzeug exits if the port is taken
        server = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stack.callback(server.shutdown)
    return f"http://127.0.0.1:{server.server_port}/"


def _picture(browser: Browser, site: Site, shot: Shot, screen: dict[str, Any]) -> bytes:
    """A .png of a page, in a new browser context."""
    context = browser.new_context(
        color_scheme="dark" if shot.is_dark else "light", reduced_motion="reduce", **screen
    )
    page = context.new_page()
    page.goto(site.address(shot))
    shot.act(page)
    page.evaluate("for (const image of document.images) image.loading = 'eager'")
    page.wait_for_load_state("networkidle")
    page.evaluate("() => Promise.all([...document.images].map(image => image.decode().catch(() => null)))")
    picture = page.screenshot(animations="disabled", caret="hide")
    context.close()
    return picture


def _small(picture: bytes) -> bytes:
    """The .webp of the highest quality that fits into the size limit."""
    with Image.open(io.BytesIO(picture)) as opened:
        found = opened.convert("RGB")
    for quality in _QUALITIES:
        stream = io.BytesIO()
        found.save(stream, "WEBP", quality=quality, method=6)
        if stream.tell() <= _LARGEST:
            return stream.getvalue()
    raise SystemExit(f"A page does not fit into {_LARGEST:,} bytes: make it shorter.")


if __name__ == "__main__":
    main(sys.argv[1:])
