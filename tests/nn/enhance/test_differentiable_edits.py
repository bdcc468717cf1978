"""nimakit.nn.enhance.differentiable_edits: edits that have a derivative and stay sane."""

from itertools import product
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from nimakit.enhance.adjustments import TONES
from nimakit.nn.enhance import differentiable_edits

NONE = dict.fromkeys(TONES, 0.0)
ENDS = [(name, value) for name in TONES for value in (-1.0, 1.0) if (name, value) != ("sharpening", -1.0)]
ROOM = 1 / 255


def pixels(seed: int = 0) -> Any:
    """(40, 50, 3) float32, every colour there is."""
    return np.random.default_rng(seed).random((40, 50, 3), np.float32)


def greys() -> Any:
    """(1, 256, 3) float32, from black to white."""
    return np.tile(np.linspace(0, 1, 256, dtype=np.float32)[None, :, None], (1, 1, 3))


def developed(x: Any, **values: float) -> Any:
    """The picture after an edit, without detail to sharpen unless there is any."""
    return differentiable_edits.develop(
        x, np.zeros((*x.shape[:-1], 1), np.float32), {**NONE, **values}
    ).numpy()


def test_no_edit_changes_nothing() -> None:
    """Through every curve and back, to less than a level of 8 bits."""
    assert np.abs(developed(pixels()) - pixels()).max() < ROOM / 4


@pytest.mark.parametrize(("name", "value"), ENDS)
def test_black_and_white_stay(name: str, value: float) -> None:
    """At either end of every slider: no grey blacks, no burnt skies."""
    ends = np.array([[[0, 0, 0], [1, 1, 1]]], np.float32)
    assert np.abs(developed(ends, **{name: value}) - ends).max() < ROOM / 2


@pytest.mark.parametrize(
    "sliders",
    [
        *({name: value} for name, value in ENDS),
        {"exposure": 1.0, "contrast": 1.0, "shadows": 1.0, "highlights": 1.0, "saturation": 1.0},
        {"exposure": -1.0, "contrast": -1.0, "shadows": -1.0, "highlights": -1.0, "vibrance": -1.0},
    ],
    ids=str,
)
def test_stays_within_the_range_and_keeps_the_order_of_greys(sliders: dict[str, float]) -> None:
    """No slider, nor several at their ends, turns light into dark or leaves what can be shown."""
    edited = developed(greys(), **sliders)
    assert edited.min() >= 0
    assert edited.max() <= 1
    assert np.diff(edited[0, :, 1]).min() > -ROOM / 4
    colours = developed(pixels(), **sliders)
    assert colours.min() >= 0
    assert colours.max() <= 1


def test_sliders_do_what_they_are_called() -> None:
    """Each in its own direction, on one warm, dim colour."""
    colour = np.array([[[0.45, 0.35, 0.3]]], np.float32)
    red, green, blue = range(3)

    def shift(**values: float) -> Any:
        return (developed(colour, **values) - colour)[0, 0]

    assert (shift(exposure=0.5) > 0.05).all()
    assert (shift(shadows=0.5) > 0.01).all()
    assert shift(temperature=0.5)[red] > 0.01 > -0.01 > shift(temperature=0.5)[blue]
    assert shift(tint=0.5)[green] < 0 < shift(tint=0.5)[[red, blue]].min()
    for name in ("saturation", "vibrance"):
        assert shift(**{name: 0.5})[red] > 0.005 > -0.005 > shift(**{name: 0.5})[blue]
    bright, dark = np.float32(0.75), np.float32(0.25)
    levels = np.array([[[bright] * 3, [dark] * 3]], np.float32)
    harder = developed(levels, contrast=0.5)
    assert harder[0, 0, 0] > bright + 0.01
    assert harder[0, 1, 0] < dark - 0.01
    assert developed(levels, highlights=-0.5)[0, 0, 0] < bright - 0.03
    assert abs(developed(levels, highlights=-0.5)[0, 1, 0] - dark) < 0.02


def test_an_exposure_of_one_stop_doubles_the_light_in_the_shadows() -> None:
    """In linear light, where there is room above."""
    dark = np.full((1, 1, 3), 0.1, np.float32)
    linear = 0.010023
    expected = 1.055 * (2 * linear) ** (1 / 2.4) - 0.055
    assert developed(dark, exposure=1.0)[0, 0, 0] == pytest.approx(expected, abs=0.002)


def test_white_balance_keeps_the_brightness() -> None:
    """A grey turns amber or blue, and is as light as before."""
    grey = np.full((1, 1, 3), 0.5, np.float32)
    for name in ("temperature", "tint"):
        edited = developed(grey, **{name: 1.0})[0, 0]
        assert edited @ (0.2126, 0.7152, 0.0722) == pytest.approx(0.5, abs=0.01)


def test_colours_go_to_the_edge_of_the_gamut_and_no_further() -> None:
    """A colour already pure stays as it is; its hue is kept on the way."""
    pure = np.array([[[1.0, 0.0, 0.2]]], np.float32)
    np.testing.assert_allclose(developed(pure, saturation=1.0), pure, atol=ROOM)


def test_sharpening_adds_the_detail() -> None:
    """As much of it as the slider says."""
    x = np.full((1, 2, 3), 0.5, np.float32)
    detail = np.array([[[0.04], [-0.02]]], np.float32)
    edited = differentiable_edits.develop(x, detail, {**NONE, "sharpening": 0.5}).numpy()
    np.testing.assert_allclose(edited[0, :, 0], [0.52, 0.49], atol=1e-3)


@pytest.mark.parametrize("name", TONES)
def test_every_slider_has_a_derivative(name: str) -> None:
    """The one by finite differences: what the ascent follows is what happens."""
    x = pixels()
    detail = 0.05 * (pixels(1)[..., :1] - 0.5)
    weights = pixels(2)
    start = 0.3

    def total(value: Any) -> Any:
        return tf.reduce_mean(weights * differentiable_edits.develop(x, detail, {**NONE, name: value}))

    slider = tf.Variable(start)
    with tf.GradientTape() as tape:
        value = total(slider)
    slope = float(tape.gradient(value, slider))
    step = 0.05
    difference = float(total(start + step) - total(start - step)) / (2 * step)
    assert slope == pytest.approx(difference, rel=0.1, abs=1e-5)
    assert abs(slope) > 1e-6


def test_a_local_edit_moves_no_pixel_too_far() -> None:
    """Whatever the coefficients: at most its reach, and not at all at black and white."""
    random = np.random.default_rng(0)
    for _ in range(5):
        coefficients = random.choice([-1.0, 1.0], (40, 50, differentiable_edits.COEFFICIENTS)).astype(
            np.float32
        )
        moved = differentiable_edits.relight(pixels(), coefficients).numpy() - pixels()
        assert np.abs(moved).max() <= differentiable_edits.LOCAL_TONE + differentiable_edits.LOCAL_COLOUR
        ends = np.zeros((40, 50, 3), np.float32)
        ends[:20] = 1
        np.testing.assert_allclose(differentiable_edits.relight(ends, coefficients), ends, atol=1e-6)


@pytest.mark.parametrize("coefficients", list(product([-1.0, 1.0], repeat=3)))
def test_a_local_edit_keeps_grey_grey_and_the_order_of_greys(coefficients: tuple[float, ...]) -> None:
    """A white wall takes on no colour, and no light turns into dark, at either end of every coefficient."""
    edited = differentiable_edits.relight(
        greys(), np.broadcast_to(np.array(coefficients, np.float32), (1, 256, 3))
    ).numpy()
    assert np.abs(edited - edited.mean(axis=-1, keepdims=True)).max() < ROOM / 4
    assert np.diff(edited[0, :, 0]).min() > -ROOM / 4


def test_a_grid_spreads_without_edges() -> None:
    """One bright cell among dark ones becomes a soft hill where it was."""
    grid = np.zeros((8, 8, 3), np.float32)
    grid[2, 5] = 1
    whole = tf.constant([[0.0, 0.0, 1.0, 1.0]])
    [hill] = differentiable_edits.spread(grid, whole, (160, 240)).numpy()[..., 0]
    top = np.unravel_index(np.argmax(hill), hill.shape)
    assert abs(top[0] - 2.5 / 8 * 160) < 3
    assert abs(top[1] - 5.5 / 8 * 240) < 3
    assert max(np.abs(np.diff(hill, axis=0)).max(), np.abs(np.diff(hill, axis=1)).max()) < 0.03


def test_a_part_gets_its_part_of_the_grid() -> None:
    """What a view sees is what the whole picture has there, at any size."""
    grid = np.random.default_rng(0).normal(size=(8, 8, 3)).astype(np.float32)
    [whole] = differentiable_edits.spread(grid, tf.constant([[0.0, 0.0, 1.0, 1.0]]), (200, 300)).numpy()
    [part] = differentiable_edits.spread(grid, tf.constant([[0.25, 0.5, 0.75, 0.9]]), (100, 120)).numpy()
    np.testing.assert_allclose(part, whole[50:150, 150:270], atol=1e-4)


def test_stripes_meet() -> None:
    """Two halves of a picture, spread one after the other, are the whole."""
    grid = np.random.default_rng(0).normal(size=(8, 8, 3)).astype(np.float32)
    boxes = [[0.0, 0.0, 0.5, 1.0], [0.5, 0.0, 1.0, 1.0]]
    halves = [differentiable_edits.spread(grid, tf.constant([box]), (100, 90)).numpy()[0] for box in boxes]
    [whole] = differentiable_edits.spread(grid, tf.constant([[0.0, 0.0, 1.0, 1.0]]), (200, 90)).numpy()
    np.testing.assert_allclose(np.concatenate(halves), whole, atol=1e-5)
