"""Series whose frames are parts of one picture: exposure brackets, focus stacks and panoramas."""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np

from nimakit.culling.alignment import Overlap, Overlaps
from nimakit.culling.frames import Frame

Found = tuple[str, tuple[int, ...]]
"""Kind and indices of a series."""

_GAP_SECONDS = 3.0
"""Most seconds between the end of one frame and the next, except in a panorama."""
_PANORAMA_GAP_SECONDS = 10.0
_LEAST_FRAMES = 3
_EXPOSURE_STEP = 0.29
"""Stops by which exposures of a bracket differ at least: cameras set thirds."""
_FRAMED_ALIKE = 0.08
"""Largest shift, as a share of the side, between frames from a tripod or a steady hand."""
_AGREEMENT = 0.4
_BRACKET_AGREEMENT = 0.25
"""The dark parts of one exposure are black and the bright parts of another white, and agree with nothing."""
_PANORAMA_SHIFT = (0.12, 0.85)
_PANORAMA_AGREEMENT = 0.5
_STACK_AGREEMENT = 0.6
_REFOCUSED = 0.02
"""Share by which the distance of the focus changes at least."""
_TRIPOD = 0.03
"""Largest shift in a focus stack without distances: elsewhere other detail would seem sharper."""
_SHARPER = math.log(2)
_SHARPER_SHARE = 0.15
"""Share of the regions with detail that are sharper in each of two frames of a focus stack."""


def in_order(frames: Sequence[Frame]) -> list[int]:
    """Indices of the frames camera by camera, by time; frames without a time in the order given."""

    def key(place: int) -> tuple[str, bool, float, int]:
        frame = frames[place]
        return frame.camera or "", frame.taken is None, frame.taken or 0.0, place

    return sorted(range(len(frames)), key=key)


def find_series(frames: Sequence[Frame], overlaps: Overlaps) -> list[Found]:
    """Find the series among the frames of a shoot.

    Args:
        frames: All frames.
        overlaps: Computes the overlap of two of them.

    Returns:
        Disjoint series of frames that follow each other.
    """
    found: list[Found] = []
    for search, gap in (
        (_brackets, _GAP_SECONDS),
        (_focus_stacks, _GAP_SECONDS),
        (_panoramas, _PANORAMA_GAP_SECONDS),
    ):
        used = {place for _, members in found for place in members}
        for run in _runs(frames, used, gap):
            found += search(frames, run, overlaps)
    return found


def _runs(frames: Sequence[Frame], used: set[int], gap: float) -> Iterator[list[int]]:
    """Frames of one camera that follow each other without a long pause."""
    run: list[int] = []
    for place in in_order(frames):
        if run and (place in used or not _follows(frames[run[-1]], frames[place], gap)):
            yield run
            run = []
        if place not in used:
            run.append(place)
    if run:
        yield run


def _follows(first: Frame, second: Frame, gap: float) -> bool:
    if first.camera != second.camera or (first.taken is None) != (second.taken is None):
        return False
    if first.taken is None or second.taken is None:
        return True
    return second.taken - first.taken <= gap + (first.shot.exposure_s or 0.0)


def _brackets(frames: Sequence[Frame], run: Sequence[int], overlaps: Overlaps) -> Iterator[Found]:
    """The longest stretches in which every exposure is another."""
    start = 0
    while start < len(run):
        end = start + 1
        while end < len(run) and (
            all(_differ(frames[place], frames[run[end]]) for place in run[start:end])
            and _is_framed_alike(overlaps.between(run[end - 1], run[end]), _BRACKET_AGREEMENT)
        ):
            end += 1
        members = tuple(run[start:end])
        is_set = all(frames[place].shot.is_bracketed for place in members)
        if len(members) >= (2 if is_set else _LEAST_FRAMES):
            yield "bracket", members
            start = end
        else:
            start += 1


def _differ(first: Frame, second: Frame) -> bool:
    """Whether two frames have different exposures by their EXIF."""
    for one, other in (
        (first.shot.exposure_bias, second.shot.exposure_bias),
        (_exposure_value(first), _exposure_value(second)),
    ):
        if one is not None and other is not None and abs(one - other) >= _EXPOSURE_STEP:
            return True
    return False


def _exposure_value(frame: Frame) -> float | None:
    """Exposure value at ISO 100, in stops; None if unknown."""
    shot = frame.shot
    if not (shot.exposure_s and shot.aperture and shot.iso):
        return None
    return math.log2(shot.aperture**2 / shot.exposure_s * 100 / shot.iso)


def _is_framed_alike(found: Overlap, agreement: float = _AGREEMENT) -> bool:
    return found.distance <= _FRAMED_ALIKE and found.agreement >= agreement


def _focus_stacks(frames: Sequence[Frame], run: Sequence[int], overlaps: Overlaps) -> Iterator[Found]:
    def continues(first: int, second: int) -> bool:
        one, other = frames[first], frames[second]
        return not _differ(one, other) and _is_refocused(one, other, overlaps.between(first, second))

    for members in _chains(run, continues):
        distances = [frames[place].shot.focus_distance_m for place in members]
        known = [distance for distance in distances if distance is not None]
        if len(known) < len(members) or known in (sorted(known), sorted(known, reverse=True)):
            yield "focus stack", members


def _is_refocused(first: Frame, second: Frame, found: Overlap) -> bool:
    """Whether the focus moved: by the EXIF, or because each frame is the sharper one somewhere."""
    one, other = first.shot.focus_distance_m, second.shot.focus_distance_m
    if one is not None and other is not None:
        return abs(one - other) > _REFOCUSED * max(one, other) and _is_framed_alike(found)
    if first.taken is None or found.distance > _TRIPOD or found.agreement < _STACK_AGREEMENT:
        return False
    before, after = (frame.appearance.detail.clip(0) for frame in (first, second))
    best = np.maximum(before, after)
    floor = best.max() / 50
    change = np.log((after + floor) / (before + floor))[best > 4 * floor]
    return bool(
        change.size
        and (change > _SHARPER).mean() >= _SHARPER_SHARE
        and (change < -_SHARPER).mean() >= _SHARPER_SHARE
    )


def _panoramas(frames: Sequence[Frame], run: Sequence[int], overlaps: Overlaps) -> Iterator[Found]:
    """Frames that each move on in the same direction."""
    steps: dict[tuple[int, int], tuple[int, int] | None] = {}

    def step(first: int, second: int) -> tuple[int, int] | None:
        if (first, second) not in steps:
            one, other = frames[first].shot, frames[second].shot
            is_same_lens = one.focal_length_mm == other.focal_length_mm
            steps[first, second] = _direction(overlaps.between(first, second)) if is_same_lens else None
        return steps[first, second]

    def continues(first: int, second: int) -> bool:
        return step(first, second) is not None

    for members in _chains(run, continues):
        directions = [step(first, second) for first, second in pairwise(members)]
        if len(set(directions)) == 1:
            yield "panorama", members


def _direction(found: Overlap) -> tuple[int, int] | None:
    """(down, right): along which axis and which way the view moved; None if it did not, or along both."""
    low, high = _PANORAMA_SHIFT
    if found.agreement < _PANORAMA_AGREEMENT or not low <= found.distance <= high:
        return None
    if min(abs(found.down), abs(found.right)) >= low:
        return None
    if abs(found.down) > abs(found.right):
        return int(math.copysign(1, found.down)), 0
    return 0, int(math.copysign(1, found.right))


def _chains(run: Sequence[int], continues: Callable[[int, int], bool]) -> Iterator[tuple[int, ...]]:
    """Stretches of at least three frames of which each continues the one before."""
    chain = list(run[:1])
    for first, second in pairwise(run):
        if not continues(first, second):
            if len(chain) >= _LEAST_FRAMES:
                yield tuple(chain)
            chain = []
        chain.append(second)
    if len(chain) >= _LEAST_FRAMES:
        yield tuple(chain)
