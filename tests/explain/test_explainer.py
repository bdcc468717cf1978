"""nimakit.explain: maps of what raises and lowers a score."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper
from PIL import Image

from nimakit.errors import ImageError, ModelError, UsageError
from nimakit.explain import Explainer
from nimakit.heads.joining import join
from nimakit.images.photo import open_photo, prepare
from nimakit.models.encoders import Encoder, load_encoder
from nimakit.models.engine import Member, Model
from nimakit.models.network import Network
from nimakit.models.taste import Taste, linear
from nimakit.stats.head import GaussianHead, LinearHead, fit_gaussian, fit_linear
from samples import metadata, write_model
from small_encoders import encoder_metadata, write_encoder

_BINS = (1.0, 2.0, 3.0, 4.0, 5.0)
_SOURCE: Any = {"source_size": (32, 40)}


def _photo(width: int = 120, height: int = 90) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Grey noise with a bright part at the right, a quarter of the picture."""
    pixels = np.random.default_rng(0).integers(60, 100, (height, width, 3), dtype=np.uint8)
    pixels[: height // 2, width // 2 :] += 120
    return pixels


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> list[Encoder]:
    """Two encoders at three resolutions, for images of 32x40 pixels."""
    folder = tmp_path_factory.mktemp("encoders")
    first, second = (load_encoder(write_encoder(folder / f"{seed}.onnx", seed=seed)) for seed in range(2))
    return [first.at((16, 16), **_SOURCE), first.at((32, 40), **_SOURCE), second.at((20, 28), **_SOURCE)]


def _blocks(encoders: Sequence[Encoder], count: int = 12) -> list[Any]:
    pixels = np.random.default_rng(0).integers(0, 256, (count, 32, 40, 3), dtype=np.uint8) // 4
    pixels += np.linspace(0, 180, count, dtype=np.uint8)[:, None, None, None]
    return [encoder.encode(pixels)[None] for encoder in encoders]


def _joined(
    encoders: Sequence[Encoder],
    head: LinearHead | GaussianHead,
    folder: Path,
    *,
    name: str = "m",
    is_regression: bool = False,
    fit: Any = "squash",
) -> Model:
    about = encoder_metadata(name)
    about = replace(
        about,
        bins=_BINS,
        reference_quantiles=(2.0, 2.75, 4.0),
        reference="a test",
        preprocessing=replace(about.preprocessing, height=32, width=40, fit=fit),
    )
    path = folder / f"{name}.onnx"
    graph = join([encoder.graph() for encoder in encoders], head, about, is_regression=is_regression)
    path.write_bytes(graph.SerializeToString())
    return Model([Member(Network(path))])


def _head(encoders: Sequence[Encoder], fit: Any, outputs: int) -> LinearHead | GaussianHead:
    targets = np.random.default_rng(1).normal(size=(12, outputs))
    found: LinearHead | GaussianHead = fit(_blocks(encoders), targets + np.linspace(2, 4, 12)[:, None]).head
    return found


def test_a_linear_score_is_the_sum_over_its_patches(encoders: list[Encoder], tmp_path: Path) -> None:
    """Each patch adds what its vector gives by the weights of the head, beyond a share that all have."""
    head = _head(encoders[1:2], fit_linear, 1)
    assert isinstance(head, LinearHead)
    model = _joined(encoders[1:2], head, tmp_path, is_regression=True)
    found = Explainer(model, method="patches").explain(_photo())
    assert found.parts is not None
    assert found.constant == pytest.approx(2.75)
    assert found.constant + found.parts.sum() == pytest.approx(found.mean, abs=1e-9)
    [score] = model.predict(_photo(), augmented=True)
    assert found.mean == pytest.approx(score["mean_score_prediction"])
    pixels = prepare(open_photo(_photo()), encoders[1].preprocessing)[None]
    patches = encoders[1].patches(pixels)[0].astype(np.float64)
    own = (patches @ head.kernel)[..., 0] / patches[..., 0].size
    share = (score["mean_score_prediction"] - 2.75 - own.sum()) / own.size
    np.testing.assert_allclose(found.parts, own + share, atol=1e-5)


@pytest.mark.parametrize("fit", [fit_linear, fit_gaussian])
@pytest.mark.parametrize("shape", ["squash", "crop", "pad"])
def test_maps_of_several_resolutions_add_up(
    fit: Any, shape: Any, encoders: list[Encoder], tmp_path: Path
) -> None:
    """Of any head, and wherever the picture is in the input; the score is that of the engine."""
    model = _joined(encoders, _head(encoders, fit, 5), tmp_path, fit=shape)
    explainer = Explainer(model)
    found = explainer.explain(_photo(200, 60), size=(100, 30))
    assert (explainer.method, found.method) == ("patches", "patches")
    [score] = model.predict(_photo(200, 60), augmented=True)
    assert found.parts is not None
    assert found.constant is not None
    assert found.parts.shape == (8, 10)
    assert found.constant + found.parts.sum() == pytest.approx(score["mean_score_prediction"], abs=1e-5)
    assert found.values.shape == (30, 100)
    assert bool(np.isnan(found.values).any()) == (shape == "crop")
    if shape != "pad":
        assert found.constant == pytest.approx(2.75)


def test_a_patch_adds_what_the_score_loses_without_it(encoders: list[Encoder], tmp_path: Path) -> None:
    """With a Gaussian head: the derivative along a patch is that of the score of changed averages."""
    head = _head(encoders[1:2], fit_gaussian, 1)
    model = _joined(encoders[1:2], head, tmp_path, is_regression=True)
    found = Explainer(model).explain(_photo())
    patches = encoders[1].patches(prepare(open_photo(_photo()), encoders[1].preprocessing)[None])[0]
    patches = patches.reshape(-1, patches.shape[-1]).astype(np.float64)
    mean, step = patches.mean(axis=0), 1e-3
    less = head([mean - step * (patches - mean) / len(patches)])[:, 0]
    losses = (head([mean[None]])[0, 0] - less) / step
    assert found.parts is not None
    parts = found.parts.ravel() - found.parts.mean()
    np.testing.assert_allclose(parts, losses, atol=1e-3 * np.abs(losses).max())


def test_averages_and_tastes_add_up(encoders: list[Encoder], tmp_path: Path) -> None:
    """Of an ensemble with another scale and a person with a taste; the map follows the weights."""
    first = _joined(encoders, _head(encoders, fit_gaussian, 5), tmp_path, name="a")
    second = _joined(encoders[:1], _head(encoders[:1], fit_linear, 1), tmp_path, name="b", is_regression=True)
    both = Model([Member(first.members[0].network, 3), Member(second.members[0].network)])
    probe, width = both.probe()
    weights = np.random.default_rng(2).normal(size=width)
    taste = Taste(
        method="head", base=probe, base_name="b", ratings=9, arrays=linear(0.3 * weights, -0.2, 0.1)
    )
    for model in (both, both.for_user(taste)):
        found = Explainer(model, method="patches").explain(_photo())
        [score] = model.predict(_photo(), augmented=True)
        assert found.parts is not None
        assert found.constant is not None
        assert found.constant + found.parts.sum() == pytest.approx(score["mean_score_prediction"], abs=1e-5)
    generic = Explainer(both).explain(_photo()).values
    assert np.corrcoef(generic.ravel(), found.values.ravel())[0, 1] < 0.99


@pytest.mark.parametrize("method", ["patches", "occlusion"])
def test_the_bright_part_is_what_raises_the_score(method: Any, tmp_path: Path) -> None:
    """Of a model that likes bright pictures, a histogram or a score; in a picture of any shape."""
    for head in ("histogram", "score"):
        path = write_model(tmp_path / f"{head}.onnx", metadata(side=16, resize_filter="bilinear"), head=head)
        found = Explainer(Model([Member(Network(path))]), method=method).explain(_photo(), size=(40, 30))
        bright, rest = found.values[3:12, 23:37].mean(), found.values[18:].mean()
        assert bright > rest + 0.25 * found.scale
        assert np.abs(found.grid).max() == pytest.approx(1)


def test_explains_the_probability_of_a_rating(tiny: Model) -> None:
    """Its map sums to 0 around the probability, because nobody knows that of a middling photograph."""
    shares = tiny.predict(_photo())[0]
    for method in ("patches", "occlusion"):
        found = Explainer(tiny, method=method).explain(_photo(), at_least=7)
        assert found.probability == pytest.approx(shares[6:].sum(), abs=1e-6)
    patches = Explainer(tiny).explain(_photo(), at_least=7)
    assert patches.constant == patches.probability


def test_occlusion_does_not_show_what_is_cut_off(tmp_path: Path) -> None:
    """It is NaN there, and has a value wherever the model sees something."""
    path = write_model(tmp_path / "m.onnx", metadata(side=16, resize_filter="bilinear", fit="crop"))
    found = Explainer(Model([Member(Network(path))]), method="occlusion").explain(_photo(120, 60))
    assert np.isnan(found.values[:, :30]).all()
    assert np.isnan(found.values[:, 90:]).all()
    assert not np.isnan(found.values[:, 30:90]).any()


def test_models_without_maps_are_explained_by_occlusion(encoders: list[Encoder], tmp_path: Path) -> None:
    """Also where only one of several models has none; patches are refused then."""
    model = _joined(encoders[:1], _head(encoders[:1], fit_linear, 5), tmp_path)
    graph = model.members[0].network.graph()
    for node in graph.graph.node:
        if node.op_type == "Softmax":
            logits, node.input[0] = node.input[0], "odd"
    graph.graph.node.insert(len(graph.graph.node) - 1, helper.make_node("Erf", [logits], ["odd"]))
    (tmp_path / "odd.onnx").write_bytes(graph.SerializeToString())
    other = Member(Network(tmp_path / "odd.onnx"))
    mixed = Model([*model.members, other])
    assert Explainer(mixed).method == "occlusion"
    with pytest.raises(ModelError, match=r"averages of maps\. Received: m; use occlusion"):
        Explainer(mixed, method="patches")


def test_refuses_what_cannot_be_explained(tiny: Model, score_file: Path) -> None:
    """Ratings off the scale, probabilities of a model of scores, files without a picture."""
    with pytest.raises(UsageError, match="above 1 and at most 10"):
        Explainer(tiny).explain(_photo(), at_least=11)
    with pytest.raises(UsageError, match="only predicts a score"):
        Explainer(Model([Member(Network(score_file))])).explain(_photo(), at_least=3)
    with pytest.raises(ImageError):
        Explainer(tiny).explain(b"no picture")


def test_an_upright_map_of_a_turned_photograph(tiny: Model, tmp_path: Path) -> None:
    """The map has the shape of the picture as people see it."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(_photo()).save(tmp_path / "turned.jpg", exif=exif)
    assert Explainer(tiny).explain(tmp_path / "turned.jpg").values.shape == (120, 90)
