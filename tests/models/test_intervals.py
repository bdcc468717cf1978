"""nimakit.models.intervals: errors in a model file, and intervals of its scores."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from nimakit.errors import ModelError, UsageError
from nimakit.models.engine import Member, Model
from nimakit.models.intervals import KnownErrors
from nimakit.models.network import Network
from samples import write_photo


def _model(*files: Path) -> Model:
    return Model([Member(Network(file)) for file in files])


def test_a_score_gets_an_interval_within_the_scale(
    calibrated_file: Path, tiny: Model, tmp_path: Path
) -> None:
    """Only where asked; nothing else changes."""
    photo = write_photo(tmp_path / "a.jpg")
    model = _model(calibrated_file)
    [plain] = model.predict([photo], augmented=True)
    [record] = model.with_intervals(0.3).predict([photo], augmented=True)
    mean = record["mean_score_prediction"]
    assert record.pop("interval") == pytest.approx([mean - 2, min(10, mean + 2)])
    assert record == plain == tiny.predict([photo], augmented=True)[0]
    [record] = model.with_intervals(0.9).predict([photo], augmented=True)
    assert record["interval"] == [1, 10]


def test_refuses_a_model_whose_errors_are_unknown(calibrated_file: Path, tiny: Model) -> None:
    """Or averaged with others, or too few for the coverage; the message says what to do."""
    with pytest.raises(UsageError, match="train it again"):
        tiny.with_intervals(0.9)
    with pytest.raises(UsageError, match="2 models averaged"):
        _model(calibrated_file, calibrated_file).with_intervals(0.9)
    with pytest.raises(UsageError, match=r"0\.900 or less, because tiny has the errors of 9.*0\.95"):
        _model(calibrated_file).with_intervals(0.95)


def test_a_cluster_gets_a_model_with_its_intervals(calibrated_file: Path) -> None:
    """Which is pickled for its nodes."""
    model = _model(calibrated_file).with_intervals(0.3)
    received = pickle.loads(pickle.dumps(model))  # noqa: S301
    assert (received.has_intervals, received.sha256) == (True, model.sha256)


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{",
        '{"errors": [2, 1], "basis": "x"}',
        '{"errors": [], "basis": "x"}',
        '{"errors": [-1], "basis": "x"}',
    ],
)
def test_refuses_errors_that_make_no_intervals(text: str) -> None:
    """They come with files that other people wrote."""
    with pytest.raises(ModelError, match=r"nimakit\.intervals"):
        KnownErrors.from_json(text)


def test_errors_are_rounded_up(calibrated_file: Path) -> None:
    """So that intervals are not narrower than the errors say."""
    found = KnownErrors.of(np.array([1 / 3]), np.zeros(1), "one")
    assert found.errors == (0.333334,)
    assert KnownErrors.from_json(json.dumps({"errors": [0.333334], "basis": "one"})) == found
    assert Network(calibrated_file).known_errors == KnownErrors(
        errors=tuple(float(n) for n in range(9)), basis="9 photographs, validation"
    )
