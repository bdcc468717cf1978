"""nimakit.models.side_by_side: several models on the same images."""

from pathlib import Path
from typing import Any

import pytest

from nimakit.errors import UsageError
from nimakit.images import photo
from nimakit.models import loading, preparation
from nimakit.models.engine import Model, Scorer
from nimakit.models.names import parse_sources
from nimakit.models.score import Score
from nimakit.models.side_by_side import SideBySide
from samples import metadata, write_model, write_photo


@pytest.fixture
def other(tmp_path: Path) -> Model:
    """A model of another input size and another scale."""
    file = write_model(tmp_path / "other.onnx", metadata(name="other", side=16, bins=(1, 2, 3)), gain=-1.0)
    return loading.load_model(file)


def test_every_model_scores_as_on_its_own(
    tiny: Model, other: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scores are those of each model, errors stay in their places, and each image is decoded once."""
    images = [write_photo(tmp_path / f"{level}.png", level) for level in (20, 128, 240)]
    alone = {name: list(Scorer(m).score(images)) for name, m in (("a", tiny), ("b", other))}
    opened: list[object] = []

    def count(source: photo.ImageInput, **options: Any) -> photo.Photo:
        opened.append(source)
        return photo.open_photo(source, **options)

    monkeypatch.setattr(preparation, "open_photo", count)
    both = SideBySide({"a": tiny, "b": other})
    assert both.preprocessings == (*tiny.preprocessings, *other.preprocessings)
    *results, error = Scorer(both).score([*images, tmp_path / "none.png"])
    assert "none.png" in str(error) or "must exist" in str(error)
    assert len(opened) == 4
    for position, result in enumerate(results):
        assert isinstance(result, dict)
        for name, scores in alone.items():
            expected = scores[position]
            assert isinstance(expected, Score)
            assert result[name].mean == pytest.approx(expected.mean, abs=1e-6)
        assert result["a"].percentile is not None
        assert result["b"].percentile is None


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "Received: none"),
        (("a",), "two or more models. Received: a"),
        (("a", "error"), "Received: error"),
    ],
)
def test_refuses_names_that_records_cannot_have(tiny: Model, names: tuple[str, ...], message: str) -> None:
    """Two models at least, and no key of score records among their names."""
    with pytest.raises(UsageError, match=message):
        SideBySide(dict.fromkeys(names, tiny))


@pytest.mark.parametrize(
    ("texts", "names"),
    [
        (["aesthetic", "technical"], ["aesthetic", "technical"]),
        (["rooms=a.onnx", "b.v2.onnx", "jobs/7/model.onnx"], ["rooms", "b.v2", "7"]),
        (["a=b=c.onnx"], ["a"]),
    ],
)
def test_names_models(texts: list[str], names: list[str]) -> None:
    """A model has the name given to it, or its own; a job's model that of the job."""
    assert [source.name for source in parse_sources(texts)] == names


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["a.onnx", "b/a.onnx"], "a more than once; give them names"),
        (["my model.onnx"], "give it a name: NAME=my model.onnx"),
    ],
)
def test_refuses_names_that_two_models_have(texts: list[str], message: str) -> None:
    """Each name stands for one model, in letters that requests can have."""
    with pytest.raises(UsageError, match=message):
        parse_sources(texts)
