"""Closed-form fits: one person's taste from their ratings, and a population from many people's ratings.

Model: a person's rating of an image is the generic mean score, plus a shift that is linear in the image's
features, plus noise. `fit_head` treats all directions of the features as equally likely for the shift.
`learn` estimates a `Population` from many raters: the directions in which people differ, and by how much.
Both use the posterior mean of the shift (Bayesian linear regression: Lindley and Smith, "Bayes Estimates for
the Linear Model", 1972), so that without ratings there is no shift.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nimakit.errors import TasteError
from nimakit.io.arrays import Arrays
from nimakit.models.taste import linear
from nimakit.personal.population import Population, design
from nimakit.stats.histogram import FloatArray
from nimakit.stats.joint import Choices, Posterior
from nimakit.stats.ridge import ByPenalty, fit_penalties, shares

MIN_RATERS = 20

_LEAST_DEVIATION = 0.1
"""Share of the mean deviation that is added to each feature's, so that nearly constant ones stay small."""
_MAX_COMPONENTS = 100
"""Principal components of the features in which people may differ."""
_EM_ITERATIONS = 10
"""More iterations overfit the directions to the raters they are learned from."""
_COVARIANCE_PRIOR_RATERS = 500.0
"""Number of raters at which half of an observed covariance of two components is kept; shrinkage for fewer."""
_NEGLIGIBLE = 1e-6
_NOISE_RATINGS = 5.0
"""Number of ratings that outweigh the usual noise of a judgement in the estimate of a person's own."""
_N_DIRECTIONS = 30
"""Directions, those with most variance, in which ratings may move an image away from its features."""
_IMAGE_PRIOR_VARIANCE = 0.3
"""Prior variance of such a move, as a share of the variance between images in the same direction."""
_FACTORISATION_ITERATIONS = 3
"""Alternations between estimates of raters and images; more changes little."""
_RESIDUAL_VARIANCE = 0.3
"""Variance of an image's loadings that features cannot explain, as a share of the noise."""
_CONSENSUS_SHRINKAGE = 0.25
"""Share of the consensus (mean rating minus generic score) that is subtracted before a person's taste is
fitted. Subtracting all of it would leave nothing to learn where the model is wrong."""
_LOADINGS_SHRINKAGE = 0.5
"""Share of a rated image's loadings that is as its features have it, as those of new images are."""

IntArray = NDArray[np.intp]


def fit_head(
    features: ArrayLike, means: FloatArray, ratings: FloatArray, choices: Choices | None = None
) -> Arrays:
    """Fit one person's last layer to their ratings minus the generic scores, and to their comparisons.

    Ratings are fitted by ridge regression, and the result is the prior of a logistic fit of the comparisons
    (`nimakit.stats.joint`). The fit is an average over several penalties, weighted by evidence (MacKay,
    "Bayesian Interpolation", 1992) and a prior: ten ratings cannot determine which penalty is best.

    Args:
        features: (K, D) of the rated images; K may be 0.
        means: (K,) generic mean scores.
        ratings: (K,), on the same scale.
        choices: The person's comparisons, of the same images or of others.

    Returns:
        The arrays of a linear `nimakit.models.taste.Taste`.
    """
    x = np.asarray(features, np.float64)
    count = len(x)
    if choices is not None and choices.pairs.images:
        x = np.concatenate([x, choices.features])
    if not len(x):
        return linear(np.zeros(x.shape[1]), 0.0, 0.0)
    centre = (x[:count] if count else x).mean(axis=0)
    x = x - centre
    gram = x @ x.T
    length = float(gram.diagonal()[: count or None].mean())
    by_ratings = fit_penalties(gram[:count, :count], ratings - means, length)
    if choices is None or not choices.pairs.images:
        weights = x.T @ (shares(by_ratings.log_evidence) @ by_ratings.dual)
    else:
        weights = _fit_choices(x, gram, by_ratings, choices)
    return linear(weights, 0.0, by_ratings.level - float(centre @ weights))


def _fit_choices(x: FloatArray, gram: FloatArray, by_ratings: ByPenalty, choices: Choices) -> FloatArray:
    """(D,) weights by ratings and comparisons.

    Args:
        x: (K + n, D), centred features of the K rated images and of the n compared ones.
        gram: (K + n, K + n), their inner products.
        by_ratings: The fits to the ratings.
        choices: The comparisons.
    """
    count = by_ratings.dual.shape[1]
    lengths, axes = np.linalg.eigh(gram)
    kept = lengths > _NEGLIGIBLE * lengths[-1]
    axes = axes[:, kept] / np.sqrt(lengths[kept])
    seen = gram @ axes  # the images in an orthonormal basis of their span
    precisions, directions = np.linalg.eigh(seen[:count].T @ seen[:count])
    found, evidences = [], []
    for penalty, dual, squares in zip(by_ratings.penalties, by_ratings.dual, by_ratings.squares, strict=True):
        variance = (_NOISE_RATINGS * choices.noise**2 + squares) / (_NOISE_RATINGS + count)
        root = directions * np.sqrt(variance / (np.maximum(precisions, 0) + penalty))
        posterior = Posterior(dual @ seen[:count], root, float(np.sqrt(variance)))
        position, evidence = posterior.given(choices.pairs, seen[count:], choices.means)
        found.append(position)
        evidences.append(evidence)
    share = shares(by_ratings.log_evidence + np.array(evidences))
    return np.asarray(x.T @ (axes @ (share @ np.array(found))))


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

    First, the covariance of people's shifts and the noise are estimated by expectation maximisation
    (Dempster, Laird and Rubin, 1977), in principal components of the standardised features, so that the
    blocks of several encoders count alike; covariances are shrunk towards 0. Shifts are relative to the
    consensus on each image, in which the generic score counts as one more rater, because a model's errors
    are not taste.

    Then ratings refine where each image lies in these directions, with the position by its features as prior
    (Agarwal and Chen, "Regression-based Latent Factor Models", 2009), and the directions are fitted again to
    these positions.

    Args:
        features: (N, D) of images.
        means: (N,) generic mean scores.
        image: (R,), index of the image of each rating.
        user: (R,), index of its rater.
        rating: (R,), on the scale of the means.
        base: Probe of the base model.
        base_name: Its display name.

    Raises:
        TasteError: There are too few raters.
    """
    users = int(user.max()) + 1 if len(user) else 0
    if users < MIN_RATERS:
        raise TasteError(
            f"Directions in which people differ need at least {MIN_RATERS} raters."
            f" Received: ratings by {users}; the method head needs no other raters."
        )
    x = np.asarray(features, np.float64)
    centre, middle = x.mean(axis=0), float(means.mean())
    deviation = x.std(axis=0)
    scale = np.maximum(deviation + _LEAST_DEVIATION * deviation.mean(), _NEGLIGIBLE)
    x = (x - centre) / scale
    basis = _principal_axes(x)
    known = design(x @ basis, means - middle)
    consensus = (np.bincount(image, rating, len(means)) + means) / (np.bincount(image, None, len(means)) + 1)
    residual = rating - consensus[image]
    covariance, noise = _estimate_covariance(known[image], residual, user, users)
    variances, vectors = np.linalg.eigh(covariance)
    kept = variances > _NEGLIGIBLE * variances[-1]
    factors = (vectors[:, kept] * np.sqrt(variances[kept]))[:, ::-1]
    prior = known @ factors
    loadings = _factorise(prior, residual, image, user, noise)
    ridge = _RESIDUAL_VARIANCE * noise * np.eye(factors.shape[1])
    factors = factors @ np.linalg.solve(prior.T @ prior + ridge, prior.T @ loadings)
    expected = known @ factors
    return Population(
        base=base,
        base_name=base_name,
        centre=centre,
        middle=middle,
        directions=np.concatenate([basis / scale[:, None] @ factors[:-2], factors[-2:]]),
        expected=expected,
        loadings=loadings + _LOADINGS_SHRINKAGE * (expected - loadings),
        offsets=_CONSENSUS_SHRINKAGE * (consensus - means),
        noise=noise,
        raters=users,
    )


def _principal_axes(x: FloatArray) -> FloatArray:
    """(D, components), so that the first principal component of (N, D) centred features has variance 1.

    From the smaller of the two products of the features with themselves, several times as fast as by a
    singular value decomposition.
    """
    is_wide = len(x) < x.shape[1]
    squares, vectors = np.linalg.eigh(x @ x.T if is_wide else x.T @ x)
    squares, vectors = squares[::-1][:_MAX_COMPONENTS], vectors[:, ::-1][:, :_MAX_COMPONENTS]
    kept = squares > _NEGLIGIBLE**2 * squares[0]
    lengths, vectors = np.sqrt(squares[kept]), vectors[:, kept]
    axes = x.T @ vectors / lengths if is_wide else vectors
    return np.asarray(axes / (lengths[:1] / np.sqrt(len(x))))


def _estimate_covariance(
    known: FloatArray, residual: FloatArray, user: IntArray, users: int
) -> tuple[FloatArray, float]:
    """Covariance of people's coefficients and variance of the noise, by expectation maximisation.

    Args:
        known: (R, P), design row of each rating.
        residual: (R,), of each rating from the consensus.
        user: (R,), index of the rater.
        users: Number of raters.

    Returns:
        (P, P) float64, and the variance of the noise.
    """
    size = known.shape[1]
    by_user = _groups(user)
    grams = np.stack([known[rows].T @ known[rows] for rows in by_user])
    products = np.stack([known[rows].T @ residual[rows] for rows in by_user])
    noise = float(residual.var())
    covariance = np.eye(size) * noise / size
    for _ in range(_EM_ITERATIONS):
        inverse = np.linalg.inv(covariance + 1e-10 * np.eye(size))
        spread = np.linalg.inv(inverse + grams / noise)
        mean = np.einsum("uij,uj->ui", spread, products) / noise
        total = mean.T @ mean + spread.sum(axis=0)
        diagonal = np.diag(np.diag(total))
        prior = _COVARIANCE_PRIOR_RATERS
        covariance = (total + prior / users * diagonal) / (users + prior)
        error = (
            float(residual @ residual)
            - 2 * float((mean * products).sum())
            + float(np.einsum("ui,uij,uj->", mean, grams, mean, optimize=True))
            + float((spread * grams).sum())
        )
        noise = max(error / len(residual), 1e-6)
    return covariance, noise


def _factorise(
    prior: FloatArray, residual: FloatArray, image: IntArray, user: IntArray, noise: float
) -> FloatArray:
    """Loadings of images in the directions in which people differ, from their features and ratings.

    Alternates between estimates of raters given images, and of images given raters.

    Args:
        prior: (N, R), loadings by the features; the direction with most variance first.
        residual: (R,), of each rating from the consensus.
        image: (R,), index of the image.
        user: (R,), index of the rater.
        noise: Variance of a rating's noise.

    Returns:
        (N, R) float64.
    """
    prior, unchanged = prior[:, :_N_DIRECTIONS], prior[:, _N_DIRECTIONS:]
    loadings = prior.copy()
    size = prior.shape[1]
    variance = np.maximum(_IMAGE_PRIOR_VARIANCE * prior.var(axis=0), _NEGLIGIBLE * noise)
    by_user, by_image = _groups(user), _groups(image)
    for _ in range(_FACTORISATION_ITERATIONS):
        means = np.empty((len(by_user), size))
        covariances = np.empty((len(by_user), size, size))
        for number, rows in enumerate(by_user):
            rated = loadings[image[rows]]
            covariances[number] = np.linalg.inv(rated.T @ rated / noise + np.eye(size))
            means[number] = covariances[number] @ (rated.T @ residual[rows]) / noise
        for number, rows in enumerate(by_image):
            raters = user[rows]
            gram = means[raters].T @ means[raters] + covariances[raters].sum(axis=0)
            product = means[raters].T @ residual[rows] / noise + prior[number] / variance
            loadings[number] = np.linalg.solve(gram / noise + np.diag(1 / variance), product)
    return np.concatenate([loadings, unchanged], axis=1)


def _groups(numbers: IntArray) -> list[IntArray]:
    """For each number from 0 to the highest, the indices where it occurs."""
    order = np.argsort(numbers, kind="stable")
    return np.split(order, np.cumsum(np.bincount(numbers))[:-1])
