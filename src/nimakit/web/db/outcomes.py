"""What a comparison says of its pictures: which pairs it decides, and what share each picture won."""

from collections.abc import Iterator, Sequence

from nimakit.stats import best_worst
from nimakit.stats.best_worst import NOBODY, Pair
from nimakit.web.db.tables import CHOICE, SKIP, TIE


def places(kind: str, shown: Sequence[int], chosen: int | None, worst: int | None) -> tuple[int, int]:
    """The places of the best and the worst picture of a comparison, as `nimakit.stats.best_worst` has them.

    Args:
        kind: `CHOICE`, `TIE` or `SKIP`.
        shown: The pictures compared.
        chosen: The chosen one; None for a tie or a skip.
        worst: The one chosen as the worst; None where nobody is asked for it.
    """
    best = shown.index(chosen) if kind == CHOICE and chosen is not None else NOBODY
    return best, NOBODY if worst is None else shown.index(worst)


def decided(kind: str, shown: Sequence[int], chosen: int | None, worst: int | None) -> Iterator[Pair]:
    """The pairs that a comparison decides, by the ids of pictures; see `nimakit.stats.best_worst.decided`.

    Args:
        kind: `CHOICE` or `TIE`.
        shown: The pictures compared.
        chosen: The chosen one; None for a tie.
        worst: The one chosen as the worst; None where nobody is asked for it.

    >>> [pair[:3] for pair in decided("choice", [7, 8, 9], 8, None)]
    [(7, 8, 0.0), (8, 9, 1.0)]
    """
    for left, right, share, weight in best_worst.decided(len(shown), *places(kind, shown, chosen, worst)):
        yield Pair(shown[left], shown[right], share, weight)


def shares(kind: str, shown: Sequence[int], chosen: int | None, worst: int | None) -> dict[int, float]:
    """Each picture's share of a comparison won; empty if skipped.

    The chosen picture wins all, and the others nothing. Where there is a worst one as well, those between
    lose to one picture and win over one: half. A tie is split evenly.

    Args:
        kind: `CHOICE`, `TIE` or `SKIP`.
        shown: The pictures compared.
        chosen: The chosen one; None for a tie or a skip.
        worst: The one chosen as the worst; None where nobody is asked for it.

    >>> shares("choice", [5, 6, 7], 6, 5)
    {5: 0.0, 6: 1.0, 7: 0.5}
    """
    if kind == SKIP:
        return {}
    if kind == TIE:
        return dict.fromkeys(shown, 1 / len(shown))
    between = 0.0 if worst is None else 0.5
    return {image: 1.0 if image == chosen else 0.0 if image == worst else between for image in shown}
