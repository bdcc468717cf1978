"""Groups of frames that belong together, within scenes."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from nimakit.culling.frames import Frame
from nimakit.culling.likeness import alike_pairs, unit_features

Kind = Literal["single", "duplicates", "burst", "bracket", "focus stack", "panorama"]
KINDS: tuple[str, ...] = get_args(Kind)
WHOLE: frozenset[Kind] = frozenset(("bracket", "focus stack", "panorama"))
"""Kinds whose frames are parts of one picture: all of them are kept."""

_BURST_SECONDS = 2.0
_BURST_LIKENESS = 0.8
_ALIKE = 0.93
_SCENE_SECONDS = 900.0
_SCENE_LIKENESS = 0.7
_MOST_PAIRS = 32


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

    Args:
        frames: N frames.
    """
    if not frames:
        return Grouping(groups=(), scenes=(), basis="no photographs")
    units = unit_features(np.stack([frame.features for frame in frames]))
    close, scene = _Sets(len(frames)), _Sets(len(frames))
    for first, second, cosine in alike_pairs(units, _SCENE_LIKENESS, _MOST_PAIRS):
        seconds = _seconds_between(frames[first], frames[second])
        near = seconds is not None and seconds <= _BURST_SECONDS
        if cosine >= (_BURST_LIKENESS if near else _ALIKE):
            close.join(first, second)
        if seconds is None or seconds <= _SCENE_SECONDS:
            scene.join(first, second)
    for members in close.listed():
        for other in members[1:]:
            scene.join(members[0], other)
    scene_of = {place: number for number, members in enumerate(scene.listed()) for place in members}
    groups = []
    for members in close.listed():
        ordered = sorted(members, key=lambda place: (frames[place].taken or 0.0, place))
        kind: Kind = "single" if len(members) == 1 else "burst"
        if len(members) > 1 and len({frames[place].content for place in members}) == 1:
            kind = "duplicates"
        groups.append(Group(kind=kind, frames=tuple(ordered), scene=scene_of[members[0]]))
    scenes = defaultdict(list)
    for number, group in enumerate(groups):
        scenes[group.scene].append(number)
    timed = sum(frame.taken is not None for frame in frames)
    basis = f"likeness, and the time of {timed} of {len(frames)} photographs" if timed else "likeness only"
    return Grouping(groups=tuple(groups), scenes=tuple(tuple(scenes[n]) for n in sorted(scenes)), basis=basis)


def _seconds_between(first: Frame, second: Frame) -> float | None:
    """Seconds between two frames; None if a time is unknown."""
    if first.taken is None or second.taken is None:
        return None
    return abs(first.taken - second.taken)


class _Sets:
    """Sets of N elements, which are joined; at first each element is one."""

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))

    def find(self, element: int) -> int:
        """The representative of the element's set."""
        while self._parent[element] != element:
            self._parent[element] = self._parent[self._parent[element]]
            element = self._parent[element]
        return element

    def join(self, first: int, second: int) -> None:
        """Join the sets of two elements; the lowest element represents the result."""
        low, high = sorted((self.find(first), self.find(second)))
        self._parent[high] = low

    def listed(self) -> list[list[int]]:
        """The sets, each ascending, in the order of their first elements."""
        members = defaultdict(list)
        for element in range(len(self._parent)):
            members[self.find(element)].append(element)
        return list(members.values())
