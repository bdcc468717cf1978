"""Find duplicate pictures by their fingerprints.

pHash only selects candidates: it must let 11 of 64 bits differ to find a cropped copy, and then also matches
different pictures, so 1,024 bits of edge maps decide. The index of candidates is hand-written: faiss's binary
multi-hash would add a dependency of 30 MB to the data commands.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nimakit.images.fingerprints import SIDE, VIEWS, Fingerprints, mirrored
from nimakit.io.cache import sha256
from nimakit.stats.histogram import IntArray

SIMILARITY = 0.5
"""Lowest similarity of duplicates.

Different photographs are hardly ever above 0.3. Copies that are resized, re-encoded, grey, brightened,
turned by a degree, framed or cropped by 5 % on each side are nearly all above 0.5: benchmarks/duplicates.py.
"""

_BLANK = 1.0
"""Contrast, in grey levels, below which pictures are blank."""

_CHUNKS = 4
_CHUNK_BITS = 16
_FLIPS = 2
_MASKS = [
    sum(1 << bit for bit in bits)
    for flips in range(_FLIPS + 1)
    for bits in combinations(range(_CHUNK_BITS), flips)
]
_DISTANCE = _CHUNKS * (_FLIPS + 1) - 1
"""Hashes that differ in at most 11 bits have a chunk that differs in at most 2, so none is missed."""

_BRUTE_FORCE_BELOW = 1000
"""So many are compared with each other faster than by tables."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """A group of duplicates.

    Attributes:
        members: Indices of at least two of the N pictures compared, ascending.
        similarity: Agreement of their edge maps, up to 1; for more than two pictures, that of the weakest
            link.
        identical: Whether the files are equal byte for byte.
        mirrored: Whether some are mirror images of others.
    """

    members: tuple[int, ...]
    similarity: float
    identical: bool
    mirrored: bool


def find_duplicates(
    files: Sequence[Path | str], fingerprints: Fingerprints, *, similarity: float = SIMILARITY
) -> list[Group]:
    """Find groups of files that show the same picture, possibly resized, re-encoded, mirrored or cropped.

    Args:
        files: N different files; for one that is not on this machine the SHA-256 of its content.
        fingerprints: (N,) `nimakit.images.fingerprints.FINGERPRINT`.
        similarity: Lowest similarity of duplicates, above 0 to 1.

    Returns:
        Disjoint groups, most similar first. Blank pictures are duplicates only if their files are equal.
    """
    groups = _Groups(len(files))
    detailed = ~is_blank(fingerprints)
    contents: dict[int, str] = {}
    distinct = []
    for same in _equal(fingerprints):
        distinct.append(same[0])
        if len(same) > 1:
            contents |= {place: _digest(files[place]) for place in same}
            first_of: dict[str, int] = {}
            for place in same:
                first = first_of.setdefault(contents[place], place)
                groups.link(same[0] if detailed[place] else first, place, 1.0)
    _link_near(fingerprints, [place for place in distinct if detailed[place]], similarity, groups)
    return groups.listed(contents)


def _digest(file: Path | str) -> str:
    return file if isinstance(file, str) else sha256(file)


def is_blank(fingerprints: Fingerprints) -> NDArray[np.bool_]:
    """(N,) bool: whether a picture is an even surface, such as a failed download or a black frame."""
    return np.asarray(fingerprints["contrast"] < _BLANK)


class _Groups:
    """Groups of N pictures, joined by links; at first each picture is a group."""

    def __init__(self, count: int) -> None:
        self._group = np.arange(count)
        self._links: list[tuple[int, float, bool]] = []

    def link(self, first: int, second: int, similarity: float, *, mirrored: bool = False) -> None:
        """Join the groups of two pictures, unless they are in the same group."""
        if self._group[first] != self._group[second]:
            self._group[self._group == self._group[second]] = self._group[first]
            self._links.append((first, similarity, mirrored))

    def are_apart(self, first: IntArray, second: IntArray) -> NDArray[np.bool_]:
        """(n,) bool: whether the pictures of n pairs are in different groups."""
        return np.asarray(self._group[first] != self._group[second])

    def listed(self, contents: dict[int, str]) -> list[Group]:
        """The groups of several pictures, most similar first."""
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
    """Indices of pictures, grouped by equal fingerprints."""
    places = defaultdict(list)
    for place, fingerprint in enumerate(fingerprints):
        places[fingerprint.tobytes()].append(place)
    return list(places.values())


def _link_near(fingerprints: Fingerprints, chosen: Sequence[int], similarity: float, groups: _Groups) -> None:
    """Link duplicates; whole pictures before those of which one is cropped.

    Args:
        fingerprints: (N,) `nimakit.images.fingerprints.FINGERPRINT`.
        chosen: Indices of the pictures to compare.
        similarity: Lowest similarity of duplicates.
        groups: Groups of all N pictures.
    """
    places = np.asarray(chosen, np.intp)
    compared = fingerprints[places]
    edges = np.ascontiguousarray(compared["edges"][:, 0])
    both = (compared["hash"][:, 0], edges), (compared["mirror_hash"], mirrored(edges))
    for view in range(VIEWS):
        for is_mirrored, (hashes, maps) in enumerate(both):
            for first, second in _candidates(hashes, compared["hash"][:, view]):
                apart = groups.are_apart(places[first], places[second])
                one, other = first[apart], second[apart]
                different = np.bitwise_count(maps[one] ^ compared["edges"][other, view]).sum(axis=1)
                alike = 1 - 2 * different / SIDE**2
                for pair in np.flatnonzero(alike >= similarity).tolist():
                    groups.link(
                        places[one[pair]], places[other[pair]], float(alike[pair]), mirrored=bool(is_mirrored)
                    )


def _candidates(
    queries: NDArray[np.uint64], hashes: NDArray[np.uint64]
) -> Iterator[tuple[IntArray, IntArray]]:
    """Pairs of different pictures whose hashes differ in at most `_DISTANCE` bits.

    Multi-index hashing (Norouzi, Punjani and Fleet, "Fast search in Hamming space with multi-index hashing",
    2012): similar hashes are nearly equal in at least one chunk, and a table of each chunk's values finds
    them. Only one in a hundred pairs is compared.

    Args:
        queries: (N,) hashes.
        hashes: (N,) hashes of the same pictures in the same order, or of a view of them.

    Yields:
        (n,) indices of queries, and (n,) indices of hashes. A pair may come repeatedly and in either order.
    """
    if len(hashes) <= _BRUTE_FORCE_BELOW:
        first, second = np.nonzero(np.bitwise_count(queries[:, None] ^ hashes) <= _DISTANCE)
        yield first[first != second], second[first != second]
        return
    for chunk in range(_CHUNKS):
        wanted, keys = (_chunk(values, chunk) for values in (queries, hashes))
        # Sorted by the keys, so that hashes compared together are close in memory.
        query_order, order = (np.argsort(values, kind="stable") for values in (wanted, keys))
        wanted, sorted_queries, sorted_hashes = wanted[query_order], queries[query_order], hashes[order]
        starts = np.searchsorted(keys[order], np.arange((1 << _CHUNK_BITS) + 1))
        sizes = np.diff(starts)
        for mask in _MASKS:
            start, size = starts[wanted ^ mask], sizes[wanted ^ mask]
            query = np.flatnonzero(size)
            rank = 0
            while len(query):  # compare each with the first hash of its chunk, then the second, ...
                place = start[query] + rank
                close = np.bitwise_count(sorted_queries[query] ^ sorted_hashes[place]) <= _DISTANCE
                first, second = query_order[query[close]], order[place[close]]
                others = first != second
                if others.any():
                    yield first[others], second[others]
                rank += 1
                query = query[size[query] > rank]


def _chunk(hashes: NDArray[np.uint64], chunk: int) -> IntArray:
    """(N,) intp: one chunk of each hash."""
    shift, mask = np.uint64(chunk * _CHUNK_BITS), np.uint64((1 << _CHUNK_BITS) - 1)
    return np.asarray((hashes >> shift) & mask, np.intp)
