"""scripts/architecture.py: the picture of the packages."""

import re
import sys

import pytest

from launchers import ROOT


@pytest.fixture
def picture() -> str:
    """docs/architecture.svg."""
    return (ROOT / "docs" / "architecture.svg").read_text("utf-8")


def test_the_picture_is_up_to_date(picture: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw it again: python scripts/architecture.py > docs/architecture.svg."""
    monkeypatch.setattr(sys, "path", [str(ROOT / "scripts"), *sys.path])
    import architecture

    assert picture == architecture.picture()


def test_everything_lies_within_the_picture(picture: str) -> None:
    """No box hangs over its right or its lower edge."""
    width, height = map(int, re.findall(r'viewBox="0 0 (\d+) (\d+)"', picture)[0])
    boxes = re.findall(r'<rect class="\w+" x="(\d+)" y="(\d+)" width="(\d+)" height="(\d+)"', picture)
    assert len(boxes) > 20
    for left, top, across, down in (map(int, box) for box in boxes):
        assert left + across <= width - 24
        assert top + down <= height - 24
