"""nimakit.images.measures: each measure follows its damage, and no other."""

import dataclasses
import io
import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

from made_photos import encoded
from nimakit.images.measures import MEASURES, Measures, measure
from nimakit.images.photo import open_photo

SAMPLES = Path(__file__).parents[2] / "data" / "samples"
Picture = Image.Image


@pytest.fixture(scope="module")
def photo() -> Picture:
    """A sharp, well exposed photograph."""
    return open_photo(SAMPLES / "coffee.jpg").pixels


def blurred(picture: Picture, radius: float) -> Picture:
    """The picture out of focus."""
    return picture.filter(ImageFilter.GaussianBlur(radius))


def noisy(picture: Picture, deviation: float) -> Picture:
    """The picture with the same Gaussian noise in all channels."""
    noise = np.random.default_rng(1).normal(0, deviation, (picture.height, picture.width, 1))
    return Image.fromarray((np.asarray(picture) + noise).round().clip(0, 255).astype(np.uint8))


def exposed(picture: Picture, stops: float) -> Picture:
    """The picture with its light multiplied, by a power law."""
    return picture.point(lambda level: min(255, round(level * 2 ** (stops / 2.2))))


def flattened(picture: Picture, factor: float) -> Picture:
    """The picture with less contrast."""
    return picture.point(lambda level: round(128 + factor * (level - 128)))


DAMAGES: dict[str, tuple[str, int, Callable[[Picture, float], Picture], tuple[float, ...]]] = {
    "blur": ("sharpness", -1, blurred, (0.7, 1, 1.5, 2.5)),
    "noise": ("noise", 1, noisy, (2, 4, 8, 16)),
    "underexposure": ("headroom", 1, exposed, (-0.5, -1, -2, -3)),
    "overexposure": ("highlights", 1, exposed, (0.5, 1, 2, 3)),
    "lost contrast": ("contrast", -1, flattened, (0.8, 0.6, 0.4, 0.2)),
    "recompression": ("blockiness", 1, lambda picture, q: encoded(picture, int(q)), (60, 40, 20, 10)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_measure_rises_with_its_damage(photo: Picture, damage: str) -> None:
    """Each step of damage is told from the one before, and the first from none."""
    name, sign, apply, strengths = DAMAGES[damage]
    values = [getattr(measure(picture), name) for picture in (photo, *(apply(photo, s) for s in strengths))]
    assert all(sign * (worse - better) > 0 for better, worse in pairwise(values)), values


def test_a_blurred_background_is_no_fault(photo: Picture) -> None:
    """A sharp subject in a fifth of the picture counts, not the average."""
    picture = blurred(photo, 6)
    box = (180, 120, 450, 300)
    picture.paste(photo.crop(box), box[:2])
    sharp, mixed, soft = (measure(p).sharpness or 0 for p in (photo, picture, blurred(photo, 6)))
    assert mixed > 0.8 * sharp
    assert soft < 0.3 * sharp


@pytest.mark.parametrize("contrast", [1.0, 0.4])
def test_an_edge_counts_by_its_width_and_not_by_its_height(contrast: float) -> None:
    """A step within one pixel has sharpness 1, a ramp over four pixels 0.25."""
    for width, expected in ((1, 1.0), (2, 0.5), (4, 0.25)):
        ramp = np.clip(np.arange(-200, 200) / width, -0.5, 0.5) if width > 1 else np.repeat([-0.5, 0.5], 200)
        levels = np.tile(128 + contrast * 240 * ramp, (64, 1)).round().astype(np.uint8)
        assert measure(Image.fromarray(levels).convert("RGB")).sharpness == pytest.approx(expected, abs=0.03)


def test_noise_and_blocks_do_not_sharpen(photo: Picture) -> None:
    """A blurred photograph stays blurred under noise, and at a low JPEG quality."""
    sharp = measure(photo).sharpness or 0
    soft = blurred(photo, 2)
    for picture in (noisy(soft, 10), encoded(soft, 30), encoded(noisy(soft, 10), 90)):
        assert (measure(picture).sharpness or 0) < 0.6 * sharp


@pytest.mark.parametrize("deviation", [1, 3, 10, 25])
def test_noise_is_a_standard_deviation(deviation: float) -> None:
    """On an even picture it is that of the noise, in grey levels."""
    found = measure(noisy(Image.new("RGB", (400, 300), (120, 120, 120)), deviation)).noise
    assert found == pytest.approx(deviation, rel=0.15)


def test_texture_and_clipped_areas_are_no_noise(photo: Picture) -> None:
    """Noise is what the flattest areas show, apart from those clipped to black or white."""
    quiet = measure(photo).noise or 0
    assert quiet < 1
    framed = Image.new("RGB", (700, 500), "black")
    framed.paste(noisy(photo, 8), (50, 50))
    assert (measure(framed).noise or 0) > quiet + 4


def test_headroom_is_in_stops(photo: Picture) -> None:
    """A photograph whose highlights are white has none; two stops darker it has two."""
    assert measure(photo).headroom == pytest.approx(0, abs=0.05)
    assert measure(exposed(photo, -2)).headroom == pytest.approx(2, abs=0.25)


def test_clipped_pixels_are_shares_of_the_picture() -> None:
    """A pixel is clipped to black in all channels, and to white in one."""
    pixels = np.full((100, 100, 3), 128, np.uint8)
    pixels[:25] = 0
    pixels[50:60, :, 0] = 255
    found = measure(Image.fromarray(pixels))
    assert (found.shadows, found.highlights) == (0.25, 0.1)


def test_blocks_are_found_after_a_crop_and_gone_after_scaling(photo: Picture) -> None:
    """The grid of blocks may begin anywhere; a resized picture has none."""
    compressed = encoded(photo, 30)
    whole, cropped, scaled = (
        measure(picture).blockiness or 0
        for picture in (
            compressed,
            compressed.crop((3, 5, 590, 390)),
            compressed.resize((431, 287), Image.Resampling.LANCZOS),
        )
    )
    assert whole > 1.5
    assert cropped == pytest.approx(whole, rel=0.2)
    assert scaled < 0.2 * whole


def test_a_turn_changes_little(photo: Picture) -> None:
    """A stored picture gives the measures of the upright one."""
    upright = measure(photo)
    turned = measure(photo.transpose(Image.Transpose.ROTATE_90))
    for name in MEASURES:
        assert getattr(turned, name) == pytest.approx(getattr(upright, name), rel=0.15, abs=0.1), name


@pytest.mark.parametrize("size", [(1, 1), (1, 2000), (31, 500), (32, 32), (33, 47), (41, 40), (2500, 40)])
@pytest.mark.parametrize("colour", ["black", "grey", "white"])
def test_even_pictures_of_any_size_have_finite_measures(size: tuple[int, int], colour: str) -> None:
    """Details are null below 32 pixels, noise also where everything is clipped."""
    found = measure(Image.new("RGB", size, colour))
    values = dataclasses.asdict(found)
    assert all(value is None or (math.isfinite(value) and value >= 0) for value in values.values())
    has_details = min(size) >= 32
    assert (found.sharpness, found.blockiness) == ((0, 0) if has_details else (None, None))
    assert found.noise == (0 if has_details and colour == "grey" else None)
    assert found.megapixels == pytest.approx(size[0] * size[1] / 1e6)


def _stored(picture: Picture, image_format: str, **options: Any) -> Measures:
    stream = io.BytesIO()
    picture.save(stream, image_format, **options)
    return measure(open_photo(stream.getvalue()).pixels)


def test_cmyk_and_deep_grey_are_measured_as_they_are_scored(photo: Picture) -> None:
    """Of whatever mode a file is, its measures are those of its RGB pixels."""
    grey = photo.convert("L")
    expected = measure(grey.convert("RGB"))
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    assert _stored(deep, "PNG") == expected
    assert _stored(photo.convert("CMYK"), "TIFF") == measure(photo.convert("CMYK").convert("RGB"))


def test_measures_of_a_large_photograph_are_those_of_all_of_it() -> None:
    """Strips and every k-th pixel stand for the whole."""
    photo = open_photo(SAMPLES / "landscape.jpg").pixels
    tiled = Image.new("RGB", (3 * photo.width, 3 * photo.height))
    for place in range(9):
        tiled.paste(photo, (place % 3 * photo.width, place // 3 * photo.height))
    small, large = measure(photo), measure(tiled)
    for name in ("sharpness", "shadows", "highlights", "headroom", "contrast"):
        assert getattr(large, name) == pytest.approx(getattr(small, name), rel=0.1, abs=0.01), name
