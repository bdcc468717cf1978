"""nimakit.features.scores: scores by a model, from the store."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nimakit.errors import ImageError
from nimakit.features import VIEWS, KeptScorer, extract, make_scorer, score_files
from nimakit.heads.joining import join
from nimakit.models.encoders import Encoder, load_encoder
from nimakit.models.engine import Member, Model, Scorer
from nimakit.models.network import Network
from nimakit.models.preparation import Augmentation
from nimakit.models.score import Score
from nimakit.models.side_by_side import SideBySide
from nimakit.stats.head import fit_gaussian, fit_linear
from samples import metadata, random_pixels, write_photo
from small_encoders import SIDE, WIDTH, write_encoder

pytestmark = pytest.mark.usefixtures("empty_cache")


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """Three grey photographs, the second broken; and the first again."""
    paths = [write_photo(tmp_path / f"{level}.png", level) for level in (10, 100, 200)]
    paths[1].write_bytes(b"no picture")
    return [*paths, paths[0]]


@pytest.fixture(scope="module", params=["scaled", "full"])
def head(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[Encoder]]:
    """A joined file, whose head is linear or Gaussian, and its encoders: one of them at two sizes."""
    folder = tmp_path_factory.mktemp("head")
    encoder = load_encoder(write_encoder(folder / "encoder.onnx"))
    source = (SIDE, 24)
    changes = {"source_size": source, "decode": request.param}
    encoders = [encoder.at(**changes), encoder.at(source, **changes)]
    random = np.random.default_rng(0)
    blocks = [random.normal(size=(1, 30, WIDTH)).astype(np.float32) for _ in encoders]
    fit = fit_linear if request.param == "scaled" else fit_gaussian
    fitted = fit(blocks, random.normal(size=(30, 10))).head
    about = metadata(resize_filter="bilinear", decode=request.param).changed({"input_size": [*source]})
    file = folder / "model.onnx"
    file.write_bytes(join([e.graph() for e in encoders], fitted, about).SerializeToString())
    return file, encoders


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three JPEG photographs, large enough to be decoded at half their size; the second is broken."""
    folder = tmp_path_factory.mktemp("noise")
    paths = [folder / f"{number}.jpg" for number in range(4)]
    for number, path in enumerate(paths):
        Image.fromarray(random_pixels(64, 96, number)).save(path)
    paths[1].write_bytes(b"no picture")
    return paths


def _scores(results: list[Score | ImageError]) -> list[Score]:
    return [result for result in results if isinstance(result, Score)]


def test_gives_the_scores_of_a_scorer(tiny_file: Path, score_file: Path, photos: list[Path]) -> None:
    """For an average of a histogram and a regression, from the networks and from the store."""
    model = Model([Member(Network(path), weight) for path, weight in ((tiny_file, 1), (score_file, 2))])
    expected = _scores(list(Scorer(model).score(photos)))
    for _ in range(2):
        results = list(score_files(model, photos))
        assert isinstance(results[1], ImageError)
        for found, known in zip(_scores(results), expected, strict=True):
            assert found.mean == pytest.approx(known.mean, abs=1e-5)
            assert np.allclose(np.asarray(found.features), np.asarray(known.features), rtol=1e-5)


@pytest.mark.parametrize("tta", ["none", "flips"])
def test_a_joined_file_scores_kept_features_of_its_encoders(
    head: tuple[Path, list[Encoder]], noise: list[Path], tta: Augmentation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scores agree within 0.0001 with those of the file, which is not run for what the encoders have seen."""
    file, encoders = head
    model = Model([Member(Network(file))])
    expected = _scores(list(Scorer(model, tta=tta).score(noise)))
    extract(encoders, noise, views=VIEWS)
    monkeypatch.setattr(Network, "encode_parts", lambda *_: pytest.fail("run again"))
    scorer = make_scorer(model, tta=tta)
    assert isinstance(scorer, KeptScorer)
    *found, passed = scorer.score([*noise, ImageError("none")])
    assert str(passed) == "none"
    assert [isinstance(result, ImageError) for result in found] == [False, True, False, False]
    assert scorer.known == 3
    for score, known in zip(_scores(found), expected, strict=True):
        np.testing.assert_allclose(np.asarray(score.histogram), np.asarray(known.histogram), atol=1e-4)
        np.testing.assert_allclose(np.asarray(score.features), np.asarray(known.features), atol=1e-4)


def test_what_a_joined_file_computes_is_kept_for_its_encoders(
    head: tuple[Path, list[Encoder]], noise: list[Path]
) -> None:
    """Each encoder finds its features, and a second run of the file finds all."""
    file, encoders = head
    first = KeptScorer(Model([Member(Network(file))]))
    before = _scores(list(first.score(noise)))
    assert first.known == 0
    for encoder in encoders:
        assert extract([encoder], noise).computed == 0
    second = KeptScorer(Model([Member(Network(file))]))
    assert [score.mean for score in _scores(list(second.score(noise)))] == [score.mean for score in before]
    assert second.known == 3


def test_side_by_side_and_in_an_average(
    head: tuple[Path, list[Encoder]], tiny_file: Path, noise: list[Path]
) -> None:
    """Every model gives the scores that it gives by itself, from the networks and from the store."""
    joined, other = Network(head[0]), Network(tiny_file)
    models = SideBySide({"both": Model([Member(joined), Member(other)]), "other": Model([Member(other)])})
    expected = [result for result in Scorer(models).score(noise) if not isinstance(result, ImageError)]
    for known in (0, 3):
        scorer = make_scorer(models)
        assert isinstance(scorer, KeptScorer)
        found = [result for result in scorer.score(noise) if not isinstance(result, ImageError)]
        assert scorer.known == known
        for one, same in zip(found, expected, strict=True):
            assert [one[name].mean for name in models.models] == pytest.approx(
                [same[name].mean for name in models.models], abs=1e-4
            )


def test_the_store_is_left_alone_where_it_cannot_help(
    head: tuple[Path, list[Encoder]], tiny_file: Path
) -> None:
    """Crops are not kept, measures need every photograph decoded, and other models are about as fast."""
    model = Model([Member(Network(head[0]))])
    assert isinstance(make_scorer(model, tta="crops"), Scorer)
    assert isinstance(make_scorer(model, measures=True), Scorer)
    assert isinstance(make_scorer(Model([Member(Network(tiny_file))])), Scorer)


def test_runs_no_network_for_a_known_photograph(
    tiny_file: Path, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor for a photograph that was renamed; the model may have been loaded again."""
    before = _scores(list(score_files(Model([Member(Network(tiny_file))]), photos)))
    monkeypatch.setattr(Network, "run", lambda *_: pytest.fail("run again"))
    moved = [path.rename(path.with_name(f"moved {path.name}")) for path in photos[:3]]
    after = _scores(list(score_files(Model([Member(Network(tiny_file))]), moved)))
    assert [score.mean for score in after] == [score.mean for score in before[:2]]
    assert [score.histogram is not None for score in after] == [True, True]


def test_a_network_with_adapters_is_another(tiny_file: Path) -> None:
    """Its outputs are one person's."""
    network = Network(tiny_file)
    twin = Network(tiny_file)
    assert twin.identity == network.identity
    twin.adapters = {"a": np.ones(2, np.float32)}
    assert twin.identity != network.identity
