"""nimakit.nn.enhance.gradient_ascent: climbing on a score."""

from typing import Any

import numpy as np
import pytest

from nimakit.images.photo import Photo, open_photo
from nimakit.nn.enhance import random_views
from nimakit.nn.enhance.gradient_ascent import Ascent, Edit, Grid, Sliders
from nimakit.nn.enhance.random_views import Views
from nimakit.nn.networks.keras_model import KerasModel
from nimakit.stats.histogram import Float32Array
from samples import random_pixels
from small_models import CORNER_SIDE, corner_model

EPSILON = 0.4


def indifferent() -> KerasModel:
    """A model that gives every picture the same score."""
    model = corner_model()
    head = model.network.layers[-1]
    head.set_weights([0 * value for value in head.get_weights()])
    return model


def photo() -> Photo:
    """A dim picture of random colours."""
    return open_photo(random_pixels(60, 60) // 2 + 20)


def look(picture: Photo) -> Views:
    """What a model of a corner sees of a picture."""
    return random_views.sample(picture, random_views.detail(picture), corner_model().metadata.preprocessing)


def climbed(edit: Edit, *networks: KerasModel) -> Float32Array:
    """The free numbers of the edit that networks like."""
    return Ascent(networks, edit).run([look(photo())] * len(networks))


def values_of(free: Float32Array) -> dict[str, float]:
    """The sliders of free numbers."""
    return {name: float(value) for name, value in Sliders(EPSILON).values(free).items()}


def whole() -> KerasModel:
    """A model that likes a bright picture."""
    return corner_model(corner=CORNER_SIDE)


@pytest.fixture(scope="module")
def light() -> Ascent:
    """Of the sliders, by that model."""
    return Ascent([whole()], Sliders(EPSILON))


def test_moves_the_sliders_that_matter(light: Ascent) -> None:
    """A model that likes light gets more exposure and brighter shadows, no further than epsilon."""
    values = values_of(light.run([look(photo())]))
    assert values["exposure"] > 0.9 * EPSILON
    assert values["shadows"] > 0.5 * EPSILON
    assert max(map(abs, values.values())) <= EPSILON


@pytest.mark.parametrize("edit", [Sliders(EPSILON), Grid(EPSILON)], ids=["sliders", "grid"])
def test_leaves_a_picture_alone_where_nothing_is_gained(edit: Any) -> None:
    """A model that does not care costs no edit, not even the trace of sharpening it starts from."""
    free = climbed(edit, indifferent())
    assert np.abs(np.asarray(free)).max() < 0.02


def test_moves_the_grid_where_it_matters() -> None:
    """A model that looks at a corner has it brightened most, and its mirror image, as both are shown."""
    edit = Grid(EPSILON)
    brightness = np.asarray(edit.values(climbed(edit, corner_model())))[..., 0]
    assert brightness[0, 0] > 0.9 * EPSILON
    assert brightness[0, -1] > 0.9 * EPSILON
    assert brightness[-1, 1:3].max() < brightness[0, 0] - 0.05 * EPSILON
    assert np.abs(brightness).max() <= EPSILON


def test_the_whole_picture_moves_more_readily_than_its_parts() -> None:
    """A model that looks at everything gets an even edit."""
    edit = Grid(EPSILON)
    brightness = np.asarray(edit.values(climbed(edit, whole())))[..., 0]
    assert brightness.min() > 0.8 * EPSILON
    assert np.ptp(brightness) < 0.1 * EPSILON


def test_several_networks_share_the_say(light: Ascent) -> None:
    """One that likes light and one that likes darkness leave a picture nearly as it is."""
    dark = whole()
    kernel, bias = dark.network.layers[-1].get_weights()
    dark.network.layers[-1].set_weights([-kernel, bias])
    single = values_of(light.run([look(photo())]))["exposure"]
    both = values_of(climbed(Sliders(EPSILON), whole(), dark))["exposure"]
    assert abs(both) < 0.7 * single


def test_the_same_again(light: Ascent) -> None:
    """A second photograph is not moved by the first, and the same one gets the same edit."""
    dim, bright = photo(), open_photo(random_pixels(60, 60) // 4 + 180)
    first, _, again = (light.run([look(one)]) for one in (dim, bright, dim))
    np.testing.assert_allclose(first, again, atol=1e-5)


def test_a_black_and_white_photograph_stays_one() -> None:
    """White balance has no say where there is no colour, and is given no value."""
    warm = np.ones_like(Sliders(EPSILON).start())
    grey, coloured = (np.full((1, 4, 4, 3), level, np.float32) for level in (0.5, (0.5, 0.4, 0.3)))
    none, anywhere = np.zeros((1, 4, 4, 1), np.float32), np.array([[0, 0, 1, 1]], np.float32)
    after, other = (np.asarray(Sliders(EPSILON).apply(warm, one, none, anywhere)) for one in (grey, coloured))
    assert np.ptp(after, axis=-1).max() < 1e-6
    assert np.abs(other[..., 0] / other[..., 2] - 0.5 / 0.3).min() > 0.05
    flat = Photo(photo().pixels.convert("L").convert("RGB"))
    values = values_of(Ascent([whole()], Sliders(EPSILON)).run([look(flat)]))
    assert (values["temperature"], values["tint"]) == (0, 0)
    assert values["exposure"] > 0.5 * EPSILON
