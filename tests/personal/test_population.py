"""nimakit.personal.population: populations and their files."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nimakit.errors import TasteError
from nimakit.io import arrays as array_files
from nimakit.models.taste import PROBES
from nimakit.personal.population import Population, read_population, write_population

IMAGES, FEATURES, DIRECTIONS = 20, 6, 3
RANDOM = np.random.default_rng(0)
SEEN = RANDOM.normal(size=(IMAGES, FEATURES))
MEANS = RANDOM.uniform(3, 7, IMAGES)


def _population() -> Population:
    """Three directions, with image loadings that differ from those by features."""
    directions = RANDOM.normal(size=(FEATURES + 2, DIRECTIONS))
    expected = np.c_[SEEN - 0.5, MEANS - 5, np.ones(IMAGES)] @ directions
    return Population(
        base=np.arange(float(PROBES)),
        base_name="base",
        centre=np.full(FEATURES, 0.5),
        middle=5.0,
        directions=directions,
        expected=expected,
        loadings=expected + RANDOM.normal(size=expected.shape),
        offsets=RANDOM.normal(size=IMAGES),
        noise=0.5,
        raters=300,
    )


POPULATION = _population()


def _shift(arrays: array_files.Arrays, features: Any, means: Any) -> Any:
    slope, constant = arrays["level"]
    return features @ arrays["weights"] + slope * means + constant


def _placed(known: Any, offsets: Any, ratings: Any) -> Any:
    """The shifts of all images, by the primal form of Bayesian linear regression."""
    precision = known.T @ known / POPULATION.noise + np.eye(DIRECTIONS)
    position = np.linalg.solve(precision, known.T @ (ratings - offsets) / POPULATION.noise)
    return POPULATION.expected @ position


def test_images_that_many_rated_lie_where_those_said() -> None:
    """Images are recognised by recomputed features, which changes the shift of all images."""
    ratings = MEANS[:5] + np.array([1.0, -2, 0, 3, 1])
    again = SEEN[:5] * (1 + 1e-5)
    found = _shift(POPULATION.place(again, MEANS[:5], ratings), SEEN, MEANS)
    expected = _placed(POPULATION.loadings[:5], POPULATION.offsets[:5], ratings - MEANS[:5])
    assert found == pytest.approx(expected, abs=1e-3)


def test_unrated_images_have_loadings_by_their_features() -> None:
    """Unknown images among known ones keep the loadings by their features."""
    features, means = SEEN[:4].copy(), MEANS[:4]
    features[2:] += 1
    ratings = means + np.array([1.0, -2, 0, 3])
    known, offsets = POPULATION.loadings[:4].copy(), POPULATION.offsets[:4].copy()
    known[2:] = np.c_[features - 0.5, means - 5, np.ones(4)][2:] @ POPULATION.directions
    offsets[2:] = 0
    found = _shift(POPULATION.place(features, means, ratings), SEEN, MEANS)
    assert found == pytest.approx(_placed(known, offsets, ratings - means), abs=1e-4)


def test_a_population_comes_back_as_it_was(tmp_path: Path) -> None:
    """Reading returns what was written, in single precision."""
    size = write_population(tmp_path / "population.npz", POPULATION)
    again = read_population(tmp_path / "population.npz")
    assert size == (tmp_path / "population.npz").stat().st_size
    assert (again.raters, again.noise, again.base_name) == (300, POPULATION.noise, "base")
    given = (SEEN, MEANS, MEANS + RANDOM.normal(size=IMAGES))
    first, second = POPULATION.place(*given), again.place(*given)
    assert first["weights"] == pytest.approx(second["weights"], abs=1e-5)


def test_refuses_the_file_of_something_else(tmp_path: Path) -> None:
    """A taste file is not a population file."""
    path = tmp_path / "ann.taste"
    array_files.write(path, {"format_version": 1, "method": "head"}, {})
    with pytest.raises(TasteError, match="A population file breaks a rule"):
        read_population(path)


@pytest.mark.parametrize(
    "changed",
    [
        {"centre": np.zeros(FEATURES + 1)},
        {"directions": np.zeros(FEATURES + 2)},
        {"expected": np.zeros((IMAGES, DIRECTIONS + 1))},
        {"loadings": np.zeros((IMAGES - 1, DIRECTIONS))},
        {"offsets": np.zeros((IMAGES, 1))},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_refuses_arrays_that_do_not_belong_together(tmp_path: Path, changed: dict[str, Any]) -> None:
    """Arrays with shapes that do not match are refused."""
    path = tmp_path / "population.npz"
    write_population(path, replace(POPULATION, **changed))
    with pytest.raises(TasteError, match="matching directions, loadings and offsets"):
        read_population(path)


def test_an_older_file_must_be_learned_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the command to use."""
    path = tmp_path / "population.npz"
    monkeypatch.setattr("nimakit.personal.population.FORMAT_VERSION", 1)
    write_population(path, POPULATION)
    monkeypatch.undo()
    with pytest.raises(TasteError, match="2 \\(learn it again with nimakit learn-factors\\)"):
        read_population(path)
