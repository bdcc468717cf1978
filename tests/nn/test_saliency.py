"""nimakit.nn.saliency: what a model looks at."""

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.stats import spearmanr

from nimakit.errors import ImageError, ModelError, UsageError
from nimakit.explain.drawing import drawer, explain_image
from nimakit.images.photo import Photo, open_photo
from nimakit.nn.networks.keras_model import KerasModel
from nimakit.nn.saliency import METHODS, GradientExplainer, saliency
from samples import random_pixels, write_photo
from small_models import CORNER_SIDE as SIDE
from small_models import corner_model


def bright(width: int = 64, height: int = 64) -> Photo:
    """An even, bright picture."""
    return open_photo(np.full((height, width, 3), 200, np.uint8))


def share(grid: Any, box: Sequence[int]) -> float:
    """How much of a map's whole lies in a box: left, top, right, bottom."""
    seen = np.abs(np.nan_to_num(grid))
    return float(seen[box[1] : box[3], box[0] : box[2]].sum() / seen.sum())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("at_least", [None, 4])
def test_the_corner_that_is_looked_at_lights_up(method: Any, at_least: float | None) -> None:
    """The map of a model that sees one corner shows only that corner."""
    found = saliency(corner_model(), bright(), method, at_least=at_least)
    assert found.grid.shape == (64, 64)
    assert found.grid.max() == pytest.approx(1)
    assert share(found.grid, (0, 0, 20, 20)) > 0.98


@pytest.mark.parametrize("method", METHODS)
def test_explains_a_regression_head(method: Any) -> None:
    """The score is explained like a mean score."""
    assert share(saliency(corner_model(head="regression"), bright(), method).grid, (0, 0, 20, 20)) > 0.98


def test_gradcam_shows_what_lowers_the_score() -> None:
    """Where brightness lowers the score, the map of the same corner is negative."""
    model = corner_model()
    kernel, bias = model.network.layers[-1].get_weights()
    model.network.layers[-1].set_weights([-kernel, bias])
    assert saliency(model, bright(), "gradcam").grid.min() == pytest.approx(-1)
    assert saliency(model, bright(), "gradient").grid.min() >= 0


def test_a_squashed_picture_has_the_map_stretched_back() -> None:
    """The corner of the input is the corner of the picture, in its own proportions."""
    found = saliency(corner_model(), bright(128, 64), "gradient")
    assert found.grid.shape == (64, 128)
    assert share(found.grid, (0, 0, 34, 17)) > 0.98


def test_the_map_is_undefined_outside_the_crop() -> None:
    """Both sides of a wide picture are NaN, and the corner is that of the part in the middle."""
    found = saliency(corner_model(fit="crop"), bright(128, 64), "gradient")
    assert np.isnan(found.grid[:, :32]).all()
    assert np.isnan(found.grid[:, 96:]).all()
    assert not np.isnan(found.grid[:, 32:96]).any()
    assert share(found.grid, (32, 0, 49, 17)) > 0.98


def test_the_map_has_no_padding() -> None:
    """The padding above a wide picture covers the corner, so the map of the picture is empty."""
    found = saliency(corner_model(fit="pad"), bright(128, 32), "gradcam")
    assert not np.isnan(found.grid).any()
    assert np.abs(found.grid).max() < 0.05  # black adds nothing, and the picture begins below the corner


def test_gives_the_size_asked_for() -> None:
    """A smaller map shows the same, for a page of thumbnails."""
    found = saliency(corner_model(), bright(), "gradient", size=(20, 16))
    assert found.grid.shape == (16, 20)
    assert share(found.grid, (0, 0, 6, 5)) > 0.9


def test_gives_the_score_it_explains() -> None:
    """Mean score and probability are the model's."""
    model = corner_model()
    found = saliency(model, bright(), "gradient", at_least=4)
    values = np.asarray(model.values(np.full((1, SIDE, SIDE, 3), 200, np.float32)))[0]
    assert found.mean == pytest.approx(float(values @ model.bins), abs=1e-5)
    assert found.probability == pytest.approx(float(values[3:].sum()), abs=1e-5)


@pytest.mark.parametrize(
    ("method", "most"),
    [
        ("gradcam", 0.5),
        pytest.param("smoothgrad", 0.5, marks=pytest.mark.exhaustive),
        pytest.param("gradient", 0.7, marks=pytest.mark.slow),
    ],
)
def test_randomised_weights_change_the_map(aesthetic: KerasModel, method: Any, most: float) -> None:
    """The sanity check of Adebayo et al. 2018: a map that survives other weights explains nothing.

    With the plain gradient, the unchanged first layers still determine some of the order of the pixels.
    """
    model = aesthetic
    photo = open_photo("data/samples/portrait.jpg")
    before = saliency(model, photo, method, size=(56, 56)).grid
    np.testing.assert_array_equal(saliency(model, photo, method, size=(56, 56)).grid, before)
    random = np.random.default_rng(0)
    kept = model.network.get_weights()
    for layer in model.network.layers[-20:]:
        layer.set_weights(
            [random.permutation(value.ravel()).reshape(value.shape) for value in layer.get_weights()]
        )
    after = saliency(model, photo, method, size=(56, 56)).grid
    model.network.set_weights(kept)
    assert abs(spearmanr(before.ravel(), after.ravel()).statistic) < most


@pytest.mark.parametrize("at_least", [1, 5.5, 0])
def test_refuses_a_rating_off_the_scale(at_least: float) -> None:
    """Every rating is at least 1 and at most 5, so there is nothing to explain."""
    with pytest.raises(UsageError, match="above 1 and at most 5"):
        saliency(corner_model(), bright(), at_least=at_least)


def test_refuses_a_probability_of_a_model_of_scores() -> None:
    """A regression head has no probabilities, like a personal model."""
    with pytest.raises(UsageError, match="only predicts a score, like any regression head or personal model"):
        saliency(corner_model(head="regression"), bright(), at_least=3)


def test_refuses_gradcam_without_pooled_maps() -> None:
    """The message names a method that works."""
    with pytest.raises(ModelError, match="use smoothgrad"):
        saliency(corner_model(pooled=False), bright(), "gradcam")


def test_draws_the_map() -> None:
    """Heat map and overlay have the picture's size; the sheet shows picture and overlay side by side."""
    found = explain_image(GradientExplainer(corner_model(), "smoothgrad"), random_pixels(50, 70), at_least=3)
    assert found.heat.size == found.overlay.size == (70, 50)
    assert found.side_by_side.width > 140
    assert found.overlay.getpixel((3, 3)) != found.overlay.getpixel((60, 3))
    small = explain_image(GradientExplainer(corner_model()), random_pixels(50, 70), side=35)
    assert small.heat.size == (35, 25)


def test_explains_the_pixels_that_are_scored() -> None:
    """Of a model that decodes scaled, in drawings as large as the whole picture."""
    model = corner_model()
    wanted = replace(model.metadata.preprocessing, decode="scaled")
    model = replace(model, metadata=replace(model.metadata, preprocessing=wanted))
    stream = io.BytesIO()
    Image.fromarray(random_pixels(131, 140)).save(stream, "JPEG")
    found = explain_image(GradientExplainer(model), stream.getvalue())
    assert found.heat.size == found.overlay.size == (140, 131)
    seen = open_photo(stream.getvalue(), preprocessing=wanted)
    assert seen.size == (70, 66)
    assert found.score_map.mean == pytest.approx(model.score(seen), abs=1e-6)
    assert found.score_map.mean != pytest.approx(model.score(open_photo(stream.getvalue())), abs=1e-6)


def test_refuses_a_file_without_a_picture() -> None:
    """The error is that of any command."""
    with pytest.raises(ImageError):
        explain_image(GradientExplainer(corner_model()), b"no picture")


def test_a_report_is_drawn_into_without_what_vanished(tmp_path: Path) -> None:
    """A picture's overlay at the size of the report; nothing for a file that is gone."""
    draw = drawer(GradientExplainer(corner_model()), side=10)
    drawn = draw(write_photo(tmp_path / "a.png"))
    assert drawn is not None
    assert max(drawn.size) == 10
    assert draw(tmp_path / "gone.png") is None
