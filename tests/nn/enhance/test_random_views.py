"""nimakit.nn.enhance.random_views: what a network sees of a photograph."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from nimakit.images.photo import Fit, Photo, Preprocessing, ResizeFilter, open_photo, prepare
from nimakit.nn.enhance import random_views
from samples import random_pixels


def preprocessing(fit: Fit = "squash", resize_filter: ResizeFilter = "bilinear") -> Preprocessing:
    """Of a network that wants 32 by 48."""
    return Preprocessing(height=32, width=48, resize_filter=resize_filter, fit=fit)


def photo() -> Photo:
    """A picture with large forms and fine grain, 90 by 60."""
    forms = Image.fromarray(random_pixels(6, 9)).resize((90, 60), Image.Resampling.BICUBIC)
    grain = Image.fromarray(random_pixels(60, 90, 1))
    return Photo(Image.blend(forms, grain, 0.1))


@pytest.mark.parametrize("fit", ["squash", "pad", "crop"])
@pytest.mark.parametrize("resize_filter", ["nearest", "bilinear", "bicubic"])
def test_the_first_view_is_what_scoring_sees(fit: Fit, resize_filter: ResizeFilter) -> None:
    """Pixel by pixel, with every fit and filter."""
    wanted = preprocessing(fit, resize_filter)
    look = random_views.sample(photo(), random_views.detail(photo()), wanted)
    np.testing.assert_allclose(255 * look.pixels[0], prepare(photo(), wanted), atol=1e-3)


def test_the_border_of_a_pad_is_outside() -> None:
    """There is neither picture nor detail, and no edit shows."""
    look = random_views.sample(
        open_photo(np.full((60, 60, 3), 200, np.uint8)), random_views.detail(photo()), preprocessing("pad")
    )
    assert look.inside[0, :, :8].max() == look.inside[0, :, -8:].max() == 0
    assert look.inside[0, :, 8:-8].min() == 1
    assert np.abs(look.detail[look.inside == 0]).max() == 0


@pytest.mark.parametrize(
    ("fit", "box"),
    [
        ("squash", (0, 0, 1, 1)),
        ("pad", (0, -1 / 4, 1, 5 / 4)),
        ("crop", (1 / 6, 0, 5 / 6, 1)),
    ],
)
def test_says_which_part_of_the_picture_a_view_is(fit: Fit, box: tuple[float, ...]) -> None:
    """Of a square picture in a wide input: beyond it where it is padded, less of it where it is cropped."""
    square = open_photo(random_pixels(60, 60))
    look = random_views.sample(square, random_views.detail(square), preprocessing(fit))
    np.testing.assert_allclose(look.boxes[0], box, atol=1e-6)
    assert (look.boxes[1:, 2] - look.boxes[1:, 0] < box[2] - box[0]).all()


def test_views_of_parts_differ_by_the_seed_alone() -> None:
    """The same edit comes out of the same photograph."""
    one, same, other = (
        random_views.sample(photo(), random_views.detail(photo()), preprocessing(), seed=seed).boxes
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_detail_is_what_a_blur_takes_away() -> None:
    """Grey minus blurred grey, bounded; added to the picture it makes edges steeper."""
    found = random_views.detail_of(np.asarray(random_views.detail(photo()).pixels))
    grey = photo().pixels.convert("L")
    taken = np.asarray(grey, np.float64) - np.asarray(grey.filter(ImageFilter.GaussianBlur(0.7)), np.float64)
    np.testing.assert_allclose(255 * found, np.clip(taken, -15, 15), atol=0.01)
    assert np.abs(found).max() <= 15 / 255


def test_an_even_picture_has_no_detail() -> None:
    """Nothing is sharpened where nothing is."""
    even = open_photo(np.full((20, 30, 3), 77, np.uint8))
    assert not random_views.detail_of(np.asarray(random_views.detail(even).pixels)).any()
