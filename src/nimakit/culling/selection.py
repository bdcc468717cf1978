"""Selection: a diverse best N of the groups of a shoot, and stars by rank."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nimakit.culling.frames import Frame
from nimakit.culling.groups import Group
from nimakit.culling.ranking import Ranked
from nimakit.stats.histogram import Float32Array, FloatArray, IntArray

DIVERSITY = 1.0
"""Weight of the likeness to photographs that are already chosen, in standard deviations of the scores."""

STAR_SHARES = (5.0, 15.0, 30.0, 30.0, 20.0)
"""Percentages of a shoot with five, four, three, two stars and one star."""
KEPT_SHARES = (20.0, 40.0, 40.0)
"""Percentages of what is kept with five, four and three stars, if only that gets stars."""
BEATEN_STARS = 1
"""Stars of a frame that another frame of its group beats, where every photograph gets stars."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Keep:
    """How many photographs to keep.

    Attributes:
        count: Their number, at least 1; None if a share is given.
        share: Their share of all photographs, above 0 to 1.
    """

    count: int | None = None
    share: float = 1.0

    def of(self, total: int) -> int:
        """The number to keep of so many photographs, at least 1.

        >>> Keep(count=40).of(900), Keep(share=0.1).of(905), Keep(share=0.1).of(3)
        (40, 90, 1)
        """
        return max(1, round(self.share * total)) if self.count is None else self.count


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """The decision about one group.

    Attributes:
        best: The best frame of the group; the first of a set that is never thinned.
        frames: What is kept or left together: the best frame, or all frames of a set that is never thinned.
        place: Place of the group by its score, 1 for the highest; equal scores in the order of the groups.
        is_kept: Whether it is kept.
        like: The kept frame that it resembles most, if a group with a lower score is kept in its place.
    """

    best: int
    frames: tuple[int, ...]
    place: int
    is_kept: bool
    like: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """The decisions about N frames.

    Attributes:
        choices: One for each group, in the order of the groups.
        kept: The frames that are kept, in the order in which they were chosen.
        stars: Stars of each frame, 1 to 5; None for a frame without.
    """

    choices: tuple[Choice, ...]
    kept: tuple[int, ...]
    stars: tuple[int | None, ...]


def select(
    frames: Sequence[Frame],
    groups: Sequence[Group],
    rankings: Sequence[Sequence[Ranked]],
    *,
    keep: Keep | None = None,
    star_shares: Sequence[float] | None = None,
    diversity: float = DIVERSITY,
) -> Selection:
    """Choose which groups to keep, and give stars.

    A group counts as one photograph: of duplicates and bursts the best frame is kept, of a bracket, a focus
    stack or a panorama every frame.

    Args:
        frames: N frames.
        groups: M groups of them, disjoint.
        rankings: For each group its frames, best first; the order does not matter for sets.
        keep: How many to keep; None for the best of every group.
        star_shares: Percentages of the groups with five stars down to one, by score; frames that another
            frame of their group beats get `BEATEN_STARS`. None to give stars only to what is kept, by
            `KEPT_SHARES`.
        diversity: As for `diverse`.

    Returns:
        Stars follow the score only. What is kept also depends on likeness.
    """
    if not groups:
        return Selection(choices=(), kept=(), stars=(None,) * len(frames))
    units = [_unit(group, ranking) for group, ranking in zip(groups, rankings, strict=True)]
    scores = np.array([_score(frames, unit) for unit in units])
    scores = np.where(np.isnan(scores), np.nanmean(scores) if np.isfinite(scores).any() else 0.0, scores)
    features = np.stack([np.mean([frames[frame].features for frame in unit], axis=0) for unit in units])
    count = len(units) if keep is None else min(keep.of(len(frames)), len(units))
    if count == len(units):
        order = np.argsort(-scores, kind="stable")
        nearest = np.arange(len(units))
    else:
        order, nearest = diverse(scores, features, count, diversity=diversity)
    is_kept = np.zeros(len(units), bool)
    is_kept[order] = True
    places = np.empty(len(units), np.intp)
    places[np.argsort(-scores, kind="stable")] = np.arange(1, len(units) + 1)
    lowest = scores[order].min()
    choices = tuple(
        Choice(
            best=unit[0],
            frames=unit,
            place=int(places[row]),
            is_kept=bool(is_kept[row]),
            like=units[nearest[row]][0] if not is_kept[row] and scores[row] > lowest else None,
        )
        for row, unit in enumerate(units)
    )
    return Selection(
        choices=choices,
        kept=tuple(frame for row in order for frame in units[row]),
        stars=_stars(len(frames), units, scores, order, star_shares),
    )


def diverse(
    scores: FloatArray, features: Float32Array, count: int, *, diversity: float = DIVERSITY
) -> tuple[IntArray, IntArray]:
    """Choose the best N that differ from each other, one after the other.

    As in maximal marginal relevance (Carbonell and Goldstein, "The use of MMR, diversity-based reranking for
    reordering documents and producing summaries", 1998) each step takes the highest score less a penalty for
    likeness to what is already chosen. The penalty is a concave function of the sum of likenesses, as in Lin
    and Bilmes, "A class of submodular functions for document summarization", 2011, rather than of the
    greatest: the greatest stays the same from the second photograph of a scene on, and then one scene would
    fill the rest.

    Args:
        scores: (M,) higher is better.
        features: (M, D); their cosine about the mean of all M is the likeness, negative ones count as 0.
        count: How many to choose, 1 to M.
        diversity: Weight of the penalty in standard deviations of the scores; 0 takes the highest scores.

    Returns:
        (count,) intp rows in the order in which they are chosen; and (M,) intp, for each row the chosen one
        that it resembles most.
    """
    deviations = scores - scores.mean()
    spread = deviations.std()
    standard = deviations / spread if spread > 0 else np.zeros_like(deviations)
    directions = features - features.mean(axis=0)
    lengths = np.linalg.norm(directions, axis=1, keepdims=True)
    directions = directions / np.where(lengths > 0, lengths, 1)
    total = np.zeros(len(scores))
    greatest = np.full(len(scores), -1.0)
    nearest = np.zeros(len(scores), np.intp)
    free = np.ones(len(scores), bool)
    chosen = np.empty(count, np.intp)
    for step in range(count):
        gains = np.where(free, standard - diversity * np.log1p(total), -np.inf)
        row = chosen[step] = gains.argmax()
        free[row] = False
        likeness = np.maximum(directions @ directions[row], 0)
        total += likeness
        nearest[likeness > greatest] = row
        np.maximum(greatest, likeness, out=greatest)
    return chosen, nearest


def stars_by_rank(scores: FloatArray, shares: Sequence[float]) -> IntArray:
    """Give stars by quota.

    Args:
        scores: (M,) higher is better.
        shares: Percentages with five stars, four, and so on; they add up to 100.

    Returns:
        (M,) stars. Equal scores have equal stars.

    >>> stars_by_rank(np.array([3.0, 9.0, 5.0, 7.0]), [25, 25, 50]).tolist()
    [3, 5, 3, 4]
    """
    _, level, counts = np.unique(-scores, return_inverse=True, return_counts=True)
    middle = (counts.cumsum() - counts / 2)[level] / len(scores)
    ends = np.cumsum(shares)[:-1] / 100
    found: IntArray = 5 - np.searchsorted(ends, middle)
    return found


def _unit(group: Group, ranking: Sequence[Ranked]) -> tuple[int, ...]:
    """The frames that are kept together, best first."""
    frames = tuple(ranked.frame for ranked in ranking)
    return frames if group.is_whole else frames[:1]


def _score(frames: Sequence[Frame], unit: Sequence[int]) -> float:
    """The highest score of frames: a person's taste where it is known; NaN if there is none."""
    found = [frames[row].score if frames[row].taste is None else frames[row].taste for row in unit]
    return max((score for score in found if score is not None), default=np.nan)


def _stars(
    total: int,
    units: Sequence[tuple[int, ...]],
    scores: FloatArray,
    order: IntArray,
    shares: Sequence[float] | None,
) -> tuple[int | None, ...]:
    """Stars of all frames."""
    rated = order if shares is None else np.arange(len(units))
    found = stars_by_rank(scores[rated], shares or KEPT_SHARES)
    stars: list[int | None] = [None if shares is None else BEATEN_STARS] * total
    for row, number in zip(rated, found, strict=True):
        for frame in units[row]:
            stars[frame] = int(number)
    return tuple(stars)
