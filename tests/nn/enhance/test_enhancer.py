"""nimakit.nn.enhance.enhancer: a better version of a photograph."""

from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from nimakit.enhance.adjustments import TONES, WHOLE, Adjustments
from nimakit.images.photo import Photo, open_photo
from nimakit.nn.enhance import differentiable_edits
from nimakit.nn.enhance.enhancer import Enhancer, apply
from nimakit.nn.networks.keras_model import KerasModel
from samples import random_pixels
from small_models import CORNER_SIDE, corner_model, indifferent

SIZE = (300, 280)


def photo() -> Photo:
    """A dim picture of large forms, higher than the stripes it is edited in."""
    return Photo(Image.fromarray(random_pixels(7, 8) // 2 + 20).resize(SIZE, Image.Resampling.BICUBIC))


@pytest.fixture(scope="module")
def model() -> KerasModel:
    """A model that likes a bright picture; no test changes it for good."""
    return corner_model(corner=CORNER_SIDE)


@pytest.fixture(scope="module")
def enhancers(model: KerasModel) -> dict[str, Enhancer]:
    """An enhancer for that model by each method, which take seconds to trace; "adjust" may frame."""
    return {
        "adjust": Enhancer([model], epsilon=0.4, frame=True),
        "gradient": Enhancer([model], "gradient", epsilon=0.4),
    }


@pytest.fixture(scope="module")
def enhanced(enhancers: dict[str, Enhancer]) -> dict[str, tuple[Image.Image, Adjustments | None]]:
    """The photo, enhanced by each method."""
    return {method: enhancer.enhance(photo()) for method, enhancer in enhancers.items()}


@pytest.mark.parametrize("method", ["adjust", "gradient"])
def test_the_result_has_a_higher_score(model: KerasModel, enhanced: Any, method: str) -> None:
    """The whole edited photograph scores higher, not just the views that the ascent used."""
    picture, _ = enhanced[method]
    assert model.score(open_photo(picture)) > model.score(photo()) + 0.05
    assert picture.size == SIZE


def test_reports_its_adjustments(enhanced: Any) -> None:
    """They are within epsilon, and applying them gives the same picture."""
    picture, adjustments = enhanced["adjust"]
    assert 0.3 < adjustments.exposure <= 0.4
    assert max(abs(getattr(adjustments, name)) for name in TONES) <= 0.4
    np.testing.assert_array_equal(np.asarray(apply(photo(), adjustments)), np.asarray(picture))


def test_gradient_has_no_adjustments_and_a_bound(enhanced: Any) -> None:
    """No pixel moves by more than epsilon times what local edits may move it."""
    picture, adjustments = enhanced["gradient"]
    assert adjustments is None
    moved = np.asarray(picture, np.float64) - np.asarray(photo().pixels, np.float64)
    assert (
        2
        < np.abs(moved).max()
        <= 0.4 * (differentiable_edits.LOCAL_TONE + differentiable_edits.LOCAL_COLOUR) * 255 + 1
    )


def test_no_adjustment_is_the_same_picture() -> None:
    """Stripes and curves change no bit."""
    np.testing.assert_array_equal(np.asarray(apply(photo(), Adjustments())), np.asarray(photo().pixels))


def test_stripes_do_not_show() -> None:
    """A smooth picture stays smooth from row to row, also where a stripe ends."""
    ramp = np.tile(np.linspace(60, 180, 600, dtype=np.uint8)[:, None, None], (1, 40, 3))
    picture, _ = Enhancer([corner_model()], "gradient", epsilon=1.0).enhance(open_photo(ramp))
    assert np.abs(np.diff(np.asarray(picture, np.int16), axis=0)).max() <= 2


def test_straightens_a_clearly_tilted_photograph(
    model: KerasModel, enhancers: dict[str, Enhancer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The score of the network, which is indifferent here, does not fall; without framing it stays tilted."""
    wall = Image.new("RGB", (700, 700), (120, 110, 100))
    draw = ImageDraw.Draw(wall)
    for place in range(0, 700, 70):
        draw.line((place, 0, place, 700), fill=(40, 40, 50), width=7)
        draw.line((0, place, 700, place), fill=(40, 40, 50), width=7)
    tilted = wall.rotate(2.5, Image.Resampling.BICUBIC).crop((150, 150, 550, 450))
    with indifferent(model):
        picture, adjustments = enhancers["adjust"].enhance(Photo(tilted))
        monkeypatch.setattr(enhancers["adjust"], "_frame", False)
        as_it_is, left = enhancers["adjust"].enhance(Photo(tilted))
    assert adjustments is not None
    assert adjustments.straighten == pytest.approx(2.5, abs=0.5)
    assert picture.width < tilted.width
    assert left is not None
    assert (left.straighten, as_it_is.size) == (0, tilted.size)


@pytest.mark.parametrize(
    "scale",
    [
        pytest.param(1, id="at its own size"),
        pytest.param(5, id="reduced for the search", marks=pytest.mark.slow),
    ],
)
def test_crops_where_much_is_gained(enhancers: dict[str, Enhancer], scale: int) -> None:
    """A bright picture loses its dark edge."""
    edged = np.full((300 * scale, 400 * scale, 3), 230, np.uint8)
    edged[:, : 80 * scale] = 0
    picture, adjustments = enhancers["adjust"].enhance(open_photo(edged))
    assert adjustments is not None
    assert adjustments.crop[0] == pytest.approx(0.2)
    assert picture.width == pytest.approx(320 * scale, abs=1)


def test_crops_nothing_from_an_even_picture(enhancers: dict[str, Enhancer]) -> None:
    """The whole picture is kept where no crop scores higher."""
    _, even = enhancers["adjust"].enhance(open_photo(np.full((300, 400, 3), 130, np.uint8)))
    assert even is not None
    assert even.crop == WHOLE


def test_edits_the_upright_picture() -> None:
    """A picture stored on its side comes out upright."""
    lying = Photo(photo().pixels.transpose(Image.Transpose.ROTATE_90), orientation=6)
    np.testing.assert_array_equal(np.asarray(apply(lying, Adjustments())), np.asarray(photo().pixels))


@pytest.mark.parametrize("method", ["adjust", "gradient"])
def test_edits_colours_without_their_background(
    enhancers: dict[str, Enhancer], enhanced: Any, method: str
) -> None:
    """The edit that is found for the picture the networks see is applied to the colours."""
    seen, adjustments = enhanced[method]
    black = Photo(Image.new("RGB", SIZE))
    made, same = enhancers[method].enhance(photo(), black)
    assert same == adjustments
    assert np.asarray(made).max() <= 15 < np.asarray(seen).mean()
    assert made.size == seen.size
