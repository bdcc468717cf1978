"""nimakit.nn.enhance.gradient_ascent: climbing on a score."""

import numpy as np
import pytest

from nimakit.images.photo import Photo, open_photo
from nimakit.nn.enhance import random_views
from nimakit.nn.enhance.gradient_ascent import Ascent, Edit, Grid, Sliders
from nimakit.nn.enhance.random_views import Views
from nimakit.nn.networks.keras_model import KerasModel
from nimakit.stats.histogram import Float32Array
from samples import random_pixels
from small_models import CORNER_SIDE, corner_model, indifferent

EPSILON = 0.4


def photo() -> Photo:
    """A dim picture of random colours."""
    return open_photo(random_pixels(60, 60) // 2 + 20)


def look(picture: Photo) -> Views:
    """What a model of a corner sees of a picture."""
    return random_views.sample(picture, random_views.detail(picture), corner_model().metadata.preprocessing)


def climbed(edit: Edit, *networks: KerasModel) -> Float32Array:
    """The parameters of the edit that networks prefer."""
    return Ascent(networks, edit).run([look(photo())] * len(networks))


def values_of(free: Float32Array) -> dict[str, float]:
    """The sliders of parameters."""
    return {name: float(value) for name, value in Sliders(EPSILON).values(free).items()}


def whole() -> KerasModel:
    """A model that likes a bright picture."""
    return corner_model(corner=CORNER_SIDE)


@pytest.fixture(scope="module")
def network() -> KerasModel:
    """A model that likes a bright picture; no test changes it for good."""
    return whole()


@pytest.fixture(scope="module")
def light(network: KerasModel) -> Ascent:
    """The sliders' ascent on that model, which takes a second to trace."""
    return Ascent([network], Sliders(EPSILON))


@pytest.fixture(scope="module")
def local(network: KerasModel) -> Ascent:
    """The grid's ascent on that model."""
    return Ascent([network], Grid(EPSILON))


@pytest.fixture(scope="module")
def liked(light: Ascent) -> Float32Array:
    """The parameters of the sliders that the model prefers for the dim picture."""
    return light.run([look(photo())])


def test_moves_the_sliders_that_matter(liked: Float32Array) -> None:
    """A model that likes light gets more exposure and brighter shadows, by at most epsilon."""
    values = values_of(liked)
    assert values["exposure"] > 0.9 * EPSILON
    assert values["shadows"] > 0.5 * EPSILON
    assert max(map(abs, values.values())) <= EPSILON


@pytest.mark.parametrize("kind", ["light", "local"])
def test_leaves_a_picture_alone_where_nothing_is_gained(
    request: pytest.FixtureRequest, network: KerasModel, kind: str
) -> None:
    """An indifferent model gets no edit, not even the slight sharpening that the ascent starts from."""
    ascent = request.getfixturevalue(kind)
    with indifferent(network):
        assert np.abs(ascent.run([look(photo())])).max() < 0.02


def test_moves_the_grid_where_it_matters() -> None:
    """For a model that sees only a corner, that corner and its mirror image become brightest."""
    edit = Grid(EPSILON)
    brightness = np.asarray(edit.values(climbed(edit, corner_model())))[..., 0]
    assert brightness[0, 0] > 0.9 * EPSILON
    assert brightness[0, -1] > 0.9 * EPSILON
    assert brightness[-1, 1:3].max() < brightness[0, 0] - 0.05 * EPSILON
    assert np.abs(brightness).max() <= EPSILON


def test_the_whole_picture_moves_more_readily_than_its_parts(local: Ascent) -> None:
    """A model that sees the whole picture gets an even edit."""
    brightness = np.asarray(Grid(EPSILON).values(local.run([look(photo())])))[..., 0]
    assert brightness.min() > 0.8 * EPSILON
    assert np.ptp(brightness) < 0.1 * EPSILON


@pytest.mark.slow
def test_several_networks_have_equal_weight(network: KerasModel, liked: Float32Array) -> None:
    """One network that likes light and one that likes darkness change a picture little."""
    dark = whole()
    kernel, bias = dark.network.layers[-1].get_weights()
    dark.network.layers[-1].set_weights([-kernel, bias])
    both = values_of(climbed(Sliders(EPSILON), network, dark))["exposure"]
    assert abs(both) < 0.7 * values_of(liked)["exposure"]


def test_an_edit_does_not_depend_on_earlier_photographs(light: Ascent, liked: Float32Array) -> None:
    """A photograph gets the same edit again after another one."""
    light.run([look(open_photo(random_pixels(60, 60) // 4 + 180))])
    np.testing.assert_allclose(light.run([look(photo())]), liked, atol=1e-5)


def test_a_black_and_white_photograph_stays_one(light: Ascent) -> None:
    """White balance has no effect and no value where there is no colour."""
    warm = np.ones_like(Sliders(EPSILON).start())
    grey, coloured = (np.full((1, 4, 4, 3), level, np.float32) for level in (0.5, (0.5, 0.4, 0.3)))
    none, anywhere = np.zeros((1, 4, 4, 1), np.float32), np.array([[0, 0, 1, 1]], np.float32)
    after, other = (np.asarray(Sliders(EPSILON).apply(warm, one, none, anywhere)) for one in (grey, coloured))
    assert np.ptp(after, axis=-1).max() < 1e-6
    assert np.abs(other[..., 0] / other[..., 2] - 0.5 / 0.3).min() > 0.05
    flat = Photo(photo().pixels.convert("L").convert("RGB"))
    values = values_of(light.run([look(flat)]))
    assert (values["temperature"], values["tint"]) == (0, 0)
    assert values["exposure"] > 0.5 * EPSILON
