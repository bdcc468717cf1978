"""The best frame of a group, by a linear model on differences between the frames, with reasons in words."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from nimakit.culling.frames import Frame
from nimakit.culling.groups import Group
from nimakit.stats.histogram import FloatArray

_LEAST = 1e-3


@dataclass(frozen=True, kw_only=True, slots=True)
class Weights:
    """What counts in the comparison of frames of one group, per unit of each difference.

    Attributes:
        sharpness: Logarithm of the detail in the sharpest regions.
        noise: Standard deviation of the noise in grey levels.
        highlights: Square root of the share of pixels clipped to white.
        shadows: Square root of the share of pixels clipped to black.
        score: The model's mean score.
        taste: The person's score.
    """

    sharpness: float = 4.0
    noise: float = -0.3
    highlights: float = -6.0
    shadows: float = -3.0
    score: float = 1.0
    taste: float = 1.0

    def to_array(self) -> FloatArray:
        """(D,) float64, in the order of `differences`."""
        return np.array([getattr(self, field.name) for field in fields(self)])


DEFAULT_WEIGHTS = Weights()


@dataclass(frozen=True, kw_only=True, slots=True)
class Ranked:
    """A frame's place in its group.

    Attributes:
        frame: Its index.
        value: Its value in comparison with the mean of the group; higher is better, in logits.
        reasons: What sets it apart, in words; may be empty.
    """

    frame: int
    value: float
    reasons: tuple[str, ...]


def rank_group(
    group: Group, frames: Sequence[Frame], weights: Weights = DEFAULT_WEIGHTS
) -> tuple[Ranked, ...]:
    """Rank the frames of a group, best first.

    Args:
        group: One of `nimakit.culling.groups.group_frames`.
        frames: All frames, which the group's indices are of.
        weights: What counts.
    """
    members = [frames[place] for place in group.frames]
    found = qualities(members)
    values = (found - found.mean(axis=0)) @ weights.to_array()
    order = sorted(range(len(members)), key=lambda n: (-values[n], group.frames[n]))
    return tuple(
        Ranked(frame=group.frames[n], value=round(float(values[n]), 4), reasons=_reasons(found, n))
        for n in order
    )


def qualities(frames: Sequence[Frame]) -> FloatArray:
    """What is compared, of frames of one group.

    Returns:
        (N, D) float64, a column for each of `Weights`; what is unknown of a frame is the mean of the others.
    """
    rows = []
    for frame in frames:
        detail = np.sort(frame.appearance.detail.mean(axis=0).ravel())[-16:].mean()
        measures = frame.measures
        rows.append(
            [
                np.log(max(float(detail), _LEAST)) / 2,
                measures.noise,
                measures.highlights**0.5,
                measures.shadows**0.5,
                frame.score,
                frame.taste,
            ]
        )
    table = np.array(rows, np.float64)
    known = ~np.isnan(table)
    means = np.where(known, table, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return np.where(known, table, means)


def _reasons(found: FloatArray, place: int) -> tuple[str, ...]:
    """Why a frame is where it is."""
    reasons = []
    sharper = int((found[place, 0] - found[:, 0] > 0.1).sum())
    if sharper:
        reasons.append(f"sharper than {sharper} other{'s' if sharper > 1 else ''}")
    return tuple(reasons)
