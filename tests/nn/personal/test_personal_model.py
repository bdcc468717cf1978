"""nimakit.nn.personal.personal_model: a network as one person sees pictures, with gradients."""

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nimakit.errors import ModelError, TasteError
from nimakit.images.photo import open_photo
from nimakit.models.engine import Member, Model
from nimakit.models.network import Network
from nimakit.models.taste import Taste, linear, write_taste
from nimakit.nn.enhance import random_views
from nimakit.nn.enhance.gradient_ascent import Ascent, Sliders
from nimakit.nn.networks import adapters, keras_model
from nimakit.nn.networks.keras_model import KerasModel
from nimakit.nn.personal.personal_model import for_user
from nimakit.nn.saliency import saliency
from nimakit.personal import keras_loading
from nn.conftest import Adaptable, SmallJob
from samples import random_pixels, write_model

TOLERANCE = 1e-4

pytestmark = [
    pytest.mark.usefixtures("small_adapters"),
    # Keras and TensorFlow are behind NumPy 2 in two places.
    pytest.mark.filterwarnings("ignore:In the future `np.object`:FutureWarning"),
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
]


@pytest.fixture(params=["histogram", "regression"])
def job(request: pytest.FixtureRequest, small_job: SmallJob) -> Path:
    """The job folder of each kind of head."""
    return small_job(head=request.param)


def _engine(path: Path) -> Model:
    return Model([Member(Network(path))])


def _linear(base: Model, constant: float) -> Taste:
    probe, width = base.probe()
    weights = np.random.default_rng(0).normal(0, 1, width)
    arrays = linear(weights, 0.3, constant)
    return Taste(method="head", base=probe, base_name=base.name, ratings=3, arrays=arrays)


def test_a_linear_taste_gives_the_scores_of_the_engine(job: Path) -> None:
    """In the middle of the scale, and near its ends, where scores are bounded."""
    base = _engine(job / "model.onnx")
    generic = keras_model.load(job)
    for constant, seed in ((0.0, 0), (9.0, 1), (-9.0, 2)):
        taste = _linear(base, constant)
        picture = random_pixels(70, 90, seed) // (1 + seed)
        [expected] = base.for_user(taste).predict([picture], augmented=True)
        score = for_user(generic, taste).score(open_photo(picture))
        assert score == pytest.approx(expected["mean_score_prediction"], abs=TOLERANCE)


FAST_KINDS = (("histogram", "parallel", False), ("regression", "series", True))


@pytest.mark.parametrize(
    ("head", "placement", "batch_norm"),
    [
        pytest.param(*kind, marks=[] if kind in FAST_KINDS else pytest.mark.exhaustive)
        for kind in product(("histogram", "regression"), ("parallel", "series"), (False, True))
    ],
)
def test_adapters_give_the_scores_of_the_engine(
    small_job: SmallJob, adaptable: Adaptable, head: str, placement: Any, batch_norm: bool
) -> None:
    """The placement is read from the names of the arrays."""
    generic = keras_model.load(small_job(head=head))
    network = adapters.adapt(generic.network, placement=placement, batch_norm=batch_norm)
    random = np.random.default_rng(0)
    arrays: dict[str, Any] = {"level": np.array([0.0, 0.4], np.float32)}
    for name, array in adapters.get_arrays(network).items():
        arrays[name] = np.asarray(random.normal(0, 0.1, array.shape), np.float32)
    base = _engine(adaptable(head, placement=placement, batch_norm=batch_norm))
    taste = Taste(method="adapters", base=base.probe()[0], base_name=base.name, ratings=3, arrays=arrays)
    picture = random_pixels(70, 90)
    [expected] = base.for_user(taste).predict([picture], augmented=True)
    score = for_user(generic, taste).score(open_photo(picture))
    assert score == pytest.approx(expected["mean_score_prediction"], abs=TOLERANCE)
    assert abs(score - generic.score(open_photo(picture))) > 10 * TOLERANCE


@pytest.fixture
def personal(small_job: SmallJob) -> KerasModel:
    """A model with a person's linear taste."""
    job = small_job(head="histogram")
    return for_user(keras_model.load(job), _linear(_engine(job / "model.onnx"), 0.0))


@pytest.mark.parametrize("method", ["gradcam", "gradient"])
def test_a_personal_score_can_be_explained(personal: KerasModel, method: Any) -> None:
    """It has gradients for saliency maps."""
    assert np.abs(saliency(personal, open_photo(random_pixels(70, 90)), method).grid).max() > 0.9


@pytest.mark.slow
def test_an_edit_raises_a_personal_score(personal: KerasModel) -> None:
    """The score has gradients back to the pixels that an edit changes."""
    model, photo = personal, open_photo(random_pixels(70, 90))
    look = random_views.sample(photo, random_views.detail(photo), model.metadata.preprocessing)
    edit = Sliders(0.4)
    free = Ascent([model], edit).run([look])
    edited = edit.apply(free, look.pixels, look.detail, look.boxes)
    before, after = (model.means(model.values(255 * pixels))[0] for pixels in (look.pixels, edited))
    assert float(after) > float(before)


def test_is_loaded_by_the_names_of_model_and_file(small_job: SmallJob, tmp_path: Path) -> None:
    """By the job's folder or its model file; the file of another model is refused."""
    job = small_job(head="histogram")
    base = _engine(job / "model.onnx")
    write_taste(tmp_path / "ann.taste", _linear(base, 0.0))
    photo = open_photo(random_pixels(70, 90))
    named = keras_loading.load_keras_model(job, user_file=tmp_path / "ann.taste")
    assert named.metadata.name == f"{keras_model.load(job).metadata.name} as ann sees it"
    personal = named.score(photo)
    again = keras_loading.load_keras_model(job / "model.onnx", user_file=tmp_path / "ann.taste").score(photo)
    generic = keras_loading.load_keras_model(job).score(photo)
    assert personal == again != generic
    other = _engine(write_model(tmp_path / "other.onnx"))
    write_taste(tmp_path / "bob.taste", _linear(other, 0.0))
    with pytest.raises(TasteError):
        keras_loading.load_keras_model(job, user_file=tmp_path / "bob.taste")


def test_refuses_what_has_no_gradient(small_job: SmallJob) -> None:
    """A user's file of the method full, and adapters of other layers."""
    job = small_job(head="histogram")
    model, base = keras_model.load(job), _engine(job / "model.onnx")
    taste = _linear(base, 0.0)
    with pytest.raises(ModelError, match="method full"):
        for_user(model, replace(taste, method="full"))
    arrays = {"level": taste.arrays["level"], "adapter_x_up": np.zeros((1, 1, 1, 1), np.float32)}
    with pytest.raises(ModelError, match="adapter_x_up"):
        for_user(model, replace(taste, method="adapters", arrays=arrays))
