"""What axe finds wrong with a page, and what sticks out of it."""

from collections.abc import Sequence
from typing import Literal

from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Page

SCHEMES: dict[Literal["light", "dark"], tuple[str, ...]] = {"light": (), "dark": ("color-contrast",)}
"""Colours, and which of axe's rules are checked; without any, all are."""
WIDTHS = (1200, 390)
"""Of a desktop and of a phone."""


def problems(page: Page, widths: Sequence[int] = WIDTHS) -> list[str]:
    """Problems of the current page at each width in light and dark; in dark only the contrast is checked."""
    found = []
    for scheme, rules in SCHEMES.items():
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        for width in widths:
            page.set_viewport_size({"width": width, "height": 800})
            found += [f"{scheme}, {width} wide: {what}" for what in violations(page, *rules)]
            if sticks_out(page):
                found.append(f"{width} wide: it sticks out")
    return found


def violations(page: Page, *rules: str) -> list[str]:
    """The violations of some of axe's rules, or of all: the rule and the element."""
    options = {"runOnly": list(rules)} if rules else None
    found = Axe().run(page, options=options).response["violations"]
    return [f"{one['id']}: {node['html'][:150]}" for one in found for node in one["nodes"]]


def sticks_out(page: Page) -> bool:
    """Whether the page scrolls sideways."""
    return bool(page.evaluate("document.documentElement.scrollWidth > innerWidth"))
