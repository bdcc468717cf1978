"""nimakit.nn.personal.fine_tuning: one person's taste in the layers of a network."""

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nimakit.models.engine import Member, Model, Scorer
from nimakit.models.network import Network
from nimakit.models.score import Score
from nimakit.models.taste import Taste, read_taste, write_taste
from nimakit.nn.networks import adapters
from nimakit.nn.networks import keras_model as keras_models
from nimakit.nn.personal import fine_tuning
from nimakit.personal import fit
from nn.conftest import Adaptable, SmallJob
from small_models import SIDE, write_job

pytestmark = [
    pytest.mark.usefixtures("small_adapters"),
    # Keras and TensorFlow are behind NumPy 2 in two places.
    pytest.mark.filterwarnings("ignore:In the future `np.object`:FutureWarning"),
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A dozen photographs, from red to blue."""
    folder = tmp_path_factory.mktemp("photos")
    paths = []
    random = np.random.default_rng(0)
    for index, share in enumerate(np.linspace(0, 1, 12)):
        pixels = random.integers(0, 60, (SIDE, SIDE, 3)) + np.array([180 * (1 - share), 60, 180 * share])
        paths.append(folder / f"{index}.png")
        Image.fromarray(pixels.astype(np.uint8)).save(paths[-1])
    return paths


def _means(model: Model, photos: list[Path]) -> np.ndarray:
    scores = list(Scorer(model).score(photos))
    assert all(isinstance(score, Score) for score in scores)
    return np.array([score.mean for score in scores if isinstance(score, Score)])


KINDS: list[dict[str, Any]] = [
    {},
    {"placement": "series"},
    {"batch_norm": True},
    {"placement": "series", "batch_norm": True},
]


@pytest.mark.parametrize(
    "case",
    [
        (KINDS[0], "histogram"),
        pytest.param((KINDS[-1], "regression"), marks=pytest.mark.slow),
        *(pytest.param((kind, "histogram"), marks=pytest.mark.exhaustive) for kind in KINDS[1:]),
    ],
    ids=str,
)
def test_one_session_takes_the_adapters_of_any_user(
    tmp_path: Path,
    small_job: SmallJob,
    adaptable: Adaptable,
    photos: list[Path],
    case: tuple[dict[str, Any], str],
) -> None:
    """The adaptable file gives the base's scores; with a user's file those of Keras, nearer the ratings."""
    kind, head = case
    job = small_job(head=head)
    keras_model = keras_models.load(job)
    base = Model([Member(Network(job / "model.onnx"))])
    # In full, as another test asks for the same file.
    options = {"placement": "parallel", "batch_norm": False, **kind}
    shared = Model([Member(Network(adaptable(head, **options)))])
    generic = _means(base, photos)
    assert _means(shared, photos) == pytest.approx(generic, abs=1e-4)
    ratings = np.linspace(1, 5, 12)
    arrays = fine_tuning.teach(keras_model, photos, ratings, generic, method="adapters", **kind)
    write_taste(
        tmp_path / "ann.taste",
        Taste(
            method="adapters", base=base.probe()[0], base_name=base.name, ratings=len(photos), arrays=arrays
        ),
    )
    personal = shared.for_user(read_taste(tmp_path / "ann.taste"))
    found = _means(personal, photos)
    assert np.square(found - ratings).mean() < 0.9 * np.square(generic - ratings).mean()
    assert _means(shared, photos) == pytest.approx(generic, abs=1e-4)
    network = adapters.adapt(keras_model.network, **kind)
    assert adapters.set_arrays(network, {name: array for name, array in arrays.items() if name != "level"})
    pixels = np.stack([np.asarray(Image.open(path), np.float32) for path in photos])
    values = np.asarray(network(keras_model.backbone.preprocess(pixels)))
    outputs = personal.members[0].network.run(pixels).values
    assert np.abs(values - outputs).max() < 1e-4 * max(1.0, float(np.abs(values).max()))


def test_full_gives_a_network_of_its_own(small_job: SmallJob, photos: list[Path]) -> None:
    """The user's file contains the whole network, and the base stays unchanged."""
    job = small_job(head="histogram")
    keras_model = keras_models.load(job)
    base = Model([Member(Network(job / "model.onnx"))])
    generic = _means(base, photos)
    ratings = np.linspace(1, 5, 12)
    arrays = fine_tuning.teach(keras_model, photos, ratings, generic, method="full")
    taste = Taste(method="full", base=base.probe()[0], base_name=base.name, ratings=12, arrays=arrays)
    found = _means(base.for_user(taste), photos)
    assert np.square(found - ratings).mean() < 0.9 * np.square(generic - ratings).mean()
    assert _means(base, photos) == pytest.approx(generic, abs=1e-6)


def test_adaptable_files_are_called_by_what_they_take() -> None:
    """Files for different adapters have different names."""
    names = [fine_tuning.adaptable_name(**kind) for kind in KINDS]
    assert names == [
        "adaptable.onnx",
        "adaptable_series.onnx",
        "adaptable_batch_norm.onnx",
        "adaptable_series_batch_norm.onnx",
    ]


@pytest.mark.parametrize(
    ("name", "head", "is_whole"),
    [
        pytest.param("MobileNet", "histogram", False, marks=pytest.mark.slow),
        *(
            pytest.param(name, head, True, marks=pytest.mark.exhaustive)
            for name, head in product(("MobileNet", "ResNet18"), ("histogram", "regression"))
        ),
    ],
)
def test_each_method_teaches_each_backbone(
    tmp_path: Path,
    photos: list[Path],
    public_weights: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    name: str,
    head: str,
    is_whole: bool,
) -> None:
    """The engine scores with each file, and files of adapters have the documented size.

    If `is_whole`, the method full and a second kind of adapters are tested too, for another minute.
    """
    monkeypatch.setattr(adapters, "MAX_SHARE", 0.05)
    pretrained = public_weights if name == "MobileNet" else None
    job = write_job(tmp_path / "job", pretrained=pretrained, base_model_name=name, head=head)
    model = keras_models.load(job)
    base = Model([Member(Network(job / "model.onnx"))])
    scores = [score for score in Scorer(base).score(photos) if isinstance(score, Score)]
    generic = np.array([score.mean for score in scores])
    features = np.stack([np.asarray(score.features) for score in scores])
    ratings = np.clip(generic + np.linspace(-1, 1, 12), 1, 5)
    shifts = np.random.default_rng(0).normal(0, 1, (20, 1)) * np.linspace(-1, 1, 12)
    user, image = np.divmod(np.arange(20 * 12), 12)
    probe, _ = base.probe()
    population = fit.learn(
        features, generic, image, user, (generic + shifts).ravel(), base=probe, base_name=base.name
    )
    files: dict[str, Model] = {"head": base, "factors": base, "full": base}
    arrays = {
        "head": fit.fit_head(features, generic, ratings),
        "factors": population.place(features, generic, ratings),
    }
    if is_whole:
        arrays["full"] = fine_tuning.teach(model, photos, ratings, generic, method="full")
    for kind in KINDS[::3] if is_whole else KINDS[:1]:
        name_of_kind = fine_tuning.adaptable_name(**kind)
        fine_tuning.write_adaptable(model, job / name_of_kind, **kind)
        files[name_of_kind] = Model([Member(Network(job / name_of_kind))])
        arrays[name_of_kind] = fine_tuning.teach(model, photos, ratings, generic, method="adapters", **kind)
    for method, own in arrays.items():
        kept: Any = "adapters" if method.endswith(".onnx") else method
        taste = Taste(method=kept, base=probe, base_name=base.name, ratings=12, arrays=own)
        size = write_taste(tmp_path / "ann.taste", taste)
        if kept == "adapters":
            assert size < 1.1 * 4 * 0.05 * model.network.count_params()
        found = _means(files[method].for_user(read_taste(tmp_path / "ann.taste")), photos)
        assert np.square(found - ratings).mean() < 0.9 * np.square(generic - ratings).mean(), method
