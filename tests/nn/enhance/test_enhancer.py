"""nimakit.nn.enhance.enhancer: a better version of a photograph."""

from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from nimakit.enhance.adjustments import TONES, WHOLE, Adjustments
from nimakit.images.photo import Photo, open_photo
from nimakit.nn.enhance import differentiable_edits
from nimakit.nn.enhance.enhancer import Enhancer, apply
from samples import random_pixels
from small_models import CORNER_SIDE, corner_model

SIZE = (300, 280)


def photo() -> Photo:
    """A dim picture of large forms, higher than the stripes it is edited in."""
    return Photo(Image.fromarray(random_pixels(7, 8) // 2 + 20).resize(SIZE, Image.Resampling.BICUBIC))


def whole() -> Any:
    """A model that likes a bright picture."""
    return corner_model(corner=CORNER_SIDE)


@pytest.fixture(scope="module")
def light() -> Enhancer:
    """By sliders and frame, for a model that likes a bright picture."""
    return Enhancer([whole()], epsilon=0.4, frame=True)


@pytest.mark.parametrize("method", ["adjust", "gradient"])
def test_the_result_is_liked_better(light: Enhancer, method: Any) -> None:
    """Scored as any picture is: the whole edited photograph, not what the ascent looked at."""
    model = whole()
    enhancer = light if method == "adjust" else Enhancer([model], method)
    picture, _ = enhancer.enhance(photo())
    assert model.score(open_photo(picture)) > model.score(photo()) + 0.05
    assert picture.size == SIZE


def test_says_what_it_did(light: Enhancer) -> None:
    """Within epsilon; and what it says it did, done again, gives the same picture."""
    picture, adjustments = light.enhance(photo())
    assert adjustments is not None
    assert 0.3 < adjustments.exposure <= 0.4
    assert max(abs(getattr(adjustments, name)) for name in TONES) <= 0.4
    np.testing.assert_array_equal(np.asarray(apply(photo(), adjustments)), np.asarray(picture))


def test_gradient_has_no_values_and_a_bound() -> None:
    """No pixel moves further than epsilon of what local edits may."""
    picture, adjustments = Enhancer([whole()], "gradient", epsilon=0.2).enhance(photo())
    assert adjustments is None
    moved = np.asarray(picture, np.float64) - np.asarray(photo().pixels, np.float64)
    assert (
        2
        < np.abs(moved).max()
        <= 0.2 * (differentiable_edits.LOCAL_TONE + differentiable_edits.LOCAL_COLOUR) * 255 + 1
    )


def test_no_adjustment_is_the_same_picture() -> None:
    """To the last bit, through stripes and curves."""
    np.testing.assert_array_equal(np.asarray(apply(photo(), Adjustments())), np.asarray(photo().pixels))


def test_stripes_do_not_show() -> None:
    """A smooth picture stays smooth from row to row, where one stripe ends too."""
    ramp = np.tile(np.linspace(60, 180, 600, dtype=np.uint8)[:, None, None], (1, 40, 3))
    picture, _ = Enhancer([corner_model()], "gradient", epsilon=1.0).enhance(open_photo(ramp))
    assert np.abs(np.diff(np.asarray(picture, np.int16), axis=0)).max() <= 2


def test_straightens_what_is_clearly_tilted() -> None:
    """Where the network does not mind: this one likes a bright picture, and there is none brighter."""
    wall = Image.new("RGB", (700, 700), (120, 110, 100))
    draw = ImageDraw.Draw(wall)
    for place in range(0, 700, 70):
        draw.line((place, 0, place, 700), fill=(40, 40, 50), width=7)
        draw.line((0, place, 700, place), fill=(40, 40, 50), width=7)
    tilted = wall.rotate(2.5, Image.Resampling.BICUBIC).crop((150, 150, 550, 450))
    model = whole()
    head = model.network.layers[-1]
    head.set_weights([0 * value for value in head.get_weights()])
    picture, adjustments = Enhancer([model], frame=True).enhance(Photo(tilted))
    assert adjustments is not None
    assert adjustments.straighten == pytest.approx(2.5, abs=0.5)
    assert picture.width < tilted.width
    as_it_is, left = Enhancer([model]).enhance(Photo(tilted))
    assert left is not None
    assert (left.straighten, as_it_is.size) == (0, tilted.size)


@pytest.mark.parametrize("scale", [1, 7], ids=["as it is searched", "larger"])
def test_crops_where_much_is_gained(light: Enhancer, scale: int) -> None:
    """Of a bright picture with a dark edge, that edge goes; of an even one nothing does."""
    edged = np.full((300 * scale, 400 * scale, 3), 230, np.uint8)
    edged[:, : 80 * scale] = 0
    picture, adjustments = light.enhance(open_photo(edged))
    assert adjustments is not None
    assert adjustments.crop[0] == pytest.approx(0.2)
    assert picture.width == pytest.approx(320 * scale, abs=1)
    _, even = light.enhance(open_photo(np.full((300, 400, 3), 130, np.uint8)))
    assert even is not None
    assert even.crop == WHOLE


def test_edits_the_upright_picture() -> None:
    """A picture stored on its side comes out upright."""
    lying = Photo(photo().pixels.transpose(Image.Transpose.ROTATE_90), orientation=6)
    np.testing.assert_array_equal(np.asarray(apply(lying, Adjustments())), np.asarray(photo().pixels))


@pytest.mark.parametrize("method", ["adjust", "gradient"])
def test_edits_colours_without_their_background(light: Enhancer, method: Any) -> None:
    """The edit is that of the picture networks see, and is made of what they do not: colours as they are."""
    enhancer = light if method == "adjust" else Enhancer([whole()], method)
    seen, adjustments = enhancer.enhance(photo())
    black = Photo(Image.new("RGB", SIZE))
    made, same = enhancer.enhance(photo(), black)
    assert same == adjustments
    assert np.asarray(made).max() <= 15 < np.asarray(seen).mean()
    assert made.size == seen.size
