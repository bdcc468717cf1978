"""scripts/architecture.py: the picture of the modules."""

import re

from launchers import ROOT
from test_layers import LAYERS, MODULES


def picture() -> str:
    """docs/architecture.svg."""
    return (ROOT / "docs" / "architecture.svg").read_text("utf-8")


def test_the_rows_are_the_layers() -> None:
    """Each layer is one row, highest first, with all of its modules; folders say what is in them."""
    rows = picture().split('<rect class="row"')[1:]
    names = [set(re.findall(r'<tspan class="t">(\w+)</tspan>', row)) for row in rows]
    assert names == list(reversed(LAYERS))
    folders = {name.partition(".")[0] for name in MODULES if "." in name}
    said = set(re.findall(r'<tspan class="t">(\w+)</tspan><tspan class="s"', picture()))
    assert said == folders


def test_everything_lies_within_the_picture() -> None:
    """No box hangs over its right or its lower edge."""
    width, height = map(int, re.findall(r'viewBox="0 0 (\d+) (\d+)"', picture())[0])
    boxes = re.findall(r'<rect class="\w+" x="(\d+)" y="(\d+)" width="(\d+)" height="(\d+)"', picture())
    assert len(boxes) > len(LAYERS)
    for left, top, across, down in (map(int, box) for box in boxes):
        assert left + across <= width - 24
        assert top + down <= height - 24
