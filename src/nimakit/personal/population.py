"""Population: the directions in which people's tastes differ, learned from many raters, and its file."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from nimakit.errors import TasteError
from nimakit.io import arrays as array_files
from nimakit.io.arrays import Arrays
from nimakit.io.rules import Rule, is_integer, is_number, is_text
from nimakit.models.taste import PROBES, is_probe, linear
from nimakit.stats.histogram import FloatArray
from nimakit.stats.joint import Choices, Posterior

FORMAT_VERSION = 2

_WHAT = "A population file"
_MAX_DISTANCE = 0.01
"""Distance up to which two images are the same one, as a share of their distance from the mean."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Population:
    """The directions in which people differ, and the positions of the rated images along them.

    Attributes:
        base: (PROBES,) float64, probe of the base model.
        base_name: Its display name.
        centre: (D,) float64, mean features.
        middle: Mean of the generic mean scores.
        directions: (D + 2, R) float64, of features, generic mean score and a constant; the one with most
            variance first. A person's shift is a sum of these with standard normal coefficients.
        expected: (N, R) float64, loadings of the rated images by their features, which identify an image.
        loadings: (N, R) float64, loadings of the same images by their features and ratings.
        offsets: (N,) float64, consensus on each of these images minus its generic mean score.
        noise: Variance of a rating's noise.
        raters: Number of people it was learned from.
    """

    base: FloatArray
    base_name: str
    centre: FloatArray
    middle: float
    directions: FloatArray
    expected: FloatArray
    loadings: FloatArray
    offsets: FloatArray
    noise: float
    raters: int

    def place(
        self, features: ArrayLike, means: FloatArray, ratings: FloatArray, choices: Choices | None = None
    ) -> Arrays:
        """Fit a person's taste to their judgements; other people's ratings of the same images count, too.

        Args:
            features: (K, D) of the rated images; K may be 0.
            means: (K,) generic mean scores.
            ratings: (K,), on the same scale.
            choices: The person's comparisons, of the same images or of others.

        Returns:
            The arrays of a linear `nimakit.models.taste.Taste`.
        """
        known, offsets = self._locate(np.asarray(features, np.float64), means)
        covariance = np.linalg.inv(known.T @ known / self.noise + np.eye(self.directions.shape[1]))
        position = covariance @ (known.T @ (ratings - means - offsets)) / self.noise
        if choices is not None and choices.pairs.images:
            known, offsets = self._locate(choices.features, choices.means)
            posterior = Posterior(position, np.linalg.cholesky(covariance), float(np.sqrt(self.noise)))
            position, _ = posterior.given(choices.pairs, known, choices.means + offsets)
        *weights, slope, constant = (self.directions @ position).tolist()
        return linear(weights, slope, constant - float(self.centre @ weights) - slope * self.middle)

    def _locate(self, features: FloatArray, means: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Loadings (K, R) and offsets (K,) of images, from (K, D) features and (K,) generic mean scores."""
        return self._look_up(design(features - self.centre, means - self.middle) @ self.directions)

    def _look_up(self, expected: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Loadings (K, R) and offsets (K,) of images; of unrated images those expected by their features."""
        loadings, offsets = expected.copy(), np.zeros(len(expected))
        if len(self.expected) and len(expected):
            middle = self.expected.mean(axis=0)
            reach = _MAX_DISTANCE**2 * float(((self.expected - middle) ** 2).sum(axis=1).mean())
            for number, row in enumerate(expected):
                distances = ((self.expected - row) ** 2).sum(axis=1)
                nearest = int(distances.argmin())
                if distances[nearest] <= reach:
                    loadings[number], offsets[number] = self.loadings[nearest], self.offsets[nearest]
        return loadings, offsets


def design(features: FloatArray, means: FloatArray) -> FloatArray:
    """(N, D + 2): centred features, centred generic mean scores and a constant."""
    return np.concatenate([features, means[:, None], np.ones((len(means), 1))], axis=1)


def write_population(path: Path, population: Population) -> int:
    """Write a population file; it appears complete or not at all.

    Returns:
        Its size in bytes.

    Raises:
        OutputError: It could not be written.
    """
    facts = {
        "format_version": FORMAT_VERSION,
        "kind": "population",
        "base": population.base.tolist(),
        "base_name": population.base_name,
        "middle": population.middle,
        "noise": population.noise,
        "raters": population.raters,
    }
    arrays = {name: getattr(population, name).astype(np.float32) for name in _ARRAYS}
    return array_files.write(path, facts, arrays)


def read_population(path: Path) -> Population:
    """Read and check a population file.

    Raises:
        TasteError: It is missing, truncated, or of another kind or version.
    """
    found = array_files.read(path, _RULES, _WHAT, TasteError)
    shapes = {name: array.shape for name, array in found.arrays.items()}
    if not _fit(shapes):
        raise TasteError(
            f"{_WHAT} must contain matching directions, loadings and offsets. Received: {path}, {shapes}"
        )
    facts = found.metadata
    return Population(
        base=np.asarray(facts["base"], np.float64),
        base_name=facts["base_name"],
        middle=facts["middle"],
        noise=facts["noise"],
        raters=facts["raters"],
        **{name: found.arrays[name].astype(np.float64) for name in _ARRAYS},
    )


def _fit(shapes: dict[str, tuple[int, ...]]) -> bool:
    """Whether all arrays are present, with matching shapes."""
    if set(shapes) != set(_ARRAYS) or len(shapes["directions"]) != 2 or len(shapes["offsets"]) != 1:
        return False
    (rows, count), (images,) = shapes["directions"], shapes["offsets"]
    return shapes["centre"] == (rows - 2,) and shapes["expected"] == shapes["loadings"] == (images, count)


_ARRAYS = ("centre", "directions", "expected", "loadings", "offsets")

_RULES = {
    "format_version": Rule(
        lambda value: value == FORMAT_VERSION,
        f"{FORMAT_VERSION} (learn it again with nimakit learn-factors)",
        required=True,
    ),
    "kind": Rule(lambda value: value == "population", "population", required=True),
    "base": Rule(is_probe, f"{PROBES} numbers", required=True),
    "base_name": Rule(is_text, "text", required=True),
    "middle": Rule(is_number(), "a number", required=True),
    "noise": Rule(is_number(0, above=True), "a number above 0", required=True),
    "raters": Rule(is_integer(1), "an integer, 1 or more", required=True),
}
