"""nimakit.reports.plots: a plot as SVG in the page's colours, several as a PNG."""

import io
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from nimakit.errors import MissingExtraError
from nimakit.reports import plots
from nimakit.reports.plots import BAR, INK, PEOPLE, SOFT

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def _plot(axes: "Axes") -> None:
    for height, colour in enumerate((BAR, PEOPLE, INK, SOFT), start=1):
        axes.bar([height], [height], color=colour)


def test_svg_takes_its_colours_from_the_page() -> None:
    """Each colour of a plot becomes the page's variable, and no stand-in is left."""
    svg = plots.svg("x", "four bars", _plot)
    for variable in ("bar", "people", "ink", "soft", "line"):
        assert f"var(--{variable})" in svg
    assert "#0" not in svg
    assert svg.startswith('<svg role="img" aria-label="four bars"')


def test_png_has_the_colours_of_a_page_in_the_light() -> None:
    """The same plot, in a file that needs no page."""
    picture = Image.open(io.BytesIO(plots.png("Title", [("Bars", _plot)]))).convert("RGB")
    colours = {colour for _, colour in picture.getcolors(1 << 24) or ()}
    assert {(0x2F, 0x6F, 0x8F), (0xAB, 0x59, 0x26), (255, 255, 255)} <= colours
    assert (4, 4, 4) not in colours


@pytest.mark.slow
def test_png_grows_with_its_plots() -> None:
    """Two plots stand side by side; a third begins a row."""
    one, two, three = (
        Image.open(io.BytesIO(plots.png("Title", [("Bars", _plot)] * count))).size for count in (1, 2, 3)
    )
    assert one == two
    assert (three[0], three[1] > two[1]) == (two[0], True)


def test_png_takes_any_title() -> None:
    """Dollar signs of a file name are no formula."""
    assert plots.png("$a_b.csv $", [("Bars", _plot)]).startswith(b"\x89PNG")


def test_gives_the_same_bytes_for_the_same_plot() -> None:
    """Neither the time nor chance is in a picture."""
    assert plots.png("Title", [("Bars", _plot)]) == plots.png("Title", [("Bars", _plot)])
    assert plots.svg("x", "bars", _plot) == plots.svg("x", "bars", _plot)


def test_limits_leave_a_margin() -> None:
    """Around a range, and around a single value."""
    assert plots.limits(np.array([0.0, 100.0])) == (-4, 104)
    assert plots.limits(np.array([3.0])) == (2.5, 3.5)


def test_says_how_to_install_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Matplotlib the error holds the line that installs it."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'nimakit\[report\]'"):
        plots.require_matplotlib()
