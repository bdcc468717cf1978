"""nimakit.features.scores: scores by a model, from the store."""

from pathlib import Path

import numpy as np
import pytest

from nimakit.errors import ImageError
from nimakit.features.scores import score_files
from nimakit.models.engine import Member, Model, Scorer
from nimakit.models.network import Network
from nimakit.models.score import Score
from samples import write_photo

pytestmark = pytest.mark.usefixtures("empty_cache")


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """Three grey photographs, the second broken; and the first again."""
    paths = [write_photo(tmp_path / f"{level}.png", level) for level in (10, 100, 200)]
    paths[1].write_bytes(b"no picture")
    return [*paths, paths[0]]


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
