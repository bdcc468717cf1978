"""Comparisons of more than two pictures, put together from the pairs that they decided."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter
from typing import NamedTuple

from nimakit.stats.best_worst import NOBODY, decided


class JoinedSet(NamedTuple):
    """A comparison.

    Attributes:
        shown: Names of the pictures, in the order shown, as far as the pairs tell.
        best: The chosen one; None for a tie.
        worst: The one chosen as the worst; None where nobody was asked.
    """

    shown: tuple[str, ...]
    best: str | None
    worst: str | None


def join_pairs(
    pairs: Sequence[tuple[tuple[str, ...], str | None]], size: int, *, has_worst: bool
) -> JoinedSet:
    """Put a comparison together: the inverse of `nimakit.stats.best_worst.decided`.

    Args:
        pairs: Both pictures, and the better one, or None for a tie.
        size: Number of pictures that are compared at a time.
        has_worst: Whether people choose the worst picture as well.

    Raises:
        ValueError: These are not all pairs that one comparison decides.

    >>> join_pairs([(("a", "b"), "b"), (("b", "c"), "b")], 3, has_worst=False)
    JoinedSet(shown=('a', 'b', 'c'), best='b', worst=None)
    """
    shown = _order([images for images, _ in pairs])
    wins = Counter(better for _, better in pairs if better)
    losses = Counter(image for images, better in pairs if better for image in images if image != better)
    best = max(shown, key=wins.__getitem__) if wins or has_worst else None
    worst = max(shown, key=losses.__getitem__) if has_worst else None
    if len(shown) == size and (best is None or best != worst):
        places = [NOBODY if image is None else shown.index(image) for image in (best, worst)]
        wanted = Counter(
            (frozenset((shown[left], shown[right])), {1.0: shown[left], 0.0: shown[right]}.get(share))
            for left, right, share, _ in decided(size, *places)
        )
        if wanted == Counter((frozenset(images), better) for images, better in pairs):
            return JoinedSet(shown, best, worst)
    task = "the best and the worst" if has_worst else "the best"
    raise ValueError(
        f"its comparison must have all pairs that choosing {task} of {size} pictures decides, each once;"
        f" received {len(pairs)} pairs of {len(shown)} pictures"
    )


def _order(pairs: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """All pictures, each before those that were to the right of it."""
    before: dict[str, set[str]] = defaultdict(set)
    for left, right in pairs:
        before[left] |= set()
        before[right].add(left)
    try:
        return tuple(TopologicalSorter(before).static_order())
    except CycleError:
        return tuple(before)
