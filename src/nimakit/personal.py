"""From ratings to a taste, in closed form: one person's alone, or with what many raters taught.

A person's rating of an image is taken for the generic mean score, plus a shift that is linear in the image's
features, plus noise. `fit_head` knows of nobody else: every direction of the features is as likely a one to
differ in. A `Population` has learned from many raters in which directions people do differ, and how far. Both
place a person by the mean of what they may be after their ratings (Bayesian linear regression: Lindley and
Smith, "Bayes Estimates for the Linear Model", 1972), so that no rating means no shift.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nimakit import archive
from nimakit.archive import Arrays
from nimakit.errors import TasteError
from nimakit.histogram import FloatArray
from nimakit.progress import track
from nimakit.schema import Rule, is_integer, is_number, is_text
from nimakit.taste import PROBES, linear

FORMAT_VERSION = 1
FEWEST_RATERS = 20

_WHAT = "A population file"
_COMPONENTS = 100
"""Principal components of the features that people may differ in."""
_ROUNDS = 20
_UNRELATED = 500.0
"""So many raters must show that two components go together in what people like, before half of it counts."""
_NEGLIGIBLE = 1e-6
_LEVEL_VARIANCE = 0.5
"""Of how kind a person is, as a share of the noise: two ratings go half of the way."""
_STEPS = np.arange(-1, 4.01, 0.5)
_PENALTIES = 10.0**_STEPS
_KNOWN = np.exp(-((_STEPS - 0.5) ** 2) / 2 / 0.5**2)
"""How likely each penalty is before somebody rates: within a factor of three or so of three."""
_TINY = float(np.finfo(np.float32).tiny)

IntArray = NDArray[np.intp]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Population:
    """The directions in which people differ.

    Attributes:
        base: (PROBES,) float64, what the base model is known by.
        base_name: What people call it.
        centre: (D,) float64, mean features.
        middle: Mean of the generic mean scores.
        directions: (D + 2, R) float64, of features, generic mean score and a constant; the one with most
            variance first. A person's shift is a sum of these, each times a standard normal number.
        noise: Variance of a rating that nothing explains.
        raters: How many people it was learned from.
    """

    base: FloatArray
    base_name: str
    centre: FloatArray
    middle: float
    directions: FloatArray
    noise: float
    raters: int

    def place(self, features: ArrayLike, means: FloatArray, ratings: FloatArray) -> Arrays:
        """Place a person by some ratings.

        Args:
            features: (K, D) of the images rated; K may be 0.
            means: (K,) generic mean scores.
            ratings: (K,), on the same scale.

        Returns:
            The arrays of a linear `nimakit.taste.Taste`.
        """
        x = _design(np.asarray(features, np.float64) - self.centre, means - self.middle)
        known = x @ self.directions
        gram = known @ known.T + self.noise * np.eye(len(known))
        position = known.T @ np.linalg.solve(gram, ratings - means)
        *weights, slope, constant = (self.directions @ position).tolist()
        return linear(weights, slope, constant - float(self.centre @ weights) - slope * self.middle)


def fit_head(features: ArrayLike, means: FloatArray, ratings: FloatArray) -> Arrays:
    """Fit one person's last layer: ridge regression of what their ratings differ by from the generic scores.

    Each of several penalties counts by its evidence (MacKay, "Bayesian Interpolation", 1992) and by what is
    known of people beforehand, and the fit is the average of theirs: ten ratings cannot tell which penalty is
    the best.

    Args:
        features: (K, D) of the images rated; K may be 0.
        means: (K,) generic mean scores.
        ratings: (K,), on the same scale.

    Returns:
        The arrays of a linear `nimakit.taste.Taste`.
    """
    x = np.asarray(features, np.float64)
    if len(x) == 0:
        return linear(np.zeros(x.shape[1]), 0.0, 0.0)
    centre = x.mean(axis=0)
    x = x - centre
    dual, level = fit_gram(x @ x.T, ratings - means)
    weights = x.T @ dual
    return linear(weights, 0.0, level - float(centre @ weights))


def fit_gram(gram: FloatArray, difference: FloatArray) -> tuple[FloatArray, float]:
    """`fit_head` where only inner products are known.

    Args:
        gram: (K, K), of the features less their mean; K is at least 1.
        difference: (K,), of the ratings from the generic scores.

    Returns:
        (K,), what each image adds to the weights, as a multiple of its features; and how much kinder than the
        generic scores the person is.
    """
    count = len(gram)
    level = float(difference.mean())
    kindness = level * _LEVEL_VARIANCE * count / (1 + _LEVEL_VARIANCE * count)
    length = float(np.trace(gram)) / count
    if length < _TINY:  # nothing tells the images apart
        return np.zeros(count), kindness
    values, vectors = np.linalg.eigh(gram / length)
    rotated = vectors.T @ (difference - level)
    spread = np.maximum(values, 0) / _PENALTIES[:, None] + 1
    # The images differ by nothing but taste and noise, all together by the level too.
    scatter = (rotated**2 / spread).sum(axis=1) + count * level**2 / (1 + _LEVEL_VARIANCE * count)
    evidence = -np.log(spread).sum(axis=1) / 2 - count / 2 * np.log(np.maximum(scatter, _TINY))
    share = _KNOWN * np.exp(evidence - evidence.max())
    dual = vectors @ (rotated * ((share / share.sum() / _PENALTIES) @ (1 / spread))) / length
    return dual, kindness


def learn(
    features: ArrayLike,
    means: FloatArray,
    image: IntArray,
    user: IntArray,
    rating: FloatArray,
    *,
    base: FloatArray,
    base_name: str,
) -> Population:
    """Learn from many raters in which directions people differ.

    What each person adds is estimated in turn with the covariance and the noise that all have in common
    (expectation and maximisation: Dempster, Laird and Rubin, 1977), in the principal components of the
    features, its covariances shrunk towards none. It is told from what all said of the same image, the
    generic score being one more rater: what a model gets wrong is no matter of taste.

    Args:
        features: (N, D) of images.
        means: (N,) generic mean scores.
        image: (R,), which image was rated.
        user: (R,), by whom; from 0.
        rating: (R,), on the scale of the means.
        base: What the model is known by.
        base_name: What people call it.

    Raises:
        TasteError: There are too few raters.
    """
    users = int(user.max()) + 1 if len(user) else 0
    if users < FEWEST_RATERS:
        raise TasteError(
            f"Directions in which people differ are learned from {FEWEST_RATERS} raters or more."
            f" Received: ratings by {users}; the method head needs nobody else's."
        )
    x = np.asarray(features, np.float64)
    centre, middle = x.mean(axis=0), float(means.mean())
    x = x - centre
    _, lengths, axes = np.linalg.svd(x, full_matrices=False)
    count = min(_COMPONENTS, int((lengths > _NEGLIGIBLE * lengths[0]).sum()))
    basis = axes[:count].T / (lengths[0] / np.sqrt(len(x)))
    known = _design(x @ basis, means - middle)
    consensus = (np.bincount(image, rating, len(means)) + means) / (np.bincount(image, None, len(means)) + 1)
    covariance, noise = _estimate(known[image], rating - consensus[image], user, users)
    variances, turned = np.linalg.eigh(covariance)
    kept = variances > _NEGLIGIBLE * variances[-1]
    factors = (turned[:, kept] * np.sqrt(variances[kept]))[:, ::-1]
    return Population(
        base=base,
        base_name=base_name,
        centre=centre,
        middle=middle,
        directions=np.concatenate([basis @ factors[:-2], factors[-2:]]),
        noise=noise,
        raters=users,
    )


def _estimate(
    known: FloatArray, difference: FloatArray, user: IntArray, users: int
) -> tuple[FloatArray, float]:
    """Covariance of what people add, and the noise.

    Args:
        known: (R, P), what is known of the image of each rating.
        difference: (R,), of each rating from the generic score.
        user: (R,), by whom.
        users: How many.

    Returns:
        (P, P) float64, and the variance of the noise.
    """
    size = known.shape[1]
    own = [user == number for number in range(users)]
    grams = np.stack([known[mask].T @ known[mask] for mask in own])
    products = np.stack([known[mask].T @ difference[mask] for mask in own])
    noise = float(difference.var())
    covariance = np.eye(size) * noise / size
    for _ in track(range(_ROUNDS), _ROUNDS, "learning how people differ"):
        inverse = np.linalg.inv(covariance + 1e-10 * np.eye(size))
        spread = np.linalg.inv(inverse + grams / noise)
        mean = np.einsum("uij,uj->ui", spread, products) / noise
        total = mean.T @ mean + spread.sum(axis=0)
        alone = np.diag(np.diag(total))
        covariance = (total + _UNRELATED / users * alone) / (users + _UNRELATED)
        error = (
            float(difference @ difference)
            - 2 * float((mean * products).sum())
            + float(np.einsum("ui,uij,uj->", mean, grams, mean, optimize=True))
            + float((spread * grams).sum())
        )
        noise = max(error / len(difference), 1e-6)
    return covariance, noise


def _design(features: FloatArray, means: FloatArray) -> FloatArray:
    return np.concatenate([features, means[:, None], np.ones((len(means), 1))], axis=1)


def write_population(path: Path, population: Population) -> int:
    """Write a population file; it appears whole or not at all.

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
    arrays = {"centre": population.centre, "directions": population.directions}
    return archive.write(path, facts, {name: array.astype(np.float32) for name, array in arrays.items()})


def read_population(path: Path) -> Population:
    """Read and check a population file.

    Raises:
        TasteError: It is missing, truncated, or of another kind or version.
    """
    found = archive.read(path, _RULES, _WHAT, TasteError)
    shapes = {name: array.shape for name, array in found.arrays.items()}
    centre, directions = shapes.get("centre", ()), shapes.get("directions", ())
    if len(centre) != 1 or len(directions) != 2 or directions[0] != centre[0] + 2:
        raise TasteError(f"{_WHAT} holds directions of all features. Received: {path}, {shapes}")
    facts = found.facts
    return Population(
        base=np.asarray(facts["base"], np.float64),
        base_name=facts["base_name"],
        centre=found.arrays["centre"].astype(np.float64),
        middle=facts["middle"],
        directions=found.arrays["directions"].astype(np.float64),
        noise=facts["noise"],
        raters=facts["raters"],
    )


def _is_probe(value: Any) -> bool:
    return isinstance(value, list) and len(value) == PROBES and all(map(is_number(), value))


_RULES = {
    "format_version": Rule(lambda value: value == FORMAT_VERSION, f"{FORMAT_VERSION}", required=True),
    "kind": Rule(lambda value: value == "population", "population", required=True),
    "base": Rule(_is_probe, f"{PROBES} numbers", required=True),
    "base_name": Rule(is_text, "text", required=True),
    "middle": Rule(is_number(), "a number", required=True),
    "noise": Rule(is_number(0, above=True), "a number above 0", required=True),
    "raters": Rule(is_integer(1), "an integer, 1 or more", required=True),
}
