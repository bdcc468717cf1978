"""Raters whose answers agree with those of the others no better than chance.

A rater's comparisons have one likelihood if the rater sees the images as the others do (the Bradley-Terry
scores fitted without the rater), and another if every choice is a coin toss. Likelihood ratios are the most
powerful test between the two (Neyman and Pearson, "On the Problem of the Most Efficient Tests of Statistical
Hypotheses", Philosophical Transactions of the Royal Society A 231, 1933). Ratings are judged by their
correlation with the others' mean ratings, and checks with a known answer add to either.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nimakit.stats.bradley_terry import PRIOR_SD, Comparisons, mode, posterior
from nimakit.stats.histogram import FloatArray, IntArray
from nimakit.stats.pairwise import chance, moderated_chance
from nimakit.stats.raters import compare

MIN_ANSWERS = 20
"""Ratings, or comparisons by their weights, from which a rater is judged."""
_MANY_ANSWERS = 40
_EVIDENCE_OF_FEW, _MIN_EVIDENCE = 1.5, 0.25
_CONSISTENCY = np.array([0.5, 1.0, 2.0])
"""Careful raters differ in how consistently they choose: their margins are those of the others times this."""

_LARGE_SHARE = 0.05
"""Of all comparisons: one step of Newton's method is near enough without raters who made fewer."""

CAREFUL_PASSES = 0.95
"""Probability that a careful rater gives the right answer to a check."""
_LARGEST_CORRELATION = 0.999
_MAD_OF_NORMAL = 0.6745
_MIN_RATERS = 5
_DIGITS = 9
_MIN_SHARED = 5


@dataclass(frozen=True, slots=True, eq=False)
class Conformity:
    """How well U raters agree with the ranking by the others.

    Attributes:
        user_ids: U names.
        comparisons: (U,) float64, number of comparisons of each, by their weights, without ties.
        evidence: (U,) float64, nats by which the likelihood with the others' scores exceeds that of coin
            tosses.
    """

    user_ids: tuple[str, ...]
    comparisons: FloatArray
    evidence: FloatArray

    @property
    def careless(self) -> tuple[str, ...]:
        """Raters whose choices are likelier to be coin tosses, by `is_careless`."""
        careless = is_careless(self.evidence, self.comparisons)
        return tuple(self.user_ids[user] for user in np.flatnonzero(careless))


def is_careless(evidence: FloatArray | float, answers: FloatArray | float) -> NDArray[np.bool_]:
    """Who is called careless: those with 0.25 nats or more against them.

    With fewer than 40 answers it takes more, up to 1.5 nats with 20, and raters with fewer are not judged:
    at most 2 % of careful raters may be called careless (benchmarks/careless.py).

    Args:
        evidence: (U,), nats in favour of a careful rater; or a number for one rater.
        answers: (U,), number of ratings, or of comparisons by their weights.

    Returns:
        (U,) bool.
    """
    needed = np.interp(answers, (MIN_ANSWERS, _MANY_ANSWERS), (_EVIDENCE_OF_FEW, _MIN_EVIDENCE))
    return np.asarray((evidence <= -needed) & (answers >= MIN_ANSWERS))


def conformity(comparisons: Comparisons, *, prior_sd: float = PRIOR_SD) -> Conformity:
    """Measure how well each rater's comparisons agree with the ranking by the others.

    The scores without a rater are one step of Newton's method from those by all raters, as for observations
    left out of a logistic regression (Pregibon, "Logistic Regression Diagnostics", The Annals of Statistics
    9, 1981; Rad, Maleki, "A Scalable Estimate of the Out-of-Sample Prediction Error via Approximate
    Leave-One-Out Cross-Validation", Journal of the Royal Statistical Society B 82, 2020). One step is not
    enough without those who made more than 5 % of all comparisons, so there the ranking is fitted anew, for
    at most 20 raters. The time is proportional to the number of raters, besides one fit.

    Scores are uncertain, so the probability of a choice is moderated by the variance of the difference
    (`nimakit.stats.pairwise.moderated_chance`), which is that by all raters. The likelihood with the others'
    scores is the mean over a rater who chooses half as consistently as the others, as consistently, and
    twice. Ties say nothing either way and are left out.

    Args:
        comparisons: All comparisons, with their raters.
        prior_sd: As for `nimakit.stats.bradley_terry.fit`.
    """
    if comparisons.user is None:
        raise ValueError("the raters of the comparisons must be known")
    images, users = len(comparisons.image_ids), len(comparisons.user_ids)
    weight = np.ones(len(comparisons)) if comparisons.weight is None else comparisons.weight
    decided, everywhere = comparisons.share != 0.5, np.arange(images)
    evidence = np.zeros(users)
    common, covariance = posterior(comparisons.pairs(everywhere, images), prior_sd=prior_sd)
    ends = np.searchsorted(np.sort(comparisons.user), np.arange(1, users))
    for user, own in enumerate(np.split(np.argsort(comparisons.user, kind="stable"), ends)):
        if weight[own].sum() > _LARGE_SHARE * weight.sum():
            others = comparisons.only(comparisons.user != user).pairs(everywhere, images)
            score = mode(others, prior_sd=prior_sd, start=common)
        else:
            score = _without(comparisons, own, common, covariance)
        judged = own[decided[own]]
        evidence[user] = _agreement(score, covariance, *_chosen_first(comparisons, judged), weight[judged])
    counts = np.bincount(comparisons.user[decided], weight[decided], users).astype(np.float64)
    return Conformity(comparisons.user_ids, counts.round(_DIGITS), evidence)  # seven times 4/7 is 4


def _agreement(
    score: FloatArray, covariance: FloatArray, chosen: IntArray, other: IntArray, weight: FloatArray
) -> float:
    """Nats in favour of a careful rater who chose some images over others, if these are the scores."""
    variance = covariance[chosen, chosen] + covariance[other, other] - 2 * covariance[chosen, other]
    likely = moderated_chance(
        np.outer(_CONSISTENCY, score[chosen] - score[other]), np.outer(_CONSISTENCY**2, variance)
    )
    agreement = np.log(2 * likely) @ weight
    best = agreement.max()
    return float(best + np.log(np.exp(agreement - best).mean()))


def _without(
    comparisons: Comparisons, own: IntArray, common: FloatArray, covariance: FloatArray
) -> FloatArray:
    """(N,) scores without some comparisons: one step of Newton's method, for the images they compare."""
    images, places = np.unique(
        np.concatenate([comparisons.left[own], comparisons.right[own]]), return_inverse=True
    )
    left, right = places.reshape(2, -1)
    weight = 1.0 if comparisons.weight is None else comparisons.weight[own]
    likely = chance(common[images[left]] - common[images[right]])
    surprise = weight * (comparisons.share[own] - likely)
    gradient = np.bincount(left, surprise, len(images)) - np.bincount(right, surprise, len(images))
    differences = np.zeros((len(own), len(images)))
    differences[np.arange(len(own)), left], differences[np.arange(len(own)), right] = 1, -1
    information = (differences.T * (weight * likely * (1 - likely))) @ differences
    known = covariance[np.ix_(images, images)]
    score = common.copy()
    score[images] -= known @ np.linalg.solve(np.eye(len(images)) - information @ known, gradient)
    return score


def conformity_of_ratings(image: IntArray, user: IntArray, rating: FloatArray) -> FloatArray:
    """Measure how well each rater's ratings agree with the mean ratings by the others.

    Fisher's transformation of the correlation with the others' means is normal, with a variance of
    1 / (n - 3) (Fisher, "On the Probable Error of a Coefficient of Correlation", 1921). For careless raters
    its mean is 0. For careful ones it is the raters' median, and raters differ: their variance is estimated
    from the median absolute deviation. So most raters must be careful. A rater whose ratings are all the same
    has a correlation of 0.

    Args:
        image: (R,), picture numbers from 0.
        user: (R,), from 0 to U - 1, at most one rating for each picture.
        rating: (R,).

    Returns:
        (U,) float64, nats by which the likelihood of a careful rater exceeds that of a careless one; 0 for
        raters with fewer than five ratings of pictures that others rated, and for all if there are fewer than
        five such raters.
    """
    level = np.bincount(user, rating) / np.maximum(np.bincount(user), 1)
    found = compare(image, user, rating - level[user])  # lenient raters do not disagree
    known = found.shared >= _MIN_SHARED
    evidence = np.zeros(len(known))
    if known.sum() < _MIN_RATERS:
        return evidence
    correlation = np.nan_to_num(found.consistency[known]).clip(-_LARGEST_CORRELATION, _LARGEST_CORRELATION)
    z, error = np.arctanh(correlation), 1 / (found.shared[known] - 3)
    typical = max(float(np.median(z)), 0.0)
    between = (np.median(np.abs(z - typical)) / _MAD_OF_NORMAL) ** 2 - np.median(error)
    spread = max(float(between), 0.0) + error
    evidence[known] = _log_density(np.minimum(z, typical) - typical, spread) - _log_density(z, error)
    return evidence


def evidence_of_checks(
    passed: IntArray, missed: IntArray, chance: float, careful: float = CAREFUL_PASSES
) -> FloatArray:
    """How much checks with a known answer say about raters.

    Args:
        passed: (U,), checks that each rater passed.
        missed: (U,), checks that each rater missed.
        chance: Probability of passing a check by answering at random, above 0 and below 1.
        careful: Probability that a careful rater passes one; a larger `chance` is cut to it.

    Returns:
        (U,) float64, nats by which the likelihood of a careful rater exceeds that of a careless one.

    >>> evidence_of_checks(np.array([2, 0]), np.array([0, 2]), 0.25).round(1).tolist()
    [2.7, -5.4]
    """
    chance = min(chance, careful)
    right, wrong = np.log(careful / chance), np.log((1 - careful) / (1 - chance))
    return np.asarray(passed * right + missed * wrong, np.float64)


def _log_density(offset: FloatArray, variance: FloatArray) -> FloatArray:
    """Of a normal distribution, without its constant."""
    return np.asarray(-0.5 * (offset**2 / variance + np.log(variance)))


def _chosen_first(comparisons: Comparisons, which: IntArray) -> tuple[IntArray, IntArray]:
    """The chosen and the other image of the comparisons of these numbers."""
    left, right, share = comparisons.left[which], comparisons.right[which], comparisons.share[which]
    return np.where(share > 0.5, left, right), np.where(share > 0.5, right, left)
