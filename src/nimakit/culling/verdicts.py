"""A person's marks as ratings and as comparisons, from which a taste and weights are learned."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from operator import itemgetter
from pathlib import Path

import numpy as np

from nimakit.culling.frames import Frame, read_frames
from nimakit.culling.groups import group_frames
from nimakit.culling.journal import Failure
from nimakit.culling.marks import Mark
from nimakit.culling.ranking import Weights, fit_weights
from nimakit.errors import ImageError, LabelError
from nimakit.images.exif import read_shot
from nimakit.images.files import image_id
from nimakit.images.opening import open_image
from nimakit.images.photo import decoding
from nimakit.io.atomic import atomic_writer
from nimakit.io.delimited import TableWriter
from nimakit.io.threads import in_threads
from nimakit.labels.picks import NEITHER, PICK, REJECT, compared
from nimakit.models.engine import Model
from nimakit.stats.bradley_terry import Comparisons

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

GAP_SECONDS = 60.0
"""Longest pause between two photographs of a group."""

Comparison = tuple[Path, Path, float]
"""The better and the worse picture, and how much it counts."""


def stars_of(mark: Mark, stars_for: Mapping[str, float]) -> float | None:
    """The rating of a mark: its stars; without stars, the rating for its pick, reject or label.

    Args:
        mark: A mark.
        stars_for: "pick", "reject" or a label -> rating; labels in any case.

    Returns:
        None if it has no rating.
    """
    if mark.rating is not None and mark.rating > 0:
        return float(mark.rating)
    ratings = {name.lower(): rating for name, rating in stars_for.items()}
    names = ["pick" if mark.pick else "", "reject" if mark.is_reject else "", (mark.label or "").lower()]
    return next((ratings[name] for name in names if name in ratings), None)


def shared_names(pictures: Iterable[Path]) -> frozenset[str]:
    """The image_ids that several pictures share, in different folders or with different suffixes.

    A table of ratings names pictures by image_id, and could not tell them apart.
    """
    counts = Counter(map(image_id, pictures))
    return frozenset(name for name, count in counts.items() if count > 1)


def comparisons(groups: Iterable[Sequence[Mark]]) -> Iterator[Comparison]:
    """Comparisons that picks and rejects imply, by `nimakit.labels.picks.compared`.

    Args:
        groups: Marks of pictures that belong together, in the order in which they were taken.
    """
    for group in groups:
        pairs, weight = compared(
            [PICK if mark.pick else REJECT if mark.is_reject else NEITHER for mark in group]
        )
        yield from ((group[pick].path, group[reject].path, weight) for pick, reject in pairs)


def write_pairs(path: Path, pairs: Iterable[Comparison], user_id: str) -> int:
    """Write comparisons as a .csv with the columns left, right, chosen, weight and user_id.

    Returns:
        The number of comparisons.

    Raises:
        OutputError: It could not be written.
    """
    count = 0
    with atomic_writer(path) as stream:
        table = TableWriter(stream)
        table.row(["left", "right", "chosen", "weight", "user_id"])
        for better, worse, weight in pairs:
            name = image_id(better)
            table.row([name, image_id(worse), name, f"{weight:.6g}", user_id])
            count += 1
    return count


def time_groups(marks: Sequence[Mark], gap: float = GAP_SECONDS) -> Iterator[list[Mark]]:
    """Groups of marks: in one folder, each taken at most so long after another one.

    Args:
        marks: Marks of existing pictures, whose EXIF gives the time; those without one form one group for
            each folder, in the order given.
        gap: The longest pause in a group, in seconds.
    """
    folders: dict[Path, list[tuple[float, Mark]]] = defaultdict(list)
    for mark, taken in zip(marks, in_threads(_taken, [mark.path for mark in marks]), strict=True):
        folders[mark.path.parent].append((taken, mark))
    for members in folders.values():
        group: list[Mark] = []
        previous = -math.inf
        for taken, mark in sorted(members, key=itemgetter(0)):
            if group and taken - previous > gap:
                yield group
                group = []
            group.append(mark)
            previous = taken
        yield group


def culled_groups(marks: Sequence[Mark], model: Model) -> tuple[list[list[Mark]], list[Failure]]:
    """Groups of marks as `nimakit cull` makes them, by likeness and time; with progress on stderr.

    Args:
        marks: Marks of existing pictures.
        model: Its features say which pictures are alike.

    Returns:
        The groups, without series such as brackets, whose frames are not chosen by taste; and pictures that
        cannot be read, with reasons.
    """
    by_path = {mark.path: mark for mark in marks}
    reading = read_frames(list(by_path), model=model)
    groups = [
        [by_path[reading.frames[place].path] for place in group.frames]
        for group in group_frames(reading.frames).groups
        if not group.is_whole
    ]
    return groups, [Failure(path, str(error)) for path, error in reading.failures.items()]


def learned_weights(
    given: Comparisons, frames: Sequence[Frame], *, notify: Callable[[str], None] | None = None
) -> Weights:
    """What counts between the frames of a group, by comparisons of such frames.

    Args:
        given: Comparisons. Those of different groups are left out: between different subjects sharpness and
            clipping say little of beauty.
        frames: The compared photographs.
        notify: Called with a sentence about how many pairs were used.

    Raises:
        LabelError: No comparison is left.
    """
    place = {frame.image_id: number for number, frame in enumerate(frames)}
    pairs = given.pairs(np.array([place.get(name, -1) for name in given.image_ids], np.intp), len(frames))
    group_of = -np.arange(1, len(frames) + 1)  # the frames of a series are compared with nothing
    for number, group in enumerate(group_frames(frames).groups):
        if not group.is_whole:
            group_of[list(group.frames)] = number
    inside = group_of[pairs.first] == group_of[pairs.second]
    parts = {name: getattr(pairs, name)[inside] for name in ("first", "second", "times", "chosen")}
    used = int(inside.sum())
    if not used:
        raise LabelError(
            "At least one comparison must be of two photographs of one burst, both of which can be read."
            f" Received: {len(given)} comparisons, and {len(frames)} of their photographs"
        )
    if notify:
        total = len(given.pairs(np.arange(len(given.image_ids)), len(given.image_ids)).times)
        notify(f"weights learned from {used} of {total} compared pairs, which are frames of one group")
    return fit_weights(frames, replace(pairs, **parts))


def _taken(path: Path) -> float:
    """When a picture was taken, in seconds; -inf if unknown, so that such pictures come first."""
    try:
        with decoding(path), open_image(path) as image:
            taken = read_shot(image).taken
    except (ImageError, OSError):
        return -math.inf
    if taken is None:
        return -math.inf
    return ((taken if taken.tzinfo else taken.replace(tzinfo=UTC)) - _EPOCH).total_seconds()
