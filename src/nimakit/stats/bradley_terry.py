"""Scores of images from comparisons of two at a time, by the Bradley-Terry model.

Bradley, Terry, "Rank Analysis of Incomplete Block Designs: I. The Method of Paired Comparisons", Biometrika
39, 1952: the chance that image i is chosen over image j is 1 / (1 + exp(score_j - score_i)). A tie counts as
half a choice of each; because ties scatter less than choices, standard errors are then slightly too large.

Fitted here rather than by choix, which has neither ties nor standard errors.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nimakit.errors import LabelError
from nimakit.stats.histogram import FloatArray, IntArray
from nimakit.stats.pairwise import Pairs, chance, most_likely
from nimakit.stats.ranking import rank_intervals

PRIOR_SD = 2.0
"""Standard deviation of the prior, in logits, unless another is asked for: two images that nothing is known
about differ by about 3 logits, so the better one would be chosen 19 times of 20."""

_MAX_IMAGES = 10_000
"""The covariance of their scores is a matrix of 800 MB."""


@dataclass(frozen=True, slots=True, eq=False)
class Comparisons:
    """R comparisons between N images.

    Attributes:
        image_ids: N file names without their last suffix, in the order of appearance.
        left: (R,) intp, index of the left image in `image_ids`.
        right: (R,) intp, index of the right image.
        share: (R,) float64, 1 if the left was chosen, 0 if the right was, 0.5 for a tie.
        weight: (R,) float64, above 0, how much each counts; None for 1 each.
        user_ids: The people who chose, in the order of appearance; empty if they are unknown.
        user: (R,) intp, index in `user_ids`; None if they are unknown.
    """

    image_ids: tuple[str, ...]
    left: IntArray
    right: IntArray
    share: FloatArray
    weight: FloatArray | None = None
    user_ids: tuple[str, ...] = ()
    user: IntArray | None = None

    def __len__(self) -> int:
        return len(self.share)

    def by(self, user_id: str) -> "Comparisons":
        """The comparisons by one person, of whom there may be none, between the same images."""
        chosen = self.only(np.array([name == user_id for name in self.user_ids], np.bool_)[self.user])
        return replace(chosen, user_ids=(user_id,), user=np.zeros(len(chosen), np.intp))

    def only(self, which: NDArray[np.bool_]) -> "Comparisons":
        """The comparisons that a mask (R,) selects, between the same images, by the same people."""
        return replace(
            self,
            left=self.left[which],
            right=self.right[which],
            share=self.share[which],
            weight=None if self.weight is None else self.weight[which],
            user=None if self.user is None else self.user[which],
        )

    def pairs(self, place: IntArray, images: int) -> Pairs:
        """Count the comparisons of the same two images together.

        Args:
            place: (N,) intp, index of each image among some, or -1 to leave out its comparisons.
            images: Number of those.
        """
        left, right = place[self.left], place[self.right]
        inside = (left >= 0) & (right >= 0)
        weight = np.ones(len(self)) if self.weight is None else self.weight
        return Pairs.count(left[inside], right[inside], self.share[inside], weight[inside], images)


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Bradley-Terry scores.

    Attributes:
        images: (n,) intp, indices of the images with a score, ascending.
        score: (n,) float64, in logits; their mean is 0.
        standard_error: (n,) float64, of each score, with the mean of all fixed at 0.
        variance: (n,) float64, of each score around the mean of all, for `nimakit.stats.ranking.forecast`.
        rank_low: (n,) intp, the best rank, from 1, in a 95 % interval of each image's rank.
        rank_high: (n,) intp, the worst rank in this interval.
        chance: (n,) float64, 0 to 1: the mean chance of being chosen over another of these images.
        won: (n,) float64, how often each was chosen over another of these images, by the weights.
        lost: (n,) float64, how often another of these images was chosen over it.
        tied: (n,) float64, how often neither was chosen; counts half a choice of each.
        left_out: Reason -> indices of the images without a score.
    """

    images: IntArray
    score: FloatArray
    standard_error: FloatArray
    variance: FloatArray
    rank_low: IntArray
    rank_high: IntArray
    chance: FloatArray
    won: FloatArray
    lost: FloatArray
    tied: FloatArray
    left_out: dict[str, IntArray]


def groups(comparisons: Comparisons, *, both_ways: bool = False) -> list[IntArray]:
    """Groups of images that comparisons connect, directly or through others; the largest first.

    Args:
        comparisons: All comparisons.
        both_ways: Whether a chain of choices or ties must lead from each image of a group to every other.
            Only within such a group are scores finite (Ford, "Solution of a Ranking Problem from Binary
            Comparisons", American Mathematical Monthly 64, 1957).

    Returns:
        (n,) intp for each group: indices of its images, ascending.
    """
    left, right, share = comparisons.left, comparisons.right, comparisons.share
    over = np.concatenate([left[share > 0], right[share < 1]])
    under = np.concatenate([right[share > 0], left[share < 1]])
    if not both_ways:
        over, under = np.concatenate([over, under]), np.concatenate([under, over])
    group = _strong_components(over, under, len(comparisons.image_ids))
    members = np.split(np.argsort(group, kind="stable"), np.cumsum(np.bincount(group))[:-1])
    return sorted(members, key=len, reverse=True)


def fit(comparisons: Comparisons, *, prior_sd: float | None = PRIOR_SD) -> Scores:
    """Fit the scores of maximum posterior probability, or without a prior of maximum likelihood.

    Args:
        comparisons: All comparisons. Without a prior, only the largest group in which scores are finite gets
            scores, from the comparisons within it; all other images are left out, with the reason.
        prior_sd: Standard deviation, in logits, of a normal prior around 0. It gives every image a score from
            the first comparison on; between images that comparisons do not connect, only the prior decides.
            None for no prior.

    Raises:
        LabelError: No two images have finite scores, or there are too many images for standard errors.
    """
    connected = groups(comparisons, both_ways=True)
    images = np.arange(len(comparisons.image_ids)) if prior_sd else connected[0]
    if len(images) < 2:
        raise LabelError(
            "Scores need a chain of choices or ties from one image to another and back. Received:"
            " comparisons without any. Collect more of them, or fit with a prior: --prior-sd 2."
        )
    if len(images) > _MAX_IMAGES:
        raise LabelError(f"Scores are fitted for up to {_MAX_IMAGES} images. Received: {len(images)}")
    place = np.full(len(comparisons.image_ids), -1)
    place[images] = np.arange(len(images))
    # Without a prior, adding a constant to all scores changes nothing and the information is singular. This
    # constraint fixes their mean at 0; its own contribution to the variances is subtracted.
    constraint = 0.0 if prior_sd else 1 / len(images)
    score, covariance = posterior(
        comparisons.pairs(place, len(images)), prior_sd=prior_sd, constraint=constraint
    )
    if not prior_sd:
        score -= score.mean()
    rank_low, rank_high = rank_intervals(score, covariance)
    covariance -= constraint
    won, lost, tied = _outcomes(comparisons, place, len(images))
    return Scores(
        images=images,
        score=score,
        standard_error=np.sqrt(covariance.diagonal()),
        variance=covariance.diagonal() - 2 * covariance.mean(axis=0) + covariance.mean(),
        rank_low=rank_low,
        rank_high=rank_high,
        chance=_mean_chances(score),
        won=won,
        lost=lost,
        tied=tied,
        left_out={} if prior_sd else _left_out(comparisons, images),
    )


def mode(pairs: Pairs, *, prior_sd: float | None = PRIOR_SD, start: FloatArray | None = None) -> FloatArray:
    """(n,) the most probable scores of n images.

    Args:
        pairs: The comparisons.
        prior_sd: As for `fit`.
        start: (n,), where the search starts; 0 by default.

    Raises:
        LabelError: There are none: without a prior, scores may diverge.
    """
    precision = prior_sd**-2 if prior_sd else 0.0
    scale = float(pairs.times.sum()) / pairs.images or 1.0
    begin = np.zeros(pairs.images) if start is None else start
    return most_likely(pairs, pairs.times, pairs.chosen, begin, precision=precision, scale=scale)


def posterior(
    pairs: Pairs, *, prior_sd: float | None = PRIOR_SD, constraint: float = 0.0
) -> tuple[FloatArray, FloatArray]:
    """The normal approximation of the posterior of n scores (Laplace's).

    Args:
        pairs: The comparisons of n images.
        prior_sd: As for `fit`.
        constraint: Added to all elements of the information, which is singular without a prior.

    Returns:
        (n,) mode and (n, n) covariance.

    Raises:
        LabelError: There is no mode: without a prior, scores may diverge.
    """
    score = mode(pairs, prior_sd=prior_sd)
    information = pairs.information(pairs.margins(score)) + constraint
    np.fill_diagonal(information, information.diagonal() + (prior_sd**-2 if prior_sd else 0.0))
    return score, np.asarray(np.linalg.inv(information), np.float64)


def _outcomes(comparisons: Comparisons, place: IntArray, images: int) -> list[FloatArray]:
    """(images,) each: how often each image won, lost and tied; `place` is that of `Comparisons.pairs`."""
    left, right, share = place[comparisons.left], place[comparisons.right], comparisons.share
    inside = (left >= 0) & (right >= 0)
    weight = np.ones(len(share)) if comparisons.weight is None else comparisons.weight
    ways = ((share == 1, share == 0), (share == 0, share == 1), (share == 0.5, share == 0.5))
    return [
        np.asarray(
            np.bincount(left[inside], (weight * of_left)[inside], images)
            + np.bincount(right[inside], (weight * of_right)[inside], images),
            np.float64,
        )
        for of_left, of_right in ways
    ]


def _mean_chances(score: FloatArray) -> FloatArray:
    """(n,) the mean chance of each image to be chosen over another; by row, to save memory."""
    sums = np.array([chance(own - score).sum() for own in score])
    return (sums - 0.5) / (len(score) - 1)


def _strong_components(source: IntArray, target: IntArray, count: int) -> IntArray:
    """The strongly connected component of each node of a directed graph, in linear time.

    Tarjan, "Depth-First Search and Linear Graph Algorithms", SIAM Journal on Computing 1, 1972; without
    recursion, because chains may be longer than Python's stack.

    Args:
        source: (E,), the node each edge leaves, from 0 to count - 1.
        target: (E,), the node it leads to.
        count: Number of nodes.

    Returns:
        (count,) intp, component numbers from 0: equal for nodes with a path from each to the other.

    >>> _strong_components(np.array([0, 1, 1]), np.array([1, 0, 2]), 4)
    array([1, 1, 0, 2])
    """
    order = np.argsort(source, kind="stable")
    ends = np.searchsorted(source[order], np.arange(1, count + 1)).tolist()
    edge, targets = [0, *ends][:count], target[order].tolist()
    number, lowest, component = [0] * count, [0] * count, [-1] * count
    open_nodes: list[int] = []
    visited = components = 0
    for root in range(count):
        path = [] if number[root] else [root]
        while path:
            node = path[-1]
            if not number[node]:
                visited += 1
                number[node] = lowest[node] = visited
                open_nodes.append(node)
            if edge[node] < ends[node]:
                neighbour = targets[edge[node]]
                edge[node] += 1
                if not number[neighbour]:
                    path.append(neighbour)
                elif component[neighbour] < 0:
                    lowest[node] = min(lowest[node], number[neighbour])
                continue
            path.pop()
            if path:
                lowest[path[-1]] = min(lowest[path[-1]], lowest[node])
            if lowest[node] == number[node]:
                while component[node] < 0:
                    component[open_nodes.pop()] = components
                components += 1
    return np.array(component, np.intp)


def _left_out(comparisons: Comparisons, images: IntArray) -> dict[str, IntArray]:
    """Reasons -> indices of the images without a score."""
    count = len(comparisons.image_ids)
    scored = np.isin(np.arange(count), images)
    [reached] = [group for group in groups(comparisons) if scored[group].any()]
    connected = np.isin(np.arange(count), reached)
    times = np.bincount(comparisons.left, minlength=count) + np.bincount(comparisons.right, minlength=count)
    chosen = np.bincount(comparisons.left, comparisons.share, count)
    chosen += np.bincount(comparisons.right, 1 - comparisons.share, count)
    unbounded = connected & ~scored
    reasons = {
        "never compared with the others, not even through a third": ~connected,
        "chosen in every comparison: no score is high enough": unbounded & (chosen == times),
        "chosen in no comparison: no score is low enough": unbounded & (chosen == 0),
        "in a set that was always or never chosen over the others": unbounded
        & (chosen > 0)
        & (chosen < times),
    }
    return {reason: np.flatnonzero(which) for reason, which in reasons.items() if which.any()}
