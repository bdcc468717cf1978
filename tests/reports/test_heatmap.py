"""nimakit.reports.heatmap: maps as pictures."""

import numpy as np
import pytest
from PIL import Image

from nimakit.reports import heatmap

RAMP = np.tile(np.linspace(0, 1, 40, dtype=np.float32), (30, 1))
PICTURE = Image.new("RGB", (40, 30), (90, 120, 60))


def _lightness(picture: Image.Image) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Grey levels of the middle row, which all eyes tell apart."""
    rows: list[list[float]] = np.asarray(picture.convert("L"), np.float64).tolist()
    return np.array(rows[15])


def test_more_is_brighter() -> None:
    """Whoever sees no colours can read the map by its lightness, which never falls."""
    assert (np.diff(_lightness(heatmap.colour(RAMP))) >= 0).all()
    assert np.ptp(_lightness(heatmap.colour(RAMP))) > 200


def test_two_signs_have_two_colours() -> None:
    """What lowers is purple, what raises is orange, told apart by red and blue; nothing is white."""
    colours = np.asarray(heatmap.colour(2 * RAMP - 1), np.int16)[15]
    (red, _, blue), middle, (red_high, _, blue_high) = colours[4], colours[20], colours[-5]
    assert blue > red + 30
    assert red_high > blue_high + 30
    assert middle.min() > 230


def test_a_map_whose_values_happen_to_be_positive_keeps_its_colours() -> None:
    """Where all of a picture raises the score, it is orange, and a place that adds nothing is white."""
    colours = np.asarray(heatmap.colour(RAMP, signed=True), np.int16)[15]
    assert colours[0].min() > 230
    assert colours[-5][0] > colours[-5][2] + 30
    sheets = [heatmap.side_by_side(PICTURE, PICTURE, RAMP, "", signed=signed) for signed in (True, False)]
    assert sheets[0].tobytes() != sheets[1].tobytes()


def test_what_is_not_seen_is_grey() -> None:
    """Where the map has no value, neither colour says anything."""
    grid = RAMP.copy()
    grid[:, 30:] = np.nan
    colours = np.asarray(heatmap.colour(grid))
    assert (colours[:, 30:] == 128).all()
    assert not (colours[:, 29] == 128).all()


def test_the_picture_shows_where_nothing_matters() -> None:
    """An overlay is the paler picture at one end, and mostly colour at the other."""
    drawn = np.asarray(heatmap.overlay(PICTURE, RAMP), np.int16)[15]
    heat = np.asarray(heatmap.colour(RAMP), np.int16)[15]
    assert np.abs(drawn[0] - (90, 120, 60)).max() < 40
    assert np.abs(drawn[-1] - heat[-1]).max() < 60


def test_an_empty_map_is_drawn() -> None:
    """A model that looks nowhere leaves the picture as pale as one that looks everywhere a little."""
    nothing = np.zeros((30, 40), np.float32)
    assert heatmap.overlay(PICTURE, nothing).size == PICTURE.size


@pytest.mark.parametrize("size", [(40, 30), (3000, 20), (20, 3000), (1, 1)])
def test_a_sheet_holds_both_pictures_and_the_legend(size: tuple[int, int]) -> None:
    """Whatever the shape of the picture, nothing hangs over the edge, and no panel is over 900 pixels."""
    picture = Image.new("RGB", size, (90, 120, 60))
    grid = np.full((size[1], size[0]), -1, np.float32)
    grid[0, 0] = np.nan
    caption = "a caption that is longer than the pictures are wide, as most captions are"
    sheet = heatmap.side_by_side(picture, heatmap.overlay(picture, grid), grid, caption)
    assert max(sheet.size) < 2 * 900 + 200
    edge = np.asarray(sheet)
    for side in (edge[0], edge[-1], edge[:, 0], edge[:, -1]):
        assert (side == 255).all()
