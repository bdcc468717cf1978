"""nimakit.culling.report and .shoot: the page of a culled shoot, and the marks it leads to."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from nimakit.culling import report
from nimakit.culling.groups import Grouping
from nimakit.culling.marks import Mark
from nimakit.culling.selection import Keep, select
from nimakit.culling.shoot import Culled, Rules
from nimakit.errors import ImageError
from nimakit.images.photo import MAX_PIXELS
from plain_frames import frame, group, ranked
from samples import write_photo
from web.accessibility import problems


@pytest.fixture
def culled(tmp_path: Path) -> Culled:
    """Two scenes: a burst with its best frame kept and a single one like it, and a RAW file that is kept."""
    folder = tmp_path / "shoot"
    folder.mkdir()
    frames = []
    for name, score, features in (
        ("a <1>", 5.0, (1, 0)),
        ("b#2", 9.0, (1, 0)),
        ("c", 8.0, (1, 0.1)),
        ("d", 7.0, (-1, 3)),
    ):
        path = write_photo(folder / f"{name}.jpg", 50)
        if name == "d":
            path = path.rename(path.with_suffix(".cr2"))
        frames.append(replace(frame(name, score, features), path=path))
    groups = (group(0, 1), group(2), group(3, scene=1))
    rankings = (ranked(1, 0, reasons=("sharper than 1 other",)), ranked(2), ranked(3))
    rules = Rules(keep=Keep(count=2), diversity=5, rejects=True, label="Green")
    return Culled(
        folder=folder,
        frames=tuple(frames),
        failures={folder / "broken.jpg": ImageError("The JPEG is truncated.")},
        grouping=Grouping(groups=groups, scenes=((0, 1), (2,)), basis="likeness only"),
        rankings=rankings,
        selection=select(frames, groups, rankings, keep=rules.keep, diversity=rules.diversity),
        rules=rules,
    )


def test_shows_groups_side_by_side_with_reasons(culled: Culled) -> None:
    """The kept ones are marked, each says why it is there, and what could not be read is listed."""
    page = report.render(
        culled, ["1.jpg", "2.jpg", "3.jpg", ""], ["a.jpg", "b.jpg", "c.jpg", ""], model="tiny"
    )
    assert "<h1>2 of 4 photographs kept</h1>" in page
    assert "2 single photographs and 1 burst in 2 scenes. Groups by likeness only." in page
    assert page.count('class="frame kept"') == page.count('<span class="badge">kept</span>') == 2
    assert page.index("b#2.jpg") < page.index("a &lt;1&gt;.jpg")
    assert "burst of 2" in page
    assert "sharper than 1 other" in page
    assert "resembles b#2.jpg, which is kept" in page
    assert re.search(r'aria-label="5 stars">★★★★★</span></dt>.*?<span>0</span>', page, re.DOTALL)
    assert "<b>broken.jpg</b>: The JPEG is truncated." in page
    assert page.count(" rejected") == 1
    assert page.count("<img ") == page.count('loading="lazy"') == 3
    assert 'http-equiv="refresh"' not in page
    assert '<meta http-equiv="refresh" content="5">' in report.render(
        culled, [""] * 4, [""] * 4, model="", refresh=5
    )


def test_writes_thumbnails_next_to_the_page(culled: Culled, tmp_path: Path) -> None:
    """Addresses are relative and quoted, so that the page can be moved; browsers do not open a RAW file."""
    page = tmp_path / "my cull.html"
    report.write(culled, page, model="tiny", max_pixels=MAX_PIXELS)
    text = page.read_text("utf-8")
    sources = re.findall(r'<img src="([^"]+)"', text)
    assert len(sources) == 4
    for source in sources:
        assert source.startswith("my%20cull_files/thumb-")
        assert (tmp_path / source.replace("%20", " ")).is_file()
    assert re.findall(r'href="(shoot[^"]+)"', text) == [
        "shoot/b%232.jpg",
        "shoot/a%20%3C1%3E.jpg",
        "shoot/c.jpg",
    ]


def test_the_page_is_usable_on_a_phone_and_shows_only_picks(
    culled: Culled, tmp_path: Path, browser: Browser
) -> None:
    """Axe finds nothing, nothing sticks out, and the choice hides what is not kept."""
    page_file = tmp_path / "cull.html"
    report.write(culled, page_file, model="tiny", max_pixels=MAX_PIXELS)
    page = browser.new_page()
    page.goto(page_file.as_uri())
    assert problems(page) == []
    assert page.locator(".frame:visible").count() == 4
    page.get_by_label("only what is kept").check()
    assert page.locator(".frame:visible").count() == page.locator(".frame.kept:visible").count() == 2
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    page.close()


def test_marks_are_stars_picks_and_rejects(culled: Culled) -> None:
    """What is neither kept nor beaten in its group is left as it is."""
    marks = {mark.path.name: mark for mark in culled.marks()}
    assert set(marks) == {"a <1>.jpg", "b#2.jpg", "d.cr2"}
    folder = culled.folder
    assert marks["a <1>.jpg"] == Mark(path=folder / "a <1>.jpg", rating=-1, pick=False)
    assert marks["b#2.jpg"] == Mark(path=folder / "b#2.jpg", rating=4, label="Green", pick=True)
    assert marks["d.cr2"].rating == 3


def test_a_shoot_without_readable_photographs_has_a_page(culled: Culled) -> None:
    """It lists why."""
    empty = Culled(
        folder=culled.folder,
        frames=(),
        failures=culled.failures,
        grouping=Grouping(groups=(), scenes=(), basis="no photographs"),
        rankings=(),
        selection=select([], [], []),
        rules=Rules(),
    )
    page = report.render(empty, [], [], model="tiny")
    assert "0 of 0 photographs kept" in page
    assert "1 could not be read" in page
