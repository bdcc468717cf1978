"""Pictures that are the same one, found by their fingerprints among any number of them."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nimakit.images.fingerprints import SIDE, VIEWS, Fingerprints, mirrored
from nimakit.io.cache import sha256

Indices = NDArray[np.intp]

SIMILARITY = 0.5
"""From here on two pictures count as the same.

Different photographs hardly ever come above 0.3; copies that are resized, re-encoded, greyed, brightened,
turned by a degree, framed or cropped by 5 % on each side nearly all do above 0.5: benchmarks/duplicates.py.
"""

_BLANK = 1.0
"""Contrast, in grey levels, below which a picture has nothing to compare."""

_CHUNKS = 4
_CHUNK_BITS = 16
_FLIPS = 2
_MASKS = [
    sum(1 << bit for bit in bits)
    for flips in range(_FLIPS + 1)
    for bits in combinations(range(_CHUNK_BITS), flips)
]
_DISTANCE = _CHUNKS * (_FLIPS + 1) - 1
"""Hashes that differ in 11 bits at most have a chunk that differs in 2 at most, so none is missed."""

_FEW = 1000
"""As many as are compared each with each in less time than tables take."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Pictures that are the same one.

    Attributes:
        members: Their places among the N that were compared, ascending, at least two.
        similarity: Agreement of their edge maps, up to 1; of more than two pictures the weakest link's.
        identical: Whether the files are equal byte for byte.
        mirrored: Whether some are mirror images of others.
    """

    members: tuple[int, ...]
    similarity: float
    identical: bool
    mirrored: bool


def find_duplicates(
    paths: Sequence[Path], fingerprints: Fingerprints, *, similarity: float = SIMILARITY
) -> list[Group]:
    """Groups of files that show the same picture, resized, re-encoded, mirrored or slightly cropped.

    Args:
        paths: N different files.
        fingerprints: (N,) `nimakit.images.fingerprints.FINGERPRINT`.
        similarity: From which on two pictures count as the same, above 0 to 1.

    Returns:
        Groups without a common member, most alike first. Blank pictures are the same only byte for byte.
    """
    groups = _Groups(len(paths))
    detailed = ~is_blank(fingerprints)
    contents: dict[int, str] = {}
    distinct = []
    for same in _equal(fingerprints):
        distinct.append(same[0])
        if len(same) > 1:
            contents |= {place: sha256(paths[place]) for place in same}
            first_of: dict[str, int] = {}
            for place in same:
                first = first_of.setdefault(contents[place], place)
                groups.link(same[0] if detailed[place] else first, place, 1.0)
    _link_near(fingerprints, [place for place in distinct if detailed[place]], similarity, groups)
    return groups.listed(contents)


def is_blank(fingerprints: Fingerprints) -> NDArray[np.bool_]:
    """Which pictures are one even surface, as a failed download or a black frame is: (N,) bool."""
    return np.asarray(fingerprints["contrast"] < _BLANK)


class _Groups:
    """N pictures, each a group of its own until links join them."""

    def __init__(self, count: int) -> None:
        self._group = np.arange(count)
        self._links: list[tuple[int, float, bool]] = []

    def link(self, first: int, second: int, similarity: float, *, mirrored: bool = False) -> None:
        """Join the groups of two pictures; without effect where they are one."""
        if self._group[first] != self._group[second]:
            self._group[self._group == self._group[second]] = self._group[first]
            self._links.append((first, similarity, mirrored))

    def apart(self, first: Indices, second: Indices) -> NDArray[np.bool_]:
        """Which of n pairs are in two groups still: (n,) bool."""
        return np.asarray(self._group[first] != self._group[second])

    def listed(self, contents: dict[int, str]) -> list[Group]:
        """The groups of more than one, most alike first."""
        members = defaultdict(list)
        links = defaultdict(list)
        for first, similarity, is_mirrored in self._links:
            links[self._group[first]].append((similarity, is_mirrored))
        for place in np.flatnonzero(np.isin(self._group, list(links))).tolist():
            members[self._group[place]].append(place)
        found = [
            Group(
                members=tuple(members[group]),
                similarity=round(min(similarity for similarity, _ in links[group]), 3),
                identical=len({contents.get(place, place) for place in members[group]}) == 1,
                mirrored=any(is_mirrored for _, is_mirrored in links[group]),
            )
            for group in links
        ]
        return sorted(found, key=lambda group: (-group.similarity, group.members))


def _equal(fingerprints: Fingerprints) -> list[list[int]]:
    """Places of equal fingerprints together."""
    places = defaultdict(list)
    for place, fingerprint in enumerate(fingerprints):
        places[fingerprint.tobytes()].append(place)
    return list(places.values())


def _link_near(fingerprints: Fingerprints, chosen: Sequence[int], similarity: float, groups: _Groups) -> None:
    """Link pictures that are the same, those that are as a whole before those of which one is cropped.

    Args:
        fingerprints: (N,) `nimakit.images.fingerprints.FINGERPRINT`.
        chosen: Places of those that are compared.
        similarity: From which on two pictures count as the same.
        groups: Of all N.
    """
    places = np.asarray(chosen, np.intp)
    compared = fingerprints[places]
    edges = np.ascontiguousarray(compared["edges"][:, 0])
    whole = (compared["hash"][:, 0], edges), (compared["mirror_hash"], mirrored(edges))
    for view in range(VIEWS):
        for is_mirrored, (hashes, maps) in enumerate(whole):
            for first, second in _candidates(hashes, compared["hash"][:, view]):
                apart = groups.apart(places[first], places[second])
                one, other = first[apart], second[apart]
                different = np.bitwise_count(maps[one] ^ compared["edges"][other, view]).sum(axis=1)
                alike = 1 - 2 * different / SIDE**2
                for pair in np.flatnonzero(alike >= similarity).tolist():
                    groups.link(
                        places[one[pair]],
                        places[other[pair]],
                        float(alike[pair]),
                        mirrored=bool(is_mirrored),
                    )


def _candidates(queries: NDArray[np.uint64], hashes: NDArray[np.uint64]) -> Iterator[tuple[Indices, Indices]]:
    """Pairs of two different pictures whose hashes differ in `_DISTANCE` bits at most.

    Multi-index hashing (Norouzi, Punjani and Fleet, "Fast search in Hamming space with multi-index hashing",
    2012): hashes that are close agree closely in at least one chunk, and a table of each chunk's values leads
    to them. A hundredth of all pairs is looked at.

    Args:
        queries: (N,) hashes.
        hashes: (N,) hashes of the same pictures in the same order, or of a view of them.

    Yields:
        (n,) places of queries, and (n,) places of hashes. A pair may come repeatedly, and either way round.
    """
    if len(hashes) <= _FEW:
        first, second = np.nonzero(np.bitwise_count(queries[:, None] ^ hashes) <= _DISTANCE)
        yield first[first != second], second[first != second]
        return
    for chunk in range(_CHUNKS):
        wanted, keys = (_chunk(values, chunk) for values in (queries, hashes))
        # In order of the keys, so that what is looked at together lies together in memory.
        query_order, order = (np.argsort(values, kind="stable") for values in (wanted, keys))
        wanted, sorted_queries, sorted_hashes = wanted[query_order], queries[query_order], hashes[order]
        starts = np.searchsorted(keys[order], np.arange((1 << _CHUNK_BITS) + 1))
        sizes = np.diff(starts)
        for mask in _MASKS:
            start, size = starts[wanted ^ mask], sizes[wanted ^ mask]
            query = np.flatnonzero(size)
            rank = 0
            while len(
                query
            ):  # each with the first of the hashes its chunk leads to, then with the second ...
                place = start[query] + rank
                close = np.bitwise_count(sorted_queries[query] ^ sorted_hashes[place]) <= _DISTANCE
                first, second = query_order[query[close]], order[place[close]]
                others = first != second
                if others.any():
                    yield first[others], second[others]
                rank += 1
                query = query[size[query] > rank]


def _chunk(hashes: NDArray[np.uint64], chunk: int) -> Indices:
    """One chunk of each hash: (N,) intp."""
    shift, mask = np.uint64(chunk * _CHUNK_BITS), np.uint64((1 << _CHUNK_BITS) - 1)
    return np.asarray((hashes >> shift) & mask, np.intp)
