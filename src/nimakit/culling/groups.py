"""Groups of frames that belong together, within scenes."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, cast, get_args

import numpy as np

from nimakit.culling.alignment import Overlaps
from nimakit.culling.duplicates import find_copies
from nimakit.culling.frames import Frame
from nimakit.culling.likeness import Sets, alike_pairs, unit_features
from nimakit.culling.series import Found, find_series, in_order
from nimakit.stats.histogram import Float32Array

Kind = Literal["single", "duplicates", "burst", "bracket", "focus stack", "panorama"]
KINDS: tuple[str, ...] = get_args(Kind)
WHOLE: frozenset[Kind] = frozenset(("bracket", "focus stack", "panorama"))
"""Kinds whose frames are parts of one picture: all of them are kept."""

_BURST_SECONDS = 3.0
_BURST_LIKENESS = 0.75
"""Frames of one camera so close in time are a burst even if the subject or the camera moved."""
_ALIKE = 0.9
"""Frames so alike belong together whenever they were taken: benchmarks/bursts.py."""
_COMPARED = 0.6
"""Frames that are less alike are not compared further."""
_AGREEMENT = 0.4
_MOST_SHIFT = 0.12
"""Frames that agree so well, within such a shift, show the same from the same place."""
_MOST_PAIRS = 32
_MOST_OVERLAPS = 8
"""Overlaps that are computed for one frame at most."""
_SCENE_SECONDS = 1800.0
_SCENE_LIKENESS = 0.66
_UNTIMED_SCENE_LIKENESS = 0.72

_Pair = tuple[int, int, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Frames that show the same.

    Attributes:
        kind: What they are.
        frames: Their indices, in the order in which they were taken, or in the order given.
        scene: Number of their scene, from 0.
        copies: Sets of frames among them that show the very same picture, as indices.
    """

    kind: Kind
    frames: tuple[int, ...]
    scene: int
    copies: tuple[tuple[int, ...], ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether the frames are parts of one picture, of which none may be left out."""
        return self.kind in WHOLE


@dataclass(frozen=True, kw_only=True, slots=True)
class Grouping:
    """The groups of a shoot.

    Attributes:
        groups: Every frame is in exactly one of them; in the order of their first frames.
        scenes: For each scene the indices of its groups.
        basis: What the groups rest on, in a sentence.
    """

    groups: tuple[Group, ...]
    scenes: tuple[tuple[int, ...], ...]
    basis: str


def group_frames(frames: Sequence[Frame]) -> Grouping:
    """Group frames that belong together.

    Series (`nimakit.culling.series`) come first; of the other frames those that show the same are a burst, or
    duplicates if all are copies of one picture. Groups of the same place and light are a scene.

    Args:
        frames: N frames.
    """
    if not frames:
        return Grouping(groups=(), scenes=(), basis="no photographs")

    overlaps = Overlaps([frame.appearance.thumbnail for frame in frames])
    units = unit_features(np.stack([frame.features for frame in frames]))
    pairs = sorted(alike_pairs(units, _COMPARED, _MOST_PAIRS), key=lambda pair: -pair[2])
    series = find_series(frames, overlaps)
    close = Sets(len(frames))
    for _, members in series:
        for place in members[1:]:
            close.join(members[0], place)
    in_series = {place for _, members in series for place in members}
    _join_bursts(frames, pairs, overlaps, in_series, close)
    found = close.listed()
    copies = find_copies(frames, [members for members in found if len(members) > 1])
    groups = _groups(frames, found, series, copies.sets)
    numbers = _scenes(frames, units, pairs, groups)
    scenes = defaultdict(list)
    for number, scene in enumerate(numbers):
        scenes[scene].append(number)
    return Grouping(
        groups=tuple(replace(group, scene=scene) for group, scene in zip(groups, numbers, strict=True)),
        scenes=tuple(tuple(scenes[scene]) for scene in range(len(scenes))),
        basis=_basis(frames, copies.note),
    )


def _groups(
    frames: Sequence[Frame],
    found: Sequence[Sequence[int]],
    series: Sequence[Found],
    copies: Sequence[tuple[int, ...]],
) -> list[Group]:
    """The groups, not yet in scenes.

    Args:
        frames: All frames.
        found: Indices of the frames of each group.
        series: Those that are series.
        copies: Sets of copies, each within a group.
    """
    kind_of = {place: cast("Kind", kind) for kind, members in series for place in members}
    copies_of = {copy[0]: copy for copy in copies}
    rank = {place: number for number, place in enumerate(in_order(frames))}
    groups = []
    for members in found:
        own = tuple(copies_of[place] for place in members if place in copies_of)
        kind = kind_of.get(members[0], "single" if len(members) == 1 else "burst")
        if kind == "burst" and len(own[0] if own else ()) == len(members):
            kind = "duplicates"
        ordered = tuple(sorted(members, key=rank.__getitem__))
        groups.append(Group(kind=kind, frames=ordered, scene=0, copies=own))
    return groups


def _join_bursts(
    frames: Sequence[Frame], pairs: Sequence[_Pair], overlaps: Overlaps, apart: set[int], close: Sets
) -> None:
    """Join frames that show the same: first those of which likeness is enough, as fewer remain to compare."""
    unsure = []
    for first, second, likeness in pairs:
        if first in apart or second in apart:
            continue
        if likeness >= _ALIKE or (likeness >= _BURST_LIKENESS and _is_at_once(frames[first], frames[second])):
            close.join(first, second)
        else:
            unsure.append((first, second))
    compared = np.zeros(len(frames), int)
    for first, second in unsure:
        if close.find(first) == close.find(second) or max(compared[[first, second]]) >= _MOST_OVERLAPS:
            continue
        compared[[first, second]] += 1
        found = overlaps.between(first, second)
        if found.distance <= _MOST_SHIFT and found.agreement >= _AGREEMENT:
            close.join(first, second)


def _is_at_once(first: Frame, second: Frame) -> bool:
    seconds = _seconds_between(first, second)
    return seconds is not None and seconds <= _BURST_SECONDS and first.camera == second.camera


def _scenes(
    frames: Sequence[Frame], units: Float32Array, pairs: Sequence[_Pair], groups: Sequence[Group]
) -> list[int]:
    """The number of each group's scene.

    Scenes are joined where two of their frames are alike, the most similar first, if all of their frames
    are alike on average: otherwise a chain of similar frames would lead from any place to any other.
    """
    group_of = {place: number for number, group in enumerate(groups) for place in group.frames}
    sums = np.stack([units[list(group.frames)].mean(axis=0) for group in groups])
    joined = Sets(len(groups))
    for first, second, likeness in pairs:
        one, other = (joined.find(group_of[place]) for place in (first, second))
        seconds = _seconds_between(frames[first], frames[second])
        lowest = _UNTIMED_SCENE_LIKENESS if seconds is None else _SCENE_LIKENESS
        if one == other or likeness < lowest or (seconds is not None and seconds > _SCENE_SECONDS):
            continue
        lengths = np.linalg.norm(sums[one]) * np.linalg.norm(sums[other])
        if float(sums[one] @ sums[other]) >= lowest * float(lengths):
            total = sums[one] + sums[other]
            joined.join(one, other)
            sums[min(one, other)] = total
    number_of = {group: number for number, members in enumerate(joined.listed()) for group in members}
    return [number_of[group] for group in range(len(groups))]


def _seconds_between(first: Frame, second: Frame) -> float | None:
    """Seconds between two frames; None if a time is unknown."""
    if first.taken is None or second.taken is None:
        return None
    return abs(first.taken - second.taken)


def _basis(frames: Sequence[Frame], note: str) -> str:
    """What the groups rest on."""
    timed = sum(frame.taken is not None for frame in frames)
    if timed == len(frames):
        basis = "times and likeness"
    elif timed:
        basis = f"likeness, and times of {timed} of {len(frames)} photographs"
    else:
        basis = "likeness only: no photograph has a time"
    return f"{basis}; {note}" if note else basis
