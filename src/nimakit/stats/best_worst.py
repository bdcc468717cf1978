"""Best-worst scaling: from a set of images, a rater chooses the best and the worst, or only the best.

Louviere, Flynn, Marley, "Best-Worst Scaling: Theory, Methods and Applications", 2015. A judgement of k images
says of 2 k - 3 of their pairs which is better. Scores are those of `nimakit.stats.bradley_terry`.
"""

from dataclasses import dataclass
from functools import cache
from itertools import combinations
from typing import NamedTuple

import numpy as np

from nimakit.stats.histogram import FloatArray, IntArray
from nimakit.stats.pairwise import expected_information, moderated_chance

NOBODY = -1
"""In place of the best image: a tie. In place of the worst: no rater is asked for it."""


class Pair(NamedTuple):
    """Two images of a comparison.

    Attributes:
        left: The one that was shown first: its place in the comparison, or another number of it.
        right: The other.
        share: 1 if the left is better, 0 if the right is, 0.5 for a tie.
        weight: How much the pair counts.
    """

    left: int
    right: int
    share: float
    weight: float


@cache
def decided(size: int, best: int, worst: int) -> tuple[Pair, ...]:
    """Which pairs a comparison of several images decides: those with the best or the worst, or all of a tie.

    The ``2 k - 3`` pairs with the best or the worst of k images have only ``k - 1`` independent differences,
    so each has the weight ``(k - 1) / (2 k - 3)``, as `nimakit.labels.picks` weights groups of picks. The
    ``k - 1`` pairs with the best only, and all pairs of a tie, have the weight ``2 / k``: with it, pairs of
    images that are equally good tell as much as the choice of one of k does in Luce's model ("Individual
    Choice Behavior", 1959).

    Args:
        size: Number of images, at least 2.
        best: Place of the best, from 0; `NOBODY` for a tie.
        worst: Place of the worst, which differs from the best; `NOBODY` if raters are not asked for it.

    >>> decided(4, 1, NOBODY)[:2]
    (Pair(left=0, right=1, share=0.0, weight=0.5), Pair(left=1, right=2, share=1.0, weight=0.5))
    """
    if max(best, worst) >= size or best == worst != NOBODY:
        raise ValueError(
            f"the best and the worst of {size} images must be two different ones of them. Received: places"
            f" {best} and {worst}"
        )
    weight = 2 / size if NOBODY in (best, worst) else (size - 1) / (2 * size - 3)
    pairs = combinations(range(size), 2)
    if best == NOBODY:
        return tuple(Pair(*pair, 0.5, weight) for pair in pairs)
    return tuple(
        Pair(*pair, float(best == pair[0] or worst == pair[1]), weight)
        for pair in pairs
        if best in pair or worst in pair
    )


def decided_pairs(
    shown: IntArray, best: IntArray, worst: IntArray
) -> tuple[IntArray, IntArray, FloatArray, FloatArray]:
    """The pairs that many comparisons decide, as `decided` has it.

    Args:
        shown: (J, k), the images of each comparison, by any numbers.
        best: (J,), place of the best of each, or `NOBODY`.
        worst: (J,), place of the worst of each, or `NOBODY`.

    Returns:
        (P,) each: the left image, the right image, the share of the left, and the weight.
    """
    size = shown.shape[1]
    outcomes, outcome = np.unique((best + 1) * (size + 1) + worst + 1, return_inverse=True)
    found = [(np.empty(0, np.intp), np.empty(0, np.intp), np.empty(0), np.empty(0))]
    for number, code in enumerate(outcomes.tolist()):
        pairs = decided(size, code // (size + 1) - 1, code % (size + 1) - 1)
        left, right, share, weight = map(np.array, zip(*pairs, strict=True))
        rows = shown[outcome == number]
        repeated = (np.tile(values, len(rows)) for values in (share, weight))
        found.append((rows[:, left].ravel(), rows[:, right].ravel(), *repeated))
    lefts, rights, shares, weights = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return lefts, rights, shares, weights


def balanced_sets(images: int, *, size: int, sets: int, generator: np.random.Generator) -> IntArray:
    """Design sets in which images, and pairs of images, occur about equally often, and which are connected.

    Balance over images and pairs is what makes incomplete block designs efficient (Louviere et al., chapter
    2; random sets with these properties suffice, as in Kiritchenko and Mohammad, "Capturing Reliable
    Fine-Grained Sentiment Associations by Crowdsourcing and Best-Worst Scaling", NAACL 2016). Each member is
    one of the images that were shown least; of these it is one that no chain of sets connects with the set
    yet, if there is any, else one that was shown least often with its members.

    Args:
        images: Number of images, at least `size`.
        size: Images of each set.
        sets: Number of sets.
        generator: Decides between equals.

    Returns:
        (sets, size) intp. Numbers of occurrences differ by at most 1.
    """
    if not 2 <= size <= images:
        raise ValueError(f"size must be from 2 to the number of images, {images}. Received: {size}")
    balance = Balance(np.zeros(images), np.zeros((images, images)), np.arange(images))
    design = np.empty((sets, size), np.intp)
    for row in design:
        first = int(np.lexsort((generator.random(images), balance.shown))[0])
        row[:] = balance.join(first, np.arange(images), size=size, generator=generator)
        balance.add(row)
    return design


@dataclass(frozen=True, slots=True, eq=False)
class Balance:
    """How often n images, and their pairs, were in sets so far, for a balanced and connected design.

    Attributes:
        shown: (n,) float64, sets with each image.
        together: (n, n) float64, sets with both images.
        part: (n,) intp, equal for images that a chain of sets connects.
    """

    shown: FloatArray
    together: FloatArray
    part: IntArray

    def join(self, first: int, others: IntArray, *, size: int, generator: np.random.Generator) -> IntArray:
        """Choose the images of a set, as `balanced_sets` describes.

        Args:
            first: The image it starts with.
            others: (m,), the images that may join it; at least `size` - 1 besides `first`.
            size: Images of the set.
            generator: Decides between equals.

        Returns:
            (size,) intp.
        """
        row = np.full(size, first)
        for place in range(1, size):
            chosen = row[:place]
            used = np.isin(others, chosen)
            met = self.together[np.ix_(others, chosen)].sum(axis=1)
            is_linked = np.isin(self.part[others], self.part[chosen])
            keys = (generator.random(len(others)), met, is_linked, self.shown[others], used)
            row[place] = others[np.lexsort(keys)[0]]
        return row

    def add(self, row: IntArray) -> None:
        """Count a set."""
        self.shown[row] += 1
        self.together[np.ix_(row, row)] += 1
        self.part[np.isin(self.part, self.part[row])] = self.part[row[0]]


def informative_sets(
    score: FloatArray, covariance: FloatArray, *, size: int, sets: int, generator: np.random.Generator
) -> IntArray:
    """Choose sets, or with `size` 2 pairs, whose judgements are expected to tell most about the scores.

    By the expected information of their pairs, as Mikhailiuk et al., "Active Sampling for Pairwise
    Comparisons via Approximate Message Passing and Information Gain Maximization", ICPR 2020. Instead of all
    pairs, each set starts with the least certain image, and images join it that add the most. Sets of one
    batch take those before into account: the covariance becomes what it would be after them.

    Args:
        score: (n,), posterior means in logits.
        covariance: (n, n), posterior covariance (`nimakit.stats.bradley_terry.posterior`).
        size: Images of each set, up to n.
        sets: Number of sets.
        generator: Decides between equals.

    Returns:
        (sets, size) intp.
    """
    if not 2 <= size <= len(score):
        raise ValueError(f"size must be from 2 to the number of images, {len(score)}. Received: {size}")
    covariance, everything = covariance.copy(), np.arange(len(score))
    design = np.empty((sets, size), np.intp)
    for row in design:
        start = int(np.lexsort((generator.random(len(score)), -covariance.diagonal()))[0])
        row[:] = informative_set(score, covariance, start, everything, size=size, generator=generator)
        for first, second in combinations(row.tolist(), 2):
            # k - 1 independent differences over all k (k - 1) / 2 pairs
            _observe(covariance, first, second, score[first] - score[second], weight=2 / size)
    return design


def informative_set(
    score: FloatArray,
    covariance: FloatArray,
    first: int,
    others: IntArray,
    *,
    size: int,
    generator: np.random.Generator,
) -> IntArray:
    """Choose the images that add most expected information to a set that starts with a given image.

    Args:
        score: (n,), posterior means in logits.
        covariance: (n, n), posterior covariance.
        first: The image it starts with.
        others: (m,), the images that may join it; at least `size` - 1 besides `first`.
        size: Images of the set.
        generator: Decides between equals.

    Returns:
        (size,) intp.
    """
    variance = covariance.diagonal()[others]
    row, gain = np.full(size, first), np.zeros(len(others))
    for place in range(1, size):
        last = row[place - 1]
        spread = np.maximum(variance + covariance[last, last] - 2 * covariance[last, others], 0)
        gain += expected_information(score[others] - score[last], spread)
        gain[np.isin(others, row[:place])] = -np.inf
        row[place] = others[np.lexsort((generator.random(len(others)), -gain))[0]]
    return row


def _observe(covariance: FloatArray, first: int, second: int, margin: float, *, weight: float) -> None:
    """Update the covariance, in place, by a comparison of two images (Sherman and Morrison's formula)."""
    change = covariance[first] - covariance[second]
    spread = change[first] - change[second]
    likely = float(moderated_chance(np.array(margin), np.array(spread)))
    information = weight * likely * (1 - likely)
    covariance -= np.outer(change, change) * (information / (1 + information * spread))
