"""nimakit.models.taste: taste files, and personal scores."""

import errno
import io
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nimakit.errors import ModelError, OutputError, TasteError
from nimakit.io import arrays as array_files
from nimakit.models import session
from nimakit.models.engine import Member, Model, Scorer
from nimakit.models.network import Network
from nimakit.models.score import Score
from nimakit.models.taste import (
    PROBES,
    Taste,
    linear,
    personal_histograms,
    personal_means,
    read_taste,
    write_taste,
)
from nimakit.stats import histogram
from samples import metadata, random_pixels, write_endless_model, write_model

BINS = np.arange(1.0, 11.0)
LEVEL = np.zeros(2, np.float32)
PHOTOS = [random_pixels(8, 8, seed) // 2 + 16 * seed for seed in range(8)]


def _taste(model: Model, weights: Any = (0.0, 0.0, 0.0), constant: float = 0.0, **changes: Any) -> Taste:
    values: dict[str, Any] = {"method": "head", "base": model.probe()[0], "base_name": model.name}
    values |= {"ratings": 7, "arrays": linear(weights, 0.0, constant), **changes}
    return Taste(**values)


def _scores(model: Model) -> list[Score]:
    found = list(Scorer(model).score(PHOTOS))
    assert all(isinstance(score, Score) for score in found)
    return [score for score in found if isinstance(score, Score)]


def _means(model: Model) -> list[float]:
    return [score.mean for score in _scores(model)]


def test_a_file_comes_back_as_it_was(tmp_path: Path, tiny: Model) -> None:
    """Method, base, counts, time and arrays; and its size is that of the file."""
    taste = _taste(tiny, [0.5, -1.0, 2.0], 0.25, method="factors")
    path = tmp_path / "ann.taste"
    size = write_taste(path, taste)
    found = read_taste(path)
    assert size == path.stat().st_size < 5000
    assert (found.method, found.ratings, found.created) == ("factors", 7, taste.created)
    assert found.base.tolist() == taste.base.tolist()
    assert {name: array.tolist() for name, array in found.arrays.items()} == {
        "weights": [0.5, -1.0, 2.0],
        "level": [0.0, 0.25],
    }


def test_a_fault_of_the_machine_is_not_the_files(
    tmp_path: Path, tiny: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The original error is raised; a server answers it with 503."""

    def fail(path: Path) -> bytes:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), str(path))

    write_taste(tmp_path / "ann.taste", _taste(tiny))
    monkeypatch.setattr(Path, "read_bytes", fail)
    with pytest.raises(OSError, match="Too many open files"):
        read_taste(tmp_path / "ann.taste")


def test_no_shift_leaves_the_generic_scores_exactly(tiny: Model) -> None:
    """Without ratings, scores are exactly the generic ones."""
    generic, personal = _scores(tiny), _scores(tiny.for_user(_taste(tiny)))
    assert [score.mean for score in personal] == [score.mean for score in generic]
    for one, other in zip(personal, generic, strict=True):
        assert np.array_equal(one.histogram, other.histogram)  # type: ignore[arg-type]


def test_a_linear_taste_moves_mean_and_distribution_together(tiny: Model) -> None:
    """The mean is the generic one plus what the features add, and the distribution has that mean."""
    weights = [0.5, -0.5, 0.25]
    generic, personal = _scores(tiny), _scores(tiny.for_user(_taste(tiny, weights, 0.1)))
    for one, other in zip(personal, generic, strict=True):
        shift = np.array([float(np.asarray(other.features) @ weights) + 0.1])
        [wanted] = personal_means(np.array([other.mean]), shift, tiny.bins)
        assert one.mean == pytest.approx(wanted, abs=1e-5)
        assert one.histogram is not None
        assert one.histogram.sum() == pytest.approx(1)
        assert float(histogram.mean(one.histogram, tiny.bins)) == pytest.approx(one.mean, abs=1e-6)


def test_a_regression_head_is_moved_too(score_file: Path) -> None:
    """A regression head has only a score."""
    model = Model([Member(Network(score_file))])
    moved = model.for_user(_taste(model, constant=0.5))
    assert _means(moved) == pytest.approx([mean + 0.5 for mean in _means(model)], abs=1e-6)


def test_an_ensemble_has_the_features_of_all_its_members(tmp_path: Path) -> None:
    """A user's weights run over the members in their order."""
    members = [
        Member(Network(write_model(tmp_path / f"{side}.onnx", metadata(side=side)))) for side in (8, 12)
    ]
    model = Model(members)
    assert model.probe()[1] == 6
    moved = model.for_user(_taste(model, [0, 0, 0, 0, 0, 1.0]))
    second = _scores(Model(members[1:]))
    expected = [
        mean + float(np.asarray(score.features)[2]) for mean, score in zip(_means(model), second, strict=True)
    ]
    assert _means(moved) == pytest.approx(expected, abs=1e-5)


def test_means_stay_inside_the_scale_in_their_order() -> None:
    """However large the shift, scores increase with it and never leave the scale."""
    shifts = np.linspace(-40, 40, 401)
    shifts = shifts[shifts != 0]
    means = personal_means(np.full(400, 5.5), shifts, BINS)
    assert (np.diff(means) > 0).all()
    assert means[0] > 1
    assert means[-1] < 10
    assert personal_means(np.array([5.5]), np.array([1.25]), BINS)[0] == 6.75


def test_a_distribution_without_spread_can_still_be_moved() -> None:
    """This also works for a model that is certain of one bin."""
    rows = np.eye(10)[[4]]
    moved = personal_histograms(rows, np.array([6.5]), BINS)
    assert float(histogram.mean(moved, BINS)[0]) == pytest.approx(6.5, abs=1e-6)


def test_refuses_the_file_of_another_model(tmp_path: Path, tiny: Model) -> None:
    """A taste of another model is refused."""
    other = Model([Member(Network(write_model(tmp_path / "other.onnx", metadata(), gain=2.5)))])
    with pytest.raises(TasteError, match="the model it was learned with"):
        other.for_user(_taste(tiny))


def test_takes_the_same_model_from_another_file(tmp_path: Path, tiny: Model) -> None:
    """A model is identified by its outputs: exported again, under another name, it is the same."""
    again = Model([Member(Network(write_model(tmp_path / "again.onnx", metadata(name="again"))))])
    assert _means(again.for_user(_taste(tiny, constant=1.0))) == pytest.approx(
        _means(tiny.for_user(_taste(tiny, constant=1.0)))
    )


def test_a_full_taste_is_a_model_of_its_own(tmp_path: Path, tiny: Model) -> None:
    """The person's own model is in the taste file."""
    own = write_model(tmp_path / "own.onnx", metadata(), gain=3.0)
    arrays = {"model": np.frombuffer(own.read_bytes(), np.uint8), "level": np.zeros(2, np.float32)}
    path = tmp_path / "ann.taste"
    write_taste(path, _taste(tiny, method="full", arrays=arrays))
    assert _means(tiny.for_user(read_taste(path))) == _means(Model([Member(Network(own))]))


def test_a_full_taste_that_never_ends_is_refused(
    tmp_path: Path, tiny: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person's own model that runs forever is refused when it is loaded."""
    monkeypatch.setattr(session, "_SECONDS_PER_IMAGE", 0.2)
    own = write_endless_model(tmp_path / "own.onnx")
    arrays = {"model": np.frombuffer(own.read_bytes(), np.uint8), "level": np.zeros(2, np.float32)}
    with pytest.raises(ModelError, match="must score 1 images within"):
        tiny.for_user(_taste(tiny, method="full", arrays=arrays))


def test_adapters_need_a_graph_that_takes_them(tiny: Model) -> None:
    """The message names the model file for adapters."""
    taste = _taste(tiny, method="adapters", arrays={"a": np.zeros((1, 2), np.float32), "level": LEVEL})
    with pytest.raises(ModelError, match=r"adaptable\.onnx"):
        tiny.for_user(taste)


def _broken_files() -> dict[str, bytes]:
    good = array_files.to_bytes({"format_version": 1}, {"weights": np.zeros(3, np.float32)})
    packed = io.BytesIO()
    np.savez_compressed(packed, facts=np.frombuffer(b"{}", np.uint8))
    pickled = io.BytesIO()
    np.savez(pickled, facts=np.array([{"code": 1}], object))  # allow_pickle is the default when writing
    text = io.BytesIO()
    with zipfile.ZipFile(text, "w") as entries:
        entries.writestr("facts.npy", "text")
    grown = io.BytesIO()
    with zipfile.ZipFile(grown, "w") as entries:
        entries.writestr("facts.npy", bytes(5000))
        entries.filelist += 99 * entries.filelist
    flipped = bytearray(good)
    flipped[len(good) // 3] ^= 255
    return {
        "empty": b"",
        "text": b"no archive",
        "truncated": good[: len(good) // 2],
        "flipped": bytes(flipped),
        "compressed": packed.getvalue(),
        "grown": grown.getvalue(),
        "pickled": pickled.getvalue(),
        "no array": text.getvalue(),
        "no facts": array_files.to_bytes([], {}),  # type: ignore[arg-type]
        "infinite": array_files.to_bytes({}, {"weights": np.array([np.inf], np.float32)}),
    }


@pytest.mark.parametrize(("name", "content"), _broken_files().items(), ids=_broken_files())
def test_refuses_what_nimakit_did_not_write(tmp_path: Path, name: str, content: bytes) -> None:
    """Broken or hostile files are refused without running code or unpacking gigabytes."""
    path = tmp_path / f"{name}.taste"
    path.write_bytes(content)
    with pytest.raises(TasteError, match=r"must be a complete file written by nimakit"):
        read_taste(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "magic"}, "'method' must be one of head, factors, adapters, full"),
        ({"ratings": -1}, "'ratings' must be an integer, 0 or more"),
        ({"base": [0.0]}, f"'base' must be {PROBES} numbers"),
        ({"format_version": 2}, "'format_version' must be 1"),
        ({"surprise": 1}, "'surprise' is unknown"),
    ],
    ids=str,
)
def test_refuses_facts_that_break_a_rule(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    """The message names the rule."""
    facts = {"format_version": 1, "method": "head", "base": [0.0] * PROBES, "base_name": "a"}
    facts |= {"ratings": 1, "created": "2026-01-01"}
    array_files.write(tmp_path / "a.taste", facts | changes, linear([0.0], 0, 0))
    with pytest.raises(TasteError, match=message):
        read_taste(tmp_path / "a.taste")


@pytest.mark.parametrize(
    ("method", "arrays"),
    [
        ("head", {"weights": np.zeros(3, np.float32)}),
        ("head", {"weights": np.zeros((3, 1), np.float32), "level": np.zeros(2, np.float32)}),
        ("head", {"weights": np.zeros(3), "level": np.zeros(2)}),
        ("adapters", {"level": LEVEL}),
        ("adapters", {"level": LEVEL, "a": np.zeros(3)}),
        ("full", {"level": LEVEL, "model": np.zeros(3, np.float32)}),
    ],
)
def test_refuses_arrays_of_another_method(
    tmp_path: Path, tiny: Model, method: str, arrays: dict[str, Any]
) -> None:
    """The message lists the arrays in the file."""
    write_taste(tmp_path / "a.taste", _taste(tiny, method=method, arrays=arrays))
    with pytest.raises(TasteError, match=f"the arrays of its method, {method}"):
        read_taste(tmp_path / "a.taste")


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    """The message gives the path."""
    with pytest.raises(TasteError, match=r"must be a readable file.*none\.taste"):
        read_taste(tmp_path / "none.taste")


def test_an_output_that_cannot_be_written_is_said(tmp_path: Path, tiny: Model) -> None:
    """No partial file remains."""
    with pytest.raises(OutputError, match="could not be written"):
        write_taste(tmp_path / "missing" / "a.taste", _taste(tiny))
    assert not (tmp_path / "missing").exists()


def test_memory_that_runs_out_is_not_the_files_fault(
    tmp_path: Path, tiny: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The original error is raised, and the file can be read again."""
    path = tmp_path / "a.taste"
    write_taste(path, _taste(tiny))

    def fail(*_: Any, **__: Any) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(np, "load", fail)
        with pytest.raises(MemoryError):
            read_taste(path)
    assert read_taste(path).method == _taste(tiny).method
