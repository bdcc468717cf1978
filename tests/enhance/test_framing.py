"""nimakit.enhance.framing: straighten and crop."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from nimakit.enhance.framing import reframe, tilt
from nimakit.images.photo import Photo, open_photo
from samples import random_pixels

SIZE = (480, 320)


def lines(degrees: float) -> Photo:
    """A wall of tiles, turned clockwise by so many degrees about its middle."""
    side = 1200
    wall = Image.new("RGB", (side, side), (200, 190, 180))
    draw = ImageDraw.Draw(wall)
    for place in range(0, side, 120):
        draw.line((place, 0, place, side), fill=(60, 60, 70), width=9)
        draw.line((0, place, side, place), fill=(90, 60, 50), width=9)
    turned = wall.rotate(-degrees, Image.Resampling.BICUBIC)
    left, top = (side - SIZE[0]) // 2, (side - SIZE[1]) // 2
    return Photo(turned.crop((left, top, left + SIZE[0], top + SIZE[1])))


@pytest.mark.parametrize("degrees", [-3.5, -1.2, 2.0, 3.8])
def test_finds_by_how_much_lines_are_tilted(degrees: float) -> None:
    """To half a degree; turning back by it sets them upright."""
    found = tilt(lines(degrees))
    assert found == pytest.approx(-degrees, abs=0.5)
    assert tilt(reframe(lines(degrees), found)) == 0


@pytest.mark.parametrize(
    "photo",
    [lines(0), lines(0.2), lines(20), Photo(Image.fromarray(random_pixels(200, 300)))],
    ids=["upright", "hardly tilted", "meant so", "noise"],
)
def test_keeps_a_photo_that_is_not_clearly_tilted(photo: Photo) -> None:
    """Upright lines, lines at an angle nobody slips into, and no lines at all."""
    assert tilt(photo) == 0


def test_an_even_picture_has_no_tilt() -> None:
    """There are no edges to count, nor in a picture of a few pixels."""
    assert tilt(open_photo(np.full((50, 60, 3), 90, np.uint8))) == 0
    assert tilt(open_photo(np.full((1, 2, 3), 90, np.uint8))) == 0


def test_cuts_off_what_turning_leaves_empty() -> None:
    """A white picture stays white to its corners, and keeps its proportions."""
    turned = reframe(open_photo(np.full((320, 480, 3), 255, np.uint8)), 4)
    assert np.asarray(turned.pixels).min() >= 254
    width, height = turned.size
    assert width < 480
    assert width / height == pytest.approx(1.5, abs=0.01)


def test_turns_clockwise() -> None:
    """A clockwise rotation moves a point on the right down."""
    pixels = np.zeros((300, 300, 3), np.uint8)
    pixels[145:155, 230:240] = 255
    rows = np.nonzero(np.asarray(reframe(open_photo(pixels), 4).pixels)[:, :, 0] > 128)[0]
    height = reframe(open_photo(pixels), 4).size[1]
    assert rows.mean() > height / 2 + 3


def test_crops_without_touching_pixels() -> None:
    """A crop alone resamples nothing."""
    pixels = random_pixels(100, 200)
    cropped = reframe(open_photo(pixels), crop=(0.1, 0.2, 0.6, 1.0))
    np.testing.assert_array_equal(np.asarray(cropped.pixels), pixels[20:100, 20:120])


def test_crops_the_straightened_picture() -> None:
    """A crop of the whole of it changes nothing, and a half has half the sides."""
    photo = lines(2)
    whole = reframe(photo, -2)
    half = reframe(photo, -2, (0.0, 0.0, 0.5, 0.5))
    assert half.size == tuple(round(side / 2) for side in whole.size)
    part = np.asarray(whole.pixels, np.int16)[: half.size[1], : half.size[0]]
    assert np.abs(part - np.asarray(half.pixels, np.int16)).max() <= 2


def test_frames_the_upright_picture(tmp_path: Path) -> None:
    """A phone's picture, stored on its side, is turned before it is cropped."""
    pixels = random_pixels(100, 200)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    cropped = reframe(open_photo(tmp_path / "a.png"), crop=(0.0, 0.0, 1.0, 0.5))
    np.testing.assert_array_equal(np.asarray(cropped.pixels), np.rot90(pixels, -1)[:100])
    assert cropped.orientation == 1


def test_nothing_to_do_is_the_same_picture() -> None:
    """Without changes, the same object is returned."""
    photo = lines(0)
    assert reframe(photo) is photo
