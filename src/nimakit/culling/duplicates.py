"""Copies of one picture among the frames of groups: equal files, and resized, edited or cropped copies."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nimakit.culling.frames import Frame
from nimakit.culling.likeness import Sets
from nimakit.errors import ImageError, MissingExtraError
from nimakit.images import fingerprints
from nimakit.images.duplicates import find_duplicates


@dataclass(frozen=True, slots=True)
class Copies:
    """Copies of one picture.

    Attributes:
        sets: Indices of frames, each set ascending.
        note: What was not looked for; empty if all was.
    """

    sets: tuple[tuple[int, ...], ...]
    note: str = ""


def find_copies(frames: Sequence[Frame], groups: Sequence[Sequence[int]]) -> Copies:
    """Find copies within groups.

    Frames that were taken at different times are different shots, however alike they are.

    Args:
        frames: All frames.
        groups: Indices of frames that are alike; a copy is in the group of its original.
    """
    copies = Sets(len(frames))
    for members in groups:
        first_of: dict[bytes, int] = {}
        for place in members:
            copies.join(first_of.setdefault(frames[place].content, place), place)
    note = ""
    try:
        fingerprints.require()
    except MissingExtraError:
        note = "only equal files are found as duplicates, because nimakit[data] is not installed"
    else:
        for members in groups:
            _join_near(frames, members, copies)
    return Copies(tuple(tuple(members) for members in copies.listed() if len(members) > 1), note)


def _join_near(frames: Sequence[Frame], members: Sequence[int], copies: Sets) -> None:
    """Join resized, edited or cropped copies within a group."""
    places = [place for place in members if copies.find(place) == place]
    times = [frames[place].taken for place in places]
    if len(places) < 2 or (None not in times and len(set(times)) == len(times)):
        return
    found = fingerprints.fingerprint_files([frames[place].path for place in places])
    known = [
        (place, one) for place, one in zip(places, found, strict=True) if not isinstance(one, ImageError)
    ]
    if len(known) < 2:
        return
    table = np.array([one for _, one in known], fingerprints.FINGERPRINT)
    for group in find_duplicates([frames[place].path for place, _ in known], table):
        by_time: dict[float | None, int] = {}
        for member in group.members:
            place = known[member][0]
            copies.join(by_time.setdefault(frames[place].taken, place), place)
