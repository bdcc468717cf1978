"""Raters whose comparisons agree with the ranking by the others no better than chance.

A rater's comparisons have one likelihood if the rater sees the images as the others do (the Bradley-Terry
scores fitted without the rater), and another if every choice is a coin toss. Likelihood ratios are the most
powerful test between the two (Neyman and Pearson, "On the Problem of the Most Efficient Tests of Statistical
Hypotheses", Philosophical Transactions of the Royal Society A 231, 1933).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nimakit.stats.bradley_terry import PRIOR_SD, Comparisons, mode, posterior
from nimakit.stats.histogram import FloatArray, IntArray
from nimakit.stats.pairwise import moderated_chance

_MIN_COMPARISONS = 20
_MIN_EVIDENCE = 0.1
_CONSISTENCY = np.array([0.5, 1.0, 2.0])
"""Careful raters differ in how consistently they choose: their margins are those of the others times this."""


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
        """Raters whose choices are likelier to be coin tosses, by 0.1 nats or more of `evidence`.

        Raters with fewer than 20 comparisons are not named, because too many careful ones would be.
        """
        is_careless = (self.evidence <= -_MIN_EVIDENCE) & (self.comparisons >= _MIN_COMPARISONS)
        return tuple(self.user_ids[user] for user in np.flatnonzero(is_careless))


def conformity(comparisons: Comparisons, *, prior_sd: float = PRIOR_SD) -> Conformity:
    """Measure how well each rater's comparisons agree with the ranking by the others.

    The scores without a rater are uncertain, so the probability of a choice is moderated by the variance of
    the difference (`nimakit.stats.pairwise.moderated_chance`), which is that by all raters. The likelihood
    with the others' scores is the mean over a rater who chooses half as consistently as the others, as
    consistently, and twice. Ties say nothing either way and are left out.

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
    for user in range(users):
        own = comparisons.user == user
        others = comparisons.only(~own).pairs(everywhere, images)
        score = mode(others, prior_sd=prior_sd, start=common)
        left, right = _chosen_first(comparisons, own & decided)
        variance = covariance[left, left] + covariance[right, right] - 2 * covariance[left, right]
        likely = moderated_chance(
            np.outer(_CONSISTENCY, score[left] - score[right]), np.outer(_CONSISTENCY**2, variance)
        )
        agreement = np.log(2 * likely) @ weight[own & decided]
        best = agreement.max()
        evidence[user] = best + np.log(np.exp(agreement - best).mean())
    counts = np.bincount(comparisons.user[decided], weight[decided], users).astype(np.float64)
    return Conformity(comparisons.user_ids, counts, evidence)


def _chosen_first(comparisons: Comparisons, which: NDArray[np.bool_]) -> tuple[IntArray, IntArray]:
    """The chosen and the other image of the comparisons that a mask selects."""
    left, right, share = comparisons.left[which], comparisons.right[which], comparisons.share[which]
    return np.where(share > 0.5, left, right), np.where(share > 0.5, right, left)
