"""Comparisons of two images at a time to scores, by the model of Bradley and Terry.

Bradley, Terry, "Rank Analysis of Incomplete Block Designs: I. The Method of Paired Comparisons", Biometrika
39, 1952: the chance that image i is chosen over image j is 1 / (1 + exp(score_j - score_i)). A tie counts as
half a choice of each; as ties scatter less than choices do, standard errors are rather too large then.
"""

from dataclasses import dataclass

import numpy as np

from nimakit.errors import LabelError
from nimakit.stats import components, newton
from nimakit.stats.components import Indices
from nimakit.stats.histogram import FloatArray

_MOST_IMAGES = 10_000
"""The covariance of scores is a square table of so many rows: 800 MB."""
_ROWS_AT_ONCE = 500
_TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Comparisons:
    """R comparisons between N images.

    Attributes:
        image_ids: N file names without their last suffix, in the order of appearance.
        left: (R,) intp, place of the one image in `image_ids`.
        right: (R,) intp, place of the other.
        share: (R,) float64, 1 where the left was chosen, 0 where the right was, 0.5 for a tie.
    """

    image_ids: tuple[str, ...]
    left: Indices
    right: Indices
    share: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Bradley-Terry scores.

    Attributes:
        images: (n,) intp, places of the images that have a score, ascending.
        score: (n,) float64, in logits; their mean is 0.
        standard_error: (n,) float64, of each score, with the mean of all held at 0.
        chance: (n,) float64, 0 to 1: the mean chance of being chosen over another of these images.
        won: (n,) float64, how often each was chosen over another of these images; a tie is half.
        times: (n,) float64, how often each was compared with another of these images.
        left_out: Why some have none -> their places.
    """

    images: Indices
    score: FloatArray
    standard_error: FloatArray
    chance: FloatArray
    won: FloatArray
    times: FloatArray
    left_out: dict[str, Indices]


def groups(comparisons: Comparisons, *, both_ways: bool = False) -> list[Indices]:
    """Images that comparisons connect, directly or through others; the largest group first.

    Args:
        comparisons: What was compared.
        both_ways: Whether a chain of choices, or ties, must lead from each image of a group to each other.
            Within such a group, and only there, scores are finite (Ford, "Solution of a Ranking Problem from
            Binary Comparisons", American Mathematical Monthly 64, 1957).

    Returns:
        (n,) intp for each group: places of its images, ascending.
    """
    left, right, share = comparisons.left, comparisons.right, comparisons.share
    over = np.concatenate([left[share > 0], right[share < 1]])
    under = np.concatenate([right[share > 0], left[share < 1]])
    if not both_ways:
        over, under = np.concatenate([over, under]), np.concatenate([under, over])
    group = components.strong(over, under, len(comparisons.image_ids))
    members = np.split(np.argsort(group, kind="stable"), np.cumsum(np.bincount(group))[:-1])
    return sorted(members, key=len, reverse=True)


def fit(comparisons: Comparisons, *, prior_sd: float | None = None) -> Scores:
    """The scores under which the choices that were made are likeliest.

    Args:
        comparisons: What was compared. Without a prior the largest group in which scores are finite has them,
            from comparisons within it; all other images are left out, with the reason.
        prior_sd: Standard deviation, in logits, of a normal prior around 0. It gives every image a score;
            between images that comparisons do not connect, scores then rest on the prior alone.

    Raises:
        LabelError: No two images have finite scores, or there are too many images for standard errors.
    """
    connected = groups(comparisons, both_ways=True)
    images = np.arange(len(comparisons.image_ids)) if prior_sd else connected[0]
    if len(images) < 2:
        raise LabelError(
            "Scores need a chain of choices, or ties, from an image to another and back. Received:"
            " comparisons without any. More of them mend that; --prior-sd 2 makes do."
        )
    if len(images) > _MOST_IMAGES:
        raise LabelError(f"Scores are fitted for up to {_MOST_IMAGES} images. Received: {len(images)}")
    weight = prior_sd**-2 if prior_sd else 0.0
    pairs = _counted(comparisons, images)
    score = _likeliest(pairs, weight)
    # Without a prior, a constant added to all scores changes nothing. This holds their mean at 0; what that
    # adds to the variances is then taken off.
    held = 0.0 if prior_sd else 1 / len(images)
    information = pairs.information(score) + held
    np.fill_diagonal(information, information.diagonal() + weight)
    variance = np.linalg.inv(information).diagonal() - held
    left_out = {} if prior_sd else _left_out(comparisons, images)
    return Scores(
        images=images,
        score=score,
        standard_error=np.sqrt(variance),
        chance=_chances(score),
        won=pairs.total(pairs.chosen, pairs.times - pairs.chosen),
        times=pairs.total(pairs.times, pairs.times),
        left_out=left_out,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Pairs:
    """Each pair of n images that was compared.

    Attributes:
        first: (P,) intp, place of the one image.
        second: (P,) intp, place of the other.
        times: (P,) float64, how often they were compared.
        chosen: (P,) float64, how often the first was chosen.
        images: n.
    """

    first: Indices
    second: Indices
    times: FloatArray
    chosen: FloatArray
    images: int

    def spread(self, values: FloatArray) -> FloatArray:
        """(n,), a value of each pair added to its first image and taken off its second."""
        return np.asarray(
            np.bincount(self.first, values, self.images) - np.bincount(self.second, values, self.images)
        )

    def total(self, of_first: FloatArray, of_second: FloatArray) -> FloatArray:
        """(n,), the sum over its pairs of each image's part: of the first, or of the second."""
        return np.asarray(
            np.bincount(self.first, of_first, self.images) + np.bincount(self.second, of_second, self.images)
        )

    def gap(self, values: FloatArray) -> FloatArray:
        """(P,), by how much the value of the first image exceeds that of the second."""
        return np.asarray(values[self.first] - values[self.second])

    def curvature(self, score: FloatArray) -> FloatArray:
        """(P,), minus the second derivative of the log-likelihood by the gap."""
        chance = _chance(self.gap(score))
        return np.asarray(self.times * chance * (1 - chance))

    def information(self, score: FloatArray) -> FloatArray:
        """(n, n), minus the second derivatives of the log-likelihood."""
        found = np.zeros((self.images, self.images))
        between = self.curvature(score)
        found[self.first, self.second] = found[self.second, self.first] = -between
        np.fill_diagonal(found, -found.sum(axis=1))
        return found


def _counted(comparisons: Comparisons, images: Indices) -> _Pairs:
    """The pairs of these images."""
    place = np.full(len(comparisons.image_ids), -1)
    place[images] = np.arange(len(images))
    left, right = place[comparisons.left], place[comparisons.right]
    inside = (left >= 0) & (right >= 0)
    low, high = np.minimum(left, right)[inside], np.maximum(left, right)[inside]
    share = np.where(left < right, comparisons.share, 1 - comparisons.share)[inside]
    pairs, pair = np.unique(low * len(images) + high, return_inverse=True)
    return _Pairs(
        first=pairs // len(images),
        second=pairs % len(images),
        times=np.bincount(pair).astype(np.float64),
        chosen=np.asarray(np.bincount(pair, share), np.float64),
        images=len(images),
    )


def _likeliest(pairs: _Pairs, weight: float) -> FloatArray:
    """(n,) the scores that are likeliest; weight is the precision of the prior, or 0."""
    unit = pairs.times.sum() / pairs.images  # so that the tolerance means the same for any set

    def loss(score: FloatArray) -> tuple[float, FloatArray]:
        gap = pairs.gap(score)
        value = (pairs.times * np.logaddexp(0, gap) - pairs.chosen * gap).sum() + weight / 2 * (score @ score)
        slope = pairs.spread(pairs.times * _chance(gap) - pairs.chosen) + weight * score
        return float(value) / unit, slope / unit

    def bend(score: FloatArray, step: FloatArray) -> FloatArray:
        change = pairs.spread(pairs.curvature(score) * pairs.gap(step)) + weight * step
        return np.asarray(change / unit)

    found, slope = newton.minimise(loss, bend, np.zeros(pairs.images), tolerance=_TOLERANCE)
    if not slope < 100 * _TOLERANCE:  # rounding may keep it from the tolerance itself
        raise LabelError("The scores of these comparisons cannot be fitted: they run away from each other.")
    return found if weight else np.asarray(found - found.mean())


def _chance(gap: FloatArray) -> FloatArray:
    """The chance of being chosen over what scores lower by a gap."""
    return np.asarray(np.exp(-np.logaddexp(0, -gap)))


def _chances(score: FloatArray) -> FloatArray:
    """(n,) the mean chance of each to be chosen over another."""
    sums = [
        _chance(score[start : start + _ROWS_AT_ONCE, None] - score).sum(axis=1)
        for start in range(0, len(score), _ROWS_AT_ONCE)
    ]
    return np.asarray((np.concatenate(sums) - 0.5) / (len(score) - 1))


def _left_out(comparisons: Comparisons, images: Indices) -> dict[str, Indices]:
    """Why images have no score -> their places."""
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
