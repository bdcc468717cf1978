"""From ratings to a taste, in closed form: one person's alone, or with what many raters taught.

A person's rating of an image is taken for the generic mean score, plus a shift that is linear in the image's
features, plus noise. `fit_head` knows of nobody else: every direction of the features is as likely a one to
differ in. `learn` makes a `Population` of many raters: in which directions people do differ, and how far.
Both place a person by the mean of what they may be after their ratings (Bayesian linear regression: Lindley
and Smith, "Bayes Estimates for the Linear Model", 1972), so that no rating means no shift.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nimakit.errors import TasteError
from nimakit.io.arrays import Arrays
from nimakit.models.taste import linear
from nimakit.personal.population import Population, design
from nimakit.stats.histogram import FloatArray
from nimakit.stats.ridge import fit_gram

FEWEST_RATERS = 20

_COMPONENTS = 100
"""Principal components of the features that people may differ in."""
_ROUNDS = 10
"""More make the directions those of the raters they are learned from, and place new ones worse."""
_UNRELATED = 500.0
"""So many raters must show that two components go together in what people like, before half of it counts."""
_NEGLIGIBLE = 1e-6
_TOLD = 30
"""Directions, those with most variance, in which raters tell of an image what its features do not say."""
_UNSAID = 0.3
"""Variance of what they tell, as a share of that between images in the same direction."""
_LISTENED = 3
"""How often places of people and of images are estimated in turn; more changes little."""
_MISFIT = 0.3
"""Variance of what the features cannot say of an image, as a share of the noise."""
_AGREED = 0.5
"""Of what all think of an image beyond its generic score, and so does a person before their taste counts.
Taking it all off would leave nothing to learn from where the model is wrong."""

IntArray = NDArray[np.intp]


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
        The arrays of a linear `nimakit.models.taste.Taste`.
    """
    x = np.asarray(features, np.float64)
    if len(x) == 0:
        return linear(np.zeros(x.shape[1]), 0.0, 0.0)
    centre = x.mean(axis=0)
    x = x - centre
    dual, level = fit_gram(x @ x.T, ratings - means)
    weights = x.T @ dual
    return linear(weights, 0.0, level - float(centre @ weights))


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

    Then the raters tell of each image where it lies in these directions, starting from where its features
    say (a factorisation of the ratings with the features as prior knowledge: Agarwal and Chen,
    "Regression-based Latent Factor Models", 2009), and the directions are fitted anew to where images lie.

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
    known = design(x @ basis, means - middle)
    consensus = (np.bincount(image, rating, len(means)) + means) / (np.bincount(image, None, len(means)) + 1)
    covariance, noise = _estimate(known[image], rating - consensus[image], user, users)
    variances, turned = np.linalg.eigh(covariance)
    kept = variances > _NEGLIGIBLE * variances[-1]
    factors = (turned[:, kept] * np.sqrt(variances[kept]))[:, ::-1]
    said = known @ factors
    loadings = _listen(said, rating - consensus[image], image, user, noise)
    misfit = _MISFIT * noise * np.eye(factors.shape[1])
    factors = factors @ np.linalg.solve(said.T @ said + misfit, said.T @ loadings)
    return Population(
        base=base,
        base_name=base_name,
        centre=centre,
        middle=middle,
        directions=np.concatenate([basis @ factors[:-2], factors[-2:]]),
        expected=known @ factors,
        loadings=loadings,
        offsets=_AGREED * (consensus - means),
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
    by_user = _groups(user)
    grams = np.stack([known[places].T @ known[places] for places in by_user])
    products = np.stack([known[places].T @ difference[places] for places in by_user])
    noise = float(difference.var())
    covariance = np.eye(size) * noise / size
    for _ in range(_ROUNDS):
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


def _listen(
    said: FloatArray, difference: FloatArray, image: IntArray, user: IntArray, noise: float
) -> FloatArray:
    """Where images lie in the directions in which people differ, by their features and by people's ratings.

    Places of people, given those of images, and of images, given those of people, are estimated in turn.

    Args:
        said: (N, R), where their features say; the direction with most variance first.
        difference: (R,), of each rating from the generic score.
        image: (R,), which image was rated.
        user: (R,), by whom.
        noise: Variance of a rating that nothing explains.

    Returns:
        (N, R) float64.
    """
    prior = said[:, :_TOLD]
    loadings = prior.copy()
    size = prior.shape[1]
    spread = np.maximum(_UNSAID * prior.var(axis=0), _NEGLIGIBLE * noise)
    by_user, by_image = _groups(user), _groups(image)
    for _ in range(_LISTENED):
        places = np.empty((len(by_user), size))
        doubts = np.empty((len(by_user), size, size))
        for number, own in enumerate(by_user):
            seen = loadings[image[own]]
            doubts[number] = np.linalg.inv(seen.T @ seen / noise + np.eye(size))
            places[number] = doubts[number] @ (seen.T @ difference[own]) / noise
        for number, own in enumerate(by_image):
            people = user[own]
            gram = places[people].T @ places[people] + doubts[people].sum(axis=0)
            pull = places[people].T @ difference[own] / noise + prior[number] / spread
            loadings[number] = np.linalg.solve(gram / noise + np.diag(1 / spread), pull)
    return np.concatenate([loadings, said[:, _TOLD:]], axis=1)


def _groups(of: IntArray) -> list[IntArray]:
    """For each number up to the highest, the places it stands at."""
    order = np.argsort(of, kind="stable")
    return np.split(order, np.cumsum(np.bincount(of))[:-1])
