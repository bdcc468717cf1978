"""The best frame of a group, by a linear model on differences between its frames, with reasons in words."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from nimakit.culling.frames import Frame
from nimakit.culling.groups import Group
from nimakit.stats.histogram import FloatArray
from nimakit.stats.pairwise import Pairs, fit_differences


@dataclass(frozen=True, kw_only=True, slots=True)
class Weights:
    """What counts in a comparison of frames: how much each difference adds to the log odds of being chosen.

    The defaults were chosen on synthetic bursts of one half of the photographs: benchmarks/bursts.py reports
    on the other half.

    Attributes:
        sharpness: Steepness of the sharpest edges, 0 to about 1.
        noise: log(1 + standard deviation of the noise in grey levels).
        highlights: Square root of the share of pixels with a channel clipped to white.
        shadows: Square root of the share of pixels clipped to black.
        headroom: Stops by which the exposure could be raised until the brightest tones become white.
        score: The model's mean score.
        taste: The score that the person would give.
    """

    sharpness: float = 5.0
    noise: float = -2.0
    highlights: float = -13.0
    shadows: float = -15.0
    headroom: float = -2.5
    score: float = 2.0
    taste: float = 2.0

    def to_array(self) -> FloatArray:
        """(D,) float64, in the order of `qualities`."""
        return np.array([getattr(self, name) for name in QUALITIES])


QUALITIES: tuple[str, ...] = tuple(field.name for field in fields(Weights))
"""Names of what is compared."""
DEFAULT_WEIGHTS = Weights()

_FAULTS = np.array([name in ("noise", "highlights", "shadows", "headroom") for name in QUALITIES])
_GAIN = 0.35
"""What having less of a fault than a typical frame of the group counts, in comparison with having more: blur
hides noise, and an underexposed frame clips no highlights."""

_TYPICAL = np.array([0.2, 0.6, 0.13, 0.1, 0.6, 0.45, 0.45])
"""Typical differences within bursts, which a prior of equal strength for all needs."""
_PRECISION = 4.0
"""Of the prior of what a typical difference adds: a person's weights are those of others within 0.5 or so.
It is fixed: chosen by the evidence, one comparison would turn a weight around."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ranked:
    """A frame's place in its group.

    Attributes:
        frame: Its index.
        value: Log odds of being chosen over a typical frame of the group; higher is better.
        reasons: Of the best, what it has over others; of the others, what they lack; may be empty.
    """

    frame: int
    value: float
    reasons: tuple[str, ...]


def rank_group(
    group: Group, frames: Sequence[Frame], weights: Weights = DEFAULT_WEIGHTS
) -> tuple[Ranked, ...]:
    """Rank the frames of a group, best first; equal ones in the order of the group.

    Args:
        group: One of `nimakit.culling.groups.group_frames`.
        frames: All frames, which the group's indices are of.
        weights: What counts.
    """
    found = qualities([frames[place] for place in group.frames])
    values = _advantages(found) @ weights.to_array()
    best, *others = np.argsort(-values.round(9), kind="stable").tolist()
    reasons = {best: _merits(found, best)} | {other: _faults(found, other, best) for other in others}
    return tuple(
        Ranked(frame=group.frames[place], value=round(float(values[place]), 4), reasons=reasons[place])
        for place in (best, *others)
    )


def qualities(frames: Sequence[Frame]) -> FloatArray:
    """What is compared of frames.

    Returns:
        (N, D) float64 in the order of `QUALITIES`. What is unknown of a frame is the mean of the others, so
        that it makes no difference.
    """
    table = np.array(
        [
            (
                frame.measures.sharpness,
                None if frame.measures.noise is None else np.log1p(frame.measures.noise),
                frame.measures.highlights**0.5,
                frame.measures.shadows**0.5,
                frame.measures.headroom,
                frame.score,
                frame.taste,
            )
            for frame in frames
        ],
        np.float64,
    ).reshape(-1, len(QUALITIES))
    known = ~np.isnan(table)
    means = np.where(known, table, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return np.where(known, table, means)


def _advantages(found: FloatArray) -> FloatArray:
    """(N, D) differences from a typical frame, the median; less of a fault counts `_GAIN` of more."""
    differences = found - np.median(found, axis=0)
    return np.where(_FAULTS & (differences < 0), _GAIN * differences, differences)


def fit_weights(frames: Sequence[Frame], pairs: Pairs) -> Weights:
    """Weights from comparisons; few comparisons leave the defaults nearly as they are.

    Args:
        frames: N frames.
        pairs: Pairs of them that were compared.
    """
    if not len(pairs.times):
        return DEFAULT_WEIGHTS
    found = qualities(frames)
    differences = found[pairs.first] - found[pairs.second]
    differences *= np.where(_FAULTS, (1 + _GAIN) / 2, 1) / _TYPICAL  # as `_advantages` of a pair differ
    prior = DEFAULT_WEIGHTS.to_array() * _TYPICAL
    counts, share = pairs.times, pairs.chosen / pairs.times
    fitted = fit_differences(
        differences, weights=counts, share=share, prior_mean=prior, prior_precision=_PRECISION
    )
    return Weights(**dict(zip(QUALITIES, (fitted / _TYPICAL).tolist(), strict=True)))


@dataclass(frozen=True, slots=True)
class _Sign:
    """What a visible difference in a quality is called.

    Attributes:
        quality: One of `QUALITIES`.
        visible: Smallest difference that is mentioned, above 0 if more is better, below if less is.
        merit: Of the best frame, where N others lack it; {n} is "3 others" or "1 other".
        fault: Of a frame that lacks it.
    """

    quality: str
    visible: float
    merit: str
    fault: str


_SIGNS = (
    _Sign("sharpness", 0.08, "sharper than {n}", "less sharp than the best"),
    _Sign("highlights", -0.08, "highlights clipped in {n}", "highlights clipped"),
    _Sign("shadows", -0.08, "shadows clipped in {n}", "shadows clipped"),
    _Sign("headroom", -0.7, "better exposed than {n}", "underexposed"),
    _Sign("noise", -0.5, "less noise than {n}", "more noise than the best"),
    _Sign("taste", 0.15, "more to your taste than {n}", "less to your taste than the best"),
    _Sign("score", 0.15, "higher score than {n}", "lower score than the best"),
)


def _merits(found: FloatArray, best: int) -> tuple[str, ...]:
    reasons = []
    for sign in _SIGNS:
        count = int(_is_visible(found[best] - found, sign).sum())
        if count:
            reasons.append(sign.merit.format(n=f"{count} other{'' if count == 1 else 's'}"))
    return tuple(reasons)


def _faults(found: FloatArray, place: int, best: int) -> tuple[str, ...]:
    return tuple(sign.fault for sign in _SIGNS if _is_visible(found[best] - found[place], sign))


def _is_visible(difference: FloatArray, sign: _Sign) -> FloatArray:
    """Whether the differences (..., D) are visible advantages."""
    return np.asarray(difference[..., QUALITIES.index(sign.quality)] / sign.visible >= 1)
