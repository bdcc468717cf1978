"""Splits of images into parts: at random, stratified, by time, or by group."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nimakit.errors import UsageError
from nimakit.stats.histogram import FloatArray

Indices = NDArray[np.intp]

_STRATA = 10
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a split.

    Attributes:
        name: Letters, digits, - and _.
        size: Below 1 a share of the images, from 1 on a number of images; None for the rest.
    """

    name: str
    size: float | None


def parse_part(text: str) -> Part:
    """Parse a part.

    Raises:
        UsageError: It is not a part.

    >>> parse_part("test=0.1"), parse_part("train=rest")
    (Part(name='test', size=0.1), Part(name='train', size=None))
    """
    match = re.fullmatch(r"([\w-]+)=(rest|[0-9]+|0?\.[0-9]+)", text, re.ASCII)
    if not match or (match[2] != "rest" and float(match[2]) == 0):
        raise UsageError(
            "--part must be NAME=SHARE, NAME=NUMBER or NAME=rest, such as test=0.1 or train=rest. Received:"
            f" {text}"
        )
    return Part(match[1], None if match[2] == "rest" else float(match[2]))


def draw(count: int, share: float, seed: int) -> NDArray[np.bool_]:
    """Draw a random part of a set.

    Args:
        count: How many items there are, at least 2.
        share: Above 0, below 1: the part to draw; at least one item is drawn, and one is not.
        seed: 0 or more.

    Returns:
        (count,) bool, true for the drawn items.

    >>> int(draw(40, 0.1, seed=0).sum())
    4
    """
    size = min(max(round(count * share), 1), count - 1)
    return np.random.default_rng(seed).permutation(count).argsort() < size


def split(
    count: int,
    parts: Sequence[Part],
    *,
    seed: int = 0,
    groups: ArrayLike | None = None,
    times: ArrayLike | None = None,
    ratings: ArrayLike | None = None,
) -> list[Indices]:
    """Split images into parts, each image into exactly one.

    The images, or groups of them, are ordered, and the order is cut. The order is random; by time; or random
    with each tenth of the ratings spread evenly. Groups are kept whole: a cut is moved to the nearest end of
    a group.

    Args:
        count: The number of images, N.
        parts: At least two with different names, of which one may be the rest; by time, oldest first.
        seed: Seed of the random order.
        groups: (N,) values that are equal within a group; None to treat images separately.
        times: (N,) times to order by; a group is ordered by its earliest.
        ratings: (N,) mean ratings to stratify by; not together with times.

    Returns:
        For each part the indices of its images, ascending, at least one.

    Raises:
        UsageError: The sizes do not add up, or a part would be empty.
    """
    sizes = _sizes(parts, count)
    _, unit = np.unique(np.arange(count) if groups is None else np.asarray(groups), return_inverse=True)
    members = np.bincount(unit)
    random = np.random.default_rng(seed)
    order = random.permutation(len(members))
    if times is not None:
        earliest = np.full(len(members), np.inf)
        np.minimum.at(earliest, unit, np.asarray(times, np.float64))
        order = order[np.argsort(earliest[order], kind="stable")]
    elif ratings is not None:
        order = _stratified(np.bincount(unit, np.asarray(ratings, np.float64)) / members, order, random)
    part_of = np.empty(len(members), np.intp)
    part_of[order] = np.searchsorted(_cuts(members[order], sizes), np.arange(len(members)), side="right")
    found = [np.flatnonzero(part_of[unit] == number) for number in range(len(parts))]
    for part, places in zip(parts, found, strict=True):
        if not len(places):
            raise UsageError(
                f"Each part must get at least one image. Received: none for {part.name!r}, of {count} images"
                f" in {len(members)} groups; make it larger, or try another --seed"
            )
    return found


def _sizes(parts: Sequence[Part], count: int) -> list[int]:
    """The number of images of each part; they sum to all images."""
    names = [part.name for part in parts]
    if len(parts) < 2 or len(set(names)) < len(names):
        raise UsageError(
            f"A split needs two or more parts with different names. Received: {', '.join(names)}"
        )
    wanted = [None if p.size is None else p.size * count if p.size < 1 else p.size for p in parts]
    given = sum(size for size in wanted if size is not None)
    rest = wanted.count(None)
    if rest > 1 or given > count + _ROUNDING * count or (not rest and given < count * (1 - _ROUNDING)):
        raise UsageError(
            "The parts must add up to all images, or one must be =rest. Received:"
            f" {', '.join(f'{p.name}={_text(p.size)}' for p in parts)} of {count} images"
        )
    ends = np.cumsum([count - given if size is None else size for size in wanted]).round().astype(int)
    return [int(size) for size in np.diff(ends, prepend=0)]


def _text(size: float | None) -> str:
    return "rest" if size is None else f"{size:g}"


def _stratified(ratings: FloatArray, order: Indices, random: np.random.Generator) -> Indices:
    """An order with each tenth of the ratings spread evenly, so that every cut has its share of each."""
    by_rating = order[np.argsort(ratings[order], kind="stable")]
    position = np.empty(len(order))
    for stratum in np.array_split(by_rating, min(_STRATA, len(order))):
        steps = random.permutation(len(stratum)) + random.random()
        position[stratum] = steps / len(stratum)
    return np.argsort(position, kind="stable")


def _cuts(members: Indices, sizes: Sequence[int]) -> Indices:
    """The number of groups before each cut that brings the sizes of the parts closest to the wanted sizes.

    Args:
        members: The number of images of each group, in order.
        sizes: The wanted number of images of each part.

    Returns:
        (parts - 1,) numbers of groups, ascending.
    """
    ends = np.concatenate([[0], np.cumsum(members)])
    wanted = np.cumsum(sizes)[:-1]
    above = np.searchsorted(ends, wanted)
    below = np.maximum(above - 1, 0)
    return np.where(ends[above] - wanted <= wanted - ends[below], above, below)


def groups_by_pattern(image_ids: Sequence[str], pattern: str) -> list[str]:
    r"""The group of each image, found in its image_id by a regular expression.

    Args:
        image_ids: N names.
        pattern: Its first match is the group: the first parenthesised part, or all of it if there is none.

    Raises:
        UsageError: It is not a regular expression, or an image_id does not match.

    >>> groups_by_pattern(["Lake 1", "Lake 2", "Beach 1"], r"^(.*) \d+$")
    ['Lake', 'Lake', 'Beach']
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise UsageError(
            f"--group-pattern must be a regular expression. Received: {pattern} ({error})"
        ) from error
    found = [compiled.search(name) for name in image_ids]
    missing = [name for name, match in zip(image_ids, found, strict=True) if match is None]
    if missing:
        raise UsageError(
            f"--group-pattern must match every image_id. Received: {pattern}, and {len(missing)} that do not,"
            f" such as {missing[0]!r}"
        )
    return [match[min(1, compiled.groups)] or "" for match in found if match]


def join_groups(
    groups: Sequence[str], image_ids: Sequence[str], together: Iterable[Iterable[str]]
) -> list[str]:
    """Join groups that contain the same picture.

    Args:
        groups: (N,) the group of each image.
        image_ids: N names.
        together: Sets of images that belong together; other names than the N are ignored.

    Returns:
        N groups.
    """
    _, joined = np.unique(np.asarray(groups), return_inverse=True)
    place = {name: index for index, name in enumerate(image_ids)}
    for names in together:
        members = joined[[place[name] for name in names if name in place]]
        if len(members):
            joined[np.isin(joined, members)] = members[0]
    return [str(group) for group in joined]
